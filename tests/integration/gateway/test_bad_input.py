"""Bad input: never a 5xx, nothing around it is lost, and what is refused is named precisely.

One gateway serves the whole file, as a sender's nonsense must not keep it from the next one's events; each
test tells its own messages by its correlation id, and its last check is that a valid event still goes in.
"""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from shared.events.types import MAX_EXACT_NUMBER
from tests.integration.gateway.conftest import Running
from tests.integration.gateway.events import Event, array, facebook, text, tiktok, with_value, without
from tests.integration.gateway.nonsense import BULK, SINGLE, assert_problem, assert_still_serves

if sys.version_info >= (3, 14):
    pass
else:
    pass

pytestmark = pytest.mark.asyncio(loop_scope="module")


NOT_JSON: dict[str, bytes] = {
    "words": b"hello",
    "empty": b"",
    "only_blanks": b" \r\n\t ",
    "only_a_bom": b"\xef\xbb\xbf",
    "truncated_in_an_event": array(facebook())[:200],
    "truncated_at_the_end": array(facebook())[:-1],
    "trailing_comma": b"[" + text(facebook()) + b",]",
    "only_a_comma": b"[,]",
    "trailing_garbage": array(facebook()) + b" x",
    "two_arrays": array(facebook()) + array(facebook()),
    "single_quotes": b"[{'eventId': 'x'}]",
    "null": b"null",
    "a_number": b"17",
    "a_string": b'"events"',
    "utf_16": array(facebook()).decode().encode("utf-16"),
    "nul_bytes": b"\0" * 64,
    "truncated_with_a_lone_surrogate": b'["\\ud800',
    "wrong_bracket_with_a_lone_surrogate": b'["\\ud800"}',
    "a_form": b"eventId=1&source=facebook",
    "brackets_without_end": b"[" * 100_000,
}


@pytest.mark.parametrize("path", [BULK, SINGLE])
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_a_body_that_is_not_json_is_400_and_nothing_is_taken(
    shared_gateway: Running, body: bytes, path: str
) -> None:
    answer = await shared_gateway.post(body, path=path)
    assert_problem(answer, 400)
    assert await shared_gateway.stored_ids("facebook", answer.correlation_id) == []
    await assert_still_serves(shared_gateway)


WRONG_SHAPE: dict[str, bytes] = {
    "events_is_a_number": b'{"events": 5}',
    "events_is_null": b'{"events": null}',
    "events_is_an_object": b'{"events": {}}',
    "no_events": b"{}",
    "events_in_another_key": b'{"data": {"events": []}}',
    "one_event": text(facebook()),
    "two_events_keys": b'{"events": ' + array(facebook()) + b', "events": ' + array(facebook()) + b"}",
}


@pytest.mark.parametrize("body", WRONG_SHAPE.values(), ids=WRONG_SHAPE.keys())
async def test_an_object_without_an_events_array_is_400_in_bulk(shared_gateway: Running, body: bytes) -> None:
    answer = await shared_gateway.post(body)
    assert '{"events": [...]}' in assert_problem(answer, 400)["detail"]
    assert await shared_gateway.stored_ids("facebook", answer.correlation_id) == []
    await assert_still_serves(shared_gateway)


@pytest.mark.parametrize("body", [b"[]", b" [ ] ", b'{"events": []}'])
async def test_an_empty_array_is_taken_as_no_events(shared_gateway: Running, body: bytes) -> None:
    answer = await shared_gateway.post(body)
    assert (answer.status, answer.json["processed"], answer.json["failed"]) == (200, 0, 0)


def _bad(path: str, value: Any, make: Callable[[], Event] = facebook) -> Event:
    return with_value(make(), path, value)


NESTED_IN_AN_UNKNOWN_KEY = text(facebook())[:-1] + b', "x": ' + b"[" * 3_000 + b"]" * 3_000 + b"}"

# name: (event, code, field, whether its id can be told)
BAD_EVENTS: dict[str, tuple[Any, str, str | None, bool]] = {
    "missing_id": (without(facebook(), "eventId"), "missing", "eventId", False),
    "missing_timestamp": (without(facebook(), "timestamp"), "missing", "timestamp", True),
    "missing_source": (without(facebook(), "source"), "missing", "source", True),
    "missing_stage": (without(facebook(), "funnelStage"), "missing", "funnelStage", True),
    "missing_type": (without(facebook(), "eventType"), "missing", "eventType", True),
    "missing_data": (without(facebook(), "data"), "missing", "data", True),
    "missing_user": (without(facebook(), "data.user"), "missing", "data.user", True),
    "missing_city": (without(facebook(), "data.user.location.city"), "missing", "data.user.location.city", True),
    "missing_engagement": (without(tiktok(), "data.engagement"), "missing", "data.engagement", True),
    "text_for_number": (_bad("data.user.age", "31"), "number_type", "data.user.age", True),
    "boolean_for_number": (_bad("data.user.age", True), "number_type", "data.user.age", True),
    "number_for_text": (_bad("data.user.userId", 12345), "string_type", "data.user.userId", True),
    "null_for_text": (_bad("eventId", None), "string_type", "eventId", False),
    "list_for_text": (_bad("data.user.name", ["Zoë"]), "string_type", "data.user.name", True),
    "object_for_text": (_bad("data.user.name", {"a": "Zoë"}), "string_type", "data.user.name", True),
    "object_for_id": (_bad("eventId", {}), "string_type", "eventId", False),
    "text_for_object": (_bad("data", "clicked"), "model_type", "data", True),
    "list_for_object": (_bad("data.user", []), "model_type", "data.user", True),
    "empty_id": (_bad("eventId", ""), "string_too_short", "eventId", False),
    "long_id": (_bad("eventId", "x" * 256), "string_too_long", "eventId", False),
    "unknown_platform": (_bad("source", "myspace"), "literal_error", "source", True),
    "list_for_platform": (_bad("source", ["facebook"]), "literal_error", "source", True),
    "unknown_stage": (_bad("funnelStage", "middle"), "literal_error", "funnelStage", True),
    "number_for_stage": (_bad("funnelStage", 1), "literal_error", "funnelStage", True),
    "unknown_type": (_bad("eventType", "page.hover"), "literal_error", "eventType", True),
    "type_of_the_other_platform": (_bad("eventType", "share"), "literal_error", "eventType", True),
    "type_of_the_other_stage": (_bad("eventType", "ad.view"), "literal_error", "eventType", True),
    "unknown_device": (_bad("data.engagement.device", "watch"), "literal_error", "data.engagement.device", True),
    "timestamp_in_words": (_bad("timestamp", "yesterday"), "timestamp_format", "timestamp", True),
    "timestamp_without_offset": (_bad("timestamp", "2026-01-25T17:31:13"), "timestamp_format", "timestamp", True),
    "timestamp_as_number": (_bad("timestamp", 1769362273), "string_type", "timestamp", True),
    "thirtieth_of_february": (_bad("timestamp", "2026-02-30T00:00:00Z"), "timestamp_format", "timestamp", True),
    "year_9999": (_bad("timestamp", "9999-12-31T23:59:59-12:00"), "timestamp_range", "timestamp", True),
    "negative_amount": (
        _bad("data.engagement.purchaseAmount", "-1.00"),
        "amount_format",
        "data.engagement.purchaseAmount",
        True,
    ),
    "amount_in_words": (
        _bad("data.engagement.purchaseAmount", "twelve"),
        "amount_format",
        "data.engagement.purchaseAmount",
        True,
    ),
    "amount_as_number": (
        _bad("data.engagement.purchaseAmount", 12.34),
        "string_type",
        "data.engagement.purchaseAmount",
        True,
    ),
    "huge_amount": (
        _bad("data.engagement.purchaseAmount", "9" * 400),
        "amount_format",
        "data.engagement.purchaseAmount",
        True,
    ),
    "nul_in_a_name": (_bad("data.user.name", "Robin\0Banks"), "string_nul", "data.user.name", True),
    "nul_in_the_id": (_bad("eventId", "a\0b"), "string_nul", "eventId", True),
    "nul_in_an_unknown_key": (facebook(extra={"note": "\0"}), "string_nul", "extra.note", True),
    "huge_number": (_bad("data.user.age", MAX_EXACT_NUMBER + 2), "number_range", "data.user.age", True),
    "number_past_a_double": (
        text(facebook()).replace(b'"age": 31', b'"age": 1e999'),
        "number_range",
        "data.user.age",
        True,
    ),
    "number_of_many_digits": (
        text(facebook()).replace(b'"age": 31', b'"age": ' + b"9" * 500),
        "number_range",
        "data.user.age",
        True,
    ),
    "not_a_number": (text(facebook()).replace(b'"age": 31', b'"age": NaN'), "number_range", "data.user.age", True),
    "not_a_number_in_an_unknown_key": (text(facebook())[:-1] + b', "x": NaN}', "json_invalid", None, True),
    "infinity_in_an_unknown_key": (text(facebook())[:-1] + b', "x": [-Infinity]}', "json_invalid", None, True),
    "lone_surrogate": (text(facebook()).replace("Zoë".encode(), b"\\ud800"), "json_invalid", None, True),
    "lone_surrogate_in_an_unknown_key": (text(facebook())[:-1] + b', "x": "\\udc00"}', "json_invalid", None, True),
    "broken_utf_8": (text(facebook()).replace("Zoë".encode(), b"\xff\xfe"), "json_invalid", None, True),
    "deep_nesting": (NESTED_IN_AN_UNKNOWN_KEY, "json_invalid", None, False),
    "deeper_than_any_stack": (b"[" * 100_000 + b"]" * 100_000, "json_invalid", None, False),
    "too_large": (facebook(extra="x" * 1_100_000), "too_large", None, True),
    "number": (17, "dict_type", None, False),
    "null": (None, "dict_type", None, False),
    "string": ("event", "dict_type", None, False),
    "list": ([[]], "dict_type", None, False),
    "empty_object": ({}, "missing", "source", False),
}

# JSON that isn't: in an array these break the whole body, as nothing says where such an event would end.
BREAKS_THE_BODY = {"not_a_number", "not_a_number_in_an_unknown_key", "infinity_in_an_unknown_key"}


@pytest.mark.parametrize("name", BAD_EVENTS)
async def test_a_bad_event_is_named_and_the_valid_ones_around_it_are_taken(shared_gateway: Running, name: str) -> None:
    bad, code, field, has_id = BAD_EVENTS[name]
    before, after = facebook(), tiktok()
    spoiled = bad if isinstance(bad, bytes) else text(bad)
    body, options = array(before, spoiled, after), {}
    if name in BREAKS_THE_BODY:
        body, options = b"\n".join((text(before), spoiled, text(after))), {"Content_Type": "application/x-ndjson"}

    answer = await shared_gateway.post(body, **options)

    assert answer.status == 200, answer.body
    account = answer.json
    assert (account["success"], account["processed"], account["failed"]) == (True, 2, 1)
    [detail], [sentence] = account["errorDetails"], account["errors"]
    event_id = bad["eventId"] if has_id and isinstance(bad, dict) else detail["eventId"]
    assert (detail["index"], detail["code"], detail["field"], detail["retryable"]) == (1, code, field, False)
    assert detail["eventId"] == event_id
    assert (detail["eventId"] is not None) == has_id
    assert sentence.startswith(f"Event {event_id}: " if has_id else "Event at index 1: ")
    assert detail["message"] in sentence
    assert len(detail["message"]) < 300
    assert await shared_gateway.stored_ids("facebook", answer.correlation_id) == [before["eventId"]]
    assert await shared_gateway.stored_ids("tiktok", answer.correlation_id) == [after["eventId"]]
    assert shared_gateway.in_flight() == (0, 0)


@pytest.mark.parametrize("name", sorted(BAD_EVENTS.keys() - BREAKS_THE_BODY - {"number", "null", "string", "list"}))
async def test_a_bad_event_alone_is_422_on_the_route_for_one(shared_gateway: Running, name: str) -> None:
    bad, code, field, _ = BAD_EVENTS[name]
    answer = await shared_gateway.post(bad if isinstance(bad, bytes) else text(bad), path=SINGLE)
    account = answer.json
    assert (answer.status, account["success"], account["processed"], account["failed"]) == (422, False, 0, 1)
    assert [(detail["code"], detail["field"]) for detail in account["errorDetails"]] == [(code, field)]


async def test_every_problem_of_an_event_is_told(shared_gateway: Running) -> None:
    event = with_value(with_value(facebook(), "data.user.age", "31"), "eventType", "page.hover")
    [detail] = (await shared_gateway.post(array(event))).json["errorDetails"]
    told = {detail["field"], *(other["field"] for other in detail["alsoWrong"])}
    assert told == {"eventType", "data.user.age"}


async def test_a_megabyte_in_a_string_is_stored_whole(shared_gateway: Running) -> None:
    event = _bad("data.user.name", "ö" * 500_000)
    answer = await shared_gateway.post(array(event))
    assert answer.status == 200
    [message] = [
        message
        for message in await shared_gateway.stored("facebook")
        if message.headers["Floodgate-Correlation-Id"] == answer.correlation_id
    ]
    assert message.body == array(event)


async def test_errors_are_capped_and_counts_are_not(shared_gateway: Running) -> None:
    answer = await shared_gateway.post(array(*[{"eventId": f"e{index}"} for index in range(30)], facebook()))
    account = answer.json
    assert (answer.status, account["processed"], account["failed"]) == (200, 1, 30)
    assert (len(account["errors"]), len(account["errorDetails"]), account["errorsTruncated"]) == (20, 20, True)
    assert [detail["index"] for detail in account["errorDetails"]] == list(range(20))


async def test_broken_lines_of_ndjson_are_broken_events_and_no_more(shared_gateway: Running) -> None:
    valid = [facebook(), tiktok(), facebook()]
    lines = [b"", text(valid[0]) + b"\r", b"{nonsense", b"  ", text(valid[1]), b'{"eventId": "cut', text(valid[2])]
    answer = await shared_gateway.post(b"\n".join(lines), Content_Type="application/x-ndjson")
    account = answer.json
    assert (answer.status, account["processed"], account["failed"]) == (200, 3, 2)
    assert [(detail["index"], detail["code"]) for detail in account["errorDetails"]] == [
        (1, "json_invalid"),
        (3, "json_invalid"),
    ]
