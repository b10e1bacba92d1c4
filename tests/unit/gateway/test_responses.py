"""The answer: status by what became of the events, counts that are never capped, errors that are."""

import json
from typing import Any

import pytest
from aiohttp import web

from gateway import responses
from gateway.accepted import Accepted, Failure
from shared.errors import NotDurable
from shared.events import Problem, Rejection
from shared.outcomes import PublishFailure


def _accepted(*, processed: int = 0, rejected: int = 0, undurable: int = 0, cap: int = 1_000) -> Accepted:
    accepted = Accepted(processed + rejected + undurable, cap)
    if processed:
        accepted.processed["facebook"] = processed
    for index in range(rejected):
        rejection = Rejection(f"e{index}", (Problem("number_type", "data.user.age", "Input should be a valid number"),))
        accepted.fail(Failure(index, f"e{index}", rejection))
    for index in range(undurable):
        accepted.fail(Failure(rejected + index, None, None, PublishFailure.TIMEOUT))
    return accepted


def _body(answer: web.Response) -> dict[str, Any]:
    assert isinstance(answer.body, bytes)
    body: dict[str, Any] = json.loads(answer.body)
    return body


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ({}, 200),
        ({"processed": 3}, 200),
        ({"processed": 1, "rejected": 9}, 200),
        ({"rejected": 9}, 422),
        ({"undurable": 1}, 503),
        ({"processed": 9, "undurable": 1}, 503),
        ({"rejected": 9, "undurable": 1}, 503),
        ({"processed": 9, "rejected": 9, "undurable": 1}, 503),
    ],
)
def test_the_status_follows_what_became_of_the_events(counts: dict[str, int], status: int) -> None:
    answer = responses.bulk(_accepted(**counts), "an-id")
    body = _body(answer)
    processed, failed = counts.get("processed", 0), counts.get("rejected", 0) + counts.get("undurable", 0)
    assert answer.status == status
    assert body["success"] is (status == 200)
    assert (body["processed"], body["failed"]) == (processed, failed)
    assert body["message"] == f"Bulk processing completed: {processed} processed, {failed} failed"
    assert (answer.headers["x-correlation-id"], body["correlationId"]) == ("an-id", "an-id")
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert answer.content_type == "application/json"


def test_without_its_record_a_request_is_not_acknowledged_though_its_events_are_there() -> None:
    accepted = _accepted(processed=5)
    accepted.record_failure = NotDurable(PublishFailure.TIMEOUT, "no acknowledgement")
    answer = responses.bulk(accepted, "an-id")
    body = _body(answer)
    assert (answer.status, body["success"], body["processed"], body["failed"]) == (503, False, 5, 0)
    assert "receipt" in body["errors"][-1]


@pytest.mark.parametrize(("cap", "listed", "truncated"), [(0, 0, True), (2, 2, True), (7, 7, False), (8, 7, False)])
def test_errors_are_capped_and_counts_are_not(cap: int, listed: int, truncated: bool) -> None:
    body = _body(responses.bulk(_accepted(processed=1, rejected=4, undurable=3, cap=cap), "an-id"))
    assert (len(body["errors"]), len(body["errorDetails"])) == (listed, listed)
    assert (body["failed"], body["errorsTruncated"]) == (7, truncated)


def test_a_refused_event_is_told_as_the_contract_has_it() -> None:
    accepted = Accepted(1, 10)
    problem = Problem("number_type", "data.user.age", "Input should be a valid number")
    accepted.fail(Failure(17, "event-123", Rejection("event-123", (problem,))))
    body = _body(responses.bulk(accepted, "an-id"))
    assert body["errors"] == ["Event event-123: data.user.age: Input should be a valid number"]
    assert body["errorDetails"] == [
        {
            "index": 17,
            "eventId": "event-123",
            "code": "number_type",
            "field": "data.user.age",
            "message": "Input should be a valid number",
            "retryable": False,
        }
    ]


def test_an_event_without_an_id_or_a_field_is_told_by_its_index() -> None:
    accepted = Accepted(1, 10)
    accepted.fail(Failure(3, None, Rejection(None, (Problem("json_invalid", "", "Invalid JSON"),))))
    body = _body(responses.bulk(accepted, "an-id"))
    assert body["errors"] == ["Event at index 3: Invalid JSON"]
    assert (body["errorDetails"][0]["eventId"], body["errorDetails"][0]["field"]) == (None, None)


def test_further_problems_stand_beside_the_first() -> None:
    accepted = Accepted(1, 10)
    problems = (Problem("missing", "timestamp", "Field required"), Problem("missing", "data", "Field required"))
    accepted.fail(Failure(0, "e", Rejection("e", problems)))
    [detail] = _body(responses.bulk(accepted, "an-id"))["errorDetails"]
    assert detail["field"] == "timestamp"
    assert detail["alsoWrong"] == [{"code": "missing", "field": "data", "message": "Field required"}]


@pytest.mark.parametrize("failure", PublishFailure)
def test_an_event_that_is_not_durable_may_be_sent_again(failure: PublishFailure) -> None:
    accepted = Accepted(1, 10)
    accepted.fail(Failure(5, None, None, failure))
    body = _body(responses.bulk(accepted, "an-id"))
    [detail] = body["errorDetails"]
    assert (detail["code"], detail["retryable"], detail["index"]) == (f"not_durable_{failure}", True, 5)
    assert body["errors"] == [f"Event at index 5: {detail['message']}"]
