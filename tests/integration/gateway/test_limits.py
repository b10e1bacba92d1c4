"""Every limit, hit: what comes back, and that the gateway goes on."""

import asyncio
import itertools
import json
from typing import Any

import pytest

from gateway import intake
from gateway.senders import key_hash
from gateway.turns import Turns
from tests.integration.gateway.conftest import Answer, Running, Start
from tests.integration.gateway.events import array, facebook

KEY, OTHER = "fgk_limited", "fgk_other"
WINDOW_S = 600
"""Longer than a test takes: nothing is given back within it."""


def _problem(answer: Answer, status: int, words: str) -> None:
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert words in answer.json["detail"]


async def test_requests_over_a_senders_rate_are_429_and_others_go_on(start: Start) -> None:
    running = await start(
        senders=f"""
        [senders.limited]
        key_hashes = ["{key_hash(KEY)}"]
        requests_per_second = 1
        [senders.other]
        key_hashes = ["{key_hash(OTHER)}"]
        """,
        rate_window_ms=WINDOW_S * 1_000,
    )
    first = await running.post(array(facebook()), x_api_key=KEY)
    assert first.headers["RateLimit-Policy"] == f'"requests";q={WINDOW_S};w={WINDOW_S}'
    assert first.headers["RateLimit"].startswith(f'"requests";r={WINDOW_S - 1};t=')
    for _ in range(WINDOW_S - 1):
        assert (await running.post(b"[]", x_api_key=KEY)).status == 200
    refused = await running.post(array(facebook()), x_api_key=KEY)
    _problem(refused, 429, f"limited may send {WINDOW_S} requests in {WINDOW_S} s, and has")
    assert 1 <= int(refused.headers["Retry-After"]) <= WINDOW_S
    assert refused.headers["RateLimit"].startswith('"requests";r=0;t=')
    other = await running.post(array(facebook()), x_api_key=OTHER)
    assert other.status == 200
    assert "RateLimit" not in other.headers


async def test_events_over_a_senders_rate_are_429_and_none_of_them_is_taken(start: Start) -> None:
    running = await start(
        senders=f'[senders.limited]\nkey_hashes = ["{key_hash(KEY)}"]\nevents_per_second = 1',
        rate_window_ms=WINDOW_S * 1_000,
    )
    body = array(*(facebook() for _ in range(WINDOW_S - 2)))
    assert (await running.post(body, x_api_key=KEY)).status == 200
    refused = await running.post(array(facebook(), facebook(), facebook()), x_api_key=KEY)
    _problem(refused, 429, f"limited may send {WINDOW_S} events in {WINDOW_S} s, and has")
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.headers["RateLimit"].startswith('"events";r=2;t=')
    assert len(await running.stored_ids("facebook")) == WINDOW_S - 2
    taken = await running.post(array(facebook(), facebook()), x_api_key=KEY)
    assert (taken.status, taken.headers["RateLimit"].split(";")[1]) == (200, "r=0")


async def test_requests_at_the_same_time_are_not_given_more_than_the_rate(start: Start) -> None:
    running = await start(
        senders=f"""
        [senders.limited]
        key_hashes = ["{key_hash(KEY)}"]
        requests_per_second = 1
        events_per_second = 1
        """,
        rate_window_ms=30_000,
    )
    answers = await asyncio.gather(*(running.post(array(facebook(), facebook()), x_api_key=KEY) for _ in range(60)))
    taken = [answer for answer in answers if answer.status == 200]
    assert len(taken) == 15  # of two events each; the other half of the requests is spent, and not one event more
    assert {answer.status for answer in answers} == {200, 429}
    assert len(await running.stored_ids("facebook")) == 30


async def test_a_request_that_no_window_has_room_for_says_so(start: Start) -> None:
    running = await start(
        senders=f'[senders.limited]\nkey_hashes = ["{key_hash(KEY)}"]\nevents_per_second = 1', rate_window_ms=2_000
    )
    refused = await running.post(array(facebook(), facebook(), facebook()), x_api_key=KEY)
    _problem(refused, 429, "The request has 3 events, and limited may send 2 in 2 s; nothing of it was taken")


async def test_bytes_over_a_senders_rate_are_429(start: Start) -> None:
    running = await start(
        senders=f'[senders.limited]\nkey_hashes = ["{key_hash(KEY)}"]\nbytes_per_second = 100', rate_window_ms=1_000
    )
    _problem(await running.post(array(facebook()), x_api_key=KEY), 429, "limited may send 100 in 1 s")


async def test_an_event_nested_deeper_than_the_limit_is_refused_alone(start: Start) -> None:
    running = await start(max_nesting=20)
    for levels, taken in ((18, 2), (19, 1), (150, 1)):  # the event is a level itself, and so is the extra object
        deep: Any = "x"
        for _ in range(levels):
            deep = [deep]
        answer = await running.post(array(facebook(), facebook(extra={"a": deep})))
        assert (answer.status, answer.json["processed"]) == (200, taken)
        if taken == 1:
            assert answer.json["errorDetails"][0]["code"] == "nesting"
            assert answer.json["errorDetails"][0]["message"] == "Event is nested deeper than 20 levels"


async def test_a_string_longer_than_the_limit_is_refused_alone_wherever_it_is(start: Start) -> None:
    running = await start(max_string_chars=1_000)
    long = "\u00e9" * 1_001
    for spoilt, field in (
        (facebook(extra=long), "extra"),
        (facebook(extra=[{"a": long}]), "extra.0.a"),
        (facebook(extra={long: 1}), "extra"),
    ):
        answer = await running.post(array(facebook(extra="x" * 1_000), spoilt))
        assert (answer.status, answer.json["processed"]) == (200, 1)
        detail = answer.json["errorDetails"][0]
        assert (detail["code"], detail["field"]) == ("string_too_long", field)
        assert long not in json.dumps(answer.json)


async def test_what_is_not_on_its_way_within_the_time_for_a_request_is_503(start: Start) -> None:
    running = await start(request_timeout_ms=1, message_events=1)
    answer = await running.post(array(*(facebook() for _ in range(2_000))))
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.json["processed"] + answer.json["failed"] == 2_000
    assert {detail["code"] for detail in answer.json["errorDetails"]} == {"not_durable_timeout"}
    assert len(set(await running.stored_ids("facebook"))) == answer.json["processed"]


@pytest.mark.parametrize(("headers", "status"), [(95, 200), (107, 400), (10_000, 400)])
async def test_more_headers_than_the_limit_are_refused(gateway: Running, headers: int, status: int) -> None:
    many = {f"x-{at}": "v" for at in range(headers - 7)}  # and those of the client
    answer = await gateway.post(array(facebook()), **many)
    assert answer.status == status
    assert len(await gateway.stored("facebook")) == (1 if status == 200 else 0)
    if status != 200:
        _problem(answer, status, "no HTTP/1.1 that is taken here")
        assert answer.correlation_id


async def test_a_header_longer_than_the_limit_is_refused(start: Start) -> None:
    running = await start(max_header_bytes=2_000)
    for headers, path, status in (
        ({"x-long": "v" * 1_900}, "", 200),
        ({"x-long": "v" * 3_000}, "", 431),
        ({}, "?" + "q" * 3_000, 431),
    ):
        answer = await running.post(array(facebook()), path=f"/webhook/events/bulk{path}", **headers)
        assert answer.status == status
        if status == 431:
            _problem(answer, 431, "longer than is taken here")


async def test_refused_events_that_take_long_leave_turns_to_others(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = 0
    leave = Turns.__aexit__

    async def counted(self: Turns, *error: Any) -> None:
        nonlocal turns
        turns += 1
        await leave(self, *error)

    monkeypatch.setattr(Turns, "__aexit__", counted)
    monkeypatch.setattr(intake, "perf_counter", itertools.count().__next__)  # each look at the clock is a second later
    answer = await gateway.post(array(*[{"eventId": str(number)} for number in range(50)]))
    assert answer.json["failed"] == 50
    assert turns == 50
