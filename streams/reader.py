"""Reads what a stream holds, by sequence and by time, without a consumer.

Invariant: reading changes nothing on the server, least of all where the collectors stand, and holds
WINDOW_MESSAGES messages at most. It can be stopped and taken up again at any sequence.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import nats.errors
from nats.js.api import RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from shared.errors import Retryable
from streams.connection import API_TIMEOUT_S, Connection

WINDOW_MESSAGES: Final = 32
"""Messages asked for at once: of 1 MiB at most, and enough to hide the way there and back."""

_ADDED_BY_SERVER: Final = frozenset({
    "Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Last-Sequence", "Nats-Num-Pending",
})  # fmt: skip
_NO_SEQUENCE: Final = 10043  # JSSequenceNotFoundErrF


class _Answer(msgspec.Struct):
    error: dict[str, Any] | None = None


_decode_answer: Final = msgspec.json.Decoder(_Answer).decode


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as the stream holds it; `stored_at` by the broker's clock."""

    stream: str
    seq: int
    subject: str
    headers: Mapping[str, str]
    body: bytes
    stored_at: datetime


class StreamReader:
    """Reads one stream. Every method may wait for the broker, and raises Retryable where it does not answer."""

    def __init__(self, connection: Connection, stream: str) -> None:
        self._connection = connection
        self.stream = stream

    async def span(self) -> tuple[int, int]:
        """The sequences of the oldest and the newest message; of an empty stream the second is the smaller."""
        with self._asking():
            state = (await self._connection.jetstream.stream_info(self.stream)).state
        return max(1, state.first_seq), state.last_seq  # of a stream that never had a message, both are 0

    async def count(self) -> int:
        """How many messages it holds."""
        with self._asking():
            return (await self._connection.jetstream.stream_info(self.stream)).state.messages

    async def get(self, seq: int) -> StoredMessage | None:
        """The message of this sequence; None where it is gone."""
        with self._asking():
            try:
                return self._stored(await self._connection.jetstream.get_msg(self.stream, seq=seq, direct=True))
            except NotFoundError:
                return None

    async def next(self, seq: int) -> StoredMessage | None:
        """The first message from this sequence on; None where there is none."""
        with self._asking():
            try:
                found = await self._connection.jetstream.get_msg(
                    self.stream, seq=max(1, seq), subject=">", next=True, direct=True
                )
            except NotFoundError:
                return None
        return self._stored(found)

    async def first_at(self, moment: datetime) -> int:
        """The sequence from which on messages were stored at `moment` or later; past the newest if none were."""
        low, last = await self.span()
        high = last + 1
        while low < high:
            middle = (low + high) // 2
            message = await self.next(middle)
            if message is None or message.stored_at >= moment:
                high = middle
            else:
                low = message.seq + 1
        return low

    async def range(self, since: datetime | None, until: datetime | None) -> tuple[int, int]:
        """The first and the last sequence of what was stored from `since` on and before `until`."""
        first, last = await self.span()
        if until is not None:
            last = await self.first_at(until) - 1
        if since is not None:
            first = await self.first_at(since)
        return first, last

    async def messages(self, first: int, last: int) -> AsyncIterator[StoredMessage]:
        """The messages of these sequences that are there, oldest first."""
        at = first
        while at <= last:
            window = range(at, min(at + WINDOW_MESSAGES, last + 1))
            found = [message for message in await asyncio.gather(*map(self.get, window)) if message is not None]
            for message in found:
                yield message
            at = window.stop
            if not found:  # a hole, and maybe a long one
                following = await self.next(at)
                at = following.seq if following is not None else last + 1

    async def delete(self, seq: int, *, erase: bool) -> None:
        """Remove a message for good; no error where it is gone already.

        With `erase` its bytes are written over on the disk, which takes several times as long.
        """
        subject = self._connection.api(f"STREAM.MSG.DELETE.{self.stream}")  # nats-py's delete_msg always erases
        with self._asking():
            request = msgspec.json.encode({"seq": seq, "no_erase": not erase})
            answer = await self._connection.client.request(subject, request, timeout=API_TIMEOUT_S)
            error = _decode_answer(answer.data).error
            if error is not None and error.get("err_code") != _NO_SEQUENCE:
                raise APIError.from_error(error)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        self._connection.require()
        try:
            yield
        except NotFoundError as error:
            raise Retryable(f"there is no stream {self.stream}: run `python -m streams apply`") from error
        except (TimeoutError, APIError, nats.errors.Error, OSError) as error:
            raise Retryable(f"{self.stream} can't be read: {error!r}") from error

    def _stored(self, message: RawStreamMsg) -> StoredMessage:
        headers = {name: value for name, value in (message.headers or {}).items() if name not in _ADDED_BY_SERVER}
        return StoredMessage(
            self.stream,
            message.seq or 0,
            message.subject or "",
            headers,
            message.data or b"",
            (message.time or datetime.fromtimestamp(0, UTC)).astimezone(UTC),
        )
