"""What an operator's limit on deliveries would lose is parked, and the limit does not outlive a start."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from nats.js.api import ConsumerConfig

from collectors.worker import Worker
from shared.errors import Retryable
from shared.events import REGISTRY
from shared.metrics import RoleMetrics
from streams.advisories import ExhaustedDeliveries
from streams.connection import Connection
from streams.dead_letter import ATTEMPTS, HOLDS, ORIGIN, REASON, DeadLetters
from streams.definitions import definitions
from streams.delivery import Delivery
from streams.provision import Change, provision
from streams.subjects import COLLECTOR
from tests.integration.collectors.rig import Rig, quiet, until
from tests.integration.streams.putting_through import collect, collecting, events, run

__all__ = ["collecting"]  # a fixture


async def limit_deliveries(collecting: Rig, deliveries: int, *, ack_wait_s: float) -> ConsumerConfig:
    """What an operator can do by hand."""
    jetstream = collecting.connection.jetstream
    config = (await jetstream.consumer_info(collecting.stream, COLLECTOR)).config
    changed = await jetstream.add_consumer(
        collecting.stream, config.evolve(max_deliver=deliveries, ack_wait=ack_wait_s)
    )
    assert changed.config.max_deliver == deliveries
    return changed.config


def test_no_definition_of_ours_limits_deliveries(collecting: Rig) -> None:
    consumers = [one.consumer for one in definitions(REGISTRY.sources, collecting.streams()) if one.consumer]
    assert [consumer.max_deliver for consumer in consumers] == [-1] * len(REGISTRY.sources)


async def test_provisioning_takes_a_limit_away_again(collecting: Rig) -> None:
    await limit_deliveries(collecting, 5, ack_wait_s=30)
    applied = await provision(collecting.connection, definitions(REGISTRY.sources, collecting.streams()))
    changed = [one for one in applied if one.change is not Change.UNCHANGED]
    assert [(one.name, one.fields) for one in changed] == [(f"{collecting.stream}/{COLLECTOR}", ("max_deliver",))]
    info = await collecting.connection.jetstream.consumer_info(collecting.stream, COLLECTOR)
    assert info.config.max_deliver == -1
    async with collecting.collector():
        await collecting.all_settled()


async def test_a_message_that_reached_a_limit_is_a_dead_letter_its_receipt_is_complete_and_it_can_be_replayed(
    collecting: Rig, monkeypatch: Any
) -> None:
    async def lose(_worker: Worker, _batch: Any) -> Exception | None:
        return Retryable("this batch never works")

    failures = 0

    async def park_late(self: DeadLetters, letter: Any) -> None:
        nonlocal failures
        failures += 1
        if failures == 1:
            raise Retryable("not now")
        await park(self, letter)

    park = DeadLetters.park
    monkeypatch.setattr("streams.advisories.RETRY_WAIT_S", 0.01)
    monkeypatch.setattr(DeadLetters, "park", park_late)
    message_id = await collecting.send(events("a", "b"))
    with monkeypatch.context() as patched:
        patched.setattr(Worker, "_attempt", lose)
        patched.setattr(Worker, "_keep_in_hand", _nothing)
        async with collecting.collector() as running, collecting.collector() as other:
            for one in (running, other):
                await until(one.is_started)
                await one.collector._exhausted_deliveries[0].listening.wait()
            await limit_deliveries(collecting, 2, ack_wait_s=0.2)

            async def parked() -> bool:
                return bool(await collecting.ledger())

            await until(parked)
            name = "collector_dead_letters_total"
            counted = [one.counted(name, source="facebook", reason="max_deliver") for one in (running, other)]
            assert sorted(counted) == [0, 2], "one of the collectors is told"

    (letter,) = await collecting.dead_letters()
    about = letter.headers or {}
    assert (about[REASON], about[HOLDS], about[ORIGIN]) == ("max_deliver", "message", f"{collecting.stream}:1")
    assert about[ATTEMPTS] == "2"
    assert failures == 2
    assert await collecting.ledger() == {message_id: (2, 0, 0, 2)}
    receipt = await collecting.receipt(2)
    assert (receipt["deadLettered"], receipt["complete"]) == (2, True)

    await run(collecting, "dead-letters", "replay")
    await collect(collecting)
    assert await collecting.ids() == ["a", "b"]
    receipt = await collecting.receipt(2)
    assert (receipt["accepted"], receipt["stored"], receipt["deadLettered"]) == (2, 2, 0)


async def test_of_all_collectors_one_is_told_of_each_message(collecting: Rig) -> None:
    for at in range(20):
        await collecting.send(events(f"e-{at}"))
    told: list[int] = []

    async def note(delivery: Delivery) -> None:
        assert delivery.attempts == 3
        told.append(delivery.stream_seq)

    async def all_told() -> bool:
        return len(told) >= 20

    async with AsyncExitStack() as stack:
        for _ in range(2):
            connection = Connection(collecting.nats(), name="test", log=quiet(), metrics=RoleMetrics("test"))
            stack.push_async_callback(connection.close)
            await connection.open()
            listener = ExhaustedDeliveries(connection, collecting.stream, log=quiet())
            watching = asyncio.create_task(listener.watch(note))
            stack.callback(watching.cancel)
            await listener.listening.wait()
            await connection.client.flush()
        subject = f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{collecting.stream}.{COLLECTOR}"
        for body in (b"nonsense", *(b'{"stream_seq":%d,"deliveries":3}' % seq for seq in (99, *range(1, 21)))):
            await collecting.connection.client.publish(subject, body)
        await until(all_told)
    assert sorted(told) == list(range(1, 21))


async def _nothing(_worker: Worker) -> None:
    return None
