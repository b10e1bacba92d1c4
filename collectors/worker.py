"""The collector's loop: fetch → decode → batch → store → settle.

Invariant: every delivery that was fetched is acked after its commit, terminated after its dead letter, or
released; on the way out too. While one batch is being stored, the next is being fetched, and takes more for
as long as that lasts: no more than these two are held, and of each further stream the fetch that is under way.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Final

from collectors import tracing
from collectors.account import account
from collectors.batch import Batch, messages
from collectors.failures import without_values
from collectors.isolate import isolate
from collectors.rows import RowBuilder
from collectors.settings import CollectorSettings
from collectors.settle import keep, release, settle
from collectors.store import Store, Stored
from shared.errors import Fatal, Poison, Pressure, Retryable
from shared.lifecycle import Shutdown, first_of, repeat
from shared.logs import Logger
from shared.metrics import CollectorMetrics
from shared.outcomes import FlushResult
from shared.tracing import Kind, Tracer
from streams.dead_letter import DeadLetters
from streams.delivery import ConsumerMissing
from streams.fan_in import FanIn

MAX_WAIT_S: Final = 0.5
"""For messages: so long a signal to stop may go unseen, and so long nobody keeps what a fetch has so far."""

BUSY_WAIT_S: Final = 0.05
"""The same for a batch that is due while the store is busy: so long it may go unseen that the store is free."""

MAX_FETCH_MESSAGES: Final = 128
"""Of up to 1 MiB each: bounds what nats-py buffers."""

MAX_RETRY_WAIT_S: Final = 10.0
RELEASE_DELAY_S: Final = 1.0

BUSY_FOR_S: Final = 1.0
"""After a flush it counts as storing for so long: who looks once a second sees the work, not the gaps."""


@dataclass(frozen=True, slots=True)
class LastFlush:
    """How many events the last flush stored, how long it took, and when it ended by the worker's clock."""

    events: int
    seconds: float
    ended_s: float


class Worker:
    """Moves one source's events from its streams to the tables."""

    def __init__(
        self,
        *,
        source: str,
        settings: CollectorSettings,
        message_events: int,
        ack_wait_s: float,
        deliveries: FanIn,
        builder: RowBuilder,
        store: Store,
        dead_letters: DeadLetters,
        restore_consumer: Callable[[], Awaitable[object]],
        shutdown: Shutdown,
        log: Logger,
        metrics: CollectorMetrics,
        tracer: Tracer,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._source = source
        self._settings = settings
        self._message_events = message_events
        self._ack_wait_s = ack_wait_s
        self._deliveries = deliveries
        self._builder = builder
        self._store = store
        self._dead_letters = dead_letters
        self._restore_consumer = restore_consumer
        self._shutdown = shutdown
        self._log = log
        self._metrics = metrics
        self._tracer = tracer
        self._clock = clock
        self._in_hand: set[Batch] = set()
        self._dead_in_a_row = 0
        self._fetch_trouble: str | None = None
        self._store_trouble: str | None = None
        self._is_flushing = False
        self._store_is_free = asyncio.Event()
        self.last_flush: LastFlush | None = None

    @property
    def trouble(self) -> str | None:
        """What keeps it from fetching or storing just now, in words; None while all is well."""
        return self._store_trouble or self._fetch_trouble

    @property
    def activity(self) -> tuple[str, str | None]:
        """What it is doing: held (and by what), draining, storing, fetching or idle."""
        if (trouble := self.trouble) is not None:
            return "held", trouble
        if self._shutdown.soft.is_set():
            return "draining", None
        if self._is_flushing or self.idle_s < BUSY_FOR_S:
            return "storing", None
        return ("fetching" if any(batch.messages for batch in self._in_hand) else "idle"), None

    @property
    def idle_s(self) -> float:
        """Seconds since the last flush; infinite before the first."""
        return self._clock() - self.last_flush.ended_s if self.last_flush is not None else inf

    async def run(self) -> None:
        """Until asked to stop; then stores what is in hand. Raises a group with Fatal where a person must act."""
        try:
            await first_of(
                self._pump(), self._shutdown.hard.wait(), repeat(self._keep_in_hand, every_s=self._ack_wait_s / 3)
            )
        finally:
            for batch in self._in_hand:
                await release(batch.deliveries, delay_s=0)
            await release(await self._deliveries.close(), delay_s=0)

    async def _pump(self) -> None:
        ready: asyncio.Queue[Batch | None] = asyncio.Queue()

        async def fetch() -> None:
            async for batch in self._batches():
                await self._store_is_free.wait()
                self._store_is_free.clear()
                ready.put_nowait(batch)
            ready.put_nowait(None)

        async def store() -> None:
            self._store_is_free.set()
            while (batch := await ready.get()) is not None:
                with self._tracer.span(
                    f"process {self._source}",
                    kind=Kind.CONSUMER,
                    attributes=tracing.flush(batch),
                    came_from=tracing.contexts(batch),
                    began_s_ago=batch.age_s,
                ):
                    with self._tracer.span("fetch", began_s_ago=batch.age_s):
                        pass  # which is over: waiting for messages, and making rows of them
                    await self._flush(batch)
                self._in_hand.discard(batch)
                self._store_is_free.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(fetch())
            group.create_task(store())

    async def _batches(self) -> AsyncIterator[Batch]:
        """Batches that are full, or due while the store is free, until asked to stop.

        A due one takes more while the store is busy: under a flood flushes are as large as they may be, and the fewer
        they are, the fewer pages of the indexes are written. Not while the store is in trouble, and no more messages
        than of the usual size fill it: the consumer hands out so many at a time to all replicas.
        """
        enough_messages = -(-self._settings.flush_events // self._message_events)
        while not self._shutdown.soft.is_set():
            batch = self._new_batch()
            self._in_hand.add(batch)
            while not (batch.is_full or self._shutdown.soft.is_set()):
                is_enough = self._store_trouble is not None or len(batch.messages) >= enough_messages
                if batch.is_due and (is_enough or self._store_is_free.is_set()):
                    break
                await self._fetch_into(batch)
            if batch.messages:
                yield batch
            else:
                self._in_hand.discard(batch)

    async def _fetch_into(self, batch: Batch) -> None:
        if batch.messages:
            wanted = min(MAX_FETCH_MESSAGES, -(-batch.room_events // self._message_events) or 1)
            wait_s = BUSY_WAIT_S if batch.is_due else min(MAX_WAIT_S, max(0.001, batch.remaining_s))
        else:
            wanted, wait_s = 1, MAX_WAIT_S  # returns with the first; more would wait for the last
        try:
            deliveries = await self._deliveries.fetch(wanted, wait_s)
        except ConsumerMissing as error:
            self._metrics.consumer_present.labels(self._source).set(0)
            self._log.warning("consumer_missing", error=str(error))
            await self._restore_consumer()
            return
        except Retryable as error:
            self._fetch_trouble = str(error)
            wait_s = self._settings.retry_wait_ms / 1_000
            self._log.warning("fetch_failed", error=str(error), wait_s=wait_s)
            await self._pause(wait_s)
            return
        self._fetch_trouble = None
        self._metrics.consumer_present.labels(self._source).set(1)
        for delivery in deliveries:
            if delivery.attempts > 1:
                self._metrics.redeliveries.labels(self._source).inc()
            for message in messages(delivery, self._builder):
                batch.add(message)

    async def _flush(self, batch: Batch) -> None:
        """Store and settle a batch, however often it takes; release it when asked to stop meanwhile."""
        wait_s = self._settings.retry_wait_ms / 1_000
        self._is_flushing = True
        while (trouble := await self._attempt(batch)) is not None:
            self._metrics.operations.labels(self._source, FlushResult.RETRIED).inc()
            if self._shutdown.soft.is_set():
                self._log.warning("batch_released", error=str(trouble), events=batch.events)
                await release(batch.deliveries, delay_s=RELEASE_DELAY_S)
                return
            self._store_trouble = str(trouble)
            self._log.warning("flush_failed", error=str(trouble), wait_s=wait_s)
            await self._pause(wait_s)
            wait_s = min(2 * wait_s, MAX_RETRY_WAIT_S)
        self._store_trouble = None
        with self._tracer.span("settle"):
            await settle(batch, self._log)
        self._is_flushing = False

    async def _attempt(self, batch: Batch) -> Exception | None:
        """Store a batch once, its poison isolated; what kept it from that, or None. Raises Fatal."""
        result, started_s = FlushResult.STORED, self._clock()
        try:
            try:
                stored = await self._write(batch)
            except Poison as poison:
                buried = await isolate(batch, self._store.probe)
                self._log.warning(
                    "batch_isolated",
                    error=without_values(poison.reason, poison.detail),
                    buried=buried,
                    events=batch.events,
                )
                result, stored = FlushResult.ISOLATED, await self._write(batch)
        except (Retryable, Pressure, Poison) as error:
            return error
        now_s = self._clock()
        self.last_flush = LastFlush(batch.events, now_s - started_s, now_s)
        _, self._dead_in_a_row = batch.dead_in_a_row(self._dead_in_a_row)
        account(batch, stored, result, source=self._source, metrics=self._metrics, log=self._log)
        return None

    async def _write(self, batch: Batch) -> Stored:
        await self._park_dead_letters(batch)
        with self._tracer.span("commit", kind=Kind.CLIENT, attributes=tracing.commit(batch)):
            return await self._store.write(batch)

    async def _park_dead_letters(self, batch: Batch) -> None:
        """Make the batch's dead letters durable. Raises NotDurable; Fatal after too many in a row."""
        letters = list(batch.dead_letters(self._source))
        if not letters:
            return
        longest, _ = batch.dead_in_a_row(self._dead_in_a_row)
        if longest > self._settings.max_dead_letters_in_a_row:
            last = without_values(letters[-1].reason, letters[-1].error)
            raise Fatal(
                f"{longest} dead letters in a row, the last because of {last}: this looks like a bad release, not bad "
                "data. Everything is left in the stream; mend the cause, or raise MAX_DEAD_LETTERS_IN_A_ROW"
            )
        await asyncio.gather(*map(self._dead_letters.park, letters))
        for reason, events in tracing.dead_by_reason(letters).items():
            self._tracer.event(
                tracing.DEAD_LETTERED, {"floodgate.dead_letter.reason": reason, "floodgate.events": events}
            )

    async def _pause(self, wait_s: float) -> None:
        """Wait before the next try; not longer than until asked to stop."""
        try:
            async with asyncio.timeout(wait_s):
                await self._shutdown.soft.wait()
        except TimeoutError:
            return

    async def _keep_in_hand(self) -> None:
        held = [delivery for batch in self._in_hand for delivery in batch.deliveries]  # both change meanwhile
        await keep(held + self._deliveries.held)

    def _new_batch(self) -> Batch:
        settings = self._settings
        return Batch(
            max_events=settings.flush_events,
            max_bytes=settings.flush_bytes,
            max_age_s=settings.flush_age_ms / 1_000,
            clock=self._clock,
        )
