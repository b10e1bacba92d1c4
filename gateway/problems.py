"""Errors that are no bulk answer: `application/problem+json` (RFC 9457), with the correlation id.

`Refused` is raised wherever a request is refused whole, having taken nothing of it; one middleware words
it, and every other HTTP error, the same way.
"""

from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.answered import FIGURES
from gateway.correlation import CORRELATION_HEADER, correlation_id_of
from gateway.problem_types import NO_TYPE, PROBLEM_TYPES
from shared.logs import Logger
from shared.metrics import GatewayMetrics
from shared.outcomes import RefuseReason

RETRY_AFTER_S: Final = 1
"""Short, as what refuses a request (a burst, a reconnect) is mostly over in seconds; senders add jitter."""


class Refused(Exception):
    """A request is refused whole. `detail` tells its sender what was wrong and what to do."""

    def __init__(
        self, status: HTTPStatus, reason: RefuseReason, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.headers = headers
        self.status = status
        self.reason = reason
        self.detail = detail


def problem(
    status: int,
    detail: str,
    correlation_id: str,
    headers: dict[str, str] | None = None,
    reason: RefuseReason | None = None,
) -> web.Response:
    """A problem document, of the reason's type; of none where the status says it all."""
    kind = PROBLEM_TYPES[reason] if reason is not None else None
    body = {
        "type": kind.uri if kind else NO_TYPE,
        "title": kind.title if kind else HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "correlationId": correlation_id,
    }
    answer = web.Response(status=status, body=orjson.dumps(body), content_type="application/problem+json")
    answer.headers[CORRELATION_HEADER] = correlation_id
    if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    answer.headers.update(headers or {})
    return answer


def route_of(request: web.Request) -> str:
    """The pattern of the route that took the request, never what was sent; `none` where there is no such route."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


def middleware(log: Logger, metrics: GatewayMetrics) -> Middleware:
    """Turns everything that is raised into a problem document. A bug is logged and answered 500."""

    @web.middleware
    async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            metrics.requests_refused.labels(refused.reason).inc()
            correlation_id = correlation_id_of(request)
            log.warning(
                "request_refused",
                route=route_of(request),
                status=int(refused.status),
                reason=refused.reason.value,
                correlation_id=correlation_id,
            )
            answer = problem(refused.status, refused.detail, correlation_id, refused.headers, reason=refused.reason)
            answer[FIGURES] = {"reason": refused.reason.value}
            return answer
        except web.HTTPException as error:
            if error.status < 400:
                raise
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            detail = _HTTP_DETAILS.get(error.status, error.reason)
            return problem(error.status, detail, correlation_id_of(request), allow)
        except Exception:
            # Never the path: a sender wrote it, and a log line must not be theirs to write.
            log.exception("request_failed", route=route_of(request), correlation_id=correlation_id_of(request))
            return problem(500, "This is a bug of ours; nothing is known about it yet", correlation_id_of(request))

    return problems


_HTTP_DETAILS: Final = {
    404: "No such resource; the webhooks are POST /webhook/events and POST /webhook/events/bulk",
    405: "This resource does not take this method; the Allow header names those it takes",
}
