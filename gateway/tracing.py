"""The span of a webhook request, child of its sender's.

Invariant: the span's name and attributes come from closed lists, but for the correlation id. The paths of other
routes (a receipt's holds an id, a probe's tells nothing) are not traced.
"""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.accepted import Accepted
from gateway.correlation import correlation_id_of, traceparent_of
from gateway.problems import route_of
from shared.tracing import Attributes, Kind, Tracer

PUBLISH: Final[Attributes] = {
    "messaging.system": "nats",
    "messaging.operation.name": "publish",
    "messaging.operation.type": "send",
}


def middleware(tracer: Tracer) -> Middleware:
    """Opens the span; the outermost middleware, so that it sees the answer as it is sent."""

    @web.middleware
    async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = route_of(request)
        if request.method != "POST" or not route.startswith("/webhook/"):
            return await handler(request)
        sent = traceparent_of(request)
        attributes = {
            "http.request.method": request.method,
            "http.route": route,
            "url.path": route,
            "url.scheme": request.scheme,
            "floodgate.correlation_id": correlation_id_of(request),
        }
        with tracer.span(
            f"{request.method} {route}",
            kind=Kind.SERVER,
            attributes=attributes,
            came_from=() if sent is None else (sent,),
            tracestate=request.headers.get("tracestate"),
        ) as span:
            answer = await handler(request)
            span.set({"http.response.status_code": answer.status})
            if answer.status >= 500:  # what a sender did wrong is no failure of ours
                span.fail(str(answer.status))
            return answer

    return traced


def account(accepted: Accepted) -> Attributes:
    """What became of a request's events, as attributes."""
    return {
        "messaging.batch.message_count": accepted.messages,
        "floodgate.events.processed": accepted.processed.total(),
        "floodgate.events.rejected": accepted.rejected,
        "floodgate.events.undurable": accepted.undurable,
    }
