"""Publishing to a real server: durable or a typed error, in time, once, and never after the caller gave up."""

import asyncio
import time
import uuid
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StreamConfig

from deploy.local.nats import MAX_FILE_STORE_BYTES
from shared.errors import GivenUp, NotDurable
from shared.metrics import GatewayMetrics
from shared.outcomes import PublishFailure
from shared.wire import MESSAGE_ID
from streams.connection import Connection
from streams.definitions import Definition
from streams.provision import provision
from streams.publisher import HEADERS_ROOM_BYTES, MAX_UNSENT_BYTES, Publisher
from streams.settings import PublishSettings
from streams.subjects import Names
from tests.integration.streams.conftest import SOURCE, Connect, configured
from tests.integration.streams.waiting import until
from tests.servers import NatsServer

KIB = 1024
LAST = "lame_duck_duration"
"""The last part of the configuration, to put something before."""
SMALL_ACCOUNT = "accounts: {A: {jetstream: {max_file: 200000}, users: [{user: a, password: b}]}}\n"


def quick(connection: Connection, metrics: GatewayMetrics | None = None, **settings: int) -> Publisher:
    """A publisher that tries once and does not wait long."""
    return Publisher(
        connection, PublishSettings.load(**{"attempts": 1, "timeout_ms": 2_000, **settings}), metrics=metrics
    )


def new_id() -> dict[str, str]:
    return {MESSAGE_ID: uuid.uuid4().hex}


async def count(connection: Connection, stream: str) -> int:
    return (await connection.jetstream.stream_info(stream)).state.messages


async def failure(publisher: Publisher, subject: str, body: bytes = b"[]") -> PublishFailure:
    with pytest.raises(NotDurable) as caught:
        await publisher.publish(subject, body, new_id())
    return caught.value.failure


async def test_what_is_published_is_in_the_stream_as_it_was(
    connection: Connection, streams: list[Definition], names: Names
) -> None:
    headers = {MESSAGE_ID: "m-1", "Floodgate-Correlation-Id": "c-1"}
    published = await quick(connection).publish(names.events(SOURCE), b'[{"a": 1.50}]', headers)
    assert (published.stream, published.sequence, published.duplicate) == (names.stream(SOURCE), 1, False)
    message = await connection.jetstream.get_msg(names.stream(SOURCE), seq=1)
    assert message.data == b'[{"a": 1.50}]'
    assert message.headers == headers


async def test_the_same_id_is_stored_once_and_the_second_time_is_told(
    connection: Connection, streams: list[Definition], names: Names
) -> None:
    publisher, headers = quick(connection), new_id()
    first = await publisher.publish(names.events(SOURCE), b"[1]", headers)
    second = await publisher.publish(names.events(SOURCE), b"[1]", headers)
    assert (first.duplicate, second.duplicate) == (False, True)
    assert second.sequence == first.sequence
    assert await count(connection, names.stream(SOURCE)) == 1


async def test_the_callers_headers_are_left_alone(
    connection: Connection, streams: list[Definition], names: Names
) -> None:
    headers = new_id()
    before = dict(headers)
    await quick(connection).publish(names.events(SOURCE), b"[]", headers)
    assert headers == before


async def test_a_subject_that_no_stream_takes_is_told_as_such(connection: Connection, names: Names) -> None:
    assert await failure(quick(connection), names.events(SOURCE)) is PublishFailure.NO_STREAM


async def test_a_refusal_for_another_reason_is_a_brokers_error(
    connection: Connection, streams: list[Definition], names: Names
) -> None:
    with pytest.raises(NotDurable, match="expected stream does not match") as caught:
        await quick(connection).publish(names.events(SOURCE), b"[]", {**new_id(), "Nats-Expected-Stream": "OTHER"})
    assert caught.value.failure is PublishFailure.BROKER_ERROR


@pytest.mark.parametrize("limits", [{"max_msgs": 1}, {"max_bytes": 300}])
async def test_a_full_stream_that_keeps_the_old_is_told_as_full(
    connection: Connection, names: Names, no_streams_left: None, limits: dict[str, int]
) -> None:
    name, subject = f"{names.prefix}FULL", f"{names.prefix}full"
    await connection.jetstream.add_stream(
        StreamConfig(name=name, subjects=[subject], discard=DiscardPolicy.NEW, **limits)  # type: ignore[arg-type]  # whole numbers, both
    )
    publisher = quick(connection)
    await publisher.publish(subject, b"x" * 100, new_id())
    assert await failure(publisher, subject, b"x" * 100) is PublishFailure.STREAM_FULL
    assert await count(connection, name) == 1


@pytest.mark.parametrize(
    ("old", "new", "user"),
    [
        (f"max_file_store: {MAX_FILE_STORE_BYTES}", "max_file_store: 200000", ""),
        (LAST, SMALL_ACCOUNT + LAST, "a:b@"),
    ],
    ids=["the server", "the account"],
)  # fmt: skip
async def test_no_room_beyond_the_stream_is_told_as_full_too(
    tmp_path: Path, connect: Connect, old: str, new: str, user: str
) -> None:
    with configured(tmp_path, old, new) as server:
        connection = await connect(server.url.replace("//", f"//{user}"))
        await connection.jetstream.add_stream(StreamConfig(name="ALL", subjects=["all"]))
        publisher = quick(connection)
        outcomes = await asyncio.gather(
            *(publisher.publish("all", b"x" * 8 * KIB, new_id()) for _ in range(100)), return_exceptions=True
        )
        assert {error.failure for error in outcomes if isinstance(error, NotDurable)} == {PublishFailure.STREAM_FULL}


async def test_a_server_that_does_not_answer_costs_the_deadline_and_no_more(
    own_server: NatsServer, connect: Connect, wanted: list[Definition], names: Names
) -> None:
    """Also where the socket is full, so that sending itself hangs: 32 MB go into no buffer."""
    connection = await connect(own_server.url)
    await provision(connection, wanted)
    publisher = quick(connection, timeout_ms=400)
    own_server.pause()
    try:
        started = time.monotonic()
        body = b"x" * 900 * KIB
        publishing = (publisher.publish(names.events(SOURCE), body, new_id()) for _ in range(36))
        failed = await asyncio.wait_for(asyncio.gather(*publishing, return_exceptions=True), 20)
        took_s = time.monotonic() - started
    finally:
        own_server.resume()
    assert {type(error) for error in failed} == {NotDurable}
    assert {error.failure for error in failed if isinstance(error, NotDurable)} == {PublishFailure.TIMEOUT}
    assert took_s < 3


async def test_what_waits_for_a_server_that_does_not_read_is_bounded_and_no_attempt_outlasts_its_deadline(
    own_server: NatsServer, connect: Connect, wanted: list[Definition], names: Names
) -> None:
    connection = await connect(own_server.url)
    await provision(connection, wanted)
    publisher = quick(connection, attempts=3, timeout_ms=500, retry_wait_ms=1)
    body = b"x" * 900 * KIB
    own_server.pause()
    try:
        started = time.monotonic()
        publishing = (publisher.publish(names.events(SOURCE), body, new_id()) for _ in range(50))
        failed = await asyncio.gather(*publishing, return_exceptions=True)
        took_s = time.monotonic() - started
    finally:
        own_server.resume()
    assert {error.failure for error in failed if isinstance(error, NotDurable)} == {PublishFailure.TIMEOUT}
    assert len(body) < connection.unsent_bytes <= MAX_UNSENT_BYTES + 2 * len(body)
    assert took_s < 1.5 * 3 * 0.5


async def test_a_socket_that_is_closed_meanwhile_is_not_connected_and_no_bug(
    connection: Connection, streams: list[Definition], names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def closed(self: Client, force_flush: bool = False) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    with monkeypatch.context() as patch:
        patch.setattr(Client, "_flush_pending", closed)  # as uvloop says it, which nats-py takes for nothing
        assert await failure(quick(connection), names.events(SOURCE)) is PublishFailure.NOT_CONNECTED


async def test_each_attempt_has_its_deadline_and_the_attempts_are_counted(
    own_server: NatsServer, connect: Connect, metrics: GatewayMetrics, wanted: list[Definition], names: Names
) -> None:
    connection = await connect(own_server.url)
    await provision(connection, wanted)
    publisher = quick(connection, metrics, attempts=3, timeout_ms=100, retry_wait_ms=1)
    own_server.pause()
    try:
        assert await failure(publisher, names.events(SOURCE)) is PublishFailure.TIMEOUT
    finally:
        own_server.resume()
    value = metrics.registry.get_sample_value
    assert value("gateway_publish_retries_total") == 2
    assert value("gateway_publish_failures_total", {"reason": "timeout"}) == 1
    assert value("gateway_publish_duration_seconds_count") == 1
    await until(lambda: stored(connection, names, 1))  # three attempts, one id: it arrived after all, once


async def stored(connection: Connection, names: Names, messages: int) -> bool:
    return await count(connection, names.stream(SOURCE)) == messages


async def test_a_retry_succeeds_where_the_next_attempt_can(
    connection: Connection, metrics: GatewayMetrics, wanted: list[Definition], names: Names, no_streams_left: None
) -> None:
    publisher = quick(connection, metrics, attempts=10, retry_wait_ms=20)
    publishing = asyncio.ensure_future(publisher.publish(names.events(SOURCE), b"[]", new_id()))
    await until(lambda: bool(metrics.registry.get_sample_value("gateway_publish_retries_total")))
    await provision(connection, wanted)
    assert (await publishing).sequence == 1


async def test_nothing_is_sent_while_disconnected_not_even_later(
    own_server: NatsServer, connect: Connect, wanted: list[Definition], names: Names
) -> None:
    connection = await connect(own_server.url)
    await provision(connection, wanted)
    publisher = quick(connection)
    await publisher.publish(names.events(SOURCE), b"[0]", new_id())
    await asyncio.to_thread(own_server.kill)
    await until(lambda: not connection.is_connected)
    for _ in range(20):
        assert await failure(publisher, names.events(SOURCE), b"[1]") is PublishFailure.NOT_CONNECTED
    await asyncio.to_thread(own_server.start)
    await until(lambda: connection.is_connected)
    sentinel = await publisher.publish(names.events(SOURCE), b"[2]", new_id())
    assert sentinel.sequence == 2  # the twenty would have been in the buffer before it
    assert await count(connection, names.stream(SOURCE)) == 2


async def test_what_is_too_long_is_refused_here_and_costs_nobody_the_connection(
    connection: Connection, streams: list[Definition], names: Names
) -> None:
    publisher = quick(connection)
    longest = b"x" * publisher.max_body_bytes
    with pytest.raises(ValueError, match="a message of 1040385 bytes; the server takes 1040384"):
        await publisher.publish(names.events(SOURCE), longest + b"x", new_id())
    with pytest.raises(ValueError, match=r"headers of \d+ bytes; there is room for 8192"):
        await publisher.publish(names.events(SOURCE), b"[]", {**new_id(), "Floodgate-Error": "x" * HEADERS_ROOM_BYTES})
    fixed = len("NATS/1.0\r\n\r\n") + len(f"{MESSAGE_ID}: {'m' * 32}\r\n") + len("H: \r\n")
    fullest = {**new_id(), "H": "h" * (HEADERS_ROOM_BYTES - fixed)}
    assert (await publisher.publish(names.events(SOURCE), longest, fullest)).sequence == 1
    assert connection.is_connected
    assert not connection.closed.is_set()


async def test_thousands_of_failures_leave_room_for_a_good_one(
    connection: Connection, wanted: list[Definition], names: Names, no_streams_left: None
) -> None:
    publisher = quick(connection, max_in_flight=4)
    subject = names.events(SOURCE)
    publishing = (publisher.publish(subject, b"[]", new_id()) for _ in range(2_000))
    failed = await asyncio.wait_for(asyncio.gather(*publishing, return_exceptions=True), 30)
    assert {type(error) for error in failed} == {NotDurable}
    given_up = [asyncio.ensure_future(publisher.publish(subject, b"[]", new_id())) for _ in range(100)]
    await asyncio.sleep(0)
    for task in given_up:
        task.cancel()
    await asyncio.gather(*given_up, return_exceptions=True)
    for _ in range(10):
        with pytest.raises(ValueError, match="bytes"):
            await publisher.publish(subject, b"x" * 2**21, new_id())
    await provision(connection, wanted)
    good = await asyncio.wait_for(
        asyncio.gather(*(publisher.publish(subject, b"[]", new_id()) for _ in range(8))), timeout=10
    )
    assert sorted(one.sequence for one in good) == list(range(1, 9))
    assert connection.client._resp_map == {}  # and no future is left waiting for an answer


async def test_no_more_is_in_flight_than_allowed(
    own_server: NatsServer, connect: Connect, wanted: list[Definition], names: Names
) -> None:
    connection = await connect(own_server.url)
    await provision(connection, wanted)
    publisher = quick(connection, max_in_flight=3, timeout_ms=20_000)
    own_server.pause()
    try:
        publishing = [asyncio.ensure_future(publisher.publish(names.events(SOURCE), b"[]", new_id())) for _ in range(9)]
        await until(lambda: len(connection.client._resp_map) == 3)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(connection.client._resp_map) == 3
    finally:
        own_server.resume()
    assert sorted(one.sequence for one in await asyncio.gather(*publishing)) == list(range(1, 10))


async def test_what_was_given_up_while_it_waited_for_room_is_not_sent(
    own_server: NatsServer, connect: Connect, wanted: list[Definition], names: Names
) -> None:
    connection = await connect(own_server.url)
    await provision(connection, wanted)
    publisher = quick(connection, max_in_flight=1, timeout_ms=20_000)
    reasons: list[PublishFailure] = []

    def given_up() -> PublishFailure | None:
        return reasons[-1] if reasons else None

    subject = names.events(SOURCE)
    own_server.pause()
    try:
        first, second = (
            asyncio.ensure_future(publisher.publish(subject, body, new_id(), given_up=given_up))
            for body in (b"[0]", b"[1]")
        )
        await until(lambda: len(connection.client._resp_map) == 1)
        reasons.append(PublishFailure.NO_STREAM)
    finally:
        own_server.resume()
    assert (await first).sequence == 1  # it was on its way
    with pytest.raises(GivenUp) as caught:
        await second
    assert caught.value.failure is PublishFailure.NO_STREAM
    assert (await publisher.publish(subject, b"[2]", new_id())).sequence == 2


async def test_what_is_given_up_is_not_tried_again(
    connection: Connection, metrics: GatewayMetrics, names: Names
) -> None:
    publisher = quick(connection, metrics, attempts=10, retry_wait_ms=1)
    answers = iter([None, None, PublishFailure.TIMEOUT])
    with pytest.raises(NotDurable) as caught:
        await publisher.publish(names.events(SOURCE), b"[]", new_id(), given_up=lambda: next(answers))
    assert not isinstance(caught.value, GivenUp)  # it was sent, twice
    assert caught.value.failure is PublishFailure.NO_STREAM
    assert metrics.registry.get_sample_value("gateway_publish_retries_total") == 1


async def test_the_same_publisher_works_on_after_a_restart_of_the_server(
    own_server: NatsServer, connect: Connect, wanted: list[Definition], names: Names, metrics: GatewayMetrics
) -> None:
    connection = await connect(own_server.url)
    await provision(connection, wanted)
    publisher = quick(connection, attempts=10, retry_wait_ms=50)
    headers = new_id()
    await publisher.publish(names.events(SOURCE), b"[0]", headers)
    await asyncio.to_thread(own_server.kill)
    await asyncio.to_thread(own_server.start)
    await until(lambda: metrics.registry.get_sample_value("nats_reconnects_total") == 1)
    again = await publisher.publish(names.events(SOURCE), b"[0]", headers)
    assert (again.sequence, again.duplicate) == (1, True)  # durable over the kill, and its id too
    assert (await publisher.publish(names.events(SOURCE), b"[1]", new_id())).sequence == 2
