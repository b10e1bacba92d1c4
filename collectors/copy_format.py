"""PostgreSQL's binary COPY format, as far as the tables need it.

Source: PostgreSQL documentation, "COPY", section "Binary Format", and the types' send and receive
functions. Each function returns a field: its length as a 32-bit integer, then its bytes, big-endian.
"""

import re
from datetime import UTC, datetime
from struct import Struct
from typing import Final

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + b"\0\0\0\0" + b"\0\0\0\0"  # signature, flags, no extension
TRAILER: Final = b"\xff\xff"
NULL: Final = b"\xff\xff\xff\xff"

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)  # timestamptz counts microseconds from here
_DAY_S: Final = 86_400
_INT16: Final = Struct(">h")
_INT32: Final = Struct(">i")
_FLOAT8: Final = Struct(">id")
_TIMESTAMP: Final = Struct(">iq")
_NUMERIC: Final = Struct(">ihhHH")
_NUMERIC_BYTES: Final = 8  # its fixed part, after the length
_DIGITS_PER_GROUP: Final = 4
_is_plain_decimal: Final = re.compile(r"[0-9]{1,1000}(\.[0-9]{0,1000})?").fullmatch  # within PostgreSQL's own bounds
_LENGTHS: Final = tuple(_INT32.pack(length) for length in range(1_024))  # nearly all fields are shorter


def row(columns: int) -> bytes:
    """How a row of so many fields begins."""
    return _INT16.pack(columns)


def raw(value: bytes) -> bytes:
    """A field of these bytes; for json, its text."""
    try:
        return _LENGTHS[len(value)] + value
    except IndexError:
        return _INT32.pack(len(value)) + value


def text(value: str | None) -> bytes:
    """A text field; NULL of None."""
    if value is None:
        return NULL
    encoded = value.encode()
    try:  # not by way of `raw`: ten calls an event
        return _LENGTHS[len(encoded)] + encoded
    except IndexError:
        return _INT32.pack(len(encoded)) + encoded


def float8(value: float | None) -> bytes:
    """A double precision field; NULL of None."""
    return NULL if value is None else _FLOAT8.pack(8, value)


def timestamptz(value: datetime) -> bytes:
    """A timestamptz field. Raises ValueError where `value` has no offset."""
    if value.tzinfo is None:
        raise ValueError("a timestamp without an offset")
    since = value - _EPOCH
    return _TIMESTAMP.pack(8, (since.days * _DAY_S + since.seconds) * 1_000_000 + since.microseconds)


def numeric(value: str) -> bytes:
    """A numeric field of a plain, non-negative decimal such as "12.30", its scale kept.

    A numeric is groups of four decimal digits, and the power of 10,000 of the first (its weight). Raises
    ValueError for any other text.
    """
    if not _is_plain_decimal(value):
        raise ValueError("an amount that is no plain decimal")
    whole, _, fraction = value.partition(".")
    digits = whole.rjust(-(-len(whole) // _DIGITS_PER_GROUP) * _DIGITS_PER_GROUP, "0")
    weight = len(digits) // _DIGITS_PER_GROUP - 1
    digits += fraction.ljust(-(-len(fraction) // _DIGITS_PER_GROUP) * _DIGITS_PER_GROUP, "0")
    groups = [int(digits[at : at + _DIGITS_PER_GROUP]) for at in range(0, len(digits), _DIGITS_PER_GROUP)]
    while groups and groups[0] == 0:
        del groups[0]
        weight -= 1
    while groups and groups[-1] == 0:
        del groups[-1]
    size = len(groups)
    head = _NUMERIC.pack(_NUMERIC_BYTES + 2 * size, size, weight if groups else 0, 0, len(fraction))
    return head + b"".join(map(_INT16.pack, groups))
