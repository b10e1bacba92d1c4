"""What is collected for one flush: messages, decoded, with their deliveries.

Invariant: a batch owns its deliveries from the moment they are added until it is settled; every event in
it is either among its rows or among its dead letters. Pure: it neither waits nor writes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from collectors.rows import EventRows, RowBuilder
from shared.errors import Poison
from shared.outcomes import DeadLetterReason
from shared.wire import CORRELATION_ID, EVENTS, MESSAGE_ID, RECEIVED_AT, SENDER, MessageHeaders, encode_body, ungroup
from streams.dead_letter import DeadLetter
from streams.delivery import Delivery

UNKNOWN_CORRELATION_ID: Final = "unknown"
MAX_ID_CHARS: Final = 255
MAX_MESSAGE_EVENTS: Final = 10_000
"""What a message may say of itself: more than the gateway ever puts in, and no more than the ledger can hold."""


@dataclass(slots=True)
class Message:
    """One message, decoded: a delivery, or one of those that a group of single events stands for.

    `rows[i]` is None where event i is a dead letter.

    A message that can't be read as events has no rows, and is one dead letter as a whole; it then stands
    for as many `events` as its headers say, or for one.
    """

    delivery: Delivery
    message_id: str
    correlation_id: str
    events: int
    sender: str | None = None
    rows: list[EventRows | None] = field(default_factory=list)
    dead: dict[int, Poison] = field(default_factory=dict)
    body: bytes = b""

    @property
    def dead_events(self) -> int:
        """Events that are dead letters."""
        return len(self.dead) if self.rows else self.events

    @property
    def is_dead(self) -> bool:
        """Whether nothing of it can be stored."""
        return self.dead_events == self.events


def messages(delivery: Delivery, builder: RowBuilder) -> list[Message]:
    """A delivery, decoded: one message, or those that a group of single events stands for. Never raises."""
    parts = ungroup(delivery.headers)
    if parts is None:
        return [decode(delivery, builder)]
    try:
        events = builder.slices(delivery.body)
    except Poison:
        events = []
    if len(events) != len(parts):
        return [decode(delivery, builder)]  # which finds its ids to be none that a gateway gives
    return [
        decode(delivery, builder, headers=headers, body=encode_body([event]))
        for headers, event in zip(parts, events, strict=True)
    ]


def decode(
    delivery: Delivery, builder: RowBuilder, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> Message:
    """One message. What can't be decoded becomes a dead letter, its neighbours rows. Never raises."""
    found = delivery.headers if headers is None else headers
    message = _unread(delivery, found, delivery.body if body is None else body)
    try:
        about = MessageHeaders.decode(found)
    except Poison as poison:
        message.dead[0] = poison
        return message
    if (about.message_id, about.correlation_id) != (message.message_id, message.correlation_id):
        message.dead[0] = Poison(DeadLetterReason.UNDECODABLE, "the message's ids are none that a gateway gives")
        return message
    try:
        message.rows = list(builder.build(message.body, about))
        message.events = len(message.rows)
    except Poison as poison:
        try:
            slices = builder.slices(message.body)
        except Poison:
            message.dead[0] = poison
            return message
        message.events = len(slices)
        for index, event in enumerate(slices):
            try:
                message.rows.append(builder.build_one(event, about))
            except Poison as one:
                message.rows.append(None)
                message.dead[index] = one
    return message


def _unread(delivery: Delivery, headers: Mapping[str, str], body: bytes) -> Message:
    """The message by its headers, as far as they are there and the ledger can hold them: its receipt adds up
    even where the format is unknown.
    """
    message_id, correlation_id = headers.get(MESSAGE_ID, ""), headers.get(CORRELATION_ID, "")
    events = headers.get(EVENTS, "")
    is_count = events.isascii() and events.isdigit() and 0 < int(events[:MAX_ID_CHARS]) <= MAX_MESSAGE_EVENTS
    return Message(
        delivery,
        message_id if _is_sane(message_id) else f"{delivery.stream}:{delivery.stream_seq}",
        correlation_id if _is_sane(correlation_id) else UNKNOWN_CORRELATION_ID,
        events=int(events) if is_count else 1,
        sender=sender if _is_sane(sender := headers.get(SENDER, "")) else None,
        body=body,
    )


def _is_sane(text: str) -> bool:
    return 0 < len(text) <= MAX_ID_CHARS and text.isascii() and text.isprintable() and " " not in text


class Batch:
    """Messages for one flush. Full by events or bytes, ripe by age."""

    def __init__(self, *, max_events: int, max_bytes: int, max_age_s: float, clock: Callable[[], float]) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock = clock
        self._born_at: float | None = None
        self.messages: list[Message] = []
        self.events = 0
        self.body_bytes = 0

    def add(self, message: Message) -> None:
        """Take a message."""
        if self._born_at is None:
            self._born_at = self._clock()
        self.messages.append(message)
        self.events += message.events
        self.body_bytes += len(message.body)

    @property
    def deliveries(self) -> dict[Delivery, bool]:
        """Its deliveries, each with whether nothing of it can be stored."""
        dead: dict[Delivery, bool] = {}
        for message in self.messages:
            dead[message.delivery] = dead.get(message.delivery, True) and message.is_dead
        return dead

    @property
    def is_full(self) -> bool:
        """Whether it takes no more."""
        return self.events >= self._max_events or self.body_bytes >= self._max_bytes

    @property
    def is_due(self) -> bool:
        """Whether it should be flushed as soon as it can be."""
        return bool(self.messages) and (self.is_full or self.remaining_s <= 0)

    @property
    def remaining_s(self) -> float:
        """Until it is ripe; the whole age while it is empty."""
        if self._born_at is None:
            return self._max_age_s
        return self._born_at + self._max_age_s - self._clock()

    @property
    def age_s(self) -> float:
        """Since its first message came; 0 while it is empty."""
        return 0.0 if self._born_at is None else self._clock() - self._born_at

    @property
    def room_events(self) -> int:
        """How many more events it should take."""
        return max(0, self._max_events - self.events)

    def rows(self) -> Iterator[tuple[Message, int, EventRows]]:
        """Every event that is to be stored, with its message and its place in it."""
        for message in self.messages:
            for index, row in enumerate(message.rows):
                if row is not None:
                    yield message, index, row

    def bury(self, message: Message, index: int, poison: Poison) -> None:
        """An event can't be stored: it is a dead letter from now on."""
        message.rows[index] = None
        message.dead[index] = poison

    def dead_in_a_row(self, before: int) -> tuple[int, int]:
        """Dead letters with no storable event between them: the longest row, and the one that is open at the end.

        `before`: how many were open when the batch began.
        """
        longest = row = before
        for message in self.messages:
            if message.dead and not message.rows:
                row += 1
            for event in message.rows:
                longest = max(longest, row)
                row = 0 if event is not None else row + 1
        return max(longest, row), row

    def dead_letters(self, source: str) -> Iterator[DeadLetter]:
        """Every event (or whole message) that can't be stored."""
        for message in self.messages:
            if not message.dead:
                continue
            bodies = RowBuilder.slices(message.body) if message.rows else [message.body]
            for index, poison in message.dead.items():
                yield DeadLetter(
                    body=bodies[index],
                    source=source,
                    reason=poison.reason,
                    error=poison.detail,
                    stream=message.delivery.stream,
                    stream_seq=message.delivery.stream_seq,
                    attempts=message.delivery.attempts,
                    correlation_id=message.correlation_id,
                    origin_id=message.message_id,
                    index=index,
                    received_at=message.delivery.headers.get(RECEIVED_AT),
                    is_message=not message.rows,
                    events=1 if message.rows else message.events,
                )
