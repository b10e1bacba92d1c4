"""`python -m gateway`: how it starts, refuses to, and ends."""

import asyncio
import json
import os
import signal
import socket
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.integration.gateway.conftest import STREAM_BYTES, WAIT_S, delete_streams, eventually
from tests.integration.gateway.events import array, facebook
from tests.servers import free_port

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def _program(*arguments: str, **environment: str) -> AsyncIterator[Process]:
    inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *arguments, cwd=ROOT, env=inherited | environment, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _end(process: Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), WAIT_S)
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(
    ("variable", "value", "takes"),
    [
        ("PORT", "abc", "whole number"),
        ("PORT", "70000", "65535"),
        ("BATCH_SIZE", "0", "from 1 to 50000"),
        ("MAX_BULK_EVENTS", "-5", "1 or more"),
        ("PUBLISH_TIMEOUT", "10s", "milliseconds"),
        ("NATS_BATCH_SIZE", "1000000", "10000"),
        ("LOG_FORMAT", "xml", "console or json"),
        ("BACKLOG_CLOSE_AT", "1.5", "1 at most"),
        ("STREAM_PREFIX", "has.dots", "A-Z"),
    ],
)
async def test_a_wrong_setting_ends_it_with_a_line_that_names_it(variable: str, value: str, takes: str) -> None:
    async with _program(**{variable: value}) as process:
        status, out, err = await _end(process)
    assert (status, out) == (2, "")
    [line] = err.splitlines()
    assert line.startswith(f"gateway: {variable}='{value}'")
    assert takes in line


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"BACKLOG_OPEN_AT": "0.95"}, ("BACKLOG_OPEN_AT=0.95", "BACKLOG_CLOSE_AT=0.9")),
        ({"MAX_BYTES_IN_FLIGHT": "1000"}, ("MAX_BYTES_IN_FLIGHT=1000", "MAX_BODY_BYTES=")),
    ],
)
async def test_settings_that_do_not_fit_each_other_end_it(environment: dict[str, str], words: tuple[str, ...]) -> None:
    async with _program(**environment) as process:
        status, _, err = await _end(process)
    assert status == 2
    [line] = err.splitlines()
    assert all(word in line for word in words)


async def test_a_port_that_is_taken_ends_it_with_a_line_that_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with _program(PORT=str(port), LOG_LEVEL="error") as process:
            status, out, err = await _end(process)
    assert (status, out) == (1, "")
    [line] = err.splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "Set PORT" in line


async def test_help_says_what_it_is() -> None:
    async with _program("--help") as process:
        status, out, _ = await _end(process)
    assert status == 0
    assert "webhooks" in out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_the_request_in_flight_finish_and_ends_it_with_0(
    nats_url: str, number: signal.Signals
) -> None:
    port, prefix = free_port(), f"T{uuid.uuid4().hex[:12].upper()}_"
    url, body, let_go = f"http://127.0.0.1:{port}", array(facebook()), asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield body[:100]
        await let_go.wait()
        yield body[100:]

    async with (
        _program(
            PORT=str(port),
            NATS_URL=nats_url,
            STREAM_PREFIX=prefix,
            STREAM_MAX_BYTES=str(STREAM_BYTES),
            LOG_FORMAT="json",
        ) as process,
        aiohttp.ClientSession() as session,
        asyncio.timeout(2 * WAIT_S),
    ):
        assert process.stderr is not None
        await _logged(process.stderr, "gateway_listening")
        await _shows(session, f"{url}/health/ready", 200)
        json_body = {"Content-Type": "application/json"}
        sending = asyncio.ensure_future(session.post(f"{url}/webhook/events", data=pieces(), headers=json_body))
        await _shows(session, f"{url}/metrics", 200, "gateway_requests_in_flight 1.0")

        process.send_signal(number)
        await _shows(session, f"{url}/health/ready", 503, "draining")
        let_go.set()

        answer = await sending
        assert answer.status == 200
        assert (await answer.json())["processed"] == 1
        status, _, err = await _end(process)
    assert status == 0
    entries = [json.loads(line) for line in err.splitlines()]
    assert "gateway_drained" in {entry["event"] for entry in entries}
    assert "Traceback" not in err
    await delete_streams(nats_url, prefix)


async def test_it_stops_in_order_while_it_waits_for_nats() -> None:
    async with _program(PORT="0", NATS_URL=f"nats://127.0.0.1:{free_port()}", LOG_FORMAT="json") as process:
        assert process.stderr is not None
        await asyncio.wait_for(_logged(process.stderr, "nats_error"), WAIT_S)
        process.send_signal(signal.SIGTERM)
        status, _, err = await _end(process)
    assert status == 0
    assert "Traceback" not in err


async def _logged(stream: asyncio.StreamReader, event: str) -> None:
    while event not in (line := (await stream.readline()).decode()):
        assert line, f"it ended without {event}"


async def _shows(session: aiohttp.ClientSession, url: str, status: int, text: str = "") -> None:
    """Wait until a page has this status and text."""

    async def seen() -> bool:
        async with session.get(url) as answer:
            return answer.status == status and text in await answer.text()

    await eventually(seen)
