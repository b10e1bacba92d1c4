"""Park an event that can't be stored, with its reason.

Invariant: `park` returns only after the dead letter is on the broker's disk; only then may the original
be terminated or its neighbours acknowledged.
"""

from dataclasses import dataclass
from typing import Final

from shared.outcomes import DeadLetterReason
from shared.wire import CORRELATION_ID, EVENTS, MESSAGE_ID, RECEIVED_AT
from streams.publisher import Publisher
from streams.subjects import Names

REASON: Final = "Floodgate-Reason"
ERROR: Final = "Floodgate-Error"
SOURCE: Final = "Floodgate-Source"
ORIGIN: Final = "Floodgate-Origin"
ATTEMPTS: Final = "Floodgate-Attempts"
CUT_FROM: Final = "Floodgate-Cut-From-Bytes"
HOLDS: Final = "Floodgate-Holds"

HOLDS_EVENT: Final = "event"
HOLDS_MESSAGE: Final = "message"

MAX_ERROR_CHARS: Final = 500
_DEAD: Final = ":dead:"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event (or a whole message that could not be decoded) as it was received, and why it is here.

    `origin_id` is the id of the message it came in and `index` its place in it: with them, parking the
    same event twice keeps one. A whole message stands for as many `events` as the ledger counts for it.
    `received_at` is the gateway's time of receipt, as the message had it; None where it had none. When it
    was parked is the time at which the broker stored it.
    """

    body: bytes
    source: str
    reason: DeadLetterReason
    error: str
    stream: str
    stream_seq: int
    attempts: int
    correlation_id: str
    origin_id: str
    index: int
    received_at: str | None = None
    is_message: bool = False
    events: int = 1


class DeadLetters:
    """Writes dead letters."""

    def __init__(self, publisher: Publisher, names: Names) -> None:
        self._publisher = publisher
        self._names = names

    async def park(self, letter: DeadLetter) -> None:
        """Make a dead letter durable. Raises NotDurable: the original must then be kept.

        A foreign message can be too long to leave room for our headers: its end is cut off, which a header
        says, and the whole of it stays where Floodgate-Origin points, until the stream's limits.
        """
        body = letter.body[: self._publisher.max_body_bytes]
        headers = {
            MESSAGE_ID: dead_letter_id(letter.origin_id, letter.index),
            CORRELATION_ID: letter.correlation_id,
            SOURCE: letter.source,
            REASON: letter.reason.value,
            ERROR: _header_text(letter.error),
            ORIGIN: f"{letter.stream}:{letter.stream_seq}",
            ATTEMPTS: str(letter.attempts),
            HOLDS: HOLDS_MESSAGE if letter.is_message else HOLDS_EVENT,
            EVENTS: str(letter.events),
        }
        if letter.received_at is not None:
            headers[RECEIVED_AT] = _header_text(letter.received_at)
        if len(body) < len(letter.body):
            headers[CUT_FROM] = str(len(letter.body))
        await self._publisher.publish(self._names.dead_letters(letter.source), body, headers)


def dead_letter_id(origin_id: str, index: int) -> str:
    """The message id of a dead letter."""
    return f"{origin_id}{_DEAD}{index}"


def origin_of(dead_letter_id: str) -> tuple[str, int] | None:
    """The id of the message that a dead letter came in and its place there; None where the id says neither."""
    origin_id, mark, index = dead_letter_id.rpartition(_DEAD)
    return (origin_id, int(index)) if mark and index.isascii() and index.isdigit() else None


def _header_text(text: str) -> str:
    """One line of printable ASCII: what a NATS header can hold."""
    flat = " ".join(text.split())[:MAX_ERROR_CHARS]
    return flat.encode("ascii", "replace").decode()
