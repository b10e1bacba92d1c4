"""The answers of every route as OpenAPI's response objects: statuses, headers, bodies, examples.

Invariant: a status's problem types come from `PROBLEM_TYPES`, so a new reason to refuse is described at once.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from gateway.api.schemas import CORRELATION_ID, Schema, ref
from gateway.problem_types import NO_TYPE, PROBLEM_TYPES
from gateway.problems import RETRY_AFTER_S

JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"

_ID: Final = "order-sync-2026-01-25"

HEADERS: Final[Mapping[str, Schema]] = {
    "x-correlation-id": {
        "description": "The request's id: the sender's where it is sane, else a new one",
        "required": True,
        "schema": CORRELATION_ID,
    },
    "Retry-After": {
        "description": "Seconds to wait before the request is sent again; add jitter",
        "required": True,
        "schema": {"type": "integer", "minimum": 0, "examples": [RETRY_AFTER_S]},
    },
    "Allow": {
        "description": "The methods that the resource takes",
        "required": True,
        "schema": {"type": "string", "examples": ["GET,HEAD"]},
    },
    "RateLimit": {
        "description": "What is left of the quota and when it is whole again (draft-ietf-httpapi-ratelimit-headers)",
        "schema": {"type": "string", "examples": ['"events";r=0;t=2']},
    },
    "RateLimit-Policy": {
        "description": "The quota and its window in seconds (draft-ietf-httpapi-ratelimit-headers)",
        "schema": {"type": "string", "examples": ['"events";q=100000;w=1']},
    },
    "ETag": {"description": "Changes when the content does", "schema": {"type": "string"}},
}

_WHEN: Final[Mapping[int, str]] = {
    400: "The body can't be read; nothing was taken. Not to be sent again as it is",
    401: "No credentials, wrong ones, or a signature that does not fit the body or is too old",
    403: "The credentials are good, and do not allow this",
    404: "There is nothing under this name",
    405: "The resource does not take this method",
    408: "The body did not arrive in time; nothing was taken. May be sent again",
    413: "Too many events or bytes; nothing was taken. To be sent in parts",
    415: "A media type or encoding that is not spoken here; nothing was taken",
    422: "It was used too often to be summed",
    429: "This sender is over its rate; nothing was taken. May be sent again",
    431: "The request line or a header is longer than is taken here",
    500: "A bug of ours. May be sent again",
    503: "It can't be done now. The same request may be sent again",
}

_HEADERS_OF: Final[Mapping[int, tuple[str, ...]]] = {
    405: ("Allow",),
    429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After",),
}


def problems(*statuses: int) -> Schema:
    """Responses by status, as references to `problem_responses`."""
    return {str(status): ref(f"Problem{status}", "responses") for status in statuses}


def problem_responses() -> dict[str, Schema]:
    """Components: a response for each status that is a problem document."""
    return {f"Problem{status}": _problem(status) for status in _WHEN}


def bulk_answers() -> Schema:
    """The responses to a request whose body could be read; 503 may be a refusal too."""
    refusal = _problem(503)
    forbidden = _problem(403)
    not_its = _bulk(success=False, processed=0, error=_NOT_ITS)
    not_durable = _bulk(success=False, processed=0, error=_NOT_DURABLE)
    return {
        "200": _answer(
            "Every valid event is durable. Events that are listed as failed can't be mended by sending them again",
            "BulkAnswer",
            {
                "all taken": _bulk(success=True, processed=3),
                "one refused": _bulk(success=True, processed=2, error=_REJECTED),
            },
        ),
        "403": forbidden
        | {
            "description": "Every event is of a source that the sender may not send (a bulk answer), or the sender may "
            "not post at all (a problem)",
            "content": forbidden["content"] | _content(JSON, ref("BulkAnswer"), {"no event of the sender's": not_its}),
        },
        "422": _answer(
            "Every event is invalid", "BulkAnswer", {"refused": _bulk(success=False, processed=0, error=_REJECTED)}
        ),
        "503": refusal
        | {
            "description": "A valid event could not be made durable (a bulk answer), or nothing was taken (a problem). "
            "The same request may be sent again, as it was: nothing is ever doubled",
            "content": refusal["content"] | _content(JSON, ref("BulkAnswer"), {"not durable": not_durable}),
        },
    }


def receipt_answer() -> Schema:
    """The response with the receipt."""
    figures = {"accepted": 3, "stored": 2, "duplicates": 1, "deadLettered": 0, "pending": 0}
    example = {"correlationId": _ID, **figures, "failed": 0, "replayed": 0, "requests": 1, "complete": True}
    answer = _answer(
        "What became of the requests of this correlation id",
        "Receipt",
        {"complete": example | {"bySource": {"facebook": figures}}},
    )
    return {name: part for name, part in answer.items() if name != "headers"}


def plain(description: str, media_types: Mapping[str, Schema], headers: tuple[str, ...] = ()) -> Schema:
    """A response that is no problem, by media type and schema."""
    answer: Schema = {"description": description}
    if media_types:
        answer["content"] = {media: {"schema": schema} for media, schema in media_types.items()}
    if headers:
        answer["headers"] = {name: ref(name, "headers") for name in headers}
    return answer


def _problem(status: int) -> Schema:
    examples = {
        kind.name: _document(status, kind.uri, kind.title, kind.meaning + " " + kind.remedy)
        for kind in PROBLEM_TYPES.values()
        if kind.status == status
    } or {"problem": _document(status, NO_TYPE, HTTPStatus(status).phrase, _WHEN[status])}
    return plain(_WHEN[status], {}, ("x-correlation-id", *_HEADERS_OF.get(status, ()))) | {
        "content": _content(PROBLEM_JSON, ref("Problem"), examples)
    }


def _document(status: int, kind: str, title: str, detail: str) -> Schema:
    return {"type": kind, "title": title, "status": int(status), "detail": detail, "correlationId": _ID}


def _answer(description: str, schema: str, examples: Mapping[str, Any]) -> Schema:
    return plain(description, {}, ("x-correlation-id",)) | {"content": _content(JSON, ref(schema), examples)}


def _content(media_type: str, schema: Schema, examples: Mapping[str, Any]) -> Schema:
    return {media_type: {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}}


_NOT_ITS: Final[Schema] = {
    "index": 0,
    "eventId": "ttk-7c1d0f62-50a4-4a54-8a0e-6d9c1a0b2f11",
    "code": "forbidden_source",
    "field": "source",
    "message": "This sender may not send events of this source",
    "retryable": False,
}
_REJECTED: Final[Schema] = {
    "index": 2,
    "eventId": "fb-5a0c8c1e-3b8a-4f0e-9c55-0d6f3f1f7a10",
    "code": "number_type",
    "field": "data.user.age",
    "message": "Input should be a valid number",
    "retryable": False,
}
_NOT_DURABLE: Final = _REJECTED | {
    "code": "not_durable_timeout",
    "field": None,
    "message": "The event is valid but could not be made durable; send it again",
    "retryable": True,
}


def _bulk(*, success: bool, processed: int, error: Schema | None = None) -> Schema:
    failed = 1 if error else 0
    errors = []
    if error:
        field = f"{error['field']}: " if error["field"] else ""
        errors.append(f"Event {error['eventId']}: {field}{error['message']}")
    return {
        "success": success,
        "message": f"Bulk processing completed: {processed} processed, {failed} failed",
        "processed": processed,
        "failed": failed,
        "errors": errors,
        "errorDetails": [error] if error else [],
        "errorsTruncated": False,
        "correlationId": _ID,
    }
