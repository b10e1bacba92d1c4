"""The suite's own look at PostgreSQL: past the links, as the product's role, with its own limits switched off."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import asyncpg

from tests.faults.settlement import BookedMessage, Evidence, StoredEvent

CONNECT_TIMEOUT_S: Final = 3.0
DEADLINE_S: Final = 60.0
QUERY_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.1
APPLICATION: Final = "fault-suite"
_OWN: Final = {
    "application_name": APPLICATION,
    "statement_timeout": "0",
    "default_transaction_isolation": "read committed",
}

_EVENTS: Final = """
    SELECT event_id, correlation_id, source, user_id, md5(data::text)
      FROM events WHERE starts_with(correlation_id, $1)
"""
_REVENUE: Final = """
    SELECT revenue.event_id, amount FROM revenue JOIN events USING (source, event_id)
     WHERE starts_with(correlation_id, $1)
"""
_DEMOGRAPHICS: Final = """
    SELECT source, user_id FROM demographics
     WHERE (source, user_id) IN (SELECT source, user_id FROM events WHERE starts_with(correlation_id, $1))
"""
_BATCHES: Final = """
    SELECT correlation_id, message_id, events, inserted, duplicates, dead_lettered
      FROM batches WHERE starts_with(correlation_id, $1)
"""
_TOTALS: Final = """
    SELECT (SELECT count(*) FROM events) AS events,
           (SELECT count(*) FROM (SELECT DISTINCT source, event_id FROM events) AS once) AS distinct_events,
           (SELECT count(*) FROM (SELECT DISTINCT source, user_id FROM events) AS users) AS users,
           (SELECT count(*) FROM demographics) AS demographics,
           (SELECT count(*) FROM revenue) AS revenue,
           (SELECT coalesce(sum(inserted), 0) FROM batches) AS inserted
"""


class Tables:
    """Reads, and misbehaves on demand (see `database_faults`)."""

    def __init__(self, dsn: Callable[[], str]) -> None:
        self._dsn = dsn

    async def connect(self) -> asyncpg.Connection:
        """A connection of one's own; the caller closes it. Tried until PostgreSQL takes it or the deadline passes."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    return await asyncpg.connect(
                        self._dsn(), timeout=CONNECT_TIMEOUT_S, command_timeout=QUERY_TIMEOUT_S, server_settings=_OWN
                    )
                except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await asyncio.sleep(POLL_S)

    async def evidence(self, phase: str) -> Evidence:
        """Everything the tables hold of a phase; the rest of the evidence is not theirs."""
        connection = await self.connect()
        prefix = phase + "-"
        try:
            return Evidence(
                events=[StoredEvent(*row) for row in await connection.fetch(_EVENTS, prefix)],
                revenue=[(row[0], row[1]) for row in await connection.fetch(_REVENUE, prefix)],
                demographics=[(row[0], row[1]) for row in await connection.fetch(_DEMOGRAPHICS, prefix)],
                batches=[BookedMessage(*row) for row in await connection.fetch(_BATCHES, prefix)],
            )
        finally:
            await connection.close()

    async def totals(self) -> dict[str, int]:
        """Counts over whole tables, whatever the phase: what no phase knows would show here."""
        connection = await self.connect()
        try:
            row: Any = await connection.fetchrow(_TOTALS)
            return {name: int(value) for name, value in row.items()}
        finally:
            await connection.close()

    async def execute(self, statement: str, *arguments: object) -> None:
        """One statement on a connection of its own."""
        connection = await self.connect()
        try:
            await connection.execute(statement, *arguments)
        finally:
            await connection.close()

    async def backends(self) -> list[int]:
        """Process ids of the collectors' backends."""
        connection = await self.connect()
        try:
            rows = await connection.fetch(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'floodgate-collector'"
            )
            return [row[0] for row in rows]
        finally:
            await connection.close()

    async def end_backends(self) -> None:
        """End the collectors' sessions, as an administrator does."""
        await self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'floodgate-collector'"
        )
