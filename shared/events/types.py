"""The field types that every platform's models are built from.

Invariant: what these types accept, PostgreSQL can hold. A NUL, a lone surrogate or a number past its
column's range is refused here, at the gateway, and so can never fail in a collector.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

MAX_IDENTIFIER_CHARS: Final = 255
"""Identifiers stand in unique indexes, whose entries PostgreSQL limits to about 2,700 bytes."""

MAX_EXACT_NUMBER: Final = 2**53 - 1
"""Numbers are stored as double precision, which is exact for integers up to here."""

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Within these bounds any offset converts to UTC without leaving the range of Python's datetime."""

_CLOCK: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]([01][0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?"
_OFFSET: Final = r"([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])"
TIMESTAMP_PATTERN: Final = _CLOCK + _OFFSET + "$"
ACTION_TIME_PATTERN: Final = _CLOCK + _OFFSET + "?$"
AMOUNT_PATTERN: Final = r"^[0-9]{1,18}(\.[0-9]{1,8})?$"

PATTERN_PROBLEMS: Final = {
    TIMESTAMP_PATTERN: (
        "timestamp_format",
        "Input should be an ISO 8601 timestamp with an offset or Z, such as 2026-01-25T17:31:13.660Z",
    ),
    ACTION_TIME_PATTERN: (
        "timestamp_format",
        "Input should be an ISO 8601 timestamp, such as 2026-01-25T17:31:13.660Z",
    ),
    AMOUNT_PATTERN: (
        "amount_format",
        "Input should be a non-negative decimal as text with up to 18 digits before the point and 8 after it",
    ),
}
"""What a pattern that does not match is called, and in which words, instead of showing the pattern."""


class Model(BaseModel):
    """Base of all event models: strict JSON types, camelCase keys, unknown keys ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False, alias_generator=to_camel)


def parse_timestamp(value: str) -> datetime:
    """ISO 8601 to a datetime; RFC 3339 allows `t` and `z` too. Raises ValueError for a time that is none."""
    return datetime.fromisoformat(value.upper())


def _calendar_time(value: str) -> datetime:
    """The pattern holds for 30 February too; only the calendar knows."""
    try:
        return parse_timestamp(value)
    except ValueError:
        raise PydanticCustomError("timestamp_format", "Input should be a time that exists") from None


def _timestamp(value: str) -> str:
    if not EARLIEST <= _calendar_time(value) < LATEST:
        raise PydanticCustomError("timestamp_range", "Input should be a time in the years 1970 to 9998")
    return value


def _action_time(value: str) -> str:
    _calendar_time(value)
    return value


def _exact(value: float) -> float:
    if not -MAX_EXACT_NUMBER <= value <= MAX_EXACT_NUMBER:
        raise PydanticCustomError("number_range", "Input should be a number whose size is under 2^53")
    return value


@dataclass(frozen=True, slots=True)
class QuickForm:
    """How msgspec decodes a type, accepting no more than the pydantic type does: see `shared.events.quick`."""

    annotation: Any


_EXACT: Final = msgspec.Meta(ge=-MAX_EXACT_NUMBER, le=MAX_EXACT_NUMBER)


def _quick_pattern(pattern: str) -> QuickForm:
    """Python's `$` also matches before a last line break; `\\Z` does not."""
    return QuickForm(Annotated[str, msgspec.Meta(pattern=pattern.removesuffix("$") + r"\Z")])


Identifier = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_IDENTIFIER_CHARS),
    QuickForm(Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_IDENTIFIER_CHARS)]),
]
"""An id of the platform's: a string of 1 to 255 characters."""

Number = Annotated[
    float,
    Field(json_schema_extra={"minimum": -MAX_EXACT_NUMBER, "maximum": MAX_EXACT_NUMBER}),
    AfterValidator(_exact),
    QuickForm(Annotated[int, _EXACT] | Annotated[float, _EXACT]),
]
"""A JSON number, integer or not, that double precision holds. Never a string, never a boolean."""

Timestamp = Annotated[
    str,
    Field(pattern=TIMESTAMP_PATTERN, description="ISO 8601 with an offset or `Z`, in the years 1970 to 9998"),
    AfterValidator(_timestamp),
    QuickForm(Annotated[datetime, msgspec.Meta(tz=True)]),
]
"""ISO 8601 with an offset or `Z`, and a time that timestamptz holds."""

ActionTime = Annotated[
    str,
    Field(pattern=ACTION_TIME_PATTERN, description="ISO 8601; the offset may be missing"),
    AfterValidator(_action_time),
    QuickForm(datetime),
]
"""ISO 8601; the offset may be missing, as this one is kept in the JSON only."""

Amount = Annotated[
    str,
    Field(pattern=AMOUNT_PATTERN, description="A decimal as text, not negative: up to 18 digits and 8 decimals"),
    _quick_pattern(AMOUNT_PATTERN),
]
"""Money: a plain, non-negative decimal as text. It stays text until PostgreSQL makes a numeric of it."""
