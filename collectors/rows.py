"""A message's events → rows of the tables, as binary COPY fields, in one pass.

Invariant: the bytes of `data` are those that were sent. Where a platform's columns are found is read
from its `Platform`; nothing here names one.

Events were validated by the gateway, so decoding is typed but checks no rule again. What can't be decoded
all the same (a foreign publisher, a newer gateway) is poison, event by event.
"""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from collectors import copy_format as pg
from shared.errors import Poison
from shared.events import Platform
from shared.events.platform import USER_ID_PATH
from shared.events.types import parse_timestamp
from shared.outcomes import DeadLetterReason
from shared.wire import MessageHeaders

EVENTS: Final = (
    "source", "received_at", "correlation_id", "funnel_stage", "event_type",
    "event_id", "user_id", "occurred_at", "data", "extra",
)  # fmt: skip
DEMOGRAPHICS: Final = (
    "source", "first_seen_at", "user_id", "name", "gender", "country", "city", "age", "followers",
)  # fmt: skip
REVENUE: Final = (
    "source", "event_id", "user_id", "occurred_at", "amount", "campaign_id", "ad_id", "item", "currency",
)  # fmt: skip

_NUMBERS: Final = frozenset({"age", "followers"})


class EventRows(NamedTuple):
    """One event as rows: its keys, and the encoded fields of each table; no revenue without an amount."""

    event_id: str
    user_id: str
    event: bytes
    demographics: bytes
    revenue: bytes | None


class _Envelope(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """An event, its data untouched. Unknown keys raise, so that they can be kept (`_with_extra`)."""

    event_id: str
    timestamp: str
    source: str
    funnel_stage: str
    event_type: str
    data: msgspec.Raw


_KNOWN_KEYS: Final = frozenset(msgspec.structs.fields(_Envelope)[at].encode_name for at in range(6))
_decode_envelopes: Final = msgspec.json.Decoder(list[_Envelope]).decode
_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_decode_slices: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_keys: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode_json: Final = msgspec.json.Encoder().encode


class RowBuilder:
    """Builds the rows of one platform's events. Compiled once; pure; never blocks for long (2 µs an event)."""

    def __init__(self, platform: Platform) -> None:
        demographics = {column: getattr(platform.demographics, column) for column in DEMOGRAPHICS[3:]}
        revenue = {column: getattr(platform.revenue, column) for column in REVENUE[4:]}
        self._has_revenue = revenue["amount"] is not None
        wanted = [path for path in (USER_ID_PATH, *demographics.values(), *revenue.values()) if path is not None]
        numbers = {path for column, path in demographics.items() if column in _NUMBERS}
        self._decode_data = msgspec.json.Decoder(_struct(wanted, numbers)).decode
        self._user_id = attrgetter(USER_ID_PATH)
        self._demographics = [
            (None if path is None else attrgetter(path), pg.float8 if column in _NUMBERS else pg.text)
            for column, path in demographics.items()
        ]
        self._amount = attrgetter(revenue["amount"] or USER_ID_PATH)
        self._revenue = [None if path is None else attrgetter(path) for path in list(revenue.values())[1:]]
        self._source = platform.source

    def build(self, body: bytes, headers: MessageHeaders) -> list[EventRows]:
        """All events of a message. Raises Poison where one can't be decoded: then take them one by one."""
        fixed = _Fixed(self._source, headers)
        try:
            return [self._rows(envelope, fixed, pg.NULL) for envelope in _decode_envelopes(body)]
        except msgspec.ValidationError:
            return [self.build_one(event, headers) for event in self.slices(body)]  # perhaps just unknown keys
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise _undecodable(error) from error

    def build_one(self, event: bytes, headers: MessageHeaders) -> EventRows:
        """One event, with the keys of its envelope that are not known kept in `extra`. Raises Poison."""
        fixed = _Fixed(self._source, headers)
        try:
            keys = _decode_keys(event)
            known = {key: value for key, value in keys.items() if key in _KNOWN_KEYS}
            extra = {key: value for key, value in keys.items() if key not in _KNOWN_KEYS}
            envelope = _decode_envelope(_encode_json(known))
            return self._rows(envelope, fixed, pg.raw(_encode_json(extra)) if extra else pg.NULL)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise _undecodable(error) from error

    @staticmethod
    def slices(body: bytes) -> list[bytes]:
        """The events' bytes, as they came. Raises Poison where the body is no JSON array."""
        try:
            return [bytes(event) for event in _decode_slices(body)]
        except (msgspec.MsgspecError, RecursionError) as error:
            raise _undecodable(error) from error

    def _rows(self, envelope: _Envelope, fixed: "_Fixed", extra: bytes) -> EventRows:
        if envelope.source != self._source:
            raise Poison(DeadLetterReason.UNDECODABLE, f"an event of another source in the stream of {self._source}")
        data = self._decode_data(envelope.data)
        event_id, user_id = envelope.event_id, self._user_id(data)
        if user_id is None:
            raise Poison(DeadLetterReason.UNDECODABLE, f"the event has no {USER_ID_PATH}")
        key, user = pg.text(event_id), pg.text(user_id)
        occurred_at = pg.timestamptz(parse_timestamp(envelope.timestamp))
        event = b"".join(
            (
                fixed.event,
                pg.text(envelope.funnel_stage),
                pg.text(envelope.event_type),
                key,
                user,
                occurred_at,
                pg.raw(bytes(envelope.data)),
                extra,
            )
        )
        demographics = [fixed.demographics, user]
        for get, encode in self._demographics:
            value = None if get is None else get(data)
            demographics.append(pg.NULL if value is None else encode(value))
        revenue = None
        if self._has_revenue and (amount := self._amount(data)) is not None:
            fields = [fixed.revenue, key, user, occurred_at, pg.numeric(amount)]
            for get in self._revenue:
                value = None if get is None else get(data)
                fields.append(pg.NULL if value is None else pg.text(value))
            revenue = b"".join(fields)
        return EventRows(event_id, user_id, event, b"".join(demographics), revenue)


class _Fixed:
    """The first fields of each row, the same for all events of a message."""

    __slots__ = ("demographics", "event", "revenue")

    def __init__(self, source: str, headers: MessageHeaders) -> None:
        received_at, platform = pg.timestamptz(headers.received_at), pg.text(source)
        self.event = pg.row(len(EVENTS)) + platform + received_at + pg.text(headers.correlation_id)
        self.demographics = pg.row(len(DEMOGRAPHICS)) + platform + received_at
        self.revenue = pg.row(len(REVENUE)) + platform


def _struct(paths: Iterable[str], numbers: set[str], prefix: str = "") -> type[msgspec.Struct]:
    """A struct type that decodes just these dotted paths; what an event does not have is None."""
    children: dict[str, list[str]] = {}
    for path in dict.fromkeys(paths):
        head, _, rest = path.partition(".")
        children.setdefault(head, []).extend([rest] if rest else [])
    fields: list[tuple[str, Any, Any]] = []
    for name, inner in children.items():
        here = f"{prefix}{name}"
        if inner:
            nested = _struct(inner, numbers, f"{here}.")
            fields.append((name, nested, msgspec.field(default_factory=nested)))
        else:
            fields.append((name, float | None if here in numbers else str | None, None))
    return msgspec.defstruct(f"Data{prefix.title().replace('.', '')}", fields, gc=False)


def _undecodable(error: Exception) -> Poison:
    return Poison(DeadLetterReason.UNDECODABLE, f"the event can't be decoded: {error}")
