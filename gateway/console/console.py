"""The console's wiring: what is heard and looked at, made into a snapshot a second, and the routes.

Invariant: it only watches. Whatever fails here, events are taken as before; what acts on dead letters is in
`gateway.console.dead_letters`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from aiohttp import web

from gateway.console import snapshot
from gateway.console.checks import Finding, Findings, collectors_of
from gateway.console.dead_letters import DeadLetterRoutes
from gateway.console.door import Door
from gateway.console.examples import examples
from gateway.console.feed import Feed
from gateway.console.headers import PRIVATE
from gateway.console.pages import Pages
from shared.errors import Retryable
from shared.events import Registry
from shared.logs import Logger
from shared.metrics import app_version
from shared.ops import Checks
from shared.outcomes import DeadLetterReason
from streams.backlog import BacklogGuard
from streams.connection import Connection
from streams.parked import ParkedLetters
from streams.vitals import Vitals, VitalsBoard

LOOK_EVERY_S: Final = 2.0
"""Between two looks at PostgreSQL and the dead letters, a request each."""


class Console:
    """One gateway's console. It shows all gateways and collectors that share the broker and the prefix."""

    def __init__(
        self,
        *,
        registry: Registry,
        connection: Connection,
        board: VitalsBoard,
        guard: BacklogGuard,
        letters: ParkedLetters,
        dead_letters: DeadLetterRoutes,
        probe_database: Callable[[], Awaitable[None]] | None,
        checks: Checks,
        door: Door,
        log: Logger,
    ) -> None:
        self._registry = registry
        self._connection = connection
        self._board = board
        self._guard = guard
        self._letters = letters
        self._dead_letters = dead_letters
        self._probe_database = probe_database
        self._checks = checks
        self._door = door
        self._log = log
        self._findings = Findings()
        self._parked: int | None = None
        self._database = Finding("postgres", "PostgreSQL", "unknown", "not looked at yet")
        if probe_database is None:
            self._database = Finding("postgres", "PostgreSQL", "unknown", "DATABASE_URL is not set for the gateway")
        self._feed = Feed(
            {
                "version": app_version(),
                "sources": registry.sources,
                "deadLetterReasons": [reason.value for reason in DeadLetterReason],
            }
        )

    def add_routes(self, app: web.Application) -> None:
        """Add the page and its data to an application."""
        pages, door = Pages(), self._door
        app.router.add_get("/", door.page(pages.page))
        app.router.add_get("/console/assets/{name:.+}", door.page(pages.asset))
        app.router.add_get("/console/stream", door.reads(self._feed.stream))
        app.router.add_get("/console/requests", door.reads(self._requests))
        app.router.add_get("/console/examples", door.reads(self._examples))
        self._dead_letters.add_routes(app, door)

    async def tick(self, own: Vitals) -> None:
        """Once a second, with this gateway's own vital signs: make the snapshot and send it to the pages."""
        await self._board.listen()
        self._board.note(own)
        replicas = self._board.replicas()
        requests = self._new_requests(replicas)
        findings = self._findings.dated(self._look_around(replicas))
        backlogs = self._guard.by_source if self._connection.is_connected else {}
        this_second = snapshot.point(replicas, backlogs)
        parked = self._parked if self._connection.is_connected else None
        text = snapshot.encode(this_second, findings, replicas, requests, parked)
        self._feed.publish(this_second, requests, text)

    async def look(self) -> None:
        """Ask PostgreSQL and the dead letters' stream how they are. Never raises."""
        if self._probe_database is not None:
            try:
                await self._probe_database()
                self._database = Finding("postgres", "PostgreSQL", "ok", "answers")
            except Retryable as error:
                self._database = Finding("postgres", "PostgreSQL", "down", str(error))
        try:
            self._parked = await self._letters.count()
        except Retryable as error:
            self._parked = None
            self._log.debug("dead_letters_uncounted", error=str(error))

    def end(self) -> None:
        """End the pages' streams: the gateway drains."""
        self._feed.end()

    def _new_requests(self, replicas: snapshot.Replicas) -> list[Mapping[str, object]]:
        """Requests of beats that were not looked at yet, of all gateways, oldest first."""
        answered = [one for heard, _ in replicas for beat in heard.take_new() for one in beat.answered]
        return [msgspec.to_builtins(one) for one in sorted(answered, key=lambda one: one.at)]

    def _look_around(self, replicas: snapshot.Replicas) -> list[Finding]:
        checks = self._checks()
        can_hear = self._connection.is_connected
        nats, streams, serving, backlog = (checks[name] for name in ("nats", "streams", "serving", "backlog"))
        intake = next((check for check in (serving, nats, streams, backlog) if not check.ok), serving)
        return [
            Finding("intake", "Intake", "ok" if intake.ok else "down", intake.detail),
            Finding("nats", "NATS", "ok" if nats.ok else "down", nats.detail),
            self._database,
            *(collectors_of(source, replicas, can_hear=can_hear) for source in self._registry.sources),
        ]

    async def _requests(self, _request: web.Request) -> web.Response:
        """The latest answered webhook requests of all gateways, newest first."""
        return _json({"requests": self._feed.requests[::-1]})

    async def _examples(self, _request: web.Request) -> web.Response:
        """A new valid event of each platform and stage."""
        return _json({"examples": examples(self._registry)})


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", headers=PRIVATE)
