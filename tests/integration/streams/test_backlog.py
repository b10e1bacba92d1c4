"""How far the collectors are behind, read from a real server, and what the guard makes of it."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from shared.errors import NotDurable, Retryable
from shared.logs import Logger
from shared.metrics import GatewayMetrics
from streams.backlog import MAX_BLIND_S, BacklogGuard, read_backlog
from streams.connection import Connection
from streams.definitions import Definition
from streams.delivery import Puller
from streams.provision import provision
from streams.settings import StreamSettings
from streams.subjects import COLLECTOR, Names
from tests.integration.streams.conftest import SOURCE, Connect
from tests.integration.streams.waiting import until
from tests.servers import NatsServer

LIMIT = 10


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


Guarding = Callable[[Connection, Clock], BacklogGuard]


@pytest.fixture
def stream_settings(stream_settings: StreamSettings) -> StreamSettings:
    """Ten messages fill the stream."""
    return stream_settings.model_copy(update={"max_messages": LIMIT})


async def publish(connection: Connection, names: Names, messages: int, size: int = 10) -> None:
    for _ in range(messages):
        await connection.jetstream.publish(names.events(SOURCE), b"x" * size)


async def store(connection: Connection, names: Names, messages: int) -> None:
    """As a collector would: fetch and ack, and wait until the server has it."""
    puller = Puller(connection, names.stream(SOURCE))
    before = (await read_backlog(connection, names.stream(SOURCE))).messages
    taken = 0
    while taken < messages:
        for delivery in await puller.fetch(messages - taken, 5):
            await delivery.ack()
            taken += 1

    async def is_down() -> bool:
        return (await read_backlog(connection, names.stream(SOURCE))).messages == before - messages

    await until(is_down)
    await puller.close()


async def test_with_nothing_unread_there_is_no_backlog(
    connection: Connection, streams: list[Definition], names: Names
) -> None:
    backlog = await read_backlog(connection, names.stream(SOURCE))
    assert (backlog.messages, backlog.oldest_s, backlog.share) == (0, 0, 0)
    await publish(connection, names, 3)
    await store(connection, names, 3)
    backlog = await read_backlog(connection, names.stream(SOURCE))
    assert (backlog.messages, backlog.oldest_s, backlog.share) == (0, 0, 0)


async def test_messages_count_until_they_are_acknowledged_delivered_or_not(
    connection: Connection, streams: list[Definition], names: Names
) -> None:
    await publish(connection, names, 4)
    assert (await read_backlog(connection, names.stream(SOURCE))).messages == 4
    await Puller(connection, names.stream(SOURCE)).fetch(2, 5)
    assert (await read_backlog(connection, names.stream(SOURCE))).messages == 4


async def test_the_share_by_count_is_of_what_lies_behind_the_oldest_unread(
    connection: Connection, streams: list[Definition], names: Names
) -> None:
    await publish(connection, names, 4)
    assert (await read_backlog(connection, names.stream(SOURCE))).share == pytest.approx(0.4)
    await store(connection, names, 3)
    assert (await read_backlog(connection, names.stream(SOURCE))).share == pytest.approx(0.1)
    await publish(connection, names, 6)  # ten in the stream, three of them stored and evicted next
    assert (await read_backlog(connection, names.stream(SOURCE))).share == pytest.approx(0.7)


async def test_one_unread_message_at_the_front_holds_the_whole_span(
    connection: Connection, streams: list[Definition], names: Names
) -> None:
    """Eviction goes by position: what is stored behind it does not make it any safer."""
    await publish(connection, names, 8)
    puller = Puller(connection, names.stream(SOURCE))
    first, *rest = await puller.fetch(8, 5)
    for delivery in rest:
        await delivery.ack()

    async def only_one_is_left() -> bool:
        return (await read_backlog(connection, names.stream(SOURCE))).messages == 1

    await until(only_one_is_left)
    assert first.stream_seq == 1
    assert (await read_backlog(connection, names.stream(SOURCE))).share == pytest.approx(0.8)


def refused(watched: BacklogGuard, names: Names) -> None:
    """Holds the guard to refuse a message of 10 KB."""
    with (
        pytest.raises(NotDurable, match="too far behind on facebook"),
        watched.booked(names.of(SOURCE)[0], 10_000),
    ):
        raise AssertionError("it was let through")


@pytest.mark.usefixtures("streams")
class TestBytes:
    """Where bytes are the nearest limit."""

    @pytest.fixture
    def stream_settings(self, stream_settings: StreamSettings) -> StreamSettings:
        return stream_settings.model_copy(update={"max_messages": 10_000, "max_bytes": 100_000})

    async def test_the_share_is_of_the_bytes(self, connection: Connection, names: Names) -> None:
        await publish(connection, names, 5, size=10_000)
        assert (await read_backlog(connection, names.stream(SOURCE))).share == pytest.approx(0.5, abs=0.01)

    async def test_large_unread_messages_are_not_taken_for_the_small_stored_ones_before_them(
        self, connection: Connection, names: Names
    ) -> None:
        await publish(connection, names, 60, size=10)
        await store(connection, names, 60)
        await publish(connection, names, 5, size=10_000)
        assert (await read_backlog(connection, names.stream(SOURCE))).share >= 0.5

    async def test_what_is_published_after_a_reading_counts_before_the_next_one(
        self, connection: Connection, guarding: Guarding, names: Names
    ) -> None:
        watched = guarding(connection, Clock())
        await watched.look()
        for _ in range(2):
            for _ in range(8):  # 84 of 100 KB: no new request from 80 % on
                assert watched.reason is None
                with watched.booked(names.of(SOURCE)[0], 10_000):
                    pass  # and published
            assert watched.reason is not None
            refused(watched, names)  # and no more of those inside from 90 %

            for _ in range(2):
                await watched.look()  # nothing of it is in the stream

                assert watched.reason is None

    async def test_what_is_still_being_published_counts_whatever_a_reading_says(
        self, connection: Connection, guarding: Guarding, names: Names
    ) -> None:
        watched = guarding(connection, Clock())
        await watched.look()
        with ExitStack() as publishing:
            for _ in range(8):
                publishing.enter_context(watched.booked(names.of(SOURCE)[0], 10_000))
            for _ in range(2):
                await watched.look()  # nothing of it is in the stream yet
                assert watched.reason is not None
                refused(watched, names)

            began_before = asyncio.ensure_future(watched.look())
            await asyncio.sleep(0)
        await began_before  # the last ones may have arrived just after it

        assert watched.reason is not None
        refused(watched, names)
        await watched.look()
        assert watched.reason is None

    async def test_what_was_not_acknowledged_counts_until_the_next_reading(
        self, connection: Connection, guarding: Guarding, names: Names
    ) -> None:
        watched = guarding(connection, Clock())
        await watched.look()
        for _ in range(8):
            with pytest.raises(TimeoutError), watched.booked(names.of(SOURCE)[0], 10_000):
                raise TimeoutError
        refused(watched, names)
        await watched.look()
        assert watched.reason is None


@pytest.mark.usefixtures("streams")
class TestAge:
    """Where age is the nearest limit."""

    @pytest.fixture
    def stream_settings(self, stream_settings: StreamSettings) -> StreamSettings:
        return stream_settings.model_copy(update={"max_messages": 10_000, "max_age_ms": 60_000})

    async def test_the_share_and_the_age_are_of_the_oldest_unread(self, connection: Connection, names: Names) -> None:
        await publish(connection, names, 1)

        async def is_older(than_s: float) -> bool:
            return (await read_backlog(connection, names.stream(SOURCE))).oldest_s > than_s

        await until(lambda: is_older(0.3))
        backlog = await read_backlog(connection, names.stream(SOURCE))
        assert 0.3 < backlog.oldest_s < 10
        assert backlog.share == pytest.approx(backlog.oldest_s / 60)
        await publish(connection, names, 1)
        await store(connection, names, 1)
        assert (await read_backlog(connection, names.stream(SOURCE))).oldest_s < backlog.oldest_s


@pytest.mark.parametrize("missing", ["stream", "consumer"])
async def test_what_is_missing_can_not_be_read(
    connection: Connection, streams: list[Definition], names: Names, missing: str
) -> None:
    if missing == "stream":
        await connection.jetstream.delete_stream(names.stream(SOURCE))
    else:
        await connection.jetstream.delete_consumer(names.stream(SOURCE), COLLECTOR)
    with pytest.raises(Retryable, match=f"the backlog of {names.stream(SOURCE)} can't be read"):
        await read_backlog(connection, names.stream(SOURCE))


@pytest.fixture
def guarding(names: Names, log: Logger, metrics: GatewayMetrics) -> Guarding:
    """Makes a guard of this test's stream that closes at 80 % and opens below 50 %."""

    def make(connection: Connection, clock: Clock) -> BacklogGuard:
        return BacklogGuard(
            connection, names.all([SOURCE]), close_at=0.8, open_at=0.5, log=log, metrics=metrics, clock=clock
        )

    return make


@pytest.mark.usefixtures("streams")
async def test_the_guard_closes_at_high_water_and_opens_only_well_below(
    connection: Connection, guarding: Guarding, names: Names, metrics: GatewayMetrics, logged: list[dict[str, Any]]
) -> None:
    watched = guarding(connection, Clock())

    async def reason() -> str | None:
        await watched.look()
        return watched.reason

    value = metrics.registry.get_sample_value
    assert watched.reason == "the backlog has not been read yet"
    assert value("gateway_backlog_guard_closed") == 1
    assert await reason() is None
    assert value("gateway_backlog_guard_closed") == 0
    await publish(connection, names, 7)
    assert await reason() is None
    await publish(connection, names, 1)
    assert await reason() == "the collectors are too far behind on facebook"
    assert value("gateway_backlog_guard_closed") == 1
    assert (value("gateway_backlog_oldest_seconds", {"source": SOURCE}) or 0) > 0
    assert value("gateway_backlog_messages", {"source": SOURCE}) == 8
    assert value("gateway_backlog_share", {"source": SOURCE}) == pytest.approx(0.8)
    await store(connection, names, 3)
    assert await reason() is not None  # 0.5: not below
    await store(connection, names, 1)
    assert await reason() is None
    await publish(connection, names, 3)
    assert await reason() is None  # 0.7: it does not close again where it opened
    changes = [entry["closed_for"] for entry in logged if entry["event"] == "backlog_guard_changed"]
    assert changes == [[SOURCE], []]


async def test_the_guard_closes_when_it_has_been_blind_for_too_long(
    own_server: NatsServer,
    connect: Connect,
    wanted: list[Definition],
    guarding: Guarding,
    metrics: GatewayMetrics,
) -> None:
    connection = await connect(own_server.url)
    await provision(connection, wanted)
    clock = Clock()
    watched = guarding(connection, clock)

    def reason() -> str | None:
        return watched.reason

    await watched.look()
    await asyncio.to_thread(own_server.kill)
    await until(lambda: not connection.is_connected)
    await watched.look()  # never raises
    assert reason() is None
    clock.now_s += MAX_BLIND_S
    assert reason() is None
    clock.now_s += 1
    assert reason() == "the backlog could not be read for 31 s"
    await watched.look()
    assert metrics.registry.get_sample_value("gateway_backlog_guard_closed") == 1
    await asyncio.to_thread(own_server.start)
    await until(lambda: connection.is_connected)

    async def sees_again() -> bool:
        await watched.look()
        return watched.reason is None

    shown = metrics.registry.get_sample_value
    blind_since = shown("gateway_backlog_seen_timestamp_seconds") or 0
    await until(sees_again)
    assert (shown("gateway_backlog_seen_timestamp_seconds") or 0) > blind_since
