"""What every answer to a case must be, whatever was sent: the documented statuses, shapes and sums."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from tests.fuzz.case import REFUSED, Case, events_in
from tests.fuzz.connection import Answer

MAX_EVENTS: Final = 100
MAX_BODY_BYTES: Final = 150_000
LIMITS: Final = {"MAX_BULK_EVENTS": str(MAX_EVENTS), "MAX_BODY_BYTES": str(MAX_BODY_BYTES), "MAX_REPORTED_ERRORS": "50"}
"""Settings of the gateway under test: small, so that the cases reach them."""

_BULK: Final = {
    "success", "message", "processed", "failed", "errors", "errorDetails", "errorsTruncated", "correlationId",
}  # fmt: skip
_PROBLEM: Final = {"type", "title", "status", "detail", "correlationId"}
_DETAIL: Final = {"index", "eventId", "code", "field", "message", "retryable"}
_SINGLETONS: Final = (b"content-type", b"content-encoding")
_SANE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")


def complaints(case: Case, answer: Answer) -> Iterator[str]:
    """What is wrong with an answer; nothing where it is as documented."""
    media = "application/json" if answer.status in {200, 422} else "application/problem+json"
    if _is_no_http(case) and answer.status == 400:
        return  # answered by the HTTP layer in plain text, before there is a request
    if answer.status not in {200, 400, 413, 415, 422}:
        yield f"status {answer.status}: {answer.body[:300]!r}"
    elif answer.headers.get("content-type", "").partition(";")[0] != media:
        yield f"status {answer.status} as {answer.headers.get('content-type')}: {answer.body[:300]!r}"
    else:
        found = json.loads(answer.body)
        yield from _wrong_in_any(case, answer, found)
        yield from _wrong_in_bulk(answer, found) if answer.status in {200, 422} else _wrong_in_problem(answer, found)
        yield from _wrong_sum(case, answer, found)


def processed(answer: Answer) -> int:
    """Events that an answer says are taken."""
    return int(json.loads(answer.body)["processed"]) if answer.status == 200 else 0


def _wrong_in_any(case: Case, answer: Answer, found: dict[str, Any]) -> Iterator[str]:
    if found.get("correlationId") != answer.headers.get("x-correlation-id"):
        yield f"correlation ids differ: {found.get('correlationId')} and {answer.headers.get('x-correlation-id')}"
    sent = (case.header(b"x-correlation-id") or b"").decode("latin-1").strip()
    if _SANE_ID.fullmatch(sent) and found.get("correlationId") != sent:
        yield f"correlation id {sent} was answered {found.get('correlationId')}"


def _wrong_in_problem(answer: Answer, found: dict[str, Any]) -> Iterator[str]:
    if set(found) != _PROBLEM or found["status"] != answer.status or not found["detail"]:
        yield f"no problem document: {found}"


def _wrong_in_bulk(answer: Answer, found: dict[str, Any]) -> Iterator[str]:
    if set(found) != _BULK:
        yield f"no bulk answer: {sorted(found)}"
        return
    taken, failed, details = found["processed"], found["failed"], found["errorDetails"]
    listed = min(failed, int(LIMITS["MAX_REPORTED_ERRORS"]))
    if found["success"] is not (answer.status == 200) or (answer.status == 422) != (taken == 0 and failed > 0):
        yield f"status {answer.status}, success {found['success']}, {taken} processed, {failed} failed"
    if found["message"] != f"Bulk processing completed: {taken} processed, {failed} failed":
        yield f"message {found['message']!r}"
    if len(found["errors"]) != listed or len(details) != listed or found["errorsTruncated"] is not (failed > listed):
        yield f"{failed} failed, {len(found['errors'])} errors, {len(details)} details, {found['errorsTruncated']}"
    indexes = [detail["index"] for detail in details]
    if indexes != sorted(set(indexes)) or any(not 0 <= index < taken + failed for index in indexes):
        yield f"indexes {indexes[:20]} of {taken + failed} events"
    for detail in details:
        if set(detail) - {"alsoWrong"} != _DETAIL or detail["retryable"] or not detail["code"] or not detail["message"]:
            yield f"detail {detail}"


def _wrong_sum(case: Case, answer: Answer, found: dict[str, Any]) -> Iterator[str]:
    known = events_in(case)
    if known is None:
        return
    if known == REFUSED:
        if answer.status in {200, 422}:
            yield f"status {answer.status} for a body that is to be refused whole: {found['message']}"
    elif answer.status in {200, 422}:
        if found["processed"] + found["failed"] != known:
            yield f"{known} events, and {found['processed']} processed + {found['failed']} failed"
    elif answer.status != 413 or (known <= MAX_EVENTS and len(case.body) <= MAX_BODY_BYTES and not _is_coded(case)):
        yield f"status {answer.status} for {known} events: {found['detail']}"


def _is_no_http(case: Case) -> bool:
    """RFC 9110, 5.3: a header that takes one value must not come twice."""
    names = [name.lower() for name, _ in case.headers]
    return any(names.count(name) > 1 for name in _SINGLETONS)


def _is_coded(case: Case) -> bool:
    return case.header(b"content-encoding") is not None
