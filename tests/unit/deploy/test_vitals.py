"""Vital signs are what the metrics say; what does not answer is away."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploy.local import vitals
from deploy.local.vitals import Reading, Vitals, parts
from shared.metrics import CollectorMetrics, GatewayMetrics, RoleMetrics
from shared.ops import add_routes
from tests.servers import free_port


class Programs:
    """The metrics of a gateway and a collector, served as the programs serve them."""

    def __init__(self) -> None:
        self.gateway, self.collector = GatewayMetrics(), CollectorMetrics()
        self.urls: list[str] = []

    def vitals(self, *, gateway_url: str | None = None) -> Vitals:
        at = asyncio.get_running_loop().time
        return Vitals(
            gateway_url=gateway_url or self.urls[0], ops_urls=self.urls[1:], show=lambda _line: None, clock=at
        )


@pytest.fixture
async def programs() -> AsyncIterator[Programs]:
    made = Programs()
    async with AsyncExitStack() as stack:
        for role in (made.gateway, made.collector):
            made.urls.append(await _serve(stack, role))
        yield made


async def _serve(stack: AsyncExitStack, role: RoleMetrics) -> str:
    app = web.Application()
    add_routes(app, checks=dict, registry=role.exposed)
    server = TestServer(app)
    await server.start_server()
    stack.push_async_callback(server.close)
    return str(server.make_url("")).rstrip("/")


async def test_a_reading_adds_up_what_the_programs_say(programs: Programs) -> None:
    gateway, collector = programs.gateway, programs.collector
    gateway.events_processed.labels("facebook").inc(100)
    gateway.events_processed.labels("tiktok").inc(50)
    gateway.events_rejected.labels("tiktok", "missing").inc(3)
    gateway.requests_refused.labels("not_json").inc(2)
    gateway.backlog_messages.labels("facebook").set(7)
    gateway.request_seconds.observe(0.02)
    collector.events.labels("facebook", "stored").inc(90)
    collector.events.labels("facebook", "duplicate").inc(9)
    collector.dead_letters.labels("facebook", "data_error").inc(1)

    found = await programs.vitals().read()

    assert (found.gateway_up, found.collectors_up) == (True, 1)
    assert (found.accepted, found.stored, found.errors, found.backlog) == (150, 90, 6, 7)
    assert found.answers[0.01] == 0
    assert found.answers[0.025] == found.answers[math.inf] == 1


async def test_what_does_not_answer_is_away(programs: Programs) -> None:
    found = await programs.vitals(gateway_url=f"http://127.0.0.1:{free_port()}").read()
    assert (found.gateway_up, found.collectors_up) == (False, 1)
    assert parts([found], collectors=2) == [
        "gateway away", "0 stored/s", "backlog –", "p99 –", "errors 0", "collectors 1/2",  # noqa: RUF001 - as shown
    ]  # fmt: skip


async def test_the_line_is_shown_again_and_again_and_taken_away_at_the_end(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vitals, "EVERY_S", 0.001)
    shown: list[str] = []
    thrice = asyncio.Event()

    def show(line: str) -> None:
        shown.append(line)
        if len(shown) == 3:
            thrice.set()

    running = asyncio.create_task(
        Vitals(gateway_url=programs.urls[0], ops_urls=programs.urls[1:], show=show, clock=lambda: 0.0).run()
    )
    async with asyncio.timeout(10):
        await thrice.wait()
    running.cancel()
    await asyncio.wait({running})
    assert set(shown[:3]) == {
        "0 accepted/s  ·  0 stored/s  ·  backlog 0  ·  p99 –  ·  errors 0  ·  collectors 1/1"  # noqa: RUF001
    }
    assert shown[-1] == ""


def reading(at_s: float, **values: float) -> Reading:
    answers = {0.01: values.pop("fast", 0.0), 0.5: values.pop("slow", 0.0)}
    return Reading(
        at_s=at_s, gateway_up=True, collectors_up=2, answers={**answers, math.inf: values.pop("all", 0.0)}, **values
    )


def test_rates_are_of_the_last_seconds_and_p99_of_the_last_ten() -> None:
    readings = [
        reading(0, accepted=0, stored=0),
        reading(7, accepted=50_000, stored=10_000, fast=90, slow=98, all=100),
        reading(10, accepted=53_000, stored=10_300, fast=190, slow=199, all=200, backlog=1_234, errors=12),
    ]
    assert parts(readings, collectors=2) == [
        "1,000 accepted/s", "100 stored/s", "backlog 1,234", "p99 ≤ 500 ms", "errors 12", "collectors 2/2",
    ]  # fmt: skip


def test_answers_past_the_last_bucket_are_not_made_shorter() -> None:
    assert parts([reading(0), reading(1, all=10)], collectors=2)[3] == "p99 > 1 min"


def test_a_program_that_started_again_counts_from_zero() -> None:
    readings = [reading(0, accepted=9_000, all=10, slow=10), reading(1, accepted=500, all=1, slow=1)]
    assert parts(readings, collectors=2)[0] == "0 accepted/s"
