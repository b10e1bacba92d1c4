"""What the benchmark asks of PostgreSQL itself: its settings, its ceilings, and when a message's rows were visible.

Invariant: the tables of the product are read, never written. Ceilings are measured in tables of the same shape, with
the same indexes, in a schema that is dropped afterwards.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from operator import itemgetter
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg

from collectors import copy_format, rows
from collectors.rows import EventRows

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Tables = Mapping[str, Sequence[bytes]]
"""Table → encoded rows, of one flush."""
Records = Mapping[str, Sequence[tuple[Any, ...]]]
"""Table → rows as values, of one flush."""
_Flush = TypeVar("_Flush")

ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError)
"""What any of these functions raises where PostgreSQL refuses or is gone; OSError where it can't be reached."""

_SETTINGS: Final = ("fsync", "synchronous_commit", "full_page_writes", "server_version", "shared_buffers")
_COLUMNS: Final = {"events": rows.EVENTS, "demographics": rows.DEMOGRAPHICS, "revenue": rows.REVENUE}
_SCHEMA: Final = "bench_ceiling"
_ROWS_PER_CHUNK: Final = 1_000
_MESSAGES: Final = (
    "SELECT message_id, correlation_id, events FROM public.batches WHERE correlation_id = ANY ($1::text[])"
)


async def settings(dsn: str) -> dict[str, str]:
    """Name → value of what the report shows."""
    connection = await asyncpg.connect(dsn)
    try:
        values = {name: str(await connection.fetchval("SELECT current_setting($1)", name)) for name in _SETTINGS}
    finally:
        await connection.close()
    return values | {"server_version": values["server_version"].split()[0]}


async def stored_rows(dsn: str) -> int:
    """Rows of the table `events`, counted one by one: once a clock has stopped."""
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM public.events"))
    finally:
        await connection.close()


def tables_of(flush: Sequence[EventRows]) -> dict[str, list[bytes]]:
    """The encoded rows of a flush, by table, as the collectors write them: in the order of the keys."""
    by_event = sorted(flush, key=lambda row: row.event_id)
    by_user = sorted({row.user_id: row for row in flush}.values(), key=lambda row: row.user_id)
    return {
        "events": [row.event for row in by_event],
        "demographics": [row.demographics for row in by_user],
        "revenue": [row.revenue for row in by_event if row.revenue is not None],
    }


@asynccontextmanager
async def twin_tables(dsn: str, sources: Sequence[str]) -> AsyncIterator[None]:
    """Empty tables of the same shape as each source's partitions, while the context lasts."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE; CREATE SCHEMA {_SCHEMA}")
        for source in sources:
            for table in _COLUMNS:
                like = f"LIKE public.{table}_{source} INCLUDING ALL"
                await connection.execute(f"CREATE TABLE {_SCHEMA}.{table}_{source} ({like})")
        yield
    finally:
        await connection.execute(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE")
        await connection.close()


async def staged(dsn: str, flushes: Mapping[str, Sequence[Tables]]) -> float:
    """Seconds to write every flush by the textbook: COPY into staging, INSERT … ON CONFLICT DO NOTHING, commit.

    A connection for each source, as there is a collector for each.
    """
    return await _written(dsn, flushes, _write_staged)


async def straight(dsn: str, flushes: Mapping[str, Sequence[Tables]]) -> float:
    """Seconds to COPY every flush into the tables without asking for conflicts, a transaction each."""
    return await _written(dsn, flushes, _write_straight)


async def loaded(dsn: str, flushes: Mapping[str, Sequence[Records]]) -> float:
    """Seconds to write every flush as any loader would: `staged`, but asyncpg encodes the rows while the clock runs."""
    return await _written(dsn, flushes, _write_loaded)


async def records(dsn: str, sources: Sequence[str], *, flush_events: int) -> dict[str, list[Records]]:
    """The rows of the twin tables as a program has them before it loads them, by source, in as many flushes."""
    connection = await asyncpg.connect(dsn)
    found: dict[str, list[Records]] = {}
    try:
        for source in sources:
            tables = {}
            for table, columns in _COLUMNS.items():
                query = f"SELECT {', '.join(columns)} FROM {_SCHEMA}.{table}_{source}"  # noqa: S608 - own names
                tables[table] = list(map(tuple, await connection.fetch(query)))
            count = -(-len(tables["events"]) // flush_events)
            found[source] = [
                {name: _part(name, rows, at, count) for name, rows in tables.items()} for at in range(count)
            ]
    finally:
        await connection.close()
    return found


def _part(table: str, rows: Sequence[tuple[Any, ...]], at: int, count: int) -> Sequence[tuple[Any, ...]]:
    """The part of that number, of so many that are as long, in the order of the table's key."""
    key = _COLUMNS[table].index("user_id" if table == "demographics" else "event_id")
    return sorted(rows[len(rows) * at // count : len(rows) * (at + 1) // count], key=itemgetter(key))


async def _written(
    dsn: str, flushes: Mapping[str, Sequence[_Flush]], write: Callable[[Connection, str, _Flush], Awaitable[None]]
) -> float:
    connections = {source: await asyncpg.connect(dsn) for source in flushes}
    try:
        for source, connection in connections.items():
            await connection.execute(f"SET search_path = {_SCHEMA}, public")
            for table in _COLUMNS:
                like = f"LIKE {_SCHEMA}.{table}_{source}"
                await connection.execute(f"CREATE TEMPORARY TABLE staged_{table} ({like}) ON COMMIT DELETE ROWS")

        async def write_all(source: str) -> None:
            for flush in flushes[source]:
                async with connections[source].transaction():
                    await write(connections[source], source, flush)

        began = time.monotonic()
        await asyncio.gather(*map(write_all, flushes))
        return time.monotonic() - began
    finally:
        for connection in connections.values():
            await connection.close()


async def _write_staged(connection: Connection, source: str, flush: Tables) -> None:
    for table, encoded in flush.items():
        await _copy(connection, f"staged_{table}", None, table, encoded)
    await _insert_staged(connection, source)


async def _write_loaded(connection: Connection, source: str, flush: Records) -> None:
    for table, values in flush.items():
        await connection.copy_records_to_table(f"staged_{table}", records=values, columns=_COLUMNS[table])
    await _insert_staged(connection, source)


async def _insert_staged(connection: Connection, source: str) -> None:
    for table in _COLUMNS:
        target = f"{_SCHEMA}.{table}_{source}"
        await connection.execute(
            f"INSERT INTO {target} SELECT * FROM staged_{table} ON CONFLICT DO NOTHING"  # noqa: S608 - own names
        )


async def _write_straight(connection: Connection, source: str, flush: Tables) -> None:
    for table, encoded in flush.items():
        await _copy(connection, f"{table}_{source}", _SCHEMA, table, encoded)


async def _copy(connection: Connection, into: str, schema: str | None, table: str, encoded: Sequence[bytes]) -> None:
    if encoded:
        await connection.copy_to_table(
            into, schema_name=schema, source=_chunks(encoded), columns=_COLUMNS[table], format="binary"
        )


async def _chunks(encoded: Sequence[bytes]) -> AsyncIterator[bytes]:
    yield copy_format.HEADER
    for start in range(0, len(encoded), _ROWS_PER_CHUNK):
        yield b"".join(encoded[start : start + _ROWS_PER_CHUNK])
    yield copy_format.TRAILER


class LedgerReader:
    """Which messages of some requests are visible, so committed. One index lookup an id; a connection of its own."""

    def __init__(self, connection: Connection, statement: Any) -> None:
        self._connection = connection
        self._statement = statement

    @classmethod
    async def open(cls, dsn: str) -> "LedgerReader":
        """Connects and prepares the statement."""
        connection = await asyncpg.connect(dsn)
        return cls(connection, await connection.prepare(_MESSAGES))

    async def messages(self, correlation_ids: Sequence[str]) -> list[tuple[str, str, int]]:
        """(message id, correlation id, events) of every stored message of these requests."""
        return [(row[0], row[1], row[2]) for row in await self._statement.fetch(list(correlation_ids))]

    async def close(self) -> None:
        """Disconnects."""
        await self._connection.close()
