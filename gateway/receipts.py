"""The receipt of a correlation id: what was accepted (JetStream), joined with what became of it (PostgreSQL).

Invariant: accepted = stored + duplicates + dead-lettered + pending, always; complete when nothing is pending. It is of
all that has the correlation id, or there is none: a sender may give one id to everything it ever sends, so the work is
bounded, and done in turns of the event loop.

What the ledger shows beyond the records counts as accepted too: a message that was not acknowledged in
time and became durable all the same, and those of a gateway that died before it wrote its record.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

import asyncpg

from shared.errors import Retryable
from streams import message_ids
from streams.receipts import Receipts, RequestRecord, TooMany

_LEDGER: Final = """
    SELECT message_id, source, events, inserted, duplicates, dead_lettered
      FROM batches
     WHERE correlation_id = $1
     LIMIT $2
"""

MAX_MESSAGES: Final = 100_000
"""Stored messages of one correlation id that a receipt sums, at most: a request of 50,000 events in messages of one
each, all of which were dead letters and put through again. 45 MB while it is summed."""

TURN_ROWS: Final = 1_000
"""Summed in a turn of the event loop: 2 ms."""

_AT_A_TIME: Final = 2
"""Receipts whose ledger is read, and held: as many as there are connections."""

PROBE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One stored message."""

    message_id: str
    source: str
    events: int
    inserted: int
    duplicates: int
    dead_lettered: int


async def settle(
    records: Iterable[RequestRecord], ledger: Iterable[LedgerRow], unread_singles: Iterable[tuple[str, str]] = ()
) -> dict[str, Any] | None:
    """The receipt's figures; None where nothing is known of the correlation id. Pure, and in turns of the event loop.

    `unread_singles` are the message id and the source of each single event that may not be stored yet; it
    counts as accepted unless the ledger has it, which does so itself.

    What an operator put through again (`streams.message_ids`) is accepted no second time: an event from the
    dead letters is no longer among these but what it came to, and a message from the stream counts only
    where the ledger has lost its first row. `replayed` says how many events that were, of all of them.
    """
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
    replayed, rows = await _first_rows(ledger)
    singles = {message_ids.key(message_id): source async for message_id, source in _in_turns(unread_singles)}
    async for key, source in _in_turns(singles.items()):
        if key not in rows:
            add(source, accepted=1)
    if not requests and not rows and not singles:
        return None
    dead = {key: row.dead_lettered async for key, row in _in_turns(rows.items())}
    async for row in _in_turns(rows.values()):
        came_from = _nearest_ancestor(row.message_id, rows)
        if came_from is not None:
            if dead[came_from] < row.events:
                continue  # an event that this request was never short of: a stored one, dead-lettered by a replay
            dead[came_from] -= row.events
            add(rows[came_from].source, accepted=-row.events, deadLettered=-row.events)
        root = message_ids.root(row.message_id)
        unconfirmed = requests.get(message_ids.request_id(root))
        late = unconfirmed is None or root in unconfirmed
        add(
            row.source,
            accepted=row.events if late or came_from is not None else 0,
            stored=row.inserted,
            duplicates=row.duplicates,
            deadLettered=row.dead_lettered,
        )
    for line in by_source.values():
        line["pending"] = line["accepted"] - line["stored"] - line["duplicates"] - line["deadLettered"]
    names = ("accepted", "stored", "duplicates", "deadLettered", "pending")
    totals: dict[str, Any] = {name: sum(line[name] for line in by_source.values()) for name in names}
    return totals | {
        "complete": totals["pending"] == 0,
        "failed": failed,
        "replayed": replayed,
        "requests": len(requests),
        "bySource": by_source,
    }


async def _first_rows(ledger: Iterable[LedgerRow]) -> tuple[int, dict[str, LedgerRow]]:
    """How many events were put through again, and a row a message: its own, or its replay's where that is lost."""
    replayed = 0
    rows: dict[str, LedgerRow] = {}
    async for row in _in_turns(ledger):
        key = message_ids.key(row.message_id)
        is_replay = message_ids.is_replay(row.message_id)
        if is_replay or message_ids.parent(row.message_id) is not None:
            replayed += row.events
        if not is_replay or key not in rows:
            rows[key] = row
    return replayed, rows


def _nearest_ancestor(message_id: str, rows: Mapping[str, LedgerRow]) -> str | None:
    """The message in whose row the event was a dead letter; None for a message of the gateway's.

    The nearest that is there: a dead letter can be put through before its own message is in the ledger.
    """
    ancestor = message_ids.parent(message_id)
    while ancestor is not None and ancestor not in rows:
        ancestor = message_ids.parent(ancestor)
    return ancestor


_T = TypeVar("_T")


async def _in_turns(items: Iterable[_T]) -> AsyncIterator[_T]:
    """The items, with a turn of the event loop for everybody else after each TURN_ROWS of them."""
    left = iter(items)
    while turn := tuple(islice(left, TURN_ROWS)):
        for item in turn:
            yield item
        if len(turn) == TURN_ROWS:
            await asyncio.sleep(0)


class ReceiptReader:
    """Reads receipts. Connects to PostgreSQL at the first one, so the gateway starts without it."""

    def __init__(
        self,
        receipts: Receipts,
        sources: Iterable[str],
        database_url: str | None,
        *,
        connect_timeout_s: float,
        query_timeout_s: float,
    ) -> None:
        self._receipts = receipts
        self._sources = tuple(sources)
        self._database_url = database_url
        self._connect_timeout_s = connect_timeout_s
        self._query_timeout_s = query_timeout_s
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()
        self._at_a_time = asyncio.Semaphore(_AT_A_TIME)

    async def read(self, correlation_id: str) -> Mapping[str, Any] | None:
        """The receipt; None for a correlation id that nothing is known of.

        Raises TooMany where it would be of more than MAX_MESSAGES messages, or MAX_RECORDS requests; and Retryable.
        """
        # In the order that an event goes: what is stored between two readings is then seen twice, and counted
        # once; the other way round it could be missed.
        records = await self._receipts.read(correlation_id)
        unread_singles = await self._receipts.unread_singles(correlation_id, self._sources)
        async with self._at_a_time:
            return await settle(records, await self._ledger(correlation_id), unread_singles)

    async def probe(self) -> None:
        """Ask PostgreSQL whether it is there. Raises Retryable where it is not, or no answer comes in PROBE_S."""
        try:
            async with asyncio.timeout(PROBE_S):
                await (await self._connected()).fetchval("SELECT 1")
        except TimeoutError as error:
            raise Retryable(f"no answer within {PROBE_S:g} s") from error
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Retryable(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Disconnect from PostgreSQL."""
        if self._pool is not None:
            self._pool.terminate()

    async def _ledger(self, correlation_id: str) -> list[LedgerRow]:
        try:
            pool = await self._connected()
            rows = await pool.fetch(_LEDGER, correlation_id, MAX_MESSAGES + 1, timeout=self._query_timeout_s)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Retryable(f"the ledger can't be read: {error!r}") from error
        if len(rows) > MAX_MESSAGES:
            raise TooMany(f"more than {MAX_MESSAGES} stored messages")
        return [LedgerRow(*row) async for row in _in_turns(rows)]

    async def _connected(self) -> "asyncpg.Pool[asyncpg.Record]":
        if self._database_url is None:
            raise Retryable("receipts need PostgreSQL, and DATABASE_URL is not set")
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._database_url,
                    min_size=0,
                    max_size=_AT_A_TIME,
                    timeout=self._connect_timeout_s,
                    server_settings={"application_name": "floodgate-gateway", "default_transaction_read_only": "on"},
                )
        return self._pool
