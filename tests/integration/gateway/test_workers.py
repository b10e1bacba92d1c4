"""Several gateway processes on one port are one gateway to the outside."""

import asyncio
import os
import signal
import sys
import time
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil

from gateway.workers import GOOD_START_S
from tests.integration.gateway.conftest import STREAM_BYTES, WAIT_S, delete_streams, eventually
from tests.integration.gateway.events import facebook, text
from tests.servers import free_port

ROOT = Path(__file__).parents[3]
WORKERS = 2
JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def workers(nats_url: str, **changes: str) -> AsyncIterator[tuple[Process, str]]:
    """A gateway of two workers, ready, and its URL."""
    port, prefix = free_port(), f"T{uuid.uuid4().hex[:12].upper()}_"
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    environment |= {
        "PORT": str(port), "NATS_URL": nats_url, "STREAM_PREFIX": prefix, "STREAM_MAX_BYTES": str(STREAM_BYTES),
        "GATEWAY_WORKERS": str(WORKERS), "BACKLOG_INTERVAL": "100", **changes,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", cwd=ROOT, env=environment, stdout=PIPE, stderr=PIPE
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await eventually(lambda: len(listening(process)) == WORKERS)
        await eventually(lambda: are_ready(url))
        yield process, url
    finally:
        children = psutil.Process(process.pid).children() if process.returncode is None else []
        if process.returncode is None:
            process.kill()
        await process.communicate()
        await asyncio.to_thread(psutil.wait_procs, children, WAIT_S)
        await delete_streams(nats_url, prefix)


def listening(process: Process) -> list[int]:
    """The workers that take connections already."""
    return [
        worker.pid
        for worker in psutil.Process(process.pid).children()
        if any(connection.status == psutil.CONN_LISTEN for connection in worker.net_connections("tcp"))
    ]


async def are_ready(url: str) -> bool:
    """Whether all are, as far as many new connections tell: the kernel gives each to any of them."""
    return all([await is_ready(url) for _ in range(16)])


async def is_ready(url: str) -> bool:
    """Whether whoever answers is ready; asked over a new connection, as the kernel shares out connections."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(f"{url}/health/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False


async def metric(url: str, name: str) -> float:
    """The sum of a metric's values, as one worker tells it."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


async def test_any_worker_tells_the_metrics_of_all(nats_url: str) -> None:
    async with workers(nats_url) as (process, url):
        assert len(psutil.Process(process.pid).children()) == WORKERS
        for _ in range(20):
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{url}/webhook/events", data=text(facebook()), headers=JSON) as answer,
            ):
                assert answer.status == 200, await answer.text()

        told = [await metric(url, "gateway_bulk_events_processed_total{") for _ in range(8)]

    assert told == [20.0] * 8


async def test_a_worker_that_dies_is_replaced(nats_url: str) -> None:
    async with workers(nats_url) as (process, url):
        parent = psutil.Process(process.pid)
        victim = parent.children()[0]
        # One that ends in its first seconds is taken for one that can't start.
        await eventually(
            lambda: time.time() - victim.create_time() > GOOD_START_S + 1.5
        )  # the kernel tells whole seconds
        victim.kill()

        def replaced() -> bool:
            pids = {child.pid for child in parent.children()}
            return len(pids) == WORKERS and victim.pid not in pids

        await eventually(replaced)
        await eventually(lambda: is_ready(url))
        assert process.returncode is None


async def test_sigterm_ends_all_workers_in_order(nats_url: str) -> None:
    async with workers(nats_url) as (process, _):
        children = psutil.Process(process.pid).children()

        process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(process.wait(), WAIT_S) == 0
        assert not any(child.is_running() for child in children)


async def test_workers_end_when_their_parent_is_killed(nats_url: str) -> None:
    async with workers(nats_url) as (process, _):
        children = psutil.Process(process.pid).children()

        process.kill()

        gone, alive = await asyncio.to_thread(psutil.wait_procs, children, WAIT_S)
        assert (len(gone), alive) == (WORKERS, [])


async def test_workers_need_a_port_to_share(nats_url: str) -> None:
    environment = {"PATH": os.environ["PATH"], "NATS_URL": nats_url, "GATEWAY_WORKERS": "2", "PORT": "0"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", cwd=ROOT, env=environment, stdout=PIPE, stderr=PIPE
    )
    _, err = await asyncio.wait_for(process.communicate(), WAIT_S)

    assert process.returncode == 2
    assert err.decode().count("\n") == 1
    assert "GATEWAY_WORKERS=2" in err.decode()
