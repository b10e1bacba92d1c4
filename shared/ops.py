"""`/health/live`, `/health/ready` and `/metrics`, the same for both roles.

Live says that the event loop turns; ready, that work can be done now, and if not, what is down.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


@dataclass(frozen=True, slots=True)
class Check:
    """The state of one thing a role leans on. `required` is False where the role works on without it."""

    ok: bool
    detail: str
    required: bool = True


Checks = Callable[[], Mapping[str, Check]]
"""Reads the present state of everything; never blocks, never asks over the network."""


def add_routes(app: web.Application, *, checks: Checks, registry: CollectorRegistry) -> None:
    """Add the three routes to an application that whoever reaches it may read."""
    add_health_routes(app, checks=checks)
    add_metrics_route(app, registry=registry, allowed=lambda _request: None)


def add_health_routes(app: web.Application, *, checks: Checks) -> None:
    """Add `/health/live` and `/health/ready`, which anyone may ask."""

    async def live(_request: web.Request) -> web.Response:
        return _json(200, {"status": "live"})

    async def ready(_request: web.Request) -> web.Response:
        found = checks()
        is_ready = all(check.ok for check in found.values() if check.required)
        return _json(
            200 if is_ready else 503,
            {
                "status": "ready" if is_ready else "not_ready",
                "checks": {name: {"ok": check.ok, "detail": check.detail} for name, check in found.items()},
            },
        )

    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)


def add_metrics_route(
    app: web.Application, *, registry: CollectorRegistry, allowed: Callable[[web.Request], object]
) -> None:
    """Add `/metrics`. `allowed` raises where the request's sender may not read it."""

    async def metrics(request: web.Request) -> web.Response:
        allowed(request)
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app.router.add_get("/metrics", metrics)


def _json(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
