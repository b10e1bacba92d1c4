"""Dead letters as they lie in their stream: read, chosen, removed.

Invariant: whatever lies there can be read, a letter of a foreign publisher too: what it does not say is
empty or None. Nothing is removed but by `remove`.
"""

from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.wire import CORRELATION_ID, EVENTS, MESSAGE_ID, RECEIVED_AT
from streams.connection import Connection
from streams.dead_letter import ATTEMPTS, CUT_FROM, ERROR, HOLDS, HOLDS_MESSAGE, ORIGIN, REASON, SOURCE, origin_of
from streams.reader import WINDOW_MESSAGES, StoredMessage, StreamReader
from streams.subjects import Names

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedLetter:
    """One dead letter. `seq` and `parked_at` are of the dead letters' stream; `origin` is where it came from.

    `cut_from_bytes`: how long the body was, where its end had to be cut off.
    """

    seq: int
    parked_at: datetime
    body: bytes
    source: str
    reason: str
    error: str
    origin: str
    attempts: int | None
    correlation_id: str
    message_id: str
    origin_id: str
    index: int
    is_message: bool
    events: int
    received_at: str | None
    cut_from_bytes: int | None

    @classmethod
    def read(cls, message: StoredMessage) -> "ParkedLetter":
        """From the stored message. Never raises."""
        headers = message.headers
        message_id = headers.get(MESSAGE_ID, f"{message.stream}:{message.seq}")
        origin_id, index = origin_of(message_id) or (message_id, 0)
        return cls(
            seq=message.seq,
            parked_at=message.stored_at,
            body=message.body,
            source=headers.get(SOURCE) or message.subject.rpartition(".")[2],
            reason=headers.get(REASON, UNKNOWN),
            error=headers.get(ERROR, ""),
            origin=headers.get(ORIGIN, ""),
            attempts=_count(headers.get(ATTEMPTS)),
            correlation_id=headers.get(CORRELATION_ID, UNKNOWN),
            message_id=message_id,
            origin_id=origin_id,
            index=index,
            is_message=headers.get(HOLDS) == HOLDS_MESSAGE,
            events=_count(headers.get(EVENTS)) or 1,
            received_at=headers.get(RECEIVED_AT),
            cut_from_bytes=_count(headers.get(CUT_FROM)),
        )

    def about(self) -> dict[str, Any]:
        """All but the body, as JSON has it."""
        stream, _, seq = self.origin.rpartition(":")
        return {
            "seq": self.seq,
            "parkedAt": self.parked_at.isoformat(),
            "receivedAt": self.received_at,
            "source": self.source,
            "reason": self.reason,
            "error": self.error,
            "stream": stream or None,
            "streamSeq": _count(seq),
            "attempts": self.attempts,
            "correlationId": self.correlation_id,
            "messageId": self.origin_id,
            "index": self.index,
            "holds": "message" if self.is_message else "event",
            "events": self.events,
            "bytes": len(self.body),
            "cutFromBytes": self.cut_from_bytes,
        }

    def whole(self) -> dict[str, Any]:
        """With the body: as text where it is UTF-8, else in base64, which `bodyEncoding` says."""
        try:
            return self.about() | {"bodyEncoding": "utf-8", "body": self.body.decode()}
        except UnicodeDecodeError:
            return self.about() | {"bodyEncoding": "base64", "body": b64encode(self.body).decode()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which dead letters: those that all of it is true of. `since` and `until` are of when they were parked."""

    source: str | None = None
    reason: str | None = None
    correlation_id: str | None = None
    seq: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None

    def takes(self, letter: ParkedLetter) -> bool:
        """Whether it is one of them, but for its time and the limit."""
        return all(
            wanted is None or wanted == is_
            for wanted, is_ in (
                (self.source, letter.source),
                (self.reason, letter.reason),
                (self.correlation_id, letter.correlation_id),
                (self.seq, letter.seq),
            )
        )


class ParkedLetters:
    """The dead letters' stream. Every method may wait for the broker, and raises Retryable without it."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._reader = StreamReader(connection, names.dead_letters_stream)

    async def count(self) -> int:
        """How many there are."""
        return await self._reader.count()

    async def span(self, choice: Choice) -> tuple[int, int]:
        """The first and the last sequence to look at; fixed, so that what is parked meanwhile is left alone."""
        if choice.seq is not None:
            return choice.seq, choice.seq
        return await self._reader.range(choice.since, choice.until)

    async def get(self, seq: int) -> ParkedLetter | None:
        """The dead letter of this sequence; None where there is none."""
        message = await self._reader.get(seq)
        return ParkedLetter.read(message) if message is not None else None

    async def chosen(self, choice: Choice, span: tuple[int, int]) -> AsyncIterator[ParkedLetter]:
        """Those of the choice, oldest first."""
        found = 0
        async for message in self._reader.messages(*span):
            letter = ParkedLetter.read(message)
            if choice.takes(letter):
                yield letter
                found += 1
                if found == choice.limit:
                    return

    async def newest(
        self, choice: Choice, span: tuple[int, int], *, most: int, look_at: int
    ) -> tuple[list[ParkedLetter], int | None]:
        """Up to `most` of the choice, newest first, and the sequence to end at the next time; None at the end.

        Looks at `look_at` sequences at most, so a page may hold fewer although there are more further back.
        """
        first, last = span
        stop = max(first, last - look_at + 1)
        found: list[ParkedLetter] = []
        while last >= stop:
            start = max(stop, last - WINDOW_MESSAGES + 1)
            window = [ParkedLetter.read(message) async for message in self._reader.messages(start, last)]
            for letter in reversed(window):
                if choice.takes(letter):
                    found.append(letter)
                    if len(found) == most:
                        return found, letter.seq - 1 if letter.seq > first else None
            last = start - 1
        return found, last if last >= first else None

    async def remove(self, letter: ParkedLetter, *, erase: bool) -> None:
        """Remove it for good, with `erase` from the disk too; no error where it is gone already."""
        await self._reader.delete(letter.seq, erase=erase)


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None
