"""The wiring of the gateway, and its life: listen, connect, serve, drain.

Invariant: it listens before it is connected, and says that it is not ready; nothing is accepted until the
streams are there and the backlog has been seen. On the way out nothing new is taken, what is in flight is
finished and flushed, and only then are connections closed.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from gateway import tracing, vitals
from gateway.access import Access
from gateway.admission import Admission
from gateway.answered import AnsweredRequests
from gateway.api.pages import ApiPages
from gateway.console.console import LOOK_EVERY_S, Console
from gateway.console.dead_letters import DeadLetterRoutes
from gateway.console.door import Door
from gateway.front import Front
from gateway.grouping import GroupCommit
from gateway.handlers import WebhookHandlers
from gateway.intake import Intake
from gateway.rates import Rates
from gateway.receipts import ReceiptReader
from gateway.scopes import Scope
from gateway.senders import ANYONE, Senders
from gateway.settings import AccessSettings, GatewaySettings
from shared import loop_lag
from shared.errors import Fatal
from shared.events import EventValidator, Registry
from shared.lifecycle import Shutdown, first_of, repeat, settle_memory
from shared.logs import Logger
from shared.metrics import GatewayMetrics
from shared.ops import Check, add_health_routes, add_metrics_route
from shared.outcomes import RefuseReason
from shared.tracing import NO_TRACER, Tracer
from streams.backlog import BacklogGuard
from streams.connection import Connection
from streams.definitions import definitions
from streams.pace import Pace
from streams.parked import ParkedLetters
from streams.provision import provision_until_done
from streams.publisher import HEADERS_ROOM_BYTES, Publisher
from streams.receipts import Receipts
from streams.rights import GATEWAY
from streams.settings import NatsSettings, PublishSettings, StreamSettings
from streams.subjects import Names
from streams.vitals import EVERY_S, STOPPED, Pulse, VitalsBoard

MIN_MAX_PAYLOAD_BYTES: Final = 1024 * 1024
"""nats-server's default max_payload: what the longest event is bounded by, and what a server must take."""


@dataclass(frozen=True, slots=True)
class AllSettings:
    """The sections that the gateway is made from."""

    gateway: GatewaySettings
    nats: NatsSettings
    streams: StreamSettings
    publish: PublishSettings
    access: AccessSettings


class Gateway:
    """One gateway process. `listening` is set, and `url` known, once it takes connections."""

    def __init__(
        self,
        settings: AllSettings,
        *,
        registry: Registry,
        shutdown: Shutdown,
        log: Logger,
        metrics: GatewayMetrics,
        senders: Senders | None = None,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._shutdown = shutdown
        self._log = log
        self._metrics = metrics
        metrics.start_at_zero(registry.sources)
        self._provisioned = False
        self.listening = asyncio.Event()
        self.url = ""
        self.internal_url = ""
        names = settings.streams.names
        partitions = names.all(registry.sources)
        self._connection = Connection(settings.nats, name=GATEWAY, log=log, metrics=metrics)
        publisher = Publisher(self._connection, settings.publish, metrics=metrics)
        receipts = Receipts(self._connection, publisher, names)
        self._guard = BacklogGuard(
            self._connection,
            partitions,
            close_at=settings.gateway.backlog_close_at,
            open_at=settings.gateway.backlog_open_at,
            log=log,
            metrics=metrics,
        )
        self._reader = ReceiptReader(
            receipts,
            registry.sources,
            settings.gateway.database_url,
            connect_timeout_s=settings.gateway.database_connect_timeout_ms / 1_000,
            query_timeout_s=settings.gateway.database_query_timeout_ms / 1_000,
        )
        self._admission = Admission(
            max_requests=settings.gateway.max_requests_in_flight,
            max_bytes=settings.gateway.max_bytes_in_flight,
            closed_because=self._closed_because,
            metrics=metrics,
        )
        validator = EventValidator(
            registry,
            max_event_bytes=MIN_MAX_PAYLOAD_BYTES - 2 * HEADERS_ROOM_BYTES,
            max_nesting=settings.gateway.max_nesting,
            max_string_chars=settings.gateway.max_string_chars,
        )
        intake = Intake(
            validator=validator,
            publisher=publisher,
            guard=self._guard,
            group_commit=GroupCommit(publisher, self._guard, max_events=settings.publish.batch_events),
            receipts=receipts,
            partitions=partitions,
            batch_events=settings.gateway.batch_events,
            message_events=settings.publish.batch_events,
            max_reported_errors=settings.gateway.max_reported_errors,
            metrics=metrics,
        )
        self._access = Access(senders, tolerance_s=settings.access.signature_tolerance_ms / 1_000)
        handlers = WebhookHandlers(
            settings=settings.gateway,
            access=self._access,
            rates=Rates(window_s=settings.access.rate_window_ms // 1_000),
            admission=self._admission,
            intake=intake,
            receipts=self._reader,
            log=log,
            metrics=metrics,
            tracer=tracer,
        )
        for sender in senders.by_name.values() if senders is not None else (ANYONE,):
            metrics.sender_events.labels(sender.name)  # at zero before the first one
            if sender.expires is not None:
                metrics.secret_expiry.labels(sender.name).set(sender.expires.timestamp())
        self._answered = AnsweredRequests()
        self._pulse = Pulse(self._connection, names, role="gateway", read=self._vitals)
        self._has_ended = False
        self._front = front = Front(
            settings.gateway,
            settings.access,
            outermost=None if tracer is NO_TRACER else tracing.middleware(tracer),
            answered=self._answered,
            log=log,
            metrics=metrics,
        )
        self._console = self._made_console(names, publisher, validator) if settings.gateway.console else None
        handlers.add_routes(front.public)
        handlers.add_read_routes(front.internal)
        for app in {front.public, front.internal}:
            add_health_routes(app, checks=self._checks)
        add_metrics_route(front.internal, registry=metrics.exposed, allowed=self._may_read_metrics)
        ApiPages(registry, settings.gateway).add_routes(front.internal)
        if self._console is not None:
            self._console.add_routes(front.internal)

    async def run(self) -> None:
        """Serve until asked to stop, then drain. Raises Fatal where the port is taken or NATS refuses."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._connection.close)
            stack.push_async_callback(self._reader.close)
            stack.push_async_callback(self._beat_for_the_last_time)
            await self._listen(stack)
            await first_of(
                self._stay_connected(),
                self._drained(),
                loop_lag.watch(self._metrics),
                repeat(self._beat, every_s=EVERY_S),
                *([repeat(self._console.look, every_s=LOOK_EVERY_S)] if self._console else []),
            )

    async def _listen(self, stack: AsyncExitStack) -> None:
        await self._front.listen(stack)
        self.url, self.internal_url = self._front.url, self._front.internal_url
        self._log.info("gateway_listening", url=self.url, internal_url=self.internal_url)
        if self._access.is_open:
            self._log.warning(
                "gateway_open", hint="anyone who can reach it may post and read: AUTH in docs/security.md"
            )
        settle_memory()
        self.listening.set()

    def _may_read_metrics(self, request: web.Request) -> None:
        """On an internal port whoever reaches it may; on the public one it takes the scope to read."""
        if self._front.internal is self._front.public:
            self._access.require(request, Scope.READ)

    async def _stay_connected(self) -> None:
        await self._connection.open()
        if (max_payload := self._connection.max_payload_bytes) < MIN_MAX_PAYLOAD_BYTES:
            raise Fatal(f"NATS takes messages of {max_payload} bytes; set its max_payload to {MIN_MAX_PAYLOAD_BYTES}")
        await first_of(self._connection.watch(), self._stay_provisioned())

    async def _stay_provisioned(self) -> None:
        streams = self._settings.streams
        if streams.provision:
            for applied in await provision_until_done(
                self._connection, definitions(self._registry.sources, streams), log=self._log
            ):
                self._log.info("stream_provisioned", name=applied.name, change=applied.change)
        self._provisioned = True
        await repeat(self._guard.look, every_s=self._settings.gateway.backlog_interval_ms / 1_000)

    async def _drained(self) -> None:
        """Wait for the signal, then until nothing is in flight, or the grace period is over."""
        await self._shutdown.soft.wait()
        self._log.info("gateway_draining", requests=self._admission.requests)
        if self._console is not None:
            self._console.end()
        await first_of(
            self._admission.empty(), self._shutdown.insist_after(self._settings.gateway.shutdown_grace_ms / 1_000)
        )
        self._log.info("gateway_drained", requests_cut=self._admission.requests)

    def _made_console(self, names: Names, publisher: Publisher, validator: EventValidator) -> Console:
        settings, connection = self._settings.gateway, self._connection
        letters = ParkedLetters(connection, names)
        return Console(
            registry=self._registry,
            connection=connection,
            board=VitalsBoard(connection, names, log=self._log),
            guard=self._guard,
            letters=letters,
            dead_letters=DeadLetterRoutes(
                letters=letters,
                publisher=publisher,
                validator=validator,
                partitions=names.all(self._registry.sources),
                paces=[Pace(connection, one.stream, max_unstored=None) for one in names.all(self._registry.sources)],
                log=self._log,
            ),
            probe_database=self._reader.probe if settings.database_url is not None else None,
            checks=self._checks,
            door=Door(host=self._front.internal_host, also=settings.console_names, requires=self._access.require),
            log=self._log,
        )

    async def _beat_for_the_last_time(self) -> None:
        self._has_ended = True
        await self._pulse.beat()  # so that nobody waits for the next

    async def _beat(self) -> None:
        own = await self._pulse.beat()
        if self._console is not None:
            await self._console.tick(own)

    def _vitals(self) -> dict[str, Any]:
        closed = self._closed_because()
        state, reason = ("serving", None) if closed is None else (str(closed[0]), closed[1])
        if self._has_ended:
            state = STOPPED
        return vitals.read(self._metrics, self._admission, self._answered, state=state, reason=reason)

    def _closed_because(self) -> tuple[RefuseReason, str] | None:
        if self._shutdown.soft.is_set():
            return RefuseReason.DRAINING, "The gateway is stopping; send the request again, to another one or later"
        if not self._connection.is_connected or not self._provisioned:
            return RefuseReason.NOT_CONNECTED, "The gateway has no connection to JetStream; send the request again"
        if (reason := self._guard.reason) is not None:
            return RefuseReason.BACKLOG, f"Nothing more can be taken now: {reason}; send the request again later"
        return None

    def _checks(self) -> Mapping[str, Check]:
        draining = self._shutdown.soft.is_set()
        backlog = self._guard.reason
        return {
            "serving": Check(not draining, "draining" if draining else "taking requests"),
            "nats": Check(self._connection.is_connected, self._connection.detail),
            "streams": Check(self._provisioned, "provisioned" if self._provisioned else "not provisioned yet"),
            "backlog": Check(backlog is None, backlog or "within limits"),
        }
