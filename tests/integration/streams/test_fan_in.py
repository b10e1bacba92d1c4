"""One fetch over several streams: fair, prompt, and answerable for what it holds."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.errors import Retryable
from streams.backlog import read_backlog
from streams.connection import Connection
from streams.definitions import Definition, definitions
from streams.delivery import ConsumerMissing
from streams.fan_in import FanIn
from streams.settings import StreamSettings
from streams.subjects import Names
from tests.integration.streams.conftest import SOURCE, Connect
from tests.integration.streams.waiting import until
from tests.servers import NatsServer

DEADLINE_S = 15.0


@pytest.fixture
def stream_settings(stream_settings: StreamSettings) -> StreamSettings:
    """Three streams."""
    return stream_settings.model_copy(update={"partitions": 3})


@pytest.fixture
def names(stream_settings: StreamSettings) -> Names:
    """Of these."""
    return stream_settings.names


@pytest.fixture
def wanted(stream_settings: StreamSettings) -> list[Definition]:
    """One source's."""
    return definitions([SOURCE], stream_settings)


Publish = Callable[..., Awaitable[None]]


@pytest.fixture
def publish(connection: Connection, names: Names, streams: list[Definition]) -> Publish:
    """Publishes into a partition."""

    async def publish_to(partition: int, *bodies: bytes) -> None:
        for body in bodies:
            await connection.jetstream.publish(names.of(SOURCE)[partition].events, body)

    return publish_to


@pytest.fixture
def fan_in(connection: Connection, names: Names, streams: list[Definition]) -> FanIn:
    """Of all three."""
    return FanIn(connection, [partition.stream for partition in names.of(SOURCE)])


async def test_a_full_stream_starves_no_other(fan_in: FanIn, publish: Publish) -> None:
    await publish(0, *(b"%d" % number for number in range(40)))
    await publish(2, b"lone")

    fetched = [[delivery.body for delivery in await fan_in.fetch(12, 0.3)] for _ in range(4)]

    assert [b"lone"] in [[body for body in bodies if body == b"lone"] for bodies in fetched]
    full = [len([body for body in bodies if body != b"lone"]) for bodies in fetched]
    assert max(full) == 4, "a third of what is wanted is the share of a stream"
    await fan_in.close()


async def test_a_message_does_not_wait_for_the_streams_that_have_none(fan_in: FanIn, publish: Publish) -> None:
    clock = asyncio.get_running_loop().time
    fetching = asyncio.create_task(fan_in.fetch(1, 30))
    await until(lambda: bool(fan_in._fetching))
    started = clock()
    await publish(1, b"first")
    assert [delivery.body for delivery in await fetching] == [b"first"]
    await publish(2, b"second")  # for the fetch that is under way still
    assert [delivery.body for delivery in await fan_in.fetch(1, 30)] == [b"second"]
    assert clock() - started < 10
    await publish(0, b"third")  # and for those that are left, of 30 s each
    await publish(1, b"fourth")
    assert {delivery.body for delivery in await fan_in.close()} == {b"third", b"fourth"}


async def test_nothing_is_an_empty_list(fan_in: FanIn) -> None:
    assert await fan_in.fetch(10, 0.05) == []
    assert await fan_in.close() == []


async def test_what_was_fetched_and_not_handed_out_is_held_and_given_back_at_the_end(
    fan_in: FanIn, publish: Publish, connection: Connection, names: Names
) -> None:
    await publish(0, b"handed out")
    handed_out = await fan_in.fetch(1, 5)
    assert [delivery.body for delivery in handed_out] == [b"handed out"]
    await publish(1, b"held")  # fetches for both are under way
    await publish(2, b"too")
    await until(lambda: {delivery.body for delivery in fan_in.held} == {b"held", b"too"})

    left = await fan_in.close()

    assert {(one.body, one.settled) for one in left} == {(b"held", False), (b"too", False)}
    for delivery in left:
        await delivery.nak(0)
    again = FanIn(connection, [names.of(SOURCE)[1].stream])
    assert [(one.body, one.attempts) for one in await again.fetch(1, 5)] == [(b"held", 2)]
    await again.close()


async def test_a_missing_consumer_is_told_and_costs_no_delivery_of_the_others(
    fan_in: FanIn, publish: Publish, connection: Connection, names: Names
) -> None:
    await connection.jetstream.delete_consumer(names.of(SOURCE)[0].stream, "collector")
    await publish(1, b"a", b"b")
    found: list[bytes] = []
    told = 0
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < 2 or told < 2:
            try:
                found += [delivery.body for delivery in await fan_in.fetch(6, 0.2)]
            except ConsumerMissing:
                told += 1
    assert found == [b"a", b"b"]
    await fan_in.close()


async def test_other_streams_are_read_from_now_on(
    fan_in: FanIn, publish: Publish, connection: Connection, names: Names
) -> None:
    first, second, _ = (partition.stream for partition in names.of(SOURCE))
    await fan_in.fetch(1, 0.01)
    await fan_in.use([first])
    await publish(0, b"0")
    await publish(1, b"1")
    assert [delivery.body for delivery in await fan_in.fetch(10, 1)] == [b"0"]
    assert await fan_in.fetch(10, 0.05) == []
    assert (await read_backlog(connection, second)).messages == 1
    await fan_in.use([first, second])
    assert [delivery.body for delivery in await fan_in.fetch(10, 1)] == [b"1"]
    await fan_in.close()


async def test_without_a_connection_it_is_told(own_server: NatsServer, connect: Connect, names: Names) -> None:
    connection = await connect(own_server.url)
    fan_in = FanIn(connection, [partition.stream for partition in names.of(SOURCE)])
    await asyncio.to_thread(own_server.stop)
    await until(lambda: not connection.is_connected)
    with pytest.raises(Retryable):
        await fan_in.fetch(1, 0.1)
    assert await fan_in.close() == []
