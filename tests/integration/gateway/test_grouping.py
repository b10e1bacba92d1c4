"""Single events that come at the same time share a message, and each is still its sender's own."""

import asyncio
import json

from shared.wire import ungroup
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.events import facebook, text, tiktok


async def test_concurrent_single_events_share_messages_and_keep_their_correlation_ids(start: Start) -> None:
    gateway = await start()
    events = {f"single-{at}": facebook() for at in range(60)}

    answers = await asyncio.gather(
        *(
            gateway.post(text(event), path="/webhook/events", x_correlation_id=correlation_id)
            for correlation_id, event in events.items()
        )
    )

    assert {answer.status for answer in answers} == {200}
    messages = await gateway.stored("facebook")
    assert 1 <= len(messages) < 60
    owners = {
        event["eventId"]: owner
        for message in messages
        for event, owner in zip(
            json.loads(message.body), message.headers["Floodgate-Correlation-Id"].split(" "), strict=True
        )
    }
    assert owners == {event["eventId"]: correlation_id for correlation_id, event in events.items()}


async def test_a_group_takes_no_more_events_than_a_message_may_have(start: Start) -> None:
    gateway = await start(message_events=7)

    answers = await asyncio.gather(
        *(gateway.post(text(tiktok()), path="/webhook/events") for _ in range(40)),
    )

    assert {answer.status for answer in answers} == {200}
    sizes = [len(json.loads(message.body)) for message in await gateway.stored("tiktok")]
    assert sum(sizes) == 40
    assert max(sizes) <= 7


async def test_correlation_ids_of_a_group_fit_the_headers_of_its_message(start: Start) -> None:
    gateway = await start()
    longest = [f"{at:03}".ljust(128, "x") for at in range(100)]

    answers = await asyncio.gather(
        *(gateway.post(text(facebook()), path="/webhook/events", x_correlation_id=one) for one in longest),
    )

    assert {answer.status for answer in answers} == {200}
    messages = await gateway.stored("facebook")
    owners = [owner for message in messages for owner in message.headers["Floodgate-Correlation-Id"].split(" ")]
    assert sorted(owners) == longest
    assert max(len(message.headers["Floodgate-Correlation-Id"]) for message in messages) < 4_200


async def test_an_invalid_single_event_takes_nobody_with_it(start: Start) -> None:
    gateway = await start()
    broken = facebook()
    del broken["data"]

    good, bad, other = await asyncio.gather(
        gateway.post(text(facebook()), path="/webhook/events"),
        gateway.post(text(broken), path="/webhook/events"),
        gateway.post(text(facebook()), path="/webhook/events"),
    )

    assert (good.status, bad.status, other.status) == (200, 422, 200)
    assert len(await gateway.stored_ids("facebook")) == 2


async def test_each_event_of_a_group_keeps_its_trace(start: Start) -> None:
    gateway = await start()
    traces = {f"id-{at}": f"00-{at + 1:032x}-{at + 1:016x}-01" for at in range(8)}

    await asyncio.gather(
        *(
            gateway.post(text(facebook()), path="/webhook/events", x_correlation_id=name, traceparent=trace)
            for name, trace in traces.items()
        ),
        gateway.post(text(facebook()), path="/webhook/events", x_correlation_id="without"),
    )

    found: dict[str, str | None] = {}
    for message in await gateway.stored("facebook"):
        for part in ungroup(message.headers) or [dict(message.headers)]:
            found[part["Floodgate-Correlation-Id"]] = part.get("traceparent")
    assert found == {**traces, "without": None}
