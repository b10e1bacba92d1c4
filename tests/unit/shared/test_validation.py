"""Each rule of the events: which code, field and sentence a sender gets, and that nobody's data is in it."""

import json
import tracemalloc
from typing import Any

import pytest

from shared.events import (
    EventValidator,
    Problem,
    Rejection,
)
from shared.outcomes import RejectReason
from tests.unit.shared.rules import KINDS, MISSING, paths, put, sample
from tests.unit.shared.validating import MAX_EVENT_BYTES, VALIDATOR, refused, source_of

STRING = ("string_type", "Input should be a valid string")
NUMBER = ("number_type", "Input should be a valid number")
OBJECT = ("model_type", "Input should be an object")
SIZE = ("number_range", "Input should be a number whose size is under 2^53")
FINITE = ("number_range", "Input should be a finite number")
SOURCE = ("literal_error", "Input should be one of 'facebook', 'tiktok'")
STAGE = ("literal_error", "Input should be one of 'top', 'bottom'")
SHORT = ("string_too_short", "String should have at least 1 character")
LONG = ("string_too_long", "String should have at most 255 characters")
REQUIRED = ("missing", "Field required")
NUL = ("string_nul", "String should not contain NUL, which the database cannot hold")
TIME = (
    "timestamp_format",
    "Input should be an ISO 8601 timestamp with an offset or Z, such as 2026-01-25T17:31:13.660Z",
)
ACTION = ("timestamp_format", "Input should be an ISO 8601 timestamp, such as 2026-01-25T17:31:13.660Z")
NO_SUCH_TIME = ("timestamp_format", "Input should be a time that exists")
YEARS = ("timestamp_range", "Input should be a time in the years 1970 to 9998")
AMOUNT = (
    "amount_format",
    "Input should be a non-negative decimal as text with up to 18 digits before the point and 8 after it",
)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_valid_event_of_each_kind_is_told_by_its_source(kind: tuple[str, str]) -> None:
    assert source_of(json.dumps(sample(*kind)).encode()) == kind[0]


@pytest.mark.parametrize("seen", ["at a quick look", "by the models"])
def test_the_id_of_a_valid_event_is_told_as_it_is_stored(seen: str) -> None:
    event = json.dumps(put(sample("facebook", "top"), "eventId", "fb-é-1")).encode()
    if seen == "by the models":
        event = event.replace(b'"timestamp"', b'"note": "\\\\u0000", "timestamp"', 1)  # looks like a NUL, and is none
    found = VALIDATOR.validate(event)
    assert not isinstance(found, Rejection), found
    assert (found.source, found.event_id) == ("facebook", "fb-é-1")


@pytest.mark.parametrize("path", ["data.engagement.videoId"])
def test_null_is_taken_where_a_field_may_be_null_and_nothing_is_not(path: str) -> None:
    event = sample("facebook", "top")
    assert source_of(json.dumps(put(event, path, None)).encode()) == "facebook"
    assert refused(put(event, path, MISSING)).problems == (Problem("missing", path, "Field required"),)


@pytest.mark.parametrize(
    ("kind", "path", "value", "expected"),
    [
        (("tiktok", "top"), "eventId", 7, STRING),
        (("tiktok", "top"), "eventId", None, STRING),
        (("tiktok", "top"), "eventId", "", SHORT),
        (("tiktok", "top"), "eventId", "x" * 256, LONG),
        (("tiktok", "top"), "timestamp", 1769362273, STRING),
        (("tiktok", "top"), "timestamp", "yesterday", TIME),
        (("tiktok", "top"), "timestamp", "2026-01-25T17:31:13", TIME),
        (("tiktok", "top"), "timestamp", "2026-01-25T17:31:13+05:60", TIME),
        (("tiktok", "top"), "timestamp", "2026-02-30T00:00:00Z", NO_SUCH_TIME),
        (("tiktok", "top"), "timestamp", "1969-12-31T23:59:59Z", YEARS),
        (("tiktok", "top"), "timestamp", "9999-12-31T23:59:59Z", YEARS),
        (("tiktok", "top"), "source", "Facebook", SOURCE),
        (("tiktok", "top"), "source", "instagram", SOURCE),
        (("tiktok", "top"), "source", 5, SOURCE),
        (("tiktok", "top"), "source", ["tiktok"], SOURCE),
        (("tiktok", "top"), "source", {"tiktok": 1}, SOURCE),
        (("tiktok", "top"), "source", None, SOURCE),
        (("tiktok", "top"), "funnelStage", "middle", STAGE),
        (("tiktok", "top"), "funnelStage", 1, STAGE),
        (("tiktok", "top"), "funnelStage", [], STAGE),
        (("tiktok", "top"), "data", None, OBJECT),
        (("tiktok", "top"), "data", [], OBJECT),
        (("tiktok", "top"), "data", "{}", OBJECT),
        (("tiktok", "top"), "data.user", [{}], OBJECT),
        (("tiktok", "top"), "data.engagement", 1, OBJECT),
        (("tiktok", "top"), "data.user.username", ["x"], STRING),
        (("tiktok", "top"), "data.user.username", {"x": 1}, STRING),
        (("tiktok", "top"), "data.user.username", True, STRING),
        (("tiktok", "top"), "data.user.username", "a\0b", NUL),
        (("tiktok", "top"), "data.user.userId", "", SHORT),
        (("tiktok", "top"), "data.user.followers", "25", NUMBER),
        (("tiktok", "top"), "data.user.followers", True, NUMBER),
        (("tiktok", "top"), "data.user.followers", None, NUMBER),
        (("tiktok", "top"), "data.user.followers", [1], NUMBER),
        (("tiktok", "top"), "data.user.followers", 2**53, SIZE),
        (("tiktok", "top"), "data.user.followers", -(2**53), SIZE),
        (("tiktok", "top"), "data.user.followers", 1e308, SIZE),
        (("tiktok", "top"), "data.user.followers", 10**400, FINITE),
        (("facebook", "top"), "data.user.age", "25", NUMBER),
        (("facebook", "top"), "data.user.location", "Rome", OBJECT),
        (("facebook", "top"), "data.user.location.city", 1, STRING),
        (("facebook", "top"), "data.engagement.actionTime", "soon", ACTION),
        (("facebook", "top"), "data.engagement.actionTime", "2026-02-30T00:00:00", NO_SUCH_TIME),
        (("facebook", "top"), "data.engagement.videoId", 5, STRING),
        (("facebook", "bottom"), "data.engagement.purchaseAmount", 12.34, STRING),
        (("facebook", "bottom"), "data.engagement.purchaseAmount", "-1", AMOUNT),
        (("facebook", "bottom"), "data.engagement.purchaseAmount", "12,34", AMOUNT),
        (("facebook", "bottom"), "data.engagement.purchaseAmount", "1e3", AMOUNT),
        (("facebook", "bottom"), "data.engagement.purchaseAmount", "", AMOUNT),
        (("tiktok", "bottom"), "data.engagement.purchaseAmount", "NaN", AMOUNT),
        (("tiktok", "bottom"), "data.engagement.purchaseAmount", "1" * 19, AMOUNT),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_by_code_field_and_sentence(
    kind: tuple[str, str], path: str, value: Any, expected: tuple[str, str]
) -> None:
    code, message = expected
    assert refused(put(sample(*kind), path, value)).problems == (Problem(code, path, message),)


@pytest.mark.parametrize(
    ("kind", "path", "listed"),
    [
        (("facebook", "top"), "eventType", "'ad.view', 'page.like', 'comment' or 'video.view'"),
        (("facebook", "bottom"), "eventType", "'ad.click', 'form.submission' or 'checkout.complete'"),
        (("tiktok", "top"), "eventType", "'video.view', 'like', 'share' or 'comment'"),
        (("tiktok", "bottom"), "eventType", "'profile.visit', 'purchase' or 'follow'"),
        (("facebook", "top"), "data.user.gender", "'male', 'female' or 'non-binary'"),
        (("facebook", "top"), "data.engagement.referrer", "'newsfeed', 'marketplace' or 'groups'"),
        (("facebook", "bottom"), "data.engagement.clickPosition", "'top_left', 'bottom_right' or 'center'"),
        (("facebook", "bottom"), "data.engagement.device", "'mobile' or 'desktop'"),
        (("facebook", "bottom"), "data.engagement.browser", "'Chrome', 'Firefox' or 'Safari'"),
        (("tiktok", "top"), "data.engagement.device", "'Android', 'iOS' or 'Desktop'"),
    ],
)
@pytest.mark.parametrize("value", ["Firefoxy", 5, None, ["mobile"], {"a": 1}], ids=repr)
def test_a_closed_list_names_what_it_takes_and_not_what_it_got(
    kind: tuple[str, str], path: str, listed: str, value: Any
) -> None:
    rejection = refused(put(sample(*kind), path, value))
    assert rejection.problems == (Problem("literal_error", path, f"Input should be {listed}"),)
    assert rejection.reason is RejectReason.UNKNOWN_VALUE


def test_a_type_of_the_other_stage_or_source_is_refused() -> None:
    assert refused(put(sample("facebook", "top"), "eventType", "ad.click")).problems[0].field == "eventType"
    assert refused(put(sample("tiktok", "bottom"), "eventType", "like")).problems[0].field == "eventType"
    assert refused(put(sample("tiktok", "top"), "eventType", "ad.view")).problems[0].field == "eventType"


def test_an_engagement_of_the_other_stage_names_each_field_that_is_not_there() -> None:
    event = put(sample("tiktok", "top"), "data.engagement", sample("tiktok", "bottom")["data"]["engagement"])
    assert [(problem.code, problem.field) for problem in refused(event).problems] == [
        ("missing", "data.engagement.watchTime"),
        ("missing", "data.engagement.percentageWatched"),
        ("missing", "data.engagement.device"),
        ("missing", "data.engagement.country"),
        ("missing", "data.engagement.videoId"),
    ]


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_each_missing_field_is_named(kind: tuple[str, str]) -> None:
    event = sample(*kind)
    for path in paths(event):
        rejection = refused(put(event, path, MISSING))
        assert rejection.problems[0] == Problem(REQUIRED[0], path, REQUIRED[1]), path
        assert rejection.reason is RejectReason.MISSING_FIELD


def test_every_problem_of_an_event_is_told_at_once() -> None:
    event = put(put(sample("facebook", "top"), "data.user.age", "41"), "data.engagement.referrer", "spam")
    assert [problem.field for problem in refused(event).problems] == ["data.user.age", "data.engagement.referrer"]


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        (b"", "json_invalid", RejectReason.MALFORMED),
        (b"{", "json_invalid", RejectReason.MALFORMED),
        (b"nonsense", "json_invalid", RejectReason.MALFORMED),
        (b"{} {}", "json_invalid", RejectReason.MALFORMED),
        (b"\xef\xbb\xbf{}", "json_invalid", RejectReason.MALFORMED),
        (b'{"eventId": "\xff"}', "json_invalid", RejectReason.MALFORMED),
        (b"[" * 10_000, "json_invalid", RejectReason.MALFORMED),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "json_invalid", RejectReason.MALFORMED),
        (b"[]", "dict_type", RejectReason.WRONG_TYPE),
        (b"null", "dict_type", RejectReason.WRONG_TYPE),
        (b"17", "dict_type", RejectReason.WRONG_TYPE),
        (b'"event"', "dict_type", RejectReason.WRONG_TYPE),
        (b"{}", "missing", RejectReason.MISSING_FIELD),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_event_at_all_is_refused_whole(body: bytes, code: str, reason: RejectReason) -> None:
    rejection = refused(body)
    assert rejection.event_id is None
    assert [problem.code for problem in rejection.problems] == [code]
    assert rejection.reason is reason


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", '"\\ud800"', '"\\udc00"', '"\\ud83dx"', "01", "1.", "'x'", '"\x01"']
)  # fmt: skip
def test_what_is_no_json_is_refused_in_a_key_that_nobody_knows_too(value: str) -> None:
    """PostgreSQL would refuse the whole event, long after it was accepted."""
    event = json.dumps(sample("tiktok", "top"))
    rejection = refused(f'{event[:-1]}, "new": {value}}}'.encode())
    assert [(problem.code, problem.field) for problem in rejection.problems] == [("json_invalid", "")]
    assert rejection.reason is RejectReason.MALFORMED


@pytest.mark.parametrize("value", ["1e999", "1" * 400, '"\\\\u0000"', '"\\ud83d\\ude00"', "-0", "[{}, []]", "null"])
def test_keys_that_nobody_knows_are_taken_with_whatever_json_they_hold(value: str) -> None:
    for kind in KINDS:
        event = json.dumps(sample(*kind))
        assert source_of(f'{event[:-1]}, "new": {value}}}'.encode()) == kind[0]
        deep = json.dumps(put(sample(*kind), "data.user.new", 1)).replace('"new": 1', f'"new": {value}')
        assert source_of(deep.encode()) == kind[0]


def test_a_nul_is_found_wherever_it_is_and_told_by_its_path() -> None:
    event = put(sample("facebook", "top"), "data.new", [{"deep": ["ok", "\0"]}])
    assert refused(event).problems == (Problem(NUL[0], "data.new.0.deep.1", NUL[1]),)
    assert refused(put(sample("facebook", "top"), "data.user.new\0key", 1)).problems[0].field == "data.user"


def test_snake_case_is_not_what_the_platforms_send() -> None:
    event = sample("tiktok", "top")
    event["event_id"] = event.pop("eventId")
    assert refused(event).problems == (Problem("missing", "eventId", "Field required"),)


def test_of_a_key_that_is_there_twice_the_last_one_counts() -> None:
    event = json.dumps(sample("tiktok", "top"))
    assert source_of(event.replace('"eventId"', '"eventId": 5, "eventId"', 1).encode()) == "tiktok"
    assert refused((event[:-1] + ', "eventId": 5}').encode()).problems[0].field == "eventId"


def test_an_event_may_be_as_long_as_the_limit_and_no_longer() -> None:
    event = json.dumps(sample("tiktok", "top")).encode()
    assert source_of(event + b" " * (MAX_EVENT_BYTES - len(event))) == "tiktok"
    rejection = refused(event + b" " * (MAX_EVENT_BYTES - len(event) + 1))
    assert rejection.reason is RejectReason.TOO_LARGE
    assert rejection.event_id == "tiktok-top-1"
    assert rejection.problems == (
        Problem("too_large", "", "Event has 65537 bytes; 65536 is the most that one may have"),
    )


def test_the_id_is_told_where_it_can_be_read() -> None:
    event = put(sample("tiktok", "top"), "data.user.followers", "many")
    assert refused(event).event_id == "tiktok-top-1"
    for unreadable in (5, None, "", "x" * 256, ["id"]):
        assert refused(put(event, "eventId", unreadable)).event_id is None
    assert refused(put(event, "eventId", "x" * 255)).event_id == "x" * 255


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_no_message_holds_a_value_of_the_event(kind: tuple[str, str]) -> None:
    secret = "Zq7SECRETvalue"
    values: list[Any] = [secret, [secret], {secret: secret}, secret + "\0", secret * 30, 987654321987654321987]
    for path in paths(sample(*kind)):
        for value in values:
            found = VALIDATOR.validate(json.dumps(put(sample(*kind), path, value)).encode())
            if isinstance(found, Rejection):
                told = " ".join(f"{problem.code} {problem.message}" for problem in found.problems)
                assert "SECRET" not in told, (path, value)
                assert "98765" not in told, (path, value)


def test_no_message_holds_a_valid_value_beside_the_wrong_one() -> None:
    event = put(sample("facebook", "bottom"), "data.user.age", "41")
    told = " ".join(problem.message for problem in refused(event).problems)
    for word in ("Ada", "Secretland", "Hiddenville", "u-1", "12.34"):
        assert word in json.dumps(event)
        assert word not in told


def test_an_event_that_is_too_large_is_named_and_no_object_is_made_of_the_rest() -> None:
    event = b'{"eventId": "fb-1", "source": "facebook", "x": [' + b"{}," * 500_000 + b"{}]}"
    tracemalloc.start()
    try:
        rejection = EventValidator(max_event_bytes=65_536).validate(event)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(rejection, Rejection)
    assert (rejection.event_id, rejection.source) == ("fb-1", "facebook")
    assert peak < len(event)
