"""The poison among many is found, each alone, with few probes, and nothing else is touched."""

from collections.abc import Sequence
from math import ceil, log2
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.batch import Batch, Message
from collectors.isolate import isolate
from collectors.rows import EventRows
from shared.errors import Poison, Retryable
from shared.outcomes import DeadLetterReason
from tests.unit.collectors.samples import delivery

EVENTS_IN_A_MESSAGE = 7


class Tables:
    """Stands in for PostgreSQL: refuses whatever has poison in it, and counts how often it was asked."""

    def __init__(self, poisonous: set[str]) -> None:
        self._poisonous = poisonous
        self.probes = 0

    async def probe(self, events: Sequence[EventRows]) -> Poison | None:
        self.probes += 1
        found = [row.event_id for row in events if row.event_id in self._poisonous]
        return Poison(DeadLetterReason.DATA_ERROR, found[0]) if found else None


def a_batch(events: int) -> Batch:
    batch = Batch(max_events=1, max_bytes=1, max_age_s=1, clock=monotonic)
    for first in range(0, events, EVENTS_IN_A_MESSAGE):
        ids = range(first, min(first + EVENTS_IN_A_MESSAGE, events))
        found = Message(delivery(b"", {}), f"m-{first}", "c", len(ids))
        found.rows = [EventRows(str(at), "u", b"", b"", None) for at in ids]
        batch.add(found)
    return batch


@given(st.data())
async def test_every_poison_is_found_and_every_neighbour_is_kept_within_the_bound_of_probes(
    data: st.DataObject,
) -> None:
    events = data.draw(st.integers(1, 300))
    poisonous = data.draw(st.sets(st.integers(0, events - 1), max_size=events).map(lambda found: set(map(str, found))))
    batch, tables = a_batch(events), Tables(poisonous)

    assert await isolate(batch, tables.probe) == len(poisonous)

    assert {row.event_id for _, _, row in batch.rows()} == {str(at) for at in range(events)} - poisonous
    dead = {poison.detail for message in batch.messages for poison in message.dead.values()}
    assert dead == poisonous, "each with the reason that it was refused for alone"
    # Each poison is on a path from the whole to itself; the other half of every step is asked too.
    assert tables.probes <= min(1 + 2 * len(poisonous) * ceil(log2(events) + 1), 2 * events)


async def test_one_poison_of_ten_thousand_takes_less_than_thirty_probes() -> None:
    batch, tables = a_batch(10_000), Tables({"7777"})

    assert await isolate(batch, tables.probe) == 1

    assert tables.probes < 30


async def test_a_batch_without_rows_asks_nothing() -> None:
    batch, tables = a_batch(0), Tables(set())

    assert await isolate(batch, tables.probe) == 0

    assert tables.probes == 0


async def test_what_was_found_before_the_database_went_away_stays_found() -> None:
    batch, tables = a_batch(64), Tables({"0", "63"})

    async def probe(events: Sequence[EventRows]) -> Poison | None:
        if any(row.event_id == "63" for row in events) and len(events) < 64:
            raise Retryable("gone")
        return await tables.probe(events)

    with pytest.raises(Retryable):
        await isolate(batch, probe)

    assert [row.event_id for _, _, row in batch.rows()] == [str(at) for at in range(1, 64)]
