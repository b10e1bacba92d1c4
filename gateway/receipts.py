"""The receipt of a correlation id: what was accepted (JetStream), joined with what became of it (PostgreSQL).

Invariant: accepted = stored + duplicates + dead-lettered + pending, always; complete when nothing is pending.

What the ledger shows beyond the records counts as accepted too: a message that was not acknowledged in
time and became durable all the same, and those of a gateway that died before it wrote its record.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from shared.errors import Retryable
from streams.receipts import Receipts, RequestRecord

_LEDGER: Final = """
    SELECT message_id, source, events, inserted, duplicates, dead_lettered
      FROM batches
     WHERE correlation_id = $1
"""

_POOL_CONNECTIONS: Final = 2


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One stored message."""

    message_id: str
    source: str
    events: int
    inserted: int
    duplicates: int
    dead_lettered: int


def settle(records: Iterable[RequestRecord], ledger: Iterable[LedgerRow]) -> dict[str, Any] | None:
    """The receipt's figures; None where nothing is known of the correlation id. Pure."""
    by_source: dict[str, dict[str, int]] = {}

    def add(source: str, **figures: int) -> None:
        line = by_source.setdefault(source, dict.fromkeys(("accepted", "stored", "duplicates", "deadLettered"), 0))
        for name, figure in figures.items():
            line[name] += figure

    requests: dict[str, set[str]] = {}
    failed = 0
    for record in records:
        requests[record.request_id] = set(record.unconfirmed)
        failed += record.failed
        for source, events in record.accepted.items():
            add(source, accepted=events)
    known = bool(requests)
    for row in ledger:
        known = True
        unconfirmed = requests.get(row.message_id.split("-", 1)[0])
        late = unconfirmed is None or row.message_id in unconfirmed
        add(
            row.source,
            accepted=row.events if late else 0,
            stored=row.inserted,
            duplicates=row.duplicates,
            deadLettered=row.dead_lettered,
        )
    if not known:
        return None
    for line in by_source.values():
        line["pending"] = line["accepted"] - line["stored"] - line["duplicates"] - line["deadLettered"]
    names = ("accepted", "stored", "duplicates", "deadLettered", "pending")
    totals: dict[str, Any] = {name: sum(line[name] for line in by_source.values()) for name in names}
    return totals | {
        "complete": totals["pending"] == 0,
        "failed": failed,
        "requests": len(requests),
        "bySource": by_source,
    }


class ReceiptReader:
    """Reads receipts. Connects to PostgreSQL at the first one, so the gateway starts without it."""

    def __init__(
        self, receipts: Receipts, database_url: str | None, *, connect_timeout_s: float, query_timeout_s: float
    ) -> None:
        self._receipts = receipts
        self._database_url = database_url
        self._connect_timeout_s = connect_timeout_s
        self._query_timeout_s = query_timeout_s
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()

    async def read(self, correlation_id: str) -> Mapping[str, Any] | None:
        """The receipt; None for a correlation id that nothing is known of. Raises Retryable."""
        # The ledger first: a message stored between the two readings is then pending, never surplus.
        ledger = await self._ledger(correlation_id)
        return settle(await self._receipts.read(correlation_id), ledger)

    async def close(self) -> None:
        """Disconnect from PostgreSQL."""
        if self._pool is not None:
            self._pool.terminate()

    async def _ledger(self, correlation_id: str) -> list[LedgerRow]:
        try:
            pool = await self._connected()
            rows = await pool.fetch(_LEDGER, correlation_id, timeout=self._query_timeout_s)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Retryable(f"the ledger can't be read: {error!r}") from error
        return [LedgerRow(*row) for row in rows]

    async def _connected(self) -> "asyncpg.Pool[asyncpg.Record]":
        if self._database_url is None:
            raise Retryable("receipts need PostgreSQL, and DATABASE_URL is not set")
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._database_url,
                    min_size=0,
                    max_size=_POOL_CONNECTIONS,
                    timeout=self._connect_timeout_s,
                    server_settings={"application_name": "floodgate-gateway", "default_transaction_read_only": "on"},
                )
        return self._pool
