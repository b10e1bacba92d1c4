"""The question before a run: is everything up?"""

import socket
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from loadtest.health import problems


async def test_nothing_is_said_of_services_that_are_ready(gateway: Any, session: Any) -> None:
    assert await problems(session, [gateway.url]) == []


async def test_each_check_that_is_down_is_named(gateway: Any, session: Any) -> None:
    gateway.ready = {
        "status": "not_ready",
        "checks": {
            "nats": {"ok": False, "detail": "not connected"},
            "postgres": {"ok": True, "detail": "connected"},
            "backlog": {"ok": False},
        },
    }
    assert await problems(session, [gateway.url]) == [
        f"{gateway.url}: nats is down: not connected",
        f"{gateway.url}: backlog is down: no detail given",
    ]


async def test_a_refused_connection_says_what_to_do(session: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert await problems(session, [url]) == [
            f"{url}: cannot connect (Connection refused); start it with `make run`"
        ]


async def test_an_answer_that_is_no_readiness_is_shown(session: Any) -> None:
    async def other(_: web.Request) -> web.Response:
        return web.Response(status=503, text="something else lives here")

    app = web.Application()
    app.router.add_get("/health/ready", other)
    async with TestServer(app) as server:
        [line] = await problems(session, [str(server.make_url("")).rstrip("/")])
    assert "answered 503: something else lives here" in line


async def test_every_service_is_asked(gateway: Any, session: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ops_url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        [line] = await problems(session, [gateway.url, ops_url])
    assert line.startswith(ops_url)
