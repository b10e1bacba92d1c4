"""A valid event of each platform and stage, made from its model: a new platform has its examples by itself."""

import uuid
from datetime import UTC, datetime
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from shared.events import Registry
from shared.events.platform import Envelope
from shared.events.types import ACTION_TIME_PATTERN, AMOUNT_PATTERN, TIMESTAMP_PATTERN

NUMBER: Final = 42
AMOUNT: Final = "19.90"


def examples(registry: Registry) -> list[dict[str, Any]]:
    """One for each model, with an event id of its own and the present time."""
    return [
        {
            "source": platform.source,
            "stage": get_args(model.model_fields["funnel_stage"].annotation)[0],
            "event": _event(platform.source, model),
        }
        for platform in registry
        for model in platform.models
    ]


def _event(source: str, model: type[Envelope]) -> dict[str, Any]:
    return _object(model) | {"eventId": f"{source}-test-{uuid.uuid4()}"}


def _object(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: _value(field.alias or name, field) for name, field in model.model_fields.items()}


def _value(name: str, field: FieldInfo) -> Any:
    kind, pattern = field.annotation, _pattern(field.metadata)
    for part in get_args(kind) if get_origin(kind) is not Literal else ():
        if part is not NoneType:  # an optional field is filled: the example shows what it takes
            kind, pattern = getattr(part, "__origin__", part), pattern or _pattern(getattr(part, "__metadata__", ()))
            break
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _object(kind)
    if kind in {int, float}:
        return NUMBER
    if pattern in {TIMESTAMP_PATTERN, ACTION_TIME_PATTERN}:
        return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return AMOUNT if pattern == AMOUNT_PATTERN else f"test-{name}"


def _pattern(metadata: Any) -> str | None:
    for mark in metadata:
        inner = mark.metadata if isinstance(mark, FieldInfo) else (mark,)
        for one in inner:
            if (found := getattr(one, "pattern", None)) is not None:
                return str(found)
    return None
