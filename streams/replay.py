"""Put a time range of a source's stream through its collectors again.

Invariant: a message is published again as it was, headers and body, under an id derived from its own
(`streams.message_ids`), at the end of the same stream; the collectors' place in it is not touched. Stored
events are duplicates, lost ones are stored, and each receipt still adds up.

Why not set the consumer back instead: a consumer's start can't be changed, so it would have to be deleted
and made anew, and with it goes the knowledge of what is stored and what is not. Until the collectors are
through again, the backlog guard would see a stream full of unread messages and shut the gateway; new events
would wait behind the whole range; and what was in flight would be delivered twice at once. Publishing again
can be paced, stopped, and taken up where it ended, while everything else goes on.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.wire import MESSAGE_ID
from streams.message_ids import replay_id
from streams.pace import Pace
from streams.publisher import Published, Publisher
from streams.reader import StoredMessage, StreamReader

CHUNK_MESSAGES: Final = 32
PACE_MESSAGES: Final = 256
"""Messages between two looks at the backlog, which are three requests to the broker."""


@dataclass(frozen=True, slots=True)
class Range:
    """What is to be replayed: sequences, the first and the last included; and when these two were stored."""

    first: int
    last: int
    first_at: datetime
    last_at: datetime

    @property
    def messages(self) -> int:
        """How many, at most: some may be gone."""
        return self.last - self.first + 1


@dataclass(slots=True)
class Replayed:
    """How far a replay has come.

    `known` were replayed within the duplicate window already, `foreign` have no message id and were not
    stored the first time either, `gone` are no longer in the stream. `next_at` is where to go on from.
    """

    published: int = 0
    known: int = 0
    foreign: int = 0
    gone: int = 0
    next_at: datetime | None = None

    @property
    def messages(self) -> int:
        """All that are done with."""
        return self.published + self.known + self.foreign + self.gone


class Replay:
    """Replays ranges of one stream."""

    def __init__(self, *, reader: StreamReader, publisher: Publisher, pace: Pace) -> None:
        self._reader = reader
        self._publisher = publisher
        self._pace = pace

    async def range(self, since: datetime, until: datetime | None) -> Range | None:
        """What was stored from `since` on and before `until`; None where nothing was. Raises Retryable.

        Its end is fixed here: neither new messages nor the replayed ones become part of it.
        """
        first, last = await self._reader.range(since, until)
        oldest = await self._reader.next(first)
        if oldest is None or oldest.seq > last:
            return None
        newest = await self._reader.get(last) or oldest
        return Range(oldest.seq, last, oldest.stored_at, newest.stored_at)

    async def run(self, wanted: Range, replayed: Replayed, progressed: Callable[[], None]) -> None:
        """Publish the range again, waiting for room; `replayed` says how far it has come, whatever is raised.

        Raises Retryable where JetStream fails, Fatal where there is no room to be had. Taken up again at
        `replayed.next_at`, it doubles nothing.
        """
        paced = 0
        chunk: list[StoredMessage] = []
        await self._pace.room()
        async for message in self._reader.messages(wanted.first, wanted.last):
            chunk.append(message)
            if len(chunk) == CHUNK_MESSAGES:
                await self._publish(chunk, replayed)
                paced += len(chunk)
                chunk = []
                progressed()
                if paced >= PACE_MESSAGES:
                    paced = 0
                    await self._pace.room()
        await self._publish(chunk, replayed)
        replayed.next_at = None
        replayed.gone = max(0, wanted.messages - replayed.messages)
        progressed()

    async def _publish(self, chunk: Sequence[StoredMessage], replayed: Replayed) -> None:
        if not chunk:
            return
        replayed.next_at = chunk[0].stored_at
        ours = [message for message in chunk if message.headers.get(MESSAGE_ID)]
        published = await asyncio.gather(*map(self._again, ours))
        replayed.foreign += len(chunk) - len(ours)
        replayed.published += sum(not one.duplicate for one in published)
        replayed.known += sum(one.duplicate for one in published)

    async def _again(self, message: StoredMessage) -> Published:
        headers = {**message.headers, MESSAGE_ID: replay_id(message.headers[MESSAGE_ID])}
        return await self._publisher.publish(message.subject, message.body, headers)
