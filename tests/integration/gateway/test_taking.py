"""What is taken, and how it stands in the stream."""

import asyncio
import contextlib
import socket
import struct
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.gateway.conftest import Running, Start, eventually
from tests.integration.gateway.events import array, facebook, text, tiktok

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_messages_hold_the_events_byte_by_byte_in_order_up_to_the_batch_size(start: Start) -> None:
    gateway = await start(message_events=7)
    odd = text(facebook())[:-1] + b' ,\t"added" : [1.50, 1e2, "\\u00e9\\/"], "eventId2":null }'
    mine = [text(facebook()) for _ in range(16)] + [odd]
    theirs = [text(tiktok()) for _ in range(3)]
    mixed = [event for pair in zip(mine, theirs, strict=False) for event in pair] + mine[3:]

    answer = await gateway.post(b" [ " + b" ,\n".join(mixed) + b" ]\n")

    assert (answer.status, answer.json["processed"]) == (200, 20)
    stored = await gateway.stored("facebook")
    assert [message.body for message in stored] == [array(*mine[:7]), array(*mine[7:14]), array(*mine[14:])]
    assert [message.body for message in await gateway.stored("tiktok")] == [array(*theirs)]


@pytest.mark.parametrize("form", ["object", "array", "ndjson", "ndjson_crlf"])
@pytest.mark.parametrize("path", ["/webhook/events", "/webhook/events/bulk"])
async def test_every_form_of_a_body_gives_the_same_message(gateway: Running, form: str, path: str) -> None:
    events = [text(facebook()), text(facebook())]
    media = "application/json"
    if form == "object" and path == "/webhook/events":
        body, events = events[0], events[:1]
    elif form == "object":
        body = b'{"before": [1], "events": ' + array(*events) + b', "after": {}}'
    elif form == "array":
        body = array(*events)
    else:
        body, media = (b"\r\n" if form == "ndjson_crlf" else b"\n").join(events), "application/x-ndjson"

    answer = await gateway.post(body, path=path, Content_Type=media)

    assert (answer.status, answer.json["processed"]) == (200, len(events))
    [message] = await gateway.stored("facebook")
    assert message.body.replace(b"\r", b"") == array(*events)


async def test_the_headers_say_where_a_message_comes_from(gateway: Running) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    answer = await gateway.post(array(facebook(), facebook()), x_correlation_id="file-17:b", traceparent=TRACEPARENT)

    [message] = await gateway.stored("facebook")
    headers = dict(message.headers)
    request_id, source, ordinal = headers.pop("Nats-Msg-Id").split("-")
    assert (len(request_id), source, ordinal) == (32, "facebook", "0")
    received_at = datetime.fromisoformat(headers.pop("Floodgate-Received-At"))
    assert before < received_at <= datetime.now(UTC)
    assert headers == {
        "Floodgate-Correlation-Id": "file-17:b",
        "Floodgate-Events": "2",
        "Floodgate-Format": "1",
        "traceparent": TRACEPARENT,
    }
    assert (answer.correlation_id, answer.json["correlationId"]) == ("file-17:b", "file-17:b")


@pytest.mark.parametrize("traceparent", ["00-x-y-01", TRACEPARENT.upper(), TRACEPARENT + "-more"])
async def test_a_malformed_traceparent_is_not_passed_on(gateway: Running, traceparent: str) -> None:
    await gateway.post(array(facebook(), facebook()), traceparent=traceparent)
    [message] = await gateway.stored("facebook")
    assert "traceparent" not in message.headers


async def test_without_a_correlation_id_there_is_a_new_one_everywhere_the_same(gateway: Running) -> None:
    answer = await gateway.post(array(facebook(), facebook()))
    uuid.UUID(answer.correlation_id)
    [message] = await gateway.stored("facebook")
    assert message.headers["Floodgate-Correlation-Id"] == answer.correlation_id == answer.json["correlationId"]
    [line] = [entry for entry in gateway.log.entries if entry["event"] == "bulk_answered"]
    assert line["correlation_id"] == answer.correlation_id


async def test_long_events_are_split_by_bytes_below_what_the_server_takes(gateway: Running) -> None:
    events = [text(facebook(extra="x" * 300_000)) for _ in range(5)]
    answer = await gateway.post(array(*events))
    assert answer.json["processed"] == 5
    stored = await gateway.stored("facebook")
    assert [message.body for message in stored] == [array(*events[:3]), array(*events[3:])]
    assert all(len(message.body) < 1024 * 1024 for message in stored)


async def test_the_longest_event_that_is_accepted_fits_into_a_message(gateway: Running) -> None:
    longest = 1024 * 1024 - 16 * 1024
    rest = len(text(facebook(extra="")))
    fits, too_long = (text(facebook(extra="x" * (longest - rest + more))) for more in (0, 1))
    answer = await gateway.post(array(fits, too_long))
    assert (answer.json["processed"], [detail["code"] for detail in answer.json["errorDetails"]]) == (1, ["too_large"])
    assert [message.body for message in await gateway.stored("facebook")] == [array(fits)]


async def test_an_event_sent_twice_in_one_request_is_taken_twice(gateway: Running) -> None:
    event = facebook()
    answer = await gateway.post(array(event, event))
    assert (answer.status, answer.json["processed"]) == (200, 2)
    assert await gateway.stored_ids("facebook") == [event["eventId"]] * 2


async def test_a_request_sent_again_is_taken_again(gateway: Running) -> None:
    body = array(facebook(), tiktok())
    answers = [await gateway.post(body, x_correlation_id="again") for _ in range(2)]
    assert [(answer.status, answer.json["processed"]) for answer in answers] == [(200, 2)] * 2
    assert len(await gateway.stored("facebook")) == len(await gateway.stored("tiktok")) == 2


async def test_the_same_events_in_concurrent_requests_are_all_in_the_stream(gateway: Running) -> None:
    events = [facebook() for _ in range(150)]
    answers = await asyncio.gather(*(gateway.post(array(*events)) for _ in range(4)))
    assert [(answer.status, answer.json["processed"]) for answer in answers] == [(200, 150)] * 4
    assert Counter(await gateway.stored_ids("facebook")) == {event["eventId"]: 4 for event in events}


async def test_requests_that_overlap_do_not_mix(gateway: Running) -> None:
    sent = {f"request-{number}": [tiktok() for _ in range(130)] for number in range(6)}
    await asyncio.gather(*(gateway.post(array(*events), x_correlation_id=name) for name, events in sent.items()))
    for name, events in sent.items():
        assert await gateway.stored_ids("tiktok", name) == [event["eventId"] for event in events]


async def test_the_metrics_tell_what_was_taken_and_what_was_not(gateway: Running) -> None:
    before = time.time()
    await gateway.post(array(facebook(), facebook(), tiktok(), {"eventId": "x"}))
    await gateway.post(b"nonsense")
    scraped = (await gateway.get("/metrics")).body.decode()
    lines = dict(line.rsplit(" ", 1) for line in scraped.splitlines() if not line.startswith("#"))
    assert float(lines['gateway_bulk_events_processed_total{source="facebook"}']) == 2
    assert float(lines['gateway_bulk_events_processed_total{source="tiktok"}']) == 1
    assert float(lines['gateway_events_accepted_total{source="facebook"}']) == 2
    assert float(lines['gateway_events_accepted_total{source="tiktok"}']) == 1
    assert before <= float(lines['gateway_last_event_timestamp_seconds{source="tiktok"}']) <= time.time()
    assert float(lines['gateway_events_rejected_total{reason="missing_field",source="unknown"}']) == 1
    assert float(lines['gateway_requests_refused_total{reason="not_json"}']) == 1
    assert float(lines['gateway_requests_total{route="/webhook/events/bulk",status="200"}']) == 1
    assert float(lines['gateway_requests_total{route="/webhook/events/bulk",status="400"}']) == 1
    assert float(lines["gateway_bulk_batch_size_histogram_sum"]) == 4
    assert float(lines["gateway_requests_in_flight"]) == float(lines["gateway_bytes_in_flight"]) == 0


class Caller:
    """A client that can do what HTTP clients do not: stop in the middle, or go away."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def close(self, *, reset: bool = False) -> None:
        """Close in order, or as a crashed client does."""
        if reset:
            linger = struct.pack("ii", 1, 0)
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


@contextlib.asynccontextmanager
async def _call(gateway: Running) -> AsyncIterator[Caller]:
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    caller = Caller(*await asyncio.open_connection(host, int(port)))
    try:
        yield caller
    finally:
        await caller.close()


def _head(length: int, correlation_id: str) -> bytes:
    return (
        f"POST /webhook/events/bulk HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
        f"x-correlation-id: {correlation_id}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def _failed(gateway: Running) -> list[Any]:
    return [entry for entry in gateway.log.entries if entry["event"] == "request_failed"]


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
async def test_a_client_that_leaves_within_its_body_leaves_nothing_behind(gateway: Running, reset: bool) -> None:
    body = array(facebook())
    async with _call(gateway) as caller:
        await caller.send(_head(len(body), "left") + body[:-10])
        await eventually(lambda: gateway.in_flight() == (1, len(body)))
        await caller.close(reset=reset)

        await eventually(lambda: gateway.in_flight() == (0, 0))
    assert (await gateway.post(array(tiktok()))).status == 200
    assert await gateway.stored_ids("facebook") == []
    assert not _failed(gateway)


async def test_a_client_that_leaves_before_its_answer_has_sent_its_events_all_the_same(gateway: Running) -> None:
    events = [facebook() for _ in range(250)]
    body = array(*events)
    async with _call(gateway) as caller:
        await caller.send(_head(len(body), "gone") + body)
        await eventually(lambda: gateway.in_flight()[0] == 1 or _answered(gateway))
        await caller.close(reset=True)

        await eventually(lambda: _answered(gateway))
    assert gateway.in_flight() == (0, 0)
    assert await gateway.stored_ids("facebook", "gone") == [event["eventId"] for event in events]
    assert (await gateway.post(array(tiktok()))).status == 200
    assert not _failed(gateway)


def _answered(gateway: Running) -> bool:
    return any(entry["event"] == "bulk_answered" for entry in gateway.log.entries)


async def test_broken_chunks_hold_a_place_no_longer_than_a_slow_sender(start: Start) -> None:
    gateway = await start(body_timeout_ms=100)  # the HTTP parser says nothing more once it has stumbled
    async with _call(gateway) as caller:
        await caller.send(b"POST /webhook/events/bulk HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n")
        await eventually(lambda: gateway.in_flight()[0] == 1)
        await caller.send(b"nonsense\r\n[]\r\n")
        assert (await caller.reader.readline()).split()[1] in {b"400", b"408"}
    await eventually(lambda: gateway.in_flight() == (0, 0))
    assert (await gateway.post(array(tiktok()))).status == 200


async def test_a_sender_that_is_too_slow_is_told_so(start: Start) -> None:
    gateway = await start(body_timeout_ms=100)
    async with _call(gateway) as caller:
        await caller.send(_head(100, "slow") + b"[")
        head = (await caller.reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 408 ")
        assert "content-type: application/problem+json" in head
        assert "x-correlation-id: slow" in head
    await eventually(lambda: gateway.in_flight() == (0, 0))
