"""Group commit: single events that a sender posts at the same time share a message, and its way to the disk.

Invariant: `take` returns only after the message with the event is durable. While a partition's message is on
its way the next one fills: a lone event waits for nobody, and under load each sync of the broker's disk is
shared by as many requests as came during the last one.
"""

import asyncio
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from gateway.batching import Batch
from shared.wire import NO_TRACE, MessageHeaders
from streams.backlog import BacklogGuard
from streams.partitions import Partition
from streams.publisher import Publisher

MAX_HEADER_CHARS: Final = 4_000
"""For the correlation ids and traces of a group, which go into its headers; these have 8 KiB of room in all."""


@dataclass(slots=True)
class _Group:
    """A message that fills, and its way to the disk (`task`) that its requests wait for."""

    batch: Batch
    received_at: datetime
    sender: str | None
    correlation_ids: list[str] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    header_chars: int = 0
    task: "asyncio.Task[None] | None" = None

    def add(self, event: bytes, correlation_id: str, trace: str) -> None:
        self.batch.add(len(self.correlation_ids), event)
        self.correlation_ids.append(correlation_id)
        self.traces.append(trace)
        self.header_chars += len(correlation_id) + len(trace) + 2

    @property
    def traceparent(self) -> str | None:
        return None if set(self.traces) == {NO_TRACE} else " ".join(self.traces)


class GroupCommit:
    """Publishes single events, those of a partition in groups. One per process; lives in one event loop."""

    def __init__(self, publisher: Publisher, guard: BacklogGuard, *, max_events: int) -> None:
        self._publisher = publisher
        self._guard = guard
        self._max_events = max_events
        self._filling: dict[tuple[str, str | None], _Group] = {}
        self._turn: defaultdict[tuple[str, str | None], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def take(
        self,
        partition: Partition,
        event: bytes,
        correlation_id: str,
        received_at: datetime,
        *,
        traceparent: str | None = None,
        sender: str | None = None,
    ) -> None:
        """Make one event durable. Raises NotDurable."""
        key = (partition.stream, sender)
        group = self._filling.get(key)
        if group is None or not self._has_room(group, event, correlation_id):
            group = self._filling[key] = _Group(Batch(partition), received_at, sender)
            group.task = asyncio.create_task(self._commit(group))
        group.add(event, correlation_id, traceparent or NO_TRACE)
        assert group.task is not None  # noqa: S101 - set where the group is made
        # Shielded: a request that is given up must not take its neighbours with it.
        await asyncio.shield(group.task)

    def _has_room(self, group: _Group, event: bytes, correlation_id: str) -> bool:
        return (
            len(group.correlation_ids) < self._max_events
            and group.header_chars + len(correlation_id) <= MAX_HEADER_CHARS
            and group.batch.has_room(event, self._publisher.max_body_bytes)
        )

    async def _commit(self, group: _Group) -> None:
        """Wait for the group's turn, close it, publish it. Raises NotDurable."""
        partition, key = group.batch.partition, (group.batch.partition.stream, group.sender)
        async with self._turn[key]:
            if self._filling.get(key) is group:
                del self._filling[key]
            headers = MessageHeaders(
                message_id=f"{uuid.uuid4().hex}-{partition.source}",
                correlation_id=" ".join(group.correlation_ids),
                events=len(group.correlation_ids),
                received_at=group.received_at,
                traceparent=group.traceparent,
                sender=group.sender,
            )
            with self._guard.booked(partition, group.batch.body_bytes + group.header_chars):
                await self._publisher.publish(partition.grouped, group.batch.body(), headers.encode())
