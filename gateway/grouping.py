"""Group commit: single events that a sender posts at the same time share a message, and its way to the disk.

Invariant: `take` returns only after the message with the event is durable. While a partition's message is on
its way the next one fills: a lone event waits for nobody, and under load each sync of the broker's disk is
shared by as many requests as came during the last one. Where a message can't be made durable, those that wait
behind it fail with it: each would take as long.
"""

import asyncio
import math
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Final

from gateway.batching import Batch
from shared.errors import GivenUp, NotDurable
from shared.outcomes import PublishFailure
from shared.wire import NO_TRACE, MessageHeaders
from streams.backlog import BacklogGuard
from streams.partitions import Partition
from streams.publisher import Publisher

MAX_HEADER_CHARS: Final = 4_000
"""For the correlation ids and traces of a group, which go into its headers; these have 8 KiB of room in all."""


@dataclass(slots=True)
class _Group:
    """A message that fills, and its way to the disk (`task`) that its requests wait for; None where it is there.

    `give_up_at`: when the last of its requests gives up, on the clock of `perf_counter`.
    """

    batch: Batch
    received_at: datetime
    sender: str | None
    correlation_ids: list[str] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    header_chars: int = 0
    give_up_at: float = -math.inf
    has_turn: bool = False
    task: "asyncio.Task[NotDurable | None] | None" = None

    def add(self, event: bytes, correlation_id: str, trace: str, give_up_at: float) -> None:
        self.batch.add(len(self.correlation_ids), event)
        self.correlation_ids.append(correlation_id)
        self.traces.append(trace)
        self.header_chars += len(correlation_id) + len(trace) + 2
        self.give_up_at = max(self.give_up_at, give_up_at)

    def given_up(self) -> PublishFailure | None:
        return PublishFailure.TIMEOUT if perf_counter() > self.give_up_at else None

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
        self._last: dict[tuple[str, str | None], asyncio.Task[NotDurable | None]] = {}

    async def take(
        self,
        partition: Partition,
        event: bytes,
        correlation_id: str,
        received_at: datetime,
        *,
        traceparent: str | None = None,
        sender: str | None = None,
        give_up_at: float = math.inf,
    ) -> None:
        """Make one event durable. Raises NotDurable, at `give_up_at` where its message has not had its turn by then.

        It may become durable all the same, with its neighbours.
        """
        key = (partition.stream, sender)
        group = self._filling.get(key)
        if group is None or not self._has_room(group, event, correlation_id):
            group = self._filling[key] = _Group(Batch(partition), received_at, sender)
            group.task = self._last[key] = asyncio.create_task(self._commit(group, self._last.get(key)))
        group.add(event, correlation_id, traceparent or NO_TRACE, give_up_at)
        assert group.task is not None  # noqa: S101 - set where the group is made
        # Neither cancels the task: a request that is given up must not take its neighbours with it.
        done, _ = await asyncio.wait({group.task}, timeout=give_up_at - perf_counter())
        if not done and not group.has_turn:
            raise NotDurable(PublishFailure.TIMEOUT, "its turn did not come in time")
        if (failed := await asyncio.shield(group.task)) is not None:
            raise NotDurable(failed.failure, "its group could not be made durable") from failed

    def _has_room(self, group: _Group, event: bytes, correlation_id: str) -> bool:
        return (
            len(group.correlation_ids) < self._max_events
            and group.header_chars + len(correlation_id) <= MAX_HEADER_CHARS
            and group.batch.has_room(event, self._publisher.max_body_bytes)
        )

    async def _commit(self, group: _Group, before: "asyncio.Task[NotDurable | None] | None") -> NotDurable | None:
        """Wait for the group's turn, close it, publish it; returns why it could not be made durable."""
        key = (group.batch.partition.stream, group.sender)
        try:
            if before is not None:
                await asyncio.wait({before})
            group.has_turn = True
            if self._filling.get(key) is group:
                del self._filling[key]
            failed = before.result() if before is not None and before.exception() is None else None
            if failed is None or isinstance(failed, GivenUp):
                failed = await self._publish(group)
            return failed
        finally:
            if self._last.get(key) is group.task:
                del self._last[key]

    async def _publish(self, group: _Group) -> NotDurable | None:
        partition = group.batch.partition
        headers = MessageHeaders(
            message_id=f"{uuid.uuid4().hex}-{partition.source}",
            correlation_id=" ".join(group.correlation_ids),
            events=len(group.correlation_ids),
            received_at=group.received_at,
            traceparent=group.traceparent,
            sender=group.sender,
        )
        try:
            with self._guard.booked(partition, group.batch.body_bytes + group.header_chars):
                await self._publisher.publish(
                    partition.grouped, group.batch.body(), headers.encode(), given_up=group.given_up
                )
        except NotDurable as error:
            return error
        return None
