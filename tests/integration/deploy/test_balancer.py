"""The balancer of a fleet: what it is told to send to, it sends to, and to nobody else, without a request lost."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

from deploy.checks.check import MissingTool, tool
from deploy.fleet import balancer as under_test
from deploy.fleet.balancer import Balancer
from deploy.local.child import Child
from deploy.local.console import Console
from deploy.local.errors import StackError
from deploy.local.nats import ClusterPlace, Nats
from deploy.local.supervisor import Supervisor
from tests.integration.deploy.test_nginx import BULK, upstream
from tests.integration.gateway.conftest import WAIT_S, eventually
from tests.servers import free_port


@asynccontextmanager
async def balancer(folder: Path, gateways: list[str]) -> AsyncIterator[tuple[Balancer, Child]]:
    """One that runs. Skips the test where there is no nginx."""
    try:
        tool("nginx", "apt-get install nginx-light")
    except MissingTool as missing:
        pytest.skip(str(missing))
    made = Balancer(folder, public_port=free_port(), internal_port=free_port(), tls_port=free_port())
    supervisor = Supervisor(console=Console())
    child = supervisor.start(made.spec(gateways, {"PATH": os.environ["PATH"]}))
    try:
        await supervisor.wait_ready([child], within_s=WAIT_S)
        yield made, child
    finally:
        await supervisor.stop([])


async def test_after_a_change_no_request_reaches_a_gateway_that_was_taken_out(tmp_path: Path) -> None:
    async with (
        upstream() as (old, seen_by_old),
        upstream() as (new, seen_by_new),
        balancer(tmp_path / "nginx", [old]) as (front, child),
        aiohttp.ClientSession() as session,
    ):
        await _post(session, front)
        await front.send_to([new], child)
        assert len(seen_by_old) == 1
        for _ in range(20):
            await _post(session, front)
        assert (len(seen_by_old), len(seen_by_new)) == (1, 20)


async def test_a_request_in_flight_at_a_change_is_answered_and_waited_for(tmp_path: Path) -> None:
    may_answer, is_asked = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        is_asked.set()
        await may_answer.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    old = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with (
        server,
        upstream() as (new, _),
        balancer(tmp_path / "nginx", [old]) as (front, child),
        aiohttp.ClientSession() as session,
    ):
        in_flight = asyncio.create_task(_post(session, front))
        await asyncio.wait_for(is_asked.wait(), WAIT_S)
        master = psutil.Process(child.pid)
        old_workers = set(master.children())
        changing = asyncio.create_task(front.send_to([new], child))
        await eventually(lambda: bool(set(master.children()) - old_workers))
        assert not changing.done()
        may_answer.set()
        await asyncio.wait_for(asyncio.gather(in_flight, changing), WAIT_S)


def test_without_nginx_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str, install: str) -> str:
        raise MissingTool(f"{name} is missing: {install}")

    monkeypatch.setattr(under_test, "tool", missing)
    with pytest.raises(StackError, match="nginx is missing: apt-get install nginx-light"):
        Balancer(tmp_path, public_port=1, internal_port=2, tls_port=3).spec([], {})


def test_nodes_of_a_cluster_have_names_of_their_own_and_a_configuration_that_the_server_takes(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(2)]
    for number in range(2):
        place = ClusterPlace(number=number, route_ports=ports)
        node = Nats(folder=tmp_path / f"{number}", port=free_port(), monitor_port=free_port(), place=place)
        server, _, config = node.prepare()
        subprocess.run([server, "-t", "-c", config], check=True, capture_output=True)
        text = Path(config).read_text(encoding="utf-8")
        assert f"server_name: node-{number}\n" in text
        assert f'listen: "127.0.0.1:{ports[number]}"' in text


async def _post(session: aiohttp.ClientSession, front: Balancer) -> None:
    async with session.post(front.url + BULK, data=b"[]") as answer:
        assert answer.status == 200
