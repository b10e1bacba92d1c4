"""Slices in, every valid event durable in JetStream, and an account of each: validate, batch, publish.

Invariant: every slice ends in exactly one of three counts: processed (durable), rejected (can never be
taken), undurable (may be sent again). `Accepted.is_durable` is true only where nothing valid is missing
and the first half of the request's receipt is durable too: its record, or, for a single event, the group
message that names its correlation id.
"""

import asyncio
import math
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import perf_counter
from typing import Final

from gateway.accepted import Accepted, Failure
from gateway.batching import Batch, Batcher
from gateway.decode import Slices
from gateway.grouping import GroupCommit
from gateway.turns import Turns
from shared.errors import GivenUp, NotDurable
from shared.events import EventValidator, Rejection
from shared.metrics import GatewayMetrics
from shared.outcomes import PublishFailure
from shared.wire import MessageHeaders
from streams.backlog import BacklogGuard
from streams.partitions import Partitions
from streams.publisher import Publisher
from streams.receipts import Receipts, RequestRecord

MAX_TURN_S: Final = 0.001
"""A turn of the event loop ends with the first full message or refused event after this, or with BATCH_SIZE events."""

MAX_UNACKNOWLEDGED: Final = 64
"""Messages of one request on their way at once: enough to hide the disk, few enough to share the broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which request the events came in."""

    correlation_id: str
    received_at: datetime
    traceparent: str | None = None
    sender: str | None = None
    sources: frozenset[str] | None = None
    """Those that its sender may send; None for all."""
    give_up_at: float = math.inf
    """On the clock of `perf_counter`: what is not on its way to the broker by then is not durable."""
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def given_up(self) -> PublishFailure | None:
        """Why nothing of it is sent any more; None while there is time."""
        return PublishFailure.TIMEOUT if perf_counter() > self.give_up_at else None


class Intake:
    """Takes requests' events. One per process; requests share its publisher's bound."""

    def __init__(
        self,
        *,
        validator: EventValidator,
        publisher: Publisher,
        guard: BacklogGuard,
        group_commit: GroupCommit,
        receipts: Receipts,
        partitions: Partitions,
        batch_events: int,
        message_events: int,
        max_reported_errors: int,
        metrics: GatewayMetrics,
    ) -> None:
        self._validator = validator
        self._publisher = publisher
        self._guard = guard
        self._group_commit = group_commit
        self._receipts = receipts
        self._partitions = partitions
        self._batch_events = batch_events
        self._message_events = message_events
        self._max_reported_errors = max_reported_errors
        self._metrics = metrics
        self.turns = Turns()
        """For splitting and validating bulks."""

    async def take(self, slices: Slices, origin: Origin) -> Accepted:
        """Validate and publish all slices; returns when each is durable or given up. Never raises for a slice."""
        if len(slices) == 1:
            return await self._take_one(bytes(slices[0]), origin)
        accepted = Accepted(len(slices), self._max_reported_errors)
        sending = _Sending(self, origin, accepted)
        batcher = Batcher(max_events=self._message_events, max_body_bytes=self._publisher.max_body_bytes)
        done = 0
        while done < len(slices):
            async with self.turns:
                done = self._take_some(slices, done, accepted, batcher, sending)
            await sending.room()
        for batch in batcher.rest():
            sending.start(batch)
        await sending.finish()
        if accepted.processed or accepted.unconfirmed:
            await self._record(origin, accepted)
        accepted.failures.sort(key=lambda failure: failure.index)
        return accepted

    def _take_some(self, slices: Slices, start: int, accepted: Accepted, batcher: Batcher, sending: "_Sending") -> int:
        """Validate and start to send what one turn of the event loop has time for; where the next one begins."""
        turn_ends_at = perf_counter() + MAX_TURN_S
        end = min(start + self._batch_events, len(slices))
        sources = sending.origin.sources
        for index in range(start, end):
            event = bytes(slices[index])
            verdict = self._validator.validate(event)
            if isinstance(verdict, Rejection):
                self._reject(accepted, index, verdict)
            elif sources is not None and verdict.source not in sources:
                self._reject(accepted, index, self._validator.forbid(event))
            elif (full := batcher.add(self._partitions.of(verdict), index, event)) is not None:
                sending.start(full)
            else:
                continue  # 3 µs; to refuse a large event may take a thousand times that
            if perf_counter() > turn_ends_at:
                return index + 1
        return end

    async def _take_one(self, event: bytes, origin: Origin) -> Accepted:
        """A single event goes with others that came at the same time; its message says whose it is."""
        accepted = Accepted(1, self._max_reported_errors)
        verdict = self._validator.validate(event)
        if not isinstance(verdict, Rejection) and origin.sources is not None and verdict.source not in origin.sources:
            verdict = self._validator.forbid(event)
        if isinstance(verdict, Rejection):
            self._reject(accepted, 0, verdict)
            return accepted
        partition = self._partitions.of(verdict)
        self._metrics.events_accepted.labels(partition.source).inc()
        try:
            accepted.messages += 1
            await self._group_commit.take(
                partition,
                event,
                origin.correlation_id,
                origin.received_at,
                traceparent=origin.traceparent,
                sender=origin.sender,
                give_up_at=origin.give_up_at,
            )
        except NotDurable as error:
            self._metrics.events_undurable.labels(partition.source, error.failure).inc()
            accepted.fail(Failure(0, None, None, error.failure))
        else:
            accepted.processed[partition.source] += 1
            self._metrics.events_processed.labels(partition.source).inc()
            self._metrics.last_event.labels(partition.source).set_to_current_time()
        return accepted

    def _reject(self, accepted: Accepted, index: int, rejection: Rejection) -> None:
        self._metrics.events_rejected.labels(rejection.source, rejection.reason).inc()
        accepted.fail(Failure(index, rejection.event_id, rejection))

    async def send(
        self, batch: Batch, message_id: str, origin: Origin, given_up: Callable[[], PublishFailure | None]
    ) -> None:
        """Publish one batch; `given_up` as for `Publisher.publish`. Raises NotDurable."""
        headers = MessageHeaders(
            message_id=message_id,
            correlation_id=origin.correlation_id,
            events=len(batch.events),
            received_at=origin.received_at,
            traceparent=origin.traceparent,
            sender=origin.sender,
        )
        with self._guard.booked(batch.partition, batch.body_bytes):
            await self._publisher.publish(batch.partition.events, batch.body(), headers.encode(), given_up=given_up)
        self._metrics.events_processed.labels(batch.source).inc(len(batch.events))
        self._metrics.last_event.labels(batch.source).set_to_current_time()

    def count_accepted(self, batch: Batch) -> None:
        """Move the metric of events that are valid."""
        self._metrics.events_accepted.labels(batch.source).inc(len(batch.events))

    def count_undurable(self, batch: Batch, failure: PublishFailure) -> None:
        """Move the metric of events that could not be made durable."""
        self._metrics.events_undurable.labels(batch.source, failure).inc(len(batch.events))

    async def _record(self, origin: Origin, accepted: Accepted) -> None:
        record = RequestRecord(
            request_id=origin.request_id,
            correlation_id=origin.correlation_id,
            received_at=origin.received_at.isoformat(),
            accepted=dict(accepted.processed),
            failed=accepted.rejected,
            unconfirmed=accepted.unconfirmed,
        )
        try:
            await self._receipts.write(record, given_up=origin.given_up)
        except NotDurable as error:
            accepted.record_failure = error


class _Sending:
    """One request's messages on their way.

    After a partition's first message that can't be made durable, its further ones are not tried, those that wait for
    room neither: each would take as long, and the sender will send them again anyway.
    """

    def __init__(self, intake: Intake, origin: Origin, accepted: Accepted) -> None:
        self._intake = intake
        self.origin = origin
        self._accepted = accepted
        self._tasks: set[asyncio.Task[None]] = set()
        self._messages: Counter[str] = Counter()
        self._down: dict[str, PublishFailure] = {}
        self._bug: BaseException | None = None

    def start(self, batch: Batch) -> None:
        """Send a batch without waiting for it."""
        partition = batch.partition
        ordinal = self._messages[partition.stream]
        self._messages[partition.stream] += 1
        self._accepted.messages += 1
        self._intake.count_accepted(batch)
        message_id = f"{self.origin.request_id}-{partition.token}-{ordinal}"
        task = asyncio.create_task(self._send(batch, message_id))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def room(self) -> None:
        """Wait while too many messages are unacknowledged."""
        while len(self._tasks) > MAX_UNACKNOWLEDGED:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def finish(self) -> None:
        """Wait until every message is durable or given up. Raises what a bug raised: no event goes missing unseen."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._bug is not None:
            raise self._bug

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._bug = task.exception() or self._bug

    async def _send(self, batch: Batch, message_id: str) -> None:
        accepted = self._accepted
        given_up = partial(self._given_up, batch.partition.stream)
        down = given_up()
        if down is None:
            try:
                await self._intake.send(batch, message_id, self.origin, given_up)
            except GivenUp as error:
                down = error.failure
            except NotDurable as error:
                down = self._down[batch.partition.stream] = error.failure
                accepted.unconfirmed.append(message_id)
            else:
                accepted.processed[batch.source] += len(batch.events)
                return
        self._intake.count_undurable(batch, down)
        for index in batch.indexes:
            accepted.fail(Failure(index, None, None, down))

    def _given_up(self, stream: str) -> PublishFailure | None:
        return self._down.get(stream) or self.origin.given_up()


def now() -> datetime:
    """The time of receipt."""
    return datetime.now(UTC)
