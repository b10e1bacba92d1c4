"""What became of a request → status and body: the one place that decides it."""

from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import web

from gateway.accepted import Accepted, Failure
from gateway.answered import FIGURES
from gateway.correlation import CORRELATION_HEADER
from gateway.problems import RETRY_AFTER_S

_NOT_DURABLE: Final = "The event is valid but could not be made durable; send it again"
_NO_RECORD: Final = "The events were taken, but the request's receipt could not be made durable; send it again"


def bulk(accepted: Accepted, correlation_id: str) -> web.Response:
    """200 where every valid event is durable; 503 where a valid one is not; where there is none to take, 422, or 403
    where all there are come from a sender that may not send them.
    """
    if not accepted.is_durable:
        status = HTTPStatus.SERVICE_UNAVAILABLE
    elif accepted.rejected and not accepted.processed:
        nothing_but = accepted.forbidden == accepted.rejected
        status = HTTPStatus.FORBIDDEN if nothing_but else HTTPStatus.UNPROCESSABLE_ENTITY
    else:
        status = HTTPStatus.OK
    processed = accepted.processed.total()
    errors = [_sentence(failure) for failure in accepted.failures]
    if accepted.record_failure is not None:
        errors.append(_NO_RECORD)
    body = {
        "success": status is HTTPStatus.OK,
        "message": f"Bulk processing completed: {processed} processed, {accepted.failed} failed",
        "processed": processed,
        "failed": accepted.failed,
        "errors": errors,
        "errorDetails": [_detail(failure) for failure in accepted.failures],
        "errorsTruncated": accepted.failed > len(accepted.failures),
        "correlationId": correlation_id,
    }
    answer = web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
    answer.headers[CORRELATION_HEADER] = correlation_id
    answer[FIGURES] = {"events": accepted.total, "failed": accepted.failed, "processed": dict(accepted.processed)}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer


def _sentence(failure: Failure) -> str:
    event = f"Event {failure.event_id}" if failure.event_id is not None else f"Event at index {failure.index}"
    if failure.rejection is None:
        return f"{event}: {_NOT_DURABLE}"
    first = failure.rejection.problems[0]
    return f"{event}: {first.field}: {first.message}" if first.field else f"{event}: {first.message}"


def _detail(failure: Failure) -> dict[str, Any]:
    detail: dict[str, Any] = {"index": failure.index, "eventId": failure.event_id}
    if failure.rejection is None:
        code = f"not_durable_{failure.publish_failure}"
        return detail | {"code": code, "field": None, "message": _NOT_DURABLE, "retryable": True}
    first, *others = (
        {"code": problem.code, "field": problem.field or None, "message": problem.message}
        for problem in failure.rejection.problems
    )
    detail |= {**first, "retryable": False}
    if others:
        detail["alsoWrong"] = others
    return detail
