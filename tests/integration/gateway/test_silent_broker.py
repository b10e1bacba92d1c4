"""A broker that is there and does not answer: a request has its time, and nothing is tried that nobody waits for."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

from gateway.grouping import GroupCommit
from gateway.intake import now
from shared.errors import NotDurable
from shared.metrics import GatewayMetrics
from shared.outcomes import PublishFailure
from streams.publisher import Publisher
from streams.settings import PublishSettings
from tests.integration.gateway.conftest import Running, Start, eventually, pause
from tests.integration.gateway.events import array, facebook, text
from tests.servers import NatsServer

ONE = "/webhook/events"
SOON_S = 0.05

Servers = Callable[[], NatsServer]


class Grouping:
    """The group commit of a running gateway, tried once, with metrics of its own; `max_events` in a group."""

    def __init__(self, gateway: Running, max_events: int, timeout_ms: int) -> None:
        self.metrics = GatewayMetrics()
        connection, guard = gateway.gateway._connection, gateway.gateway._guard
        self._partition = gateway.names.of("facebook")[0]
        publisher = Publisher(connection, PublishSettings(attempts=1, timeout_ms=timeout_ms), metrics=self.metrics)
        self._commit = GroupCommit(publisher, guard, max_events=max_events)

    async def take(self, event_id: str, give_up_at: float = math.inf) -> PublishFailure | None:
        """Why it is not durable; None where it is."""
        event = text(facebook(eventId=event_id))
        try:
            await self._commit.take(self._partition, event, event_id, now(), give_up_at=give_up_at)
        except NotDurable as error:
            return error.failure
        return None


async def silenced(
    nats_servers: Servers, start: Start, *, max_events: int, timeout_ms: int
) -> tuple[NatsServer, Running, Grouping]:
    """A broker that has just stopped to answer, and what publishes to it."""
    server = nats_servers()
    gateway = await start(url=server.url, keep=True)
    grouping = Grouping(gateway, max_events, timeout_ms=timeout_ms)
    await pause(server)
    return server, gateway, grouping


def tried_in_vain(metrics: GatewayMetrics) -> float | None:
    """Messages that timed out."""
    return metrics.registry.get_sample_value("gateway_publish_failures_total", {"reason": "timeout"})


async def outcomes(taking: Sequence[Awaitable[PublishFailure | None]]) -> list[PublishFailure | None]:
    return await asyncio.wait_for(asyncio.gather(*taking), 15)


async def test_the_groups_behind_one_that_failed_fail_with_it_and_later_ones_are_tried(
    nats_servers: Servers, start: Start
) -> None:
    server, gateway, grouping = await silenced(nats_servers, start, max_events=1, timeout_ms=300)
    for failed in (1, 2):
        assert set(await outcomes([grouping.take(f"{failed}-{at}") for at in range(20)])) == {PublishFailure.TIMEOUT}
        assert tried_in_vain(grouping.metrics) == failed
    server.resume()
    assert await outcomes([grouping.take(f"good-{at}") for at in range(3)]) == [None] * 3
    stored = await gateway.stored_ids("facebook")
    assert set(stored) - {"1-0", "2-0"} == {"good-0", "good-1", "good-2"}  # what was tried may have arrived
    assert len(stored) == len(set(stored))


async def test_a_request_whose_turn_does_not_come_in_time_gives_up_and_takes_no_neighbour_with_it(
    nats_servers: Servers, start: Start
) -> None:
    server, gateway, grouping = await silenced(nats_servers, start, max_events=100, timeout_ms=20_000)
    first = asyncio.ensure_future(grouping.take("first", perf_counter() + SOON_S))
    await eventually(lambda: len(gateway.gateway._connection.client._resp_map) > 0)
    patient = asyncio.ensure_future(grouping.take("patient"))

    assert await outcomes([grouping.take("hasty", perf_counter() + SOON_S)]) == [PublishFailure.TIMEOUT]

    assert not first.done()  # it is on its way, and what becomes of it will be known
    assert not patient.done()
    server.resume()
    assert await outcomes([first, patient]) == [None, None]


async def test_a_group_that_nobody_waits_for_any_more_is_not_sent_and_those_behind_it_are(
    nats_servers: Servers, start: Start
) -> None:
    server, gateway, grouping = await silenced(nats_servers, start, max_events=1, timeout_ms=20_000)
    first = asyncio.ensure_future(grouping.take("first"))
    hasty = asyncio.ensure_future(grouping.take("hasty", perf_counter() + SOON_S))
    await asyncio.sleep(0)
    patient = asyncio.ensure_future(grouping.take("patient"))
    assert await hasty is PublishFailure.TIMEOUT
    server.resume()
    assert await outcomes([first, patient]) == [None, None]
    assert await gateway.stored_ids("facebook") == ["first", "patient"]


async def test_single_events_are_answered_within_the_time_for_a_request(nats_servers: Servers, start: Start) -> None:
    server = nats_servers()
    gateway = await start(
        url=server.url, keep=True, message_events=1, timeout_ms=5_000, attempts=1, request_timeout_ms=300
    )
    await pause(server)
    first = asyncio.ensure_future(gateway.post(text(facebook()), path=ONE))
    await eventually(lambda: gateway.in_flight()[0] == 1)
    second = await gateway.post(text(facebook()), path=ONE)
    assert not first.done()
    server.resume()
    assert (second.status, second.headers["Retry-After"]) == (503, "1")
    assert [(detail["code"], detail["retryable"]) for detail in second.json["errorDetails"]] == [
        ("not_durable_timeout", True)
    ]
    assert (await first).status == 200


async def test_messages_of_a_bulk_that_wait_for_room_are_not_tried_after_one_that_failed(
    nats_servers: Servers, start: Start
) -> None:
    server = nats_servers()
    gateway = await start(url=server.url, keep=True, message_events=1, timeout_ms=300, attempts=1, max_in_flight=1)
    events = [facebook() for _ in range(20)]
    await pause(server)
    answer = await gateway.post(array(*events))
    server.resume()
    assert (answer.status, answer.json["failed"]) == (503, 20)
    assert {detail["code"] for detail in answer.json["errorDetails"]} == {"not_durable_timeout"}
    assert tried_in_vain(gateway.gateway._metrics) == 2  # the first message, and the request's record
    unconfirmed: list[str] = []

    async def is_recorded() -> bool:
        for record in await gateway.gateway._reader._receipts.read(answer.correlation_id):
            unconfirmed.extend(record.unconfirmed)
        return bool(unconfirmed)

    await eventually(is_recorded)
    assert len(unconfirmed) == 1  # what was not sent can't turn up
    assert (await gateway.post(array(*events))).status == 200
    assert set(await gateway.stored_ids("facebook")) == {event["eventId"] for event in events}


async def test_nothing_of_a_bulk_is_tried_or_tried_again_after_the_time_for_a_request(
    nats_servers: Servers, start: Start
) -> None:
    server = nats_servers()
    gateway = await start(
        url=server.url,
        keep=True,
        message_events=1,
        timeout_ms=1_500,
        attempts=10,
        max_in_flight=1,
        request_timeout_ms=1_000,
    )
    await pause(server)
    answer = await gateway.post(array(*(facebook() for _ in range(20))))
    server.resume()
    assert (answer.status, answer.json["failed"]) == (503, 20)
    assert tried_in_vain(gateway.gateway._metrics) == 1
    assert gateway.gateway._metrics.registry.get_sample_value("gateway_publish_retries_total") == 0
