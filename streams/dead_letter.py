"""Park an event that can't be stored, with its reason.

Invariant: `park` returns only after the dead letter is on the broker's disk; only then may the original
be terminated or its neighbours acknowledged.
"""

from dataclasses import dataclass
from typing import Final

from shared.outcomes import DeadLetterReason
from shared.wire import CORRELATION_ID, MESSAGE_ID
from streams.publisher import Publisher
from streams.subjects import Names

REASON: Final = "Floodgate-Reason"
ERROR: Final = "Floodgate-Error"
SOURCE: Final = "Floodgate-Source"
ORIGIN: Final = "Floodgate-Origin"
ATTEMPTS: Final = "Floodgate-Attempts"
CUT_FROM: Final = "Floodgate-Cut-From-Bytes"

MAX_ERROR_CHARS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event (or a whole message that could not be decoded) as it was received, and why it is here.

    `origin_id` is the id of the message it came in and `index` its place in it: with them, parking the
    same event twice keeps one.
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
            MESSAGE_ID: f"{letter.origin_id}:dead:{letter.index}",
            CORRELATION_ID: letter.correlation_id,
            SOURCE: letter.source,
            REASON: letter.reason.value,
            ERROR: _header_text(letter.error),
            ORIGIN: f"{letter.stream}:{letter.stream_seq}",
            ATTEMPTS: str(letter.attempts),
        }
        if len(body) < len(letter.body):
            headers[CUT_FROM] = str(len(letter.body))
        await self._publisher.publish(self._names.dead_letters(letter.source), body, headers)


def _header_text(text: str) -> str:
    """One line of printable ASCII: what a NATS header can hold."""
    flat = " ".join(text.split())[:MAX_ERROR_CHARS]
    return flat.encode("ascii", "replace").decode()
