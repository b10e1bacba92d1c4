"""The console's stream and its page, over a real NATS."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.access import Access
from gateway.console import feed
from gateway.problems import Refused
from gateway.scopes import Scope
from shared.outcomes import RefuseReason
from tests.integration.gateway.conftest import WAIT_S, Running, Start
from tests.integration.gateway.events import facebook, tiktok
from tests.servers import NatsServer

Event = tuple[str, Any]


@pytest.fixture(autouse=True)
def _a_quick_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.app.EVERY_S", 0.2)


@asynccontextmanager
async def listening(gateway: Running) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a stream, until the block ends."""

    async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[Event]:
        name = ""
        async for line in answer.content:
            kind, _, value = line.decode().rstrip("\n").partition(": ")
            if kind == "event":
                name = value
            elif kind == "data":
                yield name, json.loads(value)

    session = aiohttp.ClientSession(read_bufsize=1024 * 1024)
    async with asyncio.timeout(WAIT_S), session, session.get(f"{gateway.url}/console/stream") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        yield events(answer)


async def snapshot(gateway: Running, condition: Callable[[Any], bool]) -> Any:
    """The first snapshot that is as wanted."""
    async with listening(gateway) as events:
        async for name, data in events:
            if name == "snapshot" and condition(data):
                return data
    raise AssertionError("the stream ended before")


async def test_a_stream_starts_with_the_history_and_goes_on_where_that_ends(gateway: Running) -> None:
    sent = await gateway.post(json.dumps([facebook(eventId="a"), tiktok(eventId="b")]).encode())
    await snapshot(gateway, lambda data: any(one["correlationId"] == sent.correlation_id for one in data["requests"]))
    await snapshot(gateway, lambda data: not data["requests"])  # it is history by now

    async with listening(gateway) as events:
        name, hello = await anext(events)
        _, first = await anext(events)
        _, second = await anext(events)

    assert name == "hello"
    assert hello["sources"] == ["facebook", "tiktok"]
    (request,) = [one for one in hello["requests"] if one["correlationId"] == sent.correlation_id]
    assert request | {"at": 0, "ms": 0} == {
        "at": 0, "ms": 0, "correlationId": sent.correlation_id, "status": 200, "events": 2, "failed": 0,
        "processed": {"facebook": 1, "tiktok": 1}, "reason": None,
    }  # fmt: skip
    times = [point["t"] for point in (*hello["points"], first["point"], second["point"])]
    assert times == sorted(set(times))  # nothing twice, nothing out of order
    assert all(checked["state"] == "ok" for checked in first["checks"] if checked["name"] in {"intake", "nats"})


async def test_rates_errors_and_refusals_are_in_the_snapshot(gateway: Running) -> None:
    await snapshot(gateway, lambda data: len(data["replicas"]) == 1)
    await gateway.post(json.dumps([facebook(eventId="a"), {"source": "facebook", "eventId": "b"}]).encode())
    await gateway.post(b"{nope")

    found = await snapshot(gateway, lambda data: "refused.not_json" in data["point"]["errors"])

    assert found["point"]["accepted"]["facebook"] > 0
    assert any(name.startswith("rejected.") for name in found["point"]["errors"])
    assert found["point"]["p99"] > 0
    assert found["replicas"][0]["totals"]["refused"] == {"not_json": 1}


async def test_each_gateway_shows_the_requests_of_all(start: Start) -> None:
    first = await start(keep=True)
    second = await start(prefix=first.names.prefix)
    await snapshot(first, lambda data: len(data["replicas"]) == 2)

    async with listening(first) as events:
        sent = await second.post(json.dumps(facebook(eventId="a")).encode(), path="/webhook/events")
        async for name, data in events:
            if name == "snapshot" and any(one["correlationId"] == sent.correlation_id for one in data["requests"]):
                break

    listed = (await first.get("/console/requests")).json["requests"]
    assert [one["correlationId"] for one in listed].count(sent.correlation_id) == 1
    await second.stop()
    await snapshot(first, lambda data: len(data["replicas"]) == 1)  # it has said that it stopped


async def test_a_stream_ends_when_the_gateway_drains(gateway: Running) -> None:
    async with listening(gateway) as events:
        await anext(events)
        gateway.shutdown.request()
        names = [name async for name, _ in events]

    assert names[-1] == "end"
    await asyncio.wait_for(gateway.task, WAIT_S)


async def test_more_streams_than_allowed_are_refused(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_CLIENTS", 1)
    async with listening(gateway) as events:
        await anext(events)

        answer = await gateway.get("/console/stream")

    assert answer.status == 503
    assert "1 pages are open already" in answer.json["detail"]


async def test_without_nats_the_console_says_since_when(start: Start, nats_servers: Callable[[], NatsServer]) -> None:
    server = nats_servers()
    gateway = await start(url=server.url, keep=True)
    await asyncio.to_thread(server.kill)

    found = await snapshot(gateway, lambda data: data["checks"][1]["state"] == "down")

    nats = found["checks"][1]
    assert nats["name"] == "nats"
    assert nats["since"] <= found["point"]["t"]
    assert found["checks"][0]["state"] == "down"
    assert found["point"]["backlog"] == {}
    assert found["replicas"][0]["state"] == "not_connected"


async def test_the_page_and_its_files_are_served_with_a_strict_policy(gateway: Running) -> None:
    page = await gateway.get("/")
    assert page.status == 200
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assets = [part.partition('"')[0] for part in page.body.decode().split('="console/assets/')[1:]]
    assert len(assets) >= 8
    for name in assets:
        asset = await gateway.get(f"/console/assets/{name}")
        assert asset.status == 200, name
        again = await gateway.request(
            "GET", f"/console/assets/{name}", headers={"If-None-Match": asset.headers["ETag"]}
        )
        assert again.status == 304
    for outside in ("../../app.py", "%2e%2e/%2e%2e/app.py", "vendor/uPlot.LICENSE", "nothing.js"):
        assert (await gateway.get(f"/console/assets/{outside}")).status == 404


async def test_every_route_but_the_page_asks_for_a_scope(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_access: Access, _request: web.Request, scope: Scope) -> None:
        raise Refused(HTTPStatus.FORBIDDEN, RefuseReason.FORBIDDEN, f"needs {scope}")

    monkeypatch.setattr(Access, "require", refuse)
    gateway = await start()
    asked = set()
    for route in gateway.gateway._front.internal.router.routes():
        path = route.resource.canonical if route.resource else ""
        if not path.startswith("/console") or "/assets/" in path or route.method == "HEAD":
            continue
        answer = await gateway.request(route.method, path.replace("{seq}", "1"), json={})
        assert answer.status == 403, path
        assert answer.json["detail"] == ("needs read" if route.method == "GET" else "needs admin")
        asked.add((route.method, path))
    assert len(asked) == 8
    assert (await gateway.get("/")).status == 200


async def test_without_the_console_there_is_none(start: Start) -> None:
    gateway = await start(console=False)

    assert (await gateway.get("/")).status == 404
    assert (await gateway.get("/console/stream")).status == 404
