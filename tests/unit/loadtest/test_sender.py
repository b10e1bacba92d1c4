"""The sender: whatever comes back, or does not, is an answer."""

import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from loadtest.generator import Plan, batches
from loadtest.sender import Answer, Outgoing, Sender
from loadtest.traffic import requests_of

NOW = datetime(2026, 1, 25, 12, 0, 0, tzinfo=UTC)
PLAN = Plan(total=100, batch=100, invalid_share=0.1, seed=1)


def _outgoing(plan: Plan = PLAN) -> Outgoing:
    return next(requests_of(plan, single_request=False))


async def _post(session: aiohttp.ClientSession, url: str, outgoing: Outgoing, timeout_s: float = 30) -> Answer:
    return await Sender(session=session, url=url, timeout_s=timeout_s, now=lambda: NOW).post(outgoing)


async def test_a_200_tells_what_was_taken_and_groups_what_was_refused(gateway: Any, session: Any) -> None:
    answer = await _post(session, gateway.url, _outgoing())
    assert (answer.status, answer.processed, answer.refused, answer.error) == (200, 90, 10, None)
    [kind] = answer.event_errors
    assert (kind.code, kind.count) == ("bad", 10)
    assert "is wrong" in kind.example


async def test_each_request_has_a_correlation_id_of_its_own(gateway: Any, session: Any) -> None:
    for outgoing in requests_of(Plan(total=30, batch=10, seed=1), single_request=False):
        await _post(session, gateway.url, outgoing)
        assert gateway.correlation_ids[-1] == outgoing.correlation_id
    assert len(set(gateway.correlation_ids)) == 3


async def test_a_422_is_expected_when_every_event_is_invalid(gateway: Any, session: Any) -> None:
    answer = await _post(session, gateway.url, _outgoing(Plan(total=10, invalid_share=1.0, seed=1)))
    assert (answer.status, answer.processed, answer.refused, answer.error) == (422, 0, 10, None)


async def test_a_422_is_an_error_when_valid_events_were_sent(gateway: Any, session: Any) -> None:
    outgoing = _outgoing(Plan(total=10, invalid_share=1.0, seed=1))
    lying = Outgoing(
        correlation_id="a", events=10, invalid=5, repeated=0, body=outgoing.body
    )  # it was told of five valid ones
    answer = await _post(session, gateway.url, lying)
    assert answer.error == "422"


async def test_a_503_carries_what_it_asks_for(gateway: Any, session: Any) -> None:
    gateway.script.append(503)
    answer = await _post(session, gateway.url, _outgoing())
    assert (answer.status, answer.error, answer.retry_after_s) == (503, "503 Busy", 7)
    assert answer.example == "asked to answer 503"
    assert answer.maybe_taken
    assert answer.refused is None


@pytest.mark.parametrize("status", [400, 401, 413, 415, 429])
async def test_a_refusal_of_the_whole_request_leaves_no_doubt(status: int, gateway: Any, session: Any) -> None:
    gateway.script.append(status)
    answer = await _post(session, gateway.url, _outgoing())
    assert (answer.status, answer.error, answer.maybe_taken) == (status, f"{status} Busy", False)


async def test_a_late_answer_is_a_timeout_and_may_have_been_taken(gateway: Any, session: Any) -> None:
    gateway.script.append("hang")
    answer = await _post(session, gateway.url, _outgoing(), timeout_s=0.1)
    assert (answer.status, answer.error, answer.maybe_taken) == (None, "timeout", True)
    assert "0.1 s" in answer.example


async def test_a_dropped_connection_may_have_been_taken(gateway: Any, session: Any) -> None:
    gateway.script.append("drop")
    answer = await _post(session, gateway.url, _outgoing())
    assert (answer.status, answer.error, answer.maybe_taken) == (None, "connection lost", True)


async def test_a_refused_connection_took_nothing(session: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets this port
        answer = await _post(session, f"http://127.0.0.1:{closed.getsockname()[1]}", _outgoing())
    assert (answer.status, answer.error, answer.maybe_taken) == (None, "cannot connect", False)


@pytest.mark.parametrize(
    ("status", "body", "error", "maybe_taken"),
    [
        (200, b"hello", "200 that is no bulk answer", True),
        (200, b"[1]", "200 that is no bulk answer", True),
        (200, b'{"processed": "1", "failed": 0}', "200 that is no bulk answer", True),
        (502, b"<html>bad gateway</html>", "502", True),
        (400, b'{"code": "not_json", "title": "Not JSON"}', "400 not_json", False),
        (503, b'{"processed": 40, "failed": 60, "message": "part"}', "503", True),
    ],
)
async def test_any_answer_at_all_is_understood(
    status: int, body: bytes, error: str, maybe_taken: bool, session: Any
) -> None:
    async def answer_so(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    app = web.Application()
    app.router.add_post("/webhook/events/bulk", answer_so)
    async with TestServer(app) as server:
        answer = await _post(session, str(server.make_url("")).rstrip("/"), _outgoing())
    assert (answer.error, answer.maybe_taken) == (error, maybe_taken)
    if status == 503:
        # A part of the events was taken, and the rest is not refused for good.
        assert (answer.processed, answer.refused) == (40, None)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("Sun, 25 Jan 2026 12:00:09 GMT", 9.0),
        ("Sun, 25 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
    ],
)
async def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None, session: Any) -> None:
    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": header})

    app = web.Application()
    app.router.add_post("/webhook/events/bulk", busy)
    async with TestServer(app) as server:
        answer = await _post(session, str(server.make_url("")).rstrip("/"), _outgoing())
    assert answer.retry_after_s == seconds


async def test_a_single_request_is_streamed_and_holds_every_event(
    gateway: Any, session: Any, rules: Callable[[str], list[str]]
) -> None:
    plan = Plan(total=2500, batch=1000, invalid_share=0.01, duplicates_share=0.02, seed=9)
    [outgoing] = requests_of(plan, single_request=True)
    answer = await _post(session, gateway.url, outgoing)
    assert (answer.processed, answer.refused) == (2475, 25)
    expected = b"[" + b",".join(batch.members() for batch in batches(plan)) + b"]"
    assert gateway.bodies == [expected]


async def test_a_streamed_request_can_be_sent_again(gateway: Any, session: Any) -> None:
    [outgoing] = requests_of(Plan(total=50, batch=20, seed=9), single_request=True)
    for _ in range(2):
        await _post(session, gateway.url, outgoing)
    assert gateway.bodies[0] == gateway.bodies[1]
