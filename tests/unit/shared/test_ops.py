"""Health and metrics over HTTP, as both roles have them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from shared.http import Site, hardened
from shared.metrics import RoleMetrics
from shared.ops import Check, add_routes

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def checks() -> dict[str, Check]:
    return {"nats": Check(True, "connected"), "database": Check(True, "idle")}


@pytest.fixture
async def client(checks: dict[str, Check]) -> AsyncIterator[Client]:
    app = web.Application()
    add_routes(app, checks=lambda: checks, registry=RoleMetrics("gateway").registry)
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_all_well_is_ready(client: Client) -> None:
    answer = await client.get("/health/ready")
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert await answer.json() == {
        "status": "ready",
        "checks": {"nats": {"ok": True, "detail": "connected"}, "database": {"ok": True, "detail": "idle"}},
    }


async def test_what_is_down_is_told_apart_from_what_is_up(client: Client, checks: dict[str, Check]) -> None:
    checks["nats"] = Check(False, "disconnected")
    answer = await client.get("/health/ready")
    assert answer.status == 503
    assert await answer.json() == {
        "status": "not_ready",
        "checks": {"nats": {"ok": False, "detail": "disconnected"}, "database": {"ok": True, "detail": "idle"}},
    }


async def test_what_the_role_works_without_does_not_make_it_unready(client: Client, checks: dict[str, Check]) -> None:
    checks["database"] = Check(False, "receipts are answered 503", required=False)
    answer = await client.get("/health/ready")
    assert answer.status == 200
    assert (await answer.json())["checks"]["database"] == {"ok": False, "detail": "receipts are answered 503"}


async def test_alive_is_alive_whatever_is_down(client: Client, checks: dict[str, Check]) -> None:
    checks["nats"] = Check(False, "disconnected")
    answer = await client.get("/health/live")
    assert (answer.status, await answer.json()) == (200, {"status": "live"})


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain"),
        ("text/plain", "text/plain"),
        ("application/openmetrics-text", "application/openmetrics-text"),
    ],
)
async def test_metrics_come_in_the_format_that_is_asked_for(client: Client, accept: str, content_type: str) -> None:
    answer = await client.get("/metrics", headers={"Accept": accept})
    body = await answer.text()
    assert (answer.status, answer.content_type) == (200, content_type)
    assert "nats_connected 0.0\n" in body
    assert body.endswith("# EOF\n") == (content_type == "application/openmetrics-text")


async def test_the_port_of_operators_says_nothing_of_its_parts_and_logs_nothing_that_was_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = web.Application()
    app.on_response_prepare.append(hardened)
    add_routes(app, checks=dict, registry=RoleMetrics("collector").registry)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await Site(runner, "127.0.0.1", 0).start()
        for sent, status in (
            (b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"200"),
            (b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"200"),
            (b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"404"),
            (b"forged line\r\n\r\n", b"400"),
            (b"GET /metrics HTTP/1.1\r\nHost: x\r\nforged\r\n\r\n", b"400"),
        ):
            reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
            writer.write(sent)
            async with asyncio.timeout(10):
                answered = await reader.read()
            writer.close()
            head = answered.partition(b"\r\n\r\n")[0]
            assert head.split()[1] == status
            assert b"\r\nServer: floodgate" in head
            assert b"\r\nX-Content-Type-Options: nosniff" in head
            assert b"\r\nContent-Security-Policy: default-src 'none'" in head
            assert b"aiohttp" not in head
            assert b"forged" not in answered
    finally:
        await runner.cleanup()
    assert "forged" not in caplog.text
