"""Health and metrics over HTTP, as both roles have them."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

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
