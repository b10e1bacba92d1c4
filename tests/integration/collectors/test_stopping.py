"""Stopping, in order and out of it: nothing is lost, nothing is doubled, and what is not stored is free at once."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import pytest

from tests.integration.collectors.program import COLLECTOR, ended, says, started
from tests.integration.collectors.rig import SOURCE, Rig, rig, until
from tests.integration.collectors.test_outages import is_waiting_for_a_lock
from tests.unit.collectors.samples import event

DIES_BEFORE_IT_ACKNOWLEDGES = str(Path(__file__).with_name("dies_before_it_acknowledges.py"))
KILLS = 3
MESSAGES = 12
LONG_BEFORE_THE_ACK_WAIT_S = 8.0


def events(first: int, count: int) -> list[dict[str, Any]]:
    return [event(f"e-{at:05}", amount="1") for at in range(first, first + count)]


async def send(collecting: Rig, messages: int, each: int, *, first: int = 0) -> list[str]:
    """Send them; all event ids so far."""
    for at in range(messages):
        await collecting.send(events(first + at * each, each))
    return [f"e-{at:05}" for at in range(first + messages * each)]


@pytest.fixture
async def impatient(nats_url: str, database_url: str) -> AsyncIterator[Rig]:
    """A rig whose messages come again soon after a collector has died."""
    async with rig(nats_url, database_url, ack_wait_ms=700) as made:
        yield made


async def test_a_soft_stop_stores_what_is_in_hand_and_takes_nothing_new(collecting: Rig) -> None:
    async with collecting.collector(flush_age_ms=60_000) as running:
        await until(running.is_started)
        ids = await send(collecting, 3, 10)

        async def delivered() -> bool:
            info = await collecting.connection.jetstream.consumer_info(collecting.stream, "collector")
            return bool(info.num_ack_pending == 3)

        await until(delivered)
        assert await collecting.ids() == []
        running.shutdown.soft.set()
        async with asyncio.timeout(4):
            await running.ended()

        assert await collecting.ids() == ids
        assert await collecting.unsettled() == 0
        await send(collecting, 1, 10, first=30)
    assert await collecting.unsettled() == 1


@pytest.mark.parametrize("how", ["soft", "hard"])
async def test_what_a_stopping_collector_can_not_store_goes_to_another_at_once(collecting: Rig, how: str) -> None:
    locker = await asyncpg.connect(collecting.database_url)
    limit = collecting.database(query_timeout_ms=300) if how == "soft" else None
    async with collecting.collector(database=limit) as running:
        await until(running.is_started)
        async with locker.transaction():
            await locker.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
            ids = await send(collecting, 3, 10)
            await until(lambda: is_waiting_for_a_lock(locker))
            running.shutdown.soft.set()
            if how == "hard":
                running.shutdown.hard.set()
            async with asyncio.timeout(5):
                await running.ended()
    await locker.close()

    async with collecting.collector():
        await collecting.all_settled(within_s=LONG_BEFORE_THE_ACK_WAIT_S)
    assert await collecting.ids() == ids


async def test_a_message_is_not_delivered_again_while_its_flush_takes_longer_than_the_ack_wait(impatient: Rig) -> None:
    locker = await asyncpg.connect(impatient.database_url)
    async with impatient.collector() as running:
        await until(running.is_started)
        async with locker.transaction():
            await locker.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
            await send(impatient, 2, 5)
            began = monotonic()
            await until(lambda: _is(monotonic() - began > 3 * 0.7))
        await impatient.all_settled()
        assert running.counted("collector_redeliveries_total", source=SOURCE) == 0
    await locker.close()


async def _is(value: bool) -> bool:
    return value


async def test_a_kill_between_commit_and_acknowledgement_costs_a_redelivery_and_no_row(impatient: Rig) -> None:
    ids = await send(impatient, 5, 20)
    async with started(DIES_BEFORE_IT_ACKNOWLEDGES, *COLLECTOR[2:],
                       environment=impatient.environment(PYTHONPATH=".")) as dying:  # fmt: skip
        assert (await ended(dying)).code == -signal.SIGKILL
    ledger = await impatient.ledger()
    assert ledger, "it had committed"
    assert await impatient.unsettled() == 5, "and not acknowledged"

    async with impatient.collector() as running:
        await impatient.all_settled()
        assert running.counted("collector_redeliveries_total", source=SOURCE) >= len(ledger)

    assert await impatient.ids() == ids
    assert set((await impatient.ledger()).values()) == {(20, 20, 0, 0)}
    receipt = await impatient.receipt(100)
    assert (receipt["stored"], receipt["duplicates"], receipt["complete"]) == (100, 0, True)


async def test_kills_at_any_moment_lose_nothing_and_double_nothing(impatient: Rig) -> None:
    rng = random.Random(11)
    ids: list[str] = []
    for _ in range(KILLS):
        ids = await send(impatient, MESSAGES, 50, first=len(ids))
        async with started(*COLLECTOR, environment=impatient.environment(FLUSH_EVENTS="100")) as process:
            enough = len(await impatient.ledger()) + rng.randint(1, 9)

            async def has_stored_some(enough: int = enough) -> bool:
                return process.returncode is not None or len(await impatient.ledger()) >= enough

            await until(has_stored_some)
            assert (await ended(process, signal.SIGKILL)).code == -signal.SIGKILL

    async with started(*COLLECTOR, environment=impatient.environment()) as process:
        await says(process, "collector_started")
        await impatient.all_settled()
        last = await ended(process, signal.SIGTERM)
        assert last.code == 0, last.said

    assert await impatient.ids() == ids
    assert await impatient.ids("revenue") == ids
    assert set((await impatient.ledger()).values()) == {(50, 50, 0, 0)}
    assert len(await impatient.ledger()) == MESSAGES * KILLS


async def test_replicas_share_the_work_and_double_nothing(collecting: Rig) -> None:
    async with (
        collecting.collector(flush_events=50) as one,
        collecting.collector(flush_events=50) as other,
        collecting.collector(flush_events=50) as third,
    ):
        replicas = (one, other, third)
        for replica in replicas:
            await until(replica.is_started)
        ids = await send(collecting, 40, 10)
        again = await send(collecting, 40, 10)
        await collecting.all_settled()
        flushed = [replica.counted("collector_flush_events_sum", source=SOURCE) for replica in replicas]

    assert all(flushed), "each had some of it"
    assert sum(flushed) == 800, "each message went to one of them"
    assert ids == again == await collecting.ids()
    receipt = await collecting.receipt(800)
    assert (receipt["stored"], receipt["duplicates"], receipt["complete"]) == (400, 400, True)
