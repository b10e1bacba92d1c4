"""Writes a batch: every row of it, and its ledger, in one transaction.

Invariant: after `write` returns, all of the batch's events are committed and none is doubled, whatever was
stored before and whoever else writes at the same time; after it raises, none of this attempt is.

There are three ways, each dearer and surer than the one before. While no duplicates come but of the last
flushes, whose keys are remembered (`Recent`) and asked for, rows are copied straight into the tables.
Where others come, the unique key stops the copy, and the flush is written anew, asking first which of all
its keys are known; so are the next ones, until such duplicates are rare again (`Caution`). Where another
replica stores a key in between, it is written by way of staging tables with ON CONFLICT DO NOTHING, which
waits for that replica and skips what it stored.

Rows are written in the order of their keys, so two replicas never wait for each other in a circle; the
order also keeps the index pages that are being written to few.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from collectors import copy_format, rows
from collectors.batch import Batch, Message
from collectors.caution import Caution
from collectors.failures import DATABASE_ERRORS, classify
from collectors.recent import Recent
from collectors.rows import EventRows
from collectors.settings import DatabaseSettings
from collectors.sql import statement
from shared.errors import Fatal, Poison
from shared.metrics import CollectorMetrics

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Rows = dict[str, EventRows]
"""Events by their id, each once, in the order of the ids."""
Copy = Callable[["Connection", Rows], Awaitable[Collection[str]]]
"""A way to write events; answers the ids that it inserted."""

_ROWS_PER_CHUNK: Final = 1_000
"""COPY data is handed over in pieces of about 500 KB: no second copy of a whole flush in memory."""

_SESSION: Final = {
    "application_name": "floodgate-collector",
    # The probes look up thousands of keys in a table of millions; the planner, which does not know how
    # many of them exist, might scan the table instead.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """What a flush came to: of each message the events inserted, and whether its ledger row is new.

    A message whose row was there already had been stored before (its ack was lost): it counts once.
    """

    inserted: tuple[int, ...]
    is_new: tuple[bool, ...]


class Store:
    """The tables of one source. One per process, shared by its writers."""

    def __init__(self, source: str, settings: DatabaseSettings, *, metrics: CollectorMetrics) -> None:
        self._source = source
        self._settings = settings
        self._metrics = metrics
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._caution = Caution()
        self._recent = Recent()
        self._started: set[float] = set()
        metrics.pool_max_size.set(settings.pool_size)
        metrics.pool_size.set_function(lambda: self._pool.get_size() if self._pool else 0)
        metrics.pool_idle.set_function(lambda: self._pool.get_idle_size() if self._pool else 0)
        metrics.transaction_running_seconds.set_function(
            lambda: perf_counter() - min(self._started) if self._started else 0
        )

    async def open(self) -> None:
        """Connect. Raises Retryable where PostgreSQL is not there (yet), Fatal where it or its tables refuse."""
        try:
            self._pool = await asyncpg.create_pool(
                self._settings.url,
                min_size=1,
                max_size=self._settings.pool_size,
                timeout=self._settings.connect_timeout_ms / 1_000,
                command_timeout=self._settings.query_timeout_ms / 1_000,
                server_settings=_SESSION,
            )
            has_tables = await self._pool.fetchval(statement("has_partition"), self._source)
        except DATABASE_ERRORS as error:
            raise classify(error) from error
        if not has_tables:
            raise Fatal(f"there are no tables for {self._source} yet: run `python -m collectors.migrate`")

    async def close(self) -> None:
        """Disconnect at once; an open transaction is rolled back by the server."""
        if self._pool is not None:
            self._pool.terminate()

    async def write(self, batch: Batch) -> Stored:
        """Commit a batch. Raises one of the classes of `shared.errors`, and then nothing was written."""
        events = _first_of_each([row for message in batch.messages for row in message.rows if row is not None])
        started = perf_counter()
        try:
            stored = await self._write(batch, events)
        except DATABASE_ERRORS as error:
            self._metrics.database_connected.set(0)
            raise classify(error) from error
        self._metrics.database_connected.set(1)
        self._metrics.insert_seconds.labels(self._source).observe(perf_counter() - started)
        return stored

    async def probe(self, events: Sequence[EventRows]) -> Poison | None:
        """Whether these rows can be stored: they are written and rolled back. The poison, if they can't.

        Raises any other class of failure.
        """
        try:
            async with self._transaction(keep=False) as connection:
                await self._copy_staged(connection, _first_of_each(events))
        except DATABASE_ERRORS as error:
            if isinstance(failure := classify(error), Poison):
                return failure
            raise failure from error
        return None

    async def _write(self, batch: Batch, events: Rows) -> Stored:
        caution = self._caution
        for copy in (self._copy_new, self._copy_new, self._copy_staged):
            try:
                stored = await self._commit(batch, events, copy)
            except asyncpg.UniqueViolationError as error:
                if copy == self._copy_staged:
                    raise
                caution.raise_for(error.table_name or "")
            else:
                caution.relax()
                self._recent.add(events)
                return stored
        raise AssertionError("the last way returns or raises")

    def _connected(self) -> AbstractAsyncContextManager[Connection]:
        if self._pool is None:
            raise RuntimeError("open() comes first")
        return self._pool.acquire(timeout=self._settings.connect_timeout_ms / 1_000)

    @asynccontextmanager
    async def _transaction(self, *, keep: bool = True) -> AsyncIterator[Connection]:
        """A transaction for the block. Committed after it, if it is to be kept and nothing was raised.

        Cancelled or out of time, the connection is broken off instead of rolled back: where the server
        hangs, it would not answer that either, and nobody waits for it twice.
        """
        async with self._timed(), self._connected() as connection:
            transaction = connection.transaction()
            try:
                await transaction.start()
                try:
                    yield connection
                except asyncpg.PostgresError:
                    if not connection.is_closed():
                        await transaction.rollback()
                    raise
                await (transaction.commit() if keep else transaction.rollback())
            except (asyncio.CancelledError, TimeoutError):
                connection.terminate()
                raise

    @asynccontextmanager
    async def _timed(self) -> AsyncIterator[None]:
        """For the time of the block it counts as running: a server that hangs is seen before any time-out."""
        started = perf_counter()
        self._started.add(started)
        try:
            yield
        finally:
            self._started.discard(started)

    async def _commit(self, batch: Batch, events: Rows, copy: Copy) -> Stored:
        async with self._transaction() as connection:
            inserted_ids = await copy(connection, events)
            inserted = _count_by_message(batch, inserted_ids)
            new = await self._insert_ledger(connection, batch.messages, inserted)
        return Stored(inserted, new)

    async def _copy_new(self, connection: Connection, events: Rows) -> Collection[str]:
        """Copy what is not known straight into the tables. Raises UniqueViolationError where a key was there."""
        suspects = self._recent.among(events)
        asks_all = self._caution.asks("events")
        known = await self._known(connection, "known_events", list(events) if asks_all else suspects)
        if asks_all:
            self._caution.saw("events", len(known.difference(suspects)))
        new = {key: row for key, row in events.items() if key not in known} if known else events
        users = _users(events)
        known_users = await self._known_users(connection, list(users), {events[key].user_id for key in known})
        # An event that is known has its amount stored too, unless that table was lost: then it is made whole.
        known_amounts = await self._known(
            connection, "known_revenue", [key for key in known if events[key].revenue is not None]
        )
        new_users = [row for key, row in users.items() if key not in known_users]
        amounts = [row.revenue for key, row in events.items() if row.revenue is not None and key not in known_amounts]
        await _copy(connection, "events", rows.EVENTS, [row.event for row in new.values()])
        await _copy(connection, "demographics", rows.DEMOGRAPHICS, new_users)
        await _copy(connection, "revenue", rows.REVENUE, amounts)
        return new

    async def _copy_staged(self, connection: Connection, events: Rows) -> Collection[str]:
        """Copy into staging tables and insert from there what is not known, waiting for who is at it."""
        await connection.execute(statement("create_staging"))
        amounts = [row.revenue for row in events.values() if row.revenue is not None]
        await _copy(connection, "staged_events", rows.EVENTS, [row.event for row in events.values()])
        await _copy(connection, "staged_demographics", rows.DEMOGRAPHICS, list(_users(events).values()))
        await _copy(connection, "staged_revenue", rows.REVENUE, amounts)
        inserted = await connection.fetch(statement("insert_staged_events"))
        await connection.execute(statement("insert_staged_demographics"))
        await connection.execute(statement("insert_staged_revenue"))
        return {row[0] for row in inserted}

    async def _known_users(self, connection: Connection, users: list[str], of_known: set[str]) -> set[str]:
        """Those of the users that are there already.

        The users of known events are, unless that table was lost, and tell nothing of how often the others come back.
        """
        if not self._caution.asks("demographics"):
            return await self._known(connection, "known_users", list(of_known))
        known = await self._known(connection, "known_users", users)
        self._caution.saw("demographics", len(known - of_known))
        return known

    async def _known(self, connection: Connection, name: str, keys: list[str]) -> set[str]:
        if not keys:
            return set()
        return {row[0] for row in await connection.fetch(statement(name), self._source, keys)}

    async def _insert_ledger(
        self, connection: Connection, messages: Sequence[Message], inserted: Sequence[int]
    ) -> tuple[bool, ...]:
        new = await connection.fetch(
            statement("insert_batches"),
            self._source,
            [message.delivery.stream for message in messages],
            [message.delivery.stream_seq for message in messages],
            [message.message_id for message in messages],
            [message.correlation_id for message in messages],
            [message.events for message in messages],
            list(inserted),
            [message.events - count - message.dead_events for message, count in zip(messages, inserted, strict=True)],
            [message.dead_events for message in messages],
            [message.sender for message in messages],
        )
        new_ids = {row[0] for row in new}
        return tuple(message.message_id in new_ids for message in messages)


def _first_of_each(events: Sequence[EventRows]) -> Rows:
    """Each event once, the first to come, in the order of the ids."""
    first = {row.event_id: row for row in reversed(events)}
    return {key: first[key] for key in sorted(first)}


def _users(events: Rows) -> dict[str, bytes]:
    """The demographics row of each user, the first to come, in the order of the ids."""
    first = {row.user_id: row.demographics for row in reversed(events.values())}
    return {key: first[key] for key in sorted(first)}


def _count_by_message(batch: Batch, inserted: Collection[str]) -> tuple[int, ...]:
    """How many of each message's events were inserted; an event that came twice counts for the first."""
    if len(inserted) == batch.events:
        return tuple(message.events for message in batch.messages)
    counted: set[str] = set()
    counts = []
    for message in batch.messages:
        before = len(counted)
        counted.update(row.event_id for row in message.rows if row is not None and row.event_id in inserted)
        counts.append(len(counted) - before)
    return tuple(counts)


async def _copy(connection: Connection, table: str, columns: Sequence[str], encoded: Sequence[bytes]) -> None:
    if encoded:
        await connection.copy_to_table(table, source=_chunks(encoded), columns=columns, format="binary")


async def _chunks(encoded: Sequence[bytes]) -> AsyncIterator[bytes]:
    yield copy_format.HEADER
    for start in range(0, len(encoded), _ROWS_PER_CHUNK):
        yield b"".join(encoded[start : start + _ROWS_PER_CHUNK])
    yield copy_format.TRAILER
