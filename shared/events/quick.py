"""A quick look that accepts most valid events, at a quarter of the cost of the models.

Invariant: what is accepted here, the models accept too. It never refuses: what it does not accept goes to
the models, which decide and word the reasons. So the models stay the only rules there are.

Its msgspec types are derived from the models. Where a model has anything whose quick form is not known to
be as strict (a validator, a default, an unfamiliar type), its platform simply has no quick look.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from shared.events.platform import Envelope, literal
from shared.events.registry import Registry
from shared.events.types import EARLIEST, LATEST, MAX_IDENTIFIER_CHARS, Model, QuickForm

MAX_NESTING: Final = 190
"""Levels of arrays and objects; the parser of the models takes 200."""

MAX_BRACKETS: Final = 100
"""More than this many may be nested deeper than is taken; an event of ours has six."""

ENVELOPE_BYTES: Final = 200
"""The keys and values that every event has take more; with them, an event of this and two bytes a level more has no
room for so many levels.
"""

_BACKSLASH: Final = ord("\\")
_NUL_ESCAPE: Final = b"\\u0000"
_FIRST_YEAR: Final = EARLIEST.year + 1  # whatever the offset
_LAST_YEAR: Final = LATEST.year - 2


class QuickEnvelope(msgspec.Struct, rename="camel", gc=False):
    """What every event has, as far as the quick look reads it."""

    event_id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_IDENTIFIER_CHARS)]
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)]
    source: str
    funnel_stage: str
    event_type: str
    data: msgspec.Raw


class _Unknown(Exception):
    """A model has something whose quick form is not known."""


QuickLook = Callable[[bytes], QuickEnvelope | None]
"""Takes an event's bytes; its envelope where it is valid for certain, else None."""


def quick_look(registry: Registry, *, max_nesting: int = MAX_NESTING, max_event_bytes: int = 2**31) -> QuickLook:
    """Compile the quick look of a registry's platforms. It never raises and never blocks.

    It accepts nothing that is nested deeper than `max_nesting`, or longer than `max_event_bytes`.
    """
    short_bytes, max_brackets = ENVELOPE_BYTES + 2 * max_nesting, min(MAX_BRACKETS, max_nesting)
    shapes: dict[tuple[str, str, str], Callable[[msgspec.Raw], object]] = {}
    for platform in registry:
        for model in platform.models:
            shapes |= _shapes(model)
    decode = msgspec.json.Decoder(QuickEnvelope).decode

    def look(event: bytes) -> QuickEnvelope | None:
        try:
            if not event.isascii():
                event.decode()  # msgspec does not look at the encoding of what it skips
            if _BACKSLASH in event and _NUL_ESCAPE in event:
                return None
            if len(event) > short_bytes and (
                len(event) > max_event_bytes or event.count(b"[") + event.count(b"{") > max_brackets
            ):
                return None
            envelope = decode(event)
            shapes[envelope.source, envelope.funnel_stage, envelope.event_type](envelope.data)
        except (msgspec.DecodeError, KeyError, UnicodeDecodeError):
            return None
        return envelope if _FIRST_YEAR <= envelope.timestamp.year <= _LAST_YEAR else None

    return look


def _shapes(model: type[Envelope]) -> dict[tuple[str, str, str], Callable[[msgspec.Raw], object]]:
    """The decoder of `data` for each kind of event of a model; {} where it has no quick form."""
    hints = get_type_hints(model, include_extras=True)
    try:
        if set(hints) - {"model_config"} != {*QuickEnvelope.__struct_fields__} or _has_validators(model):
            return {}
        decode = msgspec.json.Decoder(_quick(hints["data"])).decode
    except _Unknown:
        return {}
    kinds = (literal(model, "source"), literal(model, "funnel_stage"), literal(model, "event_type"))
    return {(source, stage, event_type): decode for source in kinds[0] for stage in kinds[1] for event_type in kinds[2]}


def _quick(annotation: Any) -> Any:
    """The msgspec type of an annotation. Raises _Unknown."""
    origin = get_origin(annotation)
    if origin is Annotated:
        for extra in annotation.__metadata__:
            if isinstance(extra, QuickForm):
                return extra.annotation
        raise _Unknown
    if origin in {Union, UnionType}:
        return Union[tuple(_quick(choice) for choice in get_args(annotation))]  # noqa: UP007 - made at run time
    if origin is Literal or annotation in {str, bool, NoneType}:
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return _struct(annotation)
    raise _Unknown


def _struct(model: type[Model]) -> type[msgspec.Struct]:
    hints = get_type_hints(model, include_extras=True)
    if _has_validators(model):
        raise _Unknown
    fields: list[tuple[str, Any]] = []
    for name, field in model.model_fields.items():
        quick = get_origin(hints[name]) is Annotated
        if not field.is_required() or (field.metadata and not quick):
            raise _Unknown
        fields.append((field.alias or name, _quick(hints[name])))
    return msgspec.defstruct(model.__qualname__, fields, gc=False)


def _has_validators(model: type[Model]) -> bool:
    decorators = model.__pydantic_decorators__
    found: Iterable[object] = (
        *decorators.validators, *decorators.field_validators, *decorators.root_validators, *decorators.model_validators,
    )  # fmt: skip
    return any(True for _ in found)
