"""Fetching and settling on a real server, with every surprise that a pull consumer has."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from shared.errors import Retryable
from streams.connection import Connection
from streams.definitions import Definition, definitions
from streams.delivery import ConsumerMissing, Delivery, Puller
from streams.provision import provision
from streams.settings import StreamSettings
from streams.subjects import COLLECTOR, Names
from tests.integration.streams.conftest import SOURCE, Connect
from tests.integration.streams.waiting import until
from tests.servers import NatsServer

SHORT_ACK_WAIT_MS = 400


@pytest.fixture
async def puller(connection: Connection, streams: list[Definition], names: Names) -> AsyncIterator[Puller]:
    puller = Puller(connection, names.stream(SOURCE))
    yield puller
    await puller.close()


async def publish(connection: Connection, names: Names, *bodies: bytes) -> None:
    for body in bodies:
        await connection.jetstream.publish(names.events(SOURCE), body, headers={"H": "v"})


async def fetch(puller: Puller, messages: int, *, wait_s: float = 5.0) -> list[Delivery]:
    """As many as asked for, in as many fetches as it takes."""
    found: list[Delivery] = []
    async with asyncio.timeout(15):
        while len(found) < messages:
            found += await puller.fetch(messages - len(found), wait_s)
    return found


async def unsettled(connection: Connection, names: Names) -> int:
    info = await connection.jetstream.consumer_info(names.stream(SOURCE), COLLECTOR)
    return (info.num_ack_pending or 0) + (info.num_pending or 0)


async def test_a_delivery_knows_its_message(connection: Connection, puller: Puller, names: Names) -> None:
    before = datetime.now(UTC)
    await publish(connection, names, b"[1]", b"[2]", b"[3]")
    first = (await fetch(puller, 2))[0]
    assert (first.body, first.headers) == (b"[1]", {"H": "v"})
    assert (first.stream, first.stream_seq, first.attempts) == (names.stream(SOURCE), 1, 1)
    assert first.pending == 2
    assert -1 < (first.published_at - before).total_seconds() < 10
    assert first.published_at.tzinfo is UTC


async def test_a_message_without_headers_has_none(connection: Connection, puller: Puller, names: Names) -> None:
    await connection.jetstream.publish(names.events(SOURCE), b"[]")
    assert (await fetch(puller, 1))[0].headers == {}


@pytest.mark.parametrize("messages", [1, 2, 100])
async def test_with_nothing_there_a_fetch_waits_its_time_and_is_empty(puller: Puller, messages: int) -> None:
    started = time.monotonic()
    assert await puller.fetch(messages, 0.2) == []
    assert 0.1 < time.monotonic() - started < 2


async def test_a_message_that_comes_while_waiting_ends_the_wait(
    connection: Connection, puller: Puller, names: Names
) -> None:
    fetching = asyncio.ensure_future(puller.fetch(100, 10))

    async def is_waiting() -> bool:
        info = await connection.jetstream.consumer_info(names.stream(SOURCE), COLLECTOR)
        return bool(info.num_waiting)

    await until(is_waiting)
    await publish(connection, names, b"[1]")
    assert [delivery.body for delivery in await asyncio.wait_for(fetching, 5)] == [b"[1]"]


async def test_what_is_acked_is_not_delivered_again(connection: Connection, puller: Puller, names: Names) -> None:
    await publish(connection, names, b"[1]", b"[2]")
    for delivery in await fetch(puller, 2):
        assert await delivery.ack()
        assert delivery.settled
    await until(lambda: _is_settled(connection, names))
    assert await puller.fetch(2, 0.1) == []


async def _is_settled(connection: Connection, names: Names) -> bool:
    return await unsettled(connection, names) == 0


async def test_what_is_terminated_is_not_delivered_again(connection: Connection, puller: Puller, names: Names) -> None:
    await publish(connection, names, b"[1]")
    assert await (await fetch(puller, 1))[0].term()
    await until(lambda: _is_settled(connection, names))
    assert await puller.fetch(1, 0.1) == []


async def test_what_is_nakd_is_delivered_again_after_the_delay_and_not_before(
    connection: Connection, puller: Puller, names: Names
) -> None:
    await publish(connection, names, b"[1]")
    started = time.monotonic()
    assert await (await fetch(puller, 1))[0].nak(0.5)
    (again,) = await fetch(puller, 1)
    assert time.monotonic() - started >= 0.45
    assert (again.body, again.attempts, again.stream_seq) == (b"[1]", 2, 1)
    await again.ack()


@pytest.mark.parametrize("first", ["ack", "nak", "term"])
@pytest.mark.parametrize("second", ["ack", "nak", "term"])
async def test_settling_twice_is_a_bug_and_told_as_one(
    connection: Connection, puller: Puller, names: Names, first: str, second: str
) -> None:
    await publish(connection, names, b"[1]")
    (delivery,) = await fetch(puller, 1)

    async def settle(how: str) -> None:
        await (delivery.nak(60) if how == "nak" else getattr(delivery, how)())

    await settle(first)
    with pytest.raises(RuntimeError, match=f"{names.stream(SOURCE)}:1 was settled before"):
        await settle(second)


class TestAckWait:
    """With a short ack wait."""

    @pytest.fixture
    def stream_settings(self, stream_settings: StreamSettings) -> StreamSettings:
        return stream_settings.model_copy(update={"ack_wait_ms": SHORT_ACK_WAIT_MS})

    async def test_what_is_left_unsettled_is_delivered_again(
        self, connection: Connection, puller: Puller, names: Names
    ) -> None:
        await publish(connection, names, b"[1]")
        await fetch(puller, 1)
        (again,) = await fetch(puller, 1)
        assert again.attempts == 2
        await again.ack()

    async def test_in_progress_keeps_a_delivery_beyond_its_ack_wait(
        self, connection: Connection, puller: Puller, names: Names
    ) -> None:
        await publish(connection, names, b"[1]")
        (delivery,) = await fetch(puller, 1)
        deadline = time.monotonic() + 3 * SHORT_ACK_WAIT_MS / 1_000
        while time.monotonic() < deadline:
            assert await delivery.in_progress()
            assert await puller.fetch(1, SHORT_ACK_WAIT_MS / 4_000) == []  # it would come here
        await delivery.ack()
        await until(lambda: _is_settled(connection, names))


async def test_a_missing_consumer_is_told_and_provisioning_brings_it_back(
    connection: Connection, streams: list[Definition], names: Names, puller: Puller
) -> None:
    await publish(connection, names, b"[1]")
    assert len(await puller.fetch(1, 5)) == 1  # the puller is bound to the consumer that goes
    await connection.jetstream.delete_consumer(names.stream(SOURCE), COLLECTOR)
    with pytest.raises(ConsumerMissing, match=f"{names.stream(SOURCE)}: no consumer 'collector'"):
        await puller.fetch(10, 1)
    with pytest.raises(ConsumerMissing):
        await puller.fetch(10, 1)
    await provision(connection, streams)
    assert [delivery.body for delivery in await fetch(puller, 1)] == [b"[1]"]


async def test_a_consumer_that_goes_during_a_fetch_is_told_at_once_or_by_the_next(
    connection: Connection, names: Names, puller: Puller
) -> None:
    fetching = asyncio.ensure_future(puller.fetch(10, 0.7))

    async def is_waiting() -> bool:
        info = await connection.jetstream.consumer_info(names.stream(SOURCE), COLLECTOR)
        return bool(info.num_waiting)

    await until(is_waiting)
    await connection.jetstream.delete_consumer(names.stream(SOURCE), COLLECTOR)

    async def this_fetch_and_the_next() -> None:
        assert await asyncio.wait_for(fetching, 10) == []
        await puller.fetch(10, 1)

    with pytest.raises(ConsumerMissing):
        await this_fetch_and_the_next()


async def test_a_stream_that_was_never_there_is_a_missing_consumer(connection: Connection) -> None:
    with pytest.raises(ConsumerMissing):
        await Puller(connection, "T_NEVER_THERE").fetch(1, 1)


async def test_two_pullers_share_the_messages_of_one_consumer(
    connection: Connection, connect: Connect, nats_url: str, puller: Puller, names: Names
) -> None:
    other = Puller(await connect(nats_url), names.stream(SOURCE))
    await publish(connection, names, *(b"[%d]" % number for number in range(20)))
    found = [*await fetch(puller, 10), *await fetch(other, 10)]
    assert sorted(delivery.stream_seq for delivery in found) == list(range(1, 21))
    await other.close()


async def test_the_same_puller_works_on_after_a_restart_and_may_return_more_than_asked(
    own_server: NatsServer, connect: Connect, stream_settings: StreamSettings, names: Names
) -> None:
    connection = await connect(own_server.url)
    await provision(connection, definitions([SOURCE], stream_settings.model_copy(update={"ack_wait_ms": 500})))
    puller = Puller(connection, names.stream(SOURCE))
    await publish(connection, names, *(b"[%d]" % number for number in range(6)))
    before = await fetch(puller, 2)
    await asyncio.to_thread(own_server.kill)
    await until(lambda: not connection.is_connected)
    with pytest.raises(Retryable, match="not connected"):
        await puller.fetch(2, 1)
    assert not await before[0].ack() or not connection.is_connected  # buffered or refused: never an error
    await asyncio.to_thread(own_server.start)
    await until(lambda: connection.is_connected)
    seen: dict[int, Delivery] = {}

    async def all_seen() -> bool:
        try:
            for delivery in await puller.fetch(2, 0.5):
                seen[delivery.stream_seq] = delivery
                await delivery.ack()
        except Retryable:
            return False  # the consumer is recovered a moment after the server takes connections
        return len(seen) >= 5

    await until(all_seen)
    assert {delivery.body for delivery in seen.values()} >= {b"[%d]" % number for number in range(1, 6)}
    await puller.close()


async def test_more_than_asked_for_is_handed_on_whole(connection: Connection, puller: Puller, names: Names) -> None:
    """What a fetch before a reconnection had asked for may still come, and is in the buffer of the next one."""
    await publish(connection, names, *(b"[%d]" % number for number in range(5)))
    assert len(await fetch(puller, 1)) == 1
    subscription = puller._subscription
    assert subscription is not None
    request = b'{"batch": 3, "no_wait": true}'
    await connection.client.publish(subscription._nms, request, subscription._deliver)
    await until(lambda: subscription._sub._pending_queue.qsize() >= 3)
    found = await puller.fetch(2, 1)
    assert len(found) >= 3
    assert [delivery.stream_seq for delivery in found[:3]] == [2, 3, 4]


async def test_settling_on_a_closed_connection_says_that_it_was_not_sent(
    connect: Connect, nats_url: str, connection: Connection, streams: list[Definition], names: Names
) -> None:
    other = await connect(nats_url)
    await publish(connection, names, b"[1]", b"[2]")
    first, second = await fetch(Puller(other, names.stream(SOURCE)), 2)
    await other.close()
    assert not await first.ack()
    assert not await second.in_progress()


async def test_closing_a_puller_twice_or_unused_is_fine(connection: Connection) -> None:
    puller = Puller(connection, "T_NEVER_USED")
    await puller.close()
    await puller.close()
