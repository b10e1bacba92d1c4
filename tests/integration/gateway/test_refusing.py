"""When the gateway can't make events durable, or has no room: 503, said precisely, and nothing lost."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable

import aiohttp
import nats
import pytest
from nats.js.api import DiscardPolicy

from tests.integration.gateway.conftest import WAIT_S, Answer, Running, Start, eventually, pause
from tests.integration.gateway.events import array, facebook, tiktok
from tests.servers import NatsServer


def _assert_refused(answer: Answer, word: str) -> None:
    assert answer.status == 503
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert int(answer.headers["Retry-After"]) >= 1
    assert word in answer.json["detail"]
    assert answer.json["correlationId"] == answer.correlation_id


class Held:
    """A request whose body stops halfway until it is let go."""

    def __init__(self, gateway: Running, body: bytes) -> None:
        self._body = body
        self._let_go = asyncio.Event()
        self._answer = asyncio.ensure_future(gateway.post(self._pieces()))

    async def _pieces(self) -> AsyncIterator[bytes]:
        yield self._body[: len(self._body) // 2]
        await self._let_go.wait()
        yield self._body[len(self._body) // 2 :]

    async def answer(self) -> Answer:
        """Send the rest, and wait for the answer."""
        self._let_go.set()
        return await asyncio.wait_for(self._answer, WAIT_S)

    async def failure(self) -> BaseException | None:
        """How it ended without one."""
        await asyncio.wait({self._answer}, timeout=WAIT_S)
        return self._answer.exception()


async def _held(gateway: Running, body: bytes) -> Held:
    requests, held_bytes = gateway.in_flight()
    held = Held(gateway, body)
    await eventually(lambda: gateway.in_flight() == (requests + 1, held_bytes + len(body) // 2))
    return held


async def test_without_nats_it_is_live_not_ready_and_refuses_until_nats_is_there(
    nats_servers: Callable[[], NatsServer], start: Start
) -> None:
    server = nats_servers()
    await asyncio.to_thread(server.stop)
    gateway = await start(url=server.url, ready=False, keep=True)

    assert (await gateway.get("/health/live")).status == 200
    ready = await gateway.get("/health/ready")
    assert (ready.status, ready.json["status"]) == (503, "not_ready")
    assert (ready.json["checks"]["nats"]["ok"], ready.json["checks"]["streams"]["ok"]) == (False, False)
    _assert_refused(await gateway.post(array(facebook())), "no connection to JetStream")

    await asyncio.to_thread(server.start)

    assert (await gateway.ready()).json["checks"]["nats"]["ok"] is True
    assert (await gateway.post(array(facebook()))).status == 200


async def test_nats_killed_within_a_bulk_loses_nothing_that_was_acknowledged(
    nats_servers: Callable[[], NatsServer], start: Start
) -> None:
    server = nats_servers()
    gateway = await start(
        url=server.url,
        keep=True,
        message_events=1,
        batch_events=10,
        timeout_ms=500,
        attempts=2,
        max_reported_errors=5_000,
    )
    events = [facebook() for _ in range(1_500)]
    ids = [event["eventId"] for event in events]
    metric = ("gateway_bulk_events_processed_total", {"source": "facebook"})
    sending = asyncio.ensure_future(gateway.post(array(*events)))
    await eventually(lambda: (gateway.gateway._metrics.registry.get_sample_value(*metric) or 0) > 50)
    await asyncio.to_thread(server.kill)

    answer = await sending

    account = answer.json
    assert (answer.status, account["success"]) == (503, False)
    assert int(answer.headers["Retry-After"]) >= 1
    assert account["processed"] > 50
    assert account["failed"] > 0
    assert account["processed"] + account["failed"] == len(events)
    failed = [detail["index"] for detail in account["errorDetails"]]
    assert len(failed) == account["failed"]
    assert failed == sorted(failed)
    assert all(detail["retryable"] and detail["code"].startswith("not_durable_") for detail in account["errorDetails"])
    acknowledged = Counter(ids) - Counter(ids[index] for index in failed)
    assert (await gateway.get("/health/live")).status == 200
    assert (await gateway.get("/health/ready")).status == 503

    await asyncio.to_thread(server.start)
    await gateway.ready()
    assert not acknowledged - Counter(await gateway.stored_ids("facebook"))

    again = await gateway.post(array(*events))
    assert (again.status, again.json["processed"]) == (200, len(events))
    assert not Counter(ids) + acknowledged - Counter(await gateway.stored_ids("facebook"))


async def test_a_broker_that_does_not_answer_is_503_with_what_can_be_sent_again(
    nats_servers: Callable[[], NatsServer], start: Start
) -> None:
    server = nats_servers()
    gateway = await start(url=server.url, keep=True, timeout_ms=200, attempts=1)
    event = facebook()
    await pause(server)

    answer = await gateway.post(array(event, {"eventId": "bad"}))

    server.resume()
    account = answer.json
    assert (answer.status, account["processed"], account["failed"]) == (503, 0, 2)
    assert [(detail["code"], detail["retryable"]) for detail in account["errorDetails"]] == [
        ("not_durable_timeout", True),
        ("missing", False),
    ]
    assert (await gateway.post(array(event))).status == 200
    assert set(await gateway.stored_ids("facebook")) == {event["eventId"]}


async def test_a_full_stream_is_503_and_events_are_taken_again_once_there_is_room(start: Start) -> None:
    gateway = await start(message_events=1, backlog_interval_ms=60_000, attempts=2)
    client = await nats.connect(gateway.nats_url)
    stream = gateway.names.stream("facebook")
    config = (await client.jetstream().stream_info(stream)).config
    await client.jetstream().update_stream(config.evolve(max_msgs=3, discard=DiscardPolicy.NEW))
    events = [facebook() for _ in range(5)]

    answer = await gateway.post(array(*events, tiktok()))

    account = answer.json
    assert (answer.status, account["success"], account["processed"], account["failed"]) == (503, False, 4, 2)
    assert {detail["code"] for detail in account["errorDetails"]} == {"not_durable_stream_full"}
    assert all("send it again" in detail["message"] for detail in account["errorDetails"])
    failed = {events[detail["index"]]["eventId"] for detail in account["errorDetails"]}
    stored = set(await gateway.stored_ids("facebook"))
    assert stored == {event["eventId"] for event in events} - failed

    await client.jetstream().update_stream(config)
    await client.close()
    assert (await gateway.post(array(*events))).status == 200


async def test_the_backlog_guard_closes_before_an_unread_message_is_evicted_and_opens_again(start: Start) -> None:
    gateway = await start(
        message_events=1, max_messages=10, backlog_close_at=0.5, backlog_open_at=0.3, backlog_interval_ms=20
    )
    taken = [facebook() for _ in range(5)]
    assert (await gateway.post(array(*taken))).status == 200

    ready = await gateway.answer_of("/health/ready", lambda answer: answer.status == 503)
    assert "facebook" in ready.json["checks"]["backlog"]["detail"]
    _assert_refused(await gateway.post(array(facebook())), "collectors are too far behind")
    assert await gateway.stored_ids("facebook") == [event["eventId"] for event in taken]

    client = await nats.connect(gateway.nats_url)
    pull = await client.jetstream().pull_subscribe_bind("collector", gateway.names.stream("facebook"))
    for message in await pull.fetch(5):
        await message.ack_sync()
    await client.close()

    await gateway.ready()
    assert (await gateway.post(array(facebook()))).status == 200


async def test_more_requests_than_may_be_worked_on_are_refused_and_those_inside_finish(start: Start) -> None:
    gateway = await start(max_requests_in_flight=2)
    held = [await _held(gateway, array(facebook())) for _ in range(2)]

    _assert_refused(await gateway.post(array(tiktok())), "2 requests are being worked on")

    assert [(await request.answer()).status for request in held] == [200, 200]
    await eventually(lambda: gateway.in_flight() == (0, 0))
    assert (await gateway.post(array(tiktok()))).status == 200


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "as_they_come"])
async def test_more_bytes_than_may_be_held_are_refused_and_given_back(start: Start, announced: bool) -> None:
    gateway = await start(max_body_bytes=100_000, max_bytes_in_flight=100_000)
    held = await _held(gateway, array(facebook(extra="x" * 60_000)))
    body = array(facebook(extra="x" * 90_000))

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    _assert_refused(await gateway.post(body if announced else pieces()), "all the memory")

    assert (await held.answer()).status == 200
    await eventually(lambda: gateway.in_flight() == (0, 0))
    assert (await gateway.post(body)).status == 200


async def test_draining_refuses_what_is_new_and_finishes_what_is_in_flight(start: Start) -> None:
    gateway = await start()
    events = [facebook() for _ in range(150)]
    held = await _held(gateway, array(*events))

    gateway.shutdown.request()

    ready = await gateway.get("/health/ready")
    assert (ready.status, ready.json["checks"]["serving"]) == (503, {"ok": False, "detail": "draining"})
    assert (await gateway.get("/health/live")).status == 200
    _assert_refused(await gateway.post(array(tiktok())), "stopping")
    assert not gateway.task.done()

    answer = await held.answer()
    await asyncio.wait_for(gateway.task, WAIT_S)
    assert (answer.status, answer.json["processed"]) == (200, 150)
    assert await gateway.stored_ids("facebook") == [event["eventId"] for event in events]
    assert await gateway.stored_ids("tiktok") == []
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))


@pytest.mark.parametrize("asked", [1, 2], ids=["after_the_grace_period", "when_asked_twice"])
async def test_a_request_that_does_not_end_does_not_keep_it_from_stopping(start: Start, asked: int) -> None:
    gateway = await start(shutdown_grace_ms=200 if asked == 1 else 60_000)
    held = await _held(gateway, array(facebook()))

    for _ in range(asked):
        gateway.shutdown.request()

    await asyncio.wait_for(gateway.task, WAIT_S)
    assert isinstance(await held.failure(), aiohttp.ClientConnectionError)
    [line] = [entry for entry in gateway.log.entries if entry["event"] == "gateway_drained"]
    assert line["requests_cut"] == 1
    assert await gateway.stored_ids("facebook") == []


@pytest.mark.parametrize("events", [1, 2])
async def test_a_bug_while_sending_is_500_and_never_a_2xx(
    gateway: Running, monkeypatch: pytest.MonkeyPatch, events: int
) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("of the inside")

    monkeypatch.setattr("streams.publisher.Publisher.publish", broken)
    answer = await gateway.post(array(*[facebook() for _ in range(events)]))
    assert answer.status == 500
    assert "of the inside" not in json.dumps(answer.json)
    [line] = [entry for entry in gateway.log.entries if entry["event"] == "request_failed"]
    assert (line["route"], line["correlation_id"]) == ("/webhook/events/bulk", answer.correlation_id)
    monkeypatch.undo()
    assert (await gateway.post(array(facebook()))).status == 200
