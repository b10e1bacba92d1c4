"""The webhook routes. Each reads as a sentence: admit → read → split → take → answer."""

import logging
from http import HTTPStatus
from time import perf_counter

import orjson
from aiohttp import web

from gateway import responses, tracing
from gateway.accepted import Accepted
from gateway.access import Access
from gateway.admission import Admission
from gateway.body import media_type, read_body
from gateway.correlation import correlation_id_of, is_sane, traceparent_of
from gateway.decode import split
from gateway.intake import Intake, Origin, now
from gateway.problems import Refused, problem
from gateway.rates import Quantity, Rates
from gateway.receipts import ReceiptReader
from gateway.scopes import Scope
from gateway.senders import ANYONE
from gateway.settings import GatewaySettings
from shared.errors import Retryable
from shared.logs import Logger
from shared.metrics import GatewayMetrics
from shared.outcomes import RefuseReason
from shared.tracing import Kind, Tracer
from streams.receipts import TooMany


class WebhookHandlers:
    """The handlers and what they share."""

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        access: Access,
        rates: Rates,
        admission: Admission,
        intake: Intake,
        receipts: ReceiptReader,
        log: Logger,
        metrics: GatewayMetrics,
        tracer: Tracer,
    ) -> None:
        self._settings = settings
        self._access = access
        self._rates = rates
        self._admission = admission
        self._intake = intake
        self._receipts = receipts
        self._log = log
        self._metrics = metrics
        self._tracer = tracer

    def add_routes(self, app: web.Application) -> None:
        """Add the routes that senders post to."""
        for path, take in (("/webhook/events", self.single), ("/webhook/events/bulk", self.bulk)):
            app.router.add_post(path, take)
            if self._access.shakes_hands:
                app.router.add_get(path, self.handshake, allow_head=False)

    def add_read_routes(self, app: web.Application) -> None:
        """Add the route of receipts, which may be on another port."""
        app.router.add_get("/webhook/events/bulk/{correlationId}", self.receipt)

    async def single(self, request: web.Request) -> web.Response:
        """One event as an object; an array or NDJSON is taken as a bulk."""
        return await self._accept(request, single=True)

    async def bulk(self, request: web.Request) -> web.Response:
        """Many events: `{"events": [...]}`, an array, or NDJSON."""
        return await self._accept(request, single=False)

    async def handshake(self, request: web.Request) -> web.Response:
        """Meta asks whether an address is its subscriber's before it posts there."""
        return web.Response(text=self._access.handshake(request))

    async def receipt(self, request: web.Request) -> web.Response:
        """What became of the requests of a correlation id."""
        self._access.require(request, Scope.READ)
        asked = request.match_info["correlationId"]
        try:
            figures = await self._receipts.read(asked) if is_sane(asked) else None
        except Retryable as error:
            self._log.warning("receipt_unreadable", correlation_id=asked, error=str(error))
            detail = "Receipts can't be read now, as JetStream or PostgreSQL is away; ask again later"
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, correlation_id_of(request))
        except TooMany as error:
            detail = f"This correlation id has {error}, and no receipt sums so many; give each request an id of its own"
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, RefuseReason.RECEIPT_TOO_LARGE, detail) from error
        if figures is None:
            return problem(HTTPStatus.NOT_FOUND, "Nothing is known of this correlation id", correlation_id_of(request))
        body = orjson.dumps({"correlationId": asked, **figures})
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})

    async def _accept(self, request: web.Request, *, single: bool) -> web.Response:
        started, received_at, settings, span_of = perf_counter(), now(), self._settings, self._tracer.span
        caller = self._access.caller(request)
        sender, spend = caller.sender, self._rates.spend
        with self._admission.admit() as ticket:
            media = media_type(request)
            await spend(sender, Quantity.REQUESTS, 1)
            with span_of("read") as span:
                body = await read_body(
                    request,
                    ticket,
                    caller,
                    max_bytes=settings.max_body_bytes,
                    timeout_s=settings.body_timeout_ms / 1_000,
                    turns=self._intake.turns,
                )
                span.set({"floodgate.body.bytes": len(body)})
            await spend(sender, Quantity.BYTES, len(body))
            with span_of("split") as span:
                slices = await split(
                    body, media, single=single, max_events=settings.max_bulk_events, turns=self._intake.turns
                )
                span.set({"floodgate.events": len(slices)})
            await spend(sender, Quantity.EVENTS, len(slices))
            with span_of("publish", kind=Kind.PRODUCER, attributes=tracing.PUBLISH) as span:
                origin = Origin(
                    correlation_id=correlation_id_of(request),
                    received_at=received_at,
                    traceparent=span.traceparent or traceparent_of(request),
                    sender=None if self._access.is_open else sender.name,
                    sources=sender.sources,
                    give_up_at=started + settings.request_timeout_ms / 1_000,
                )
                accepted = await self._intake.take(slices, origin)
                span.set(tracing.account(accepted))
                if not accepted.is_durable:
                    span.fail("undurable")
        answer = responses.bulk(accepted, origin.correlation_id)
        answer.headers.update(await self._rates.headers(sender))
        self._account(accepted, answer.status, perf_counter() - started, len(body), origin)
        return answer

    def _account(self, accepted: Accepted, status: int, seconds: float, body_bytes: int, origin: Origin) -> None:
        """The metrics and the one log line of a request; of a single event that was taken, on level debug."""
        sender = origin.sender or ANYONE.name
        self._metrics.sender_requests.labels(sender, status).inc()
        self._metrics.sender_events.labels(sender).inc(accepted.processed.total())
        self._metrics.request_seconds.observe(seconds)
        self._metrics.request_events.observe(accepted.total)
        taken = logging.INFO if accepted.total > 1 else logging.DEBUG
        self._log.log(
            taken if status == HTTPStatus.OK else logging.WARNING,
            "bulk_answered",
            correlation_id=origin.correlation_id,
            request_id=origin.request_id,
            sender=sender,
            status=status,
            processed=accepted.processed.total(),
            rejected=accepted.rejected,
            undurable=accepted.undurable,
            body_bytes=body_bytes,
            ms=round(seconds * 1_000, 1),
        )
