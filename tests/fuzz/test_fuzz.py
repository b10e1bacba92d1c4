"""The short form of `make fuzz`, and that it can fail."""

import json
from typing import Any

import pytest

from tests.fuzz import checks
from tests.fuzz.case import BULK_PATH, REFUSED, SINGLE_PATH, Case, events_in
from tests.fuzz.cases import Cases
from tests.fuzz.connection import Answer
from tests.fuzz.run import run
from tests.fuzz.stored import _is_storable

SEED = 20_260_125
CASES = 3_000


async def test_mutated_requests_are_answered_as_documented_and_what_is_processed_is_stored(nats_url: str) -> None:
    result = await run(nats_url, cases=CASES, seed=SEED)
    print(*result.lines(), sep="\n")  # noqa: T201 - the figures, for whoever runs it with -s
    assert result.failures == []
    assert result.cases == CASES
    assert result.probes > CASES // 500
    assert min(result.statuses[status] for status in (200, 400, 413, 415, 422)) > 0
    assert result.processed == result.stored > CASES // 10


def test_a_case_is_made_again_from_its_seed_and_number() -> None:
    assert [Cases(SEED)[number] for number in range(50)] == [Cases(SEED)[number] for number in range(50)]
    assert Cases(SEED)[7] != Cases(SEED + 1)[7]


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (BULK_PATH, b"[]", 0),
        (BULK_PATH, b"\xef\xbb\xbf [1, {}] ", 2),
        (BULK_PATH, b'{"a": 1, "\\u0065vents": [1]}', 1),
        (BULK_PATH, b'{"events": [1], "\\u0065vents": [1]}', REFUSED),
        (BULK_PATH, b'{"events": {}}', REFUSED),
        (BULK_PATH, b"[NaN]", REFUSED),
        (BULK_PATH, b"[1", REFUSED),
        (BULK_PATH, b"5", REFUSED),
        (BULK_PATH, b'["\xff"]', None),
        (BULK_PATH, b"[" * 100_000, None),
        (SINGLE_PATH, b"{}", 1),
    ],
)
def test_the_expectation_is_read_from_the_body(path: str, body: bytes, expected: int | None) -> None:
    headers = [(b"Content-Type", b"application/json")]
    assert events_in(Case(number=0, path=path, headers=headers, body=body)) == expected


_ACCOUNT: dict[str, Any] = {
    "success": True,
    "message": "Bulk processing completed: 1 processed, 1 failed",
    "processed": 1,
    "failed": 1,
    "errors": ["Event x: wrong"],
    "errorDetails": [
        {"index": 1, "eventId": "x", "code": "wrong", "field": None, "message": "wrong", "retryable": False}
    ],
    "errorsTruncated": False,
    "correlationId": "mine",
}


def _complaints(status: int = 200, **changes: Any) -> list[str]:
    headers = [(b"Content-Type", b"application/json"), (b"x-correlation-id", b"mine")]
    case = Case(number=0, path=BULK_PATH, headers=headers, body=b"[1,2]")
    answered = {"content-type": "application/json", "x-correlation-id": "mine"}
    return list(checks.complaints(case, Answer(status, answered, json.dumps(_ACCOUNT | changes).encode())))


def test_a_right_answer_is_no_failure() -> None:
    assert _complaints() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": 500}, {"status": 503}, {"status": 422}, {"status": 400}, {"success": False}, {"errors": []},
        {"processed": 2, "message": "Bulk processing completed: 2 processed, 1 failed"}, {"message": "done"},
        {"errorDetails": []}, {"errorsTruncated": True}, {"correlationId": "other"}, {"more": 1},
        {"errorDetails": [_ACCOUNT["errorDetails"][0] | {"index": 2}]},
        {"errorDetails": [_ACCOUNT["errorDetails"][0] | {"retryable": True}]},
    ],
)  # fmt: skip
def test_a_wrong_answer_is_a_failure(wrong: dict[str, Any]) -> None:
    assert _complaints(**wrong)


@pytest.mark.parametrize("value", ["\0", {"a\0": 1}, [["\ud800"]], {"a": "é\0"}])
def test_what_no_database_holds_is_noticed(value: object) -> None:
    assert not _is_storable(value)
    assert _is_storable({"é": ["😀", 1, None]})
