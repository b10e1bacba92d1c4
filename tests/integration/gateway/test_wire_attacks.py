"""What is sent byte by byte to break the server: smuggling, slowness, floods of connections, tricks with paths.

Each connection is a raw socket, so that no client library makes it better than it is.
"""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from tests.integration.gateway.conftest import Running, Start, eventually
from tests.integration.gateway.events import array, facebook

WAIT_S = 15.0
BULK = "/webhook/events/bulk"


@asynccontextmanager
async def _connected(running: Running) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = running.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def _talk(running: Running, sent: bytes) -> bytes:
    """Everything that is answered until the server closes the connection."""
    async with _connected(running) as (reader, writer):
        writer.write(sent)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), WAIT_S)


def _head(*lines: str, path: str = BULK) -> bytes:
    return "\r\n".join(
        (f"POST {path} HTTP/1.1", "Host: here", "Content-Type: application/json", *lines, "", "")
    ).encode()


def _statuses(answered: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.[01] (\d{3}) ", answered)


EVIL = array(facebook(eventId="smuggled"))
SMUGGLED = _head(f"Content-Length: {len(EVIL)}") + EVIL


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 3", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 3"),
        ("Content-Length: 3", "Content-Length: 30"),
        ("Content-Length: 3, 30",),
        ("Content-Length: +3",),
        ("Content-Length: -3",),
        ("Content-Length: 0x3",),
        ("Content-Length: 3 3",),
        ("Content-Length : 3",),
        (" Content-Length: 3",),
        ("Content-Length:\x0b3",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding : chunked",),
        ("X-Folded: a", " Transfer-Encoding: chunked"),
        ("X-Bad\x00: a", "Content-Length: 3"),
        ("X-Bad: a\x00b", "Content-Length: 3"),
        ("X-Bad: a\rContent-Length: 3",),
        ("Content-Type: application/json", "Content-Length: 3"),
    ],
)
async def test_a_request_of_unclear_length_is_refused_and_what_follows_is_no_request(
    gateway: Running, lines: tuple[str, ...]
) -> None:
    answered = await _talk(gateway, _head(*lines) + b"3\r\n[]\n\r\n0\r\n\r\n" + SMUGGLED)
    assert _statuses(answered) == [b"400"]
    head, _, body = answered.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"Server: floodgate\r\n" in head
    assert b"aiohttp" not in answered
    assert b"Python" not in answered
    assert json.loads(body)["correlationId"].encode() in head
    assert await gateway.stored("facebook") == []


@pytest.mark.parametrize(
    "chunk", [b"zz\r\n[]\r\n", b"-2\r\n[]\r\n", b"2\n[]\n", b"2\r\n[]XX", b"2 2\r\n[]\r\n", b"0x2\r\n[]\r\n"]
)
async def test_bad_chunks_are_refused_and_what_follows_is_no_request(gateway: Running, chunk: bytes) -> None:
    answered = await _talk(gateway, _head("Transfer-Encoding: chunked") + chunk + b"0\r\n\r\n" + SMUGGLED)
    assert _statuses(answered) == [b"400"]
    assert await gateway.stored("facebook") == []


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_once_and_closed(gateway: Running, sent: bytes) -> None:
    answered = await _talk(gateway, sent)
    assert _statuses(answered) == [b"400"]
    assert b"no HTTP/1.1 that is taken here" in answered
    metrics = (await gateway.get("/metrics")).body.decode()
    assert 'gateway_requests_refused_total{reason="not_http"} 1.0' in metrics


@pytest.mark.parametrize(
    "path",
    [
        "/webhook/events/bulk/../bulk", "/webhook//events/bulk", "/webhook/events/%2e%2e/events/bulk",
        "//webhook/events/bulk", "/webhook/events/bulk%00", "/webhook/events/bulk;a=b", "/WEBHOOK/events/bulk",
        "/webhook/events/bulk%2f",        "/webhook\\events\\bulk", "/webhook/events/bulk/%0d%0aX-Evil:%20a",
    ],
)  # fmt: skip
async def test_a_path_is_what_it_says_and_no_other(gateway: Running, path: str) -> None:
    answered = await _talk(gateway, _head(f"Content-Length: {len(EVIL)}", "Connection: close", path=path) + EVIL)
    assert _statuses(answered) in ([b"400"], [b"404"], [b"405"])
    assert b"X-Evil" not in answered.partition(b"\r\n\r\n")[0]
    assert await gateway.stored("facebook") == []


async def test_a_body_that_trickles_is_cut_after_its_time(start: Start) -> None:
    running = await start(body_timeout_ms=300)
    async with _connected(running) as (reader, writer):
        writer.write(_head("Content-Length: 1000") + b"[")
        answering = asyncio.create_task(_until_closed(reader))
        while not (await asyncio.wait({answering}, timeout=0.05))[0]:  # a byte now and then, for as long as it is let
            writer.write(b" ")
        answered = await answering
    assert answered.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.3 s" in answered
    await eventually(lambda: running.in_flight() == (0, 0))


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    """All that came. A byte of ours that was under way at the close is answered with a reset, after the answer."""
    answered = b""
    with suppress(ConnectionResetError):
        while piece := await reader.read(65_536):
            answered += piece
    return answered


@pytest.mark.parametrize("sent", [b"", b"POST /webhook/events/bulk HTTP/1.1\r\nHost: he"])
async def test_headers_that_never_end_are_cut_after_their_time(start: Start, sent: bytes) -> None:
    running = await start(idle_timeout_ms=300)
    assert await _talk(running, sent) == b""


async def test_a_connection_too_many_is_answered_and_closed_and_others_go_on(start: Start) -> None:
    running = await start(max_connections=3)
    await running.session.close()  # which the fixture used to see that it is ready
    async with AsyncExitStack() as stack:
        first, first_writer = await _held(stack, running)
        await _held(stack, running)
        await _held(stack, running)
        answered = await _talk(running, b"")
        assert answered.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in answered
        assert b"as many connections here as there may be" in answered
        first_writer.write(_head(f"Content-Length: {len(EVIL)}", "Connection: close") + EVIL)
        assert (await asyncio.wait_for(first.read(), WAIT_S)).startswith(b"HTTP/1.1 200 ")
    async with AsyncExitStack() as stack:
        await _held(stack, running)


async def _held(stack: AsyncExitStack, running: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that was let in, and stays."""
    found: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def let_in() -> bool:
        connection = await stack.enter_async_context(_connected(running))
        connection[1].write(b"GET /health/live HTTP/1.1\r\nHost: here\r\n\r\n")
        answered = await asyncio.wait_for(connection[0].readuntil(b"}"), WAIT_S)
        found[:] = [connection]
        return _statuses(answered) == [b"200"]

    await eventually(let_in)
    return found[0]


async def test_a_line_without_an_end_is_one_broken_event(gateway: Running) -> None:
    lines = json.dumps(facebook()).encode()[:60] * 100_000
    answer = await gateway.post(lines, Content_Type="application/x-ndjson")
    assert (answer.status, answer.json["failed"]) == (422, 1)


async def test_a_bomb_is_cut_at_the_limit(start: Start) -> None:
    running = await start(max_body_bytes=1_000_000)
    bomb = gzip.compress(b" " * 100_000_000, 9)
    answer = await running.post(bomb, Content_Encoding="gzip")
    assert answer.status == 413
    assert running.in_flight() == (0, 0)
    many = gzip.compress(b"") * 100_000
    assert (await running.post(many, Content_Encoding="gzip")).status in {400, 413}


@pytest.mark.parametrize(
    "correlation_id",
    ["a>b*", "events.facebook", "a b", "a\u00e9", "../x", "a\tb", "$JS.API.STREAM.DELETE", "x" * 129, "-", "%0a"],
)
async def test_a_correlation_id_steers_no_subject_and_no_header(gateway: Running, correlation_id: str) -> None:
    answer = await gateway.post(array(facebook()), x_correlation_id=correlation_id)
    assert answer.status == 200
    (message,) = await gateway.stored("facebook")
    assert message.headers["Floodgate-Correlation-Id"] == answer.correlation_id
    assert set(message.headers) == {
        "Nats-Msg-Id", "Floodgate-Correlation-Id", "Floodgate-Events", "Floodgate-Received-At", "Floodgate-Format",
    }  # fmt: skip
    receipt = await gateway.get(f"{BULK}/{answer.correlation_id}")
    assert receipt.status in {200, 404, 503}  # an id with a slash is another path


async def test_no_answer_says_what_it_is_made_with(gateway: Running) -> None:
    for path in ("/health/live", "/health/ready", "/metrics", "/nothing", BULK):
        answer = await gateway.get(path)
        assert answer.headers["Server"] == "floodgate"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
