"""The proxy in front of the gateways changes nothing of what is taken and answered, and takes blows for them."""

import asyncio
import io
import json
import os
import re
import signal
import sys
import uuid
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loadtest.generator import Plan, batches
from tests.integration.deploy.proxy import Proxy, proxy
from tests.integration.gateway.conftest import STREAM_BYTES, WAIT_S, delete_streams, eventually, start_gateway
from tests.integration.gateway.events import array, facebook
from tests.servers import free_port

ROOT = Path(__file__).parents[3]
BULK = "/webhook/events/bulk"
JSON = {"Content-Type": "application/json"}
SENTINEL = b"POST /webhook/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nx-correlation-id: sentinel\r\n\r\n{}"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


async def test_a_request_of_50_000_events_goes_through_under_its_correlation_id(
    nats_url: str, session: aiohttp.ClientSession
) -> None:
    (batch,) = batches(Plan(total=50_000, batch=50_000))
    async with AsyncExitStack() as stack:
        gateway = await start_gateway(stack, nats_url)
        front = await stack.enter_async_context(proxy([_address(gateway.url)]))
        headers = JSON | {"x-correlation-id": "through/the=proxy"}
        async with session.post(front.url + BULK, data=io.BytesIO(batch.array()), headers=headers) as answer:
            body = await answer.json()
    assert (answer.status, body["processed"], body["failed"]) == (200, 50_000, 0)
    assert answer.headers["x-correlation-id"] == body["correlationId"] == "through/the=proxy"


async def test_what_a_gateway_answers_passes_unchanged(nats_url: str, session: aiohttp.ClientSession) -> None:
    async with AsyncExitStack() as stack:
        gateway = await start_gateway(stack, nats_url, max_bulk_events=1)
        front = await stack.enter_async_context(proxy([_address(gateway.url)]))

        async def answers(body: bytes) -> list[tuple[int, bytes, dict[str, str]]]:
            """Of the gateway itself, and through the proxy; without what belongs to a connection."""
            both = []
            for url in (gateway.url, front.url):
                async with session.post(url + BULK, data=body, headers=JSON | {"x-correlation-id": "same"}) as answer:
                    kept = {
                        name.lower(): value
                        for name, value in answer.headers.items()
                        if name.lower() not in {"date", "server", "connection"}
                    }
                    both.append((answer.status, await answer.read(), kept))
            return both

        too_many = await answers(array(facebook(), facebook()))
        invalid = await answers(array({"eventId": "wrong"}))
        gateway.gateway._provisioned = False  # as before JetStream is there
        unavailable = await answers(array(facebook()))
    assert [itself for itself, _ in (too_many, invalid, unavailable)] == [
        through for _, through in (too_many, invalid, unavailable)
    ]
    assert [itself[0] for itself, _ in (too_many, invalid, unavailable)] == [413, 422, 503]
    assert "retry-after" in unavailable[1][2]


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/openapi.json", "/", "/console"])
async def test_what_is_internal_is_not_there_for_the_public(path: str, session: aiohttp.ClientSession) -> None:
    async with upstream() as (address, seen), proxy([address]) as front:
        answer, body = await _get(session, front.url, path, {"x-correlation-id": "looking/around"})
    _assert_problem(answer, body, 404, "looking/around")
    assert seen == []


async def test_metrics_are_there_inside(nats_url: str, session: aiohttp.ClientSession) -> None:
    async with AsyncExitStack() as stack:
        gateway = await start_gateway(stack, nats_url)
        front = await stack.enter_async_context(proxy([_address(gateway.url)]))
        answer, body = await _get(session, front.internal_url, "/metrics")
    assert answer.status == 200
    assert b"floodgate_build_info" in body


async def test_without_a_gateway_it_says_so_as_a_gateway_would(session: aiohttp.ClientSession) -> None:
    nobody = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    insane = {"x-correlation-id": "b ad"}
    async with proxy(nobody) as front, session.post(front.url + BULK, data=b"[]", headers=insane) as answer:
        body = await answer.read()
    problem = _assert_problem(answer, body, 502, re.compile("[0-9a-f]{32}"))
    assert problem["title"] == "Bad Gateway"
    assert "no event is stored twice" in problem["detail"]
    assert answer.headers["Retry-After"] == "1"


async def test_a_gateway_that_takes_no_connection_is_passed_over(session: aiohttp.ClientSession) -> None:
    async with upstream() as (address, seen), proxy([f"127.0.0.1:{free_port()}", address]) as front:
        assert [await _posted(session, front, b"[]") for _ in range(4)] == [200] * 4
    assert len(seen) == 4


async def test_a_body_past_every_limit_is_refused_in_front_of_the_gateway(session: aiohttp.ClientSession) -> None:
    async with upstream() as (address, seen), proxy([address]) as front:
        (status, body) = await _raw(
            front, b"POST /webhook/events HTTP/1.1\r\nHost: x\r\nContent-Length: 75497473\r\n\r\n"
        )
        assert await _raw(front, SENTINEL) == (200, b"ok")
    assert status == 413
    assert json.loads(body)["title"] == "Content Too Large"
    assert [b"sentinel" in head for head in seen] == [True]


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /webhook/events HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /webhook/events HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"POST /webhook/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n",
        b"POST /webhook/events HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /webhook/events HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n\r\n[{}]",
        b"POST /webhook/events HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\n[{}]",
        b"POST /webhook/events HTTP/1.1\r\nContent-Length: 4\r\n\r\n[{}]",
        b"POST /webhook/events HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
    ids=["both lengths", "two lengths", "two encodings", "chunked 1.0", "blank", "sign", "no host", "long header"],
)
async def test_a_request_that_two_servers_could_read_in_two_ways_does_not_reach_a_gateway(request_: bytes) -> None:
    async with upstream() as (address, seen), proxy([address]) as front:
        status, _ = await _raw(front, request_)
        assert await _raw(front, SENTINEL) == (200, b"ok")
    assert status in {400, 411, 501}
    assert [b"sentinel" in head for head in seen] == [True]


async def test_a_slow_sender_of_headers_does_not_reach_a_gateway() -> None:
    async with upstream() as (address, seen), proxy([address]) as front:
        _, slow = await asyncio.open_connection("127.0.0.1", front.port)
        slow.write(SENTINEL.partition(b"x-correlation-id")[0])
        await slow.drain()
        assert await _raw(front, SENTINEL) == (200, b"ok")
        slow.close()
    assert len(seen) == 1


async def test_headers_that_speak_for_the_proxy_are_its_own(session: aiohttp.ClientSession) -> None:
    async with upstream() as (address, seen), proxy([address]) as front:
        forged = {"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https", "x_api_key": "underscored"}
        async with session.post(front.url + BULK, data=b"[]", headers=forged) as answer:
            assert answer.status == 200
    (head,) = seen
    assert b"X-Forwarded-For: 127.0.0.1\r\n" in head
    assert b"X-Forwarded-Proto: http\r\n" in head
    assert b"10.0.0.1" not in head
    assert b"underscored" not in head


async def test_a_handshakes_token_is_not_in_the_log(session: aiohttp.ClientSession) -> None:
    async with upstream() as (address, _), proxy([address]) as front:
        await _get(session, front.url, "/webhook/events?hub.verify_token=s3cret&hub.challenge=1")
        await eventually(lambda: '"path":"/webhook/events"' in front.log.read_text())
        assert "s3cret" not in front.log.read_text()


async def test_one_gateway_of_two_is_killed_and_the_other_serves(nats_url: str, session: aiohttp.ClientSession) -> None:
    prefix, event = f"T{uuid.uuid4().hex[:12].upper()}_", array(facebook())
    async with AsyncExitStack() as stack:
        stack.push_async_callback(delete_streams, nats_url, prefix)
        gateways = [await stack.enter_async_context(_program(nats_url, prefix, session)) for _ in range(2)]
        front = await stack.enter_async_context(proxy([address for _, address in gateways]))
        for _ in range(4):  # to both, so that idle connections to both are kept
            assert await _posted(session, front, event) == 200
        let_go = asyncio.Event()

        async def halted() -> AsyncIterator[bytes]:
            yield event[:100]
            await let_go.wait()
            yield event[100:]

        in_flight = asyncio.create_task(_answer(session, front, halted()))
        held: list[tuple[Process, str]] = []

        async def one_holds_it() -> bool:
            held[:] = [one for one in gateways if await _in_flight(session, one[1])]
            return bool(held)

        await eventually(one_holds_it)
        ((process, _),) = held
        process.send_signal(signal.SIGKILL)
        await process.wait()
        status, body = await asyncio.wait_for(in_flight, WAIT_S)
        assert status == 502
        assert json.loads(body)["title"] == "Bad Gateway"
        assert [await _posted(session, front, event) for _ in range(20)] == [200] * 20
        let_go.set()


@asynccontextmanager
async def upstream() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server in a gateway's place that answers 200 to everything; its address, and the heads it has seen."""
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


@asynccontextmanager
async def _program(nats_url: str, prefix: str, session: aiohttp.ClientSession) -> AsyncIterator[tuple[Process, str]]:
    """A gateway as a process, ready, and its address."""
    address = f"127.0.0.1:{free_port()}"
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    environment |= {
        "PORT": address.rpartition(":")[2], "NATS_URL": nats_url, "STREAM_PREFIX": prefix,
        "STREAM_MAX_BYTES": str(STREAM_BYTES), "BACKLOG_INTERVAL": "100",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", cwd=ROOT, env=environment, stdout=DEVNULL, stderr=DEVNULL
    )

    async def is_ready() -> bool:
        try:
            return (await _get(session, f"http://{address}", "/health/ready"))[0].status == 200
        except aiohttp.ClientConnectionError:
            return False

    try:
        await eventually(is_ready)
        yield process, address
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _in_flight(session: aiohttp.ClientSession, address: str) -> bool:
    _, metrics = await _get(session, f"http://{address}", "/metrics")
    return b"\ngateway_requests_in_flight 1.0\n" in metrics


async def _get(
    session: aiohttp.ClientSession, url: str, path: str, headers: dict[str, str] | None = None
) -> tuple[aiohttp.ClientResponse, bytes]:
    async with session.get(url + path, headers=headers) as answer:
        return answer, await answer.read()


async def _answer(
    session: aiohttp.ClientSession, front: Proxy, body: bytes | AsyncIterator[bytes]
) -> tuple[int, bytes]:
    async with session.post(front.url + BULK, data=body, headers=JSON) as answer:
        return answer.status, await answer.read()


async def _posted(session: aiohttp.ClientSession, front: Proxy, body: bytes) -> int:
    return (await _answer(session, front, body))[0]


async def _raw(front: Proxy, request: bytes) -> tuple[int, bytes]:
    """Send bytes as they are, and return the status and the body of the first answer."""
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        writer.close()
    return int(head.split()[1]), body


def _assert_problem(
    answer: aiohttp.ClientResponse, body: bytes, status: int, correlation_id: str | re.Pattern[str]
) -> dict[str, Any]:
    problem: dict[str, Any] = json.loads(body)
    assert answer.status == status
    assert problem["status"] == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["x-correlation-id"] == problem["correlationId"]
    assert re.fullmatch(correlation_id, problem["correlationId"])
    return problem


def _address(url: str) -> str:
    return url.removeprefix("http://")
