"""The whole test against a fake gateway: what is sent, what is summed up, and how it ends."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loadtest.bulk_test import BulkTest, BulkTestResult
from loadtest.errors import CannotRun
from loadtest.generator import Plan
from loadtest.options import BulkTestOptions, Targets
from loadtest.progress import Quiet
from loadtest.report import Outcome, outcome

SLOW_ENOUGH = Targets(min_rate_per_s=0)  # the fake clock moves only in pauses, and the fake is slow
DEADLINE_S = 20


class _Run:
    """One test run with its stop event at hand."""

    def __init__(self, gateway: Any, session: aiohttp.ClientSession, time: Any, **options: Any) -> None:
        plan = options.pop("plan", Plan(total=1000, batch=100, seed=3))
        options.setdefault("targets", SLOW_ENOUGH)
        self.stop = asyncio.Event()
        self.clock_reads = 0
        self._time = time
        self._test = BulkTest(
            options=BulkTestOptions(plan=plan, url=gateway.url, **options),
            url=gateway.url,
            session=session,
            progress=Quiet(),
            stop=self.stop,
            clock=self._clock,
            sleep=time.sleep,
        )

    def _clock(self) -> float:
        self.clock_reads += 1
        now_s: float = self._time.clock() + self.clock_reads * 1e-6
        return now_s

    async def result(self) -> BulkTestResult:
        async with asyncio.timeout(DEADLINE_S):
            return await self._test.run()


async def test_everything_sent_is_accepted_stored_and_accounted_for(gateway: Any, session: Any, time: Any) -> None:
    plan = Plan(total=1000, batch=100, invalid_share=0.03, duplicates_share=0.05, seed=3)
    result = await _Run(gateway, session, time, plan=plan).result()
    totals = result.totals
    assert outcome(result) is Outcome.MET
    assert (totals.requests, totals.sent, totals.accepted, totals.refused) == (10, 1000, 970, 30)
    assert (totals.stored, totals.duplicates) == (920, 50)
    assert totals.expected_duplicates == 50
    assert len(set(gateway.correlation_ids)) == 10
    assert len(result.latencies_s) == 10
    assert [kind.count for kind in result.event_errors.sorted()] == [30]
    assert result.errors.sorted() == []


async def test_with_a_report_receipts_are_asked_for_while_it_sends_and_the_sums_stay_the_same(
    gateway: Any, session: Any, time: Any
) -> None:
    gateway.script.extend([200] * 6 + ["hang"])
    run = _Run(gateway, session, time, concurrency=1, report=Path("never written here"))
    running = asyncio.create_task(run.result())
    async with asyncio.timeout(DEADLINE_S):
        while len(gateway.bodies) < 7 or not gateway.looks:  # noqa: ASYNC110 - the fake has no event for a look
            await asyncio.sleep(0.001)
    run.stop.set()
    result = await running
    assert result.totals.accepted == result.totals.stored == 600
    assert result.timeline.slices()[-1].backlog == 0


async def test_without_a_report_nothing_is_asked_for_while_it_sends(gateway: Any, session: Any, time: Any) -> None:
    gateway.script.extend([200] * 6 + ["hang"])
    run = _Run(gateway, session, time, concurrency=1)
    running = asyncio.create_task(run.result())
    async with asyncio.timeout(DEADLINE_S):
        while len(gateway.bodies) < 7:
            gateway.posted.clear()
            await gateway.posted.wait()
    assert not gateway.looks
    run.stop.set()
    await running


async def test_a_single_request_carries_everything(gateway: Any, session: Any, time: Any) -> None:
    plan = Plan(total=1000, batch=100, duplicates_share=0.1, seed=3)
    result = await _Run(gateway, session, time, plan=plan, single_request=True).result()
    assert outcome(result) is Outcome.MET
    assert len(gateway.bodies) == 1
    assert (result.totals.stored, result.totals.duplicates) == (900, 100)


async def test_the_same_seed_again_is_all_duplicates_and_passes(gateway: Any, session: Any, time: Any) -> None:
    await _Run(gateway, session, time).result()
    again = await _Run(gateway, session, time).result()
    assert outcome(again) is Outcome.MET
    assert (again.totals.stored, again.totals.duplicates) == (0, 1000)
    assert "before" in again.notes[0]


async def test_a_failed_request_is_reported_and_not_repeated_by_default(gateway: Any, session: Any, time: Any) -> None:
    gateway.script.extend([503, 200, 429])
    result = await _Run(gateway, session, time).result()
    assert (result.totals.attempts, result.totals.accepted) == (10, 800)
    assert sorted(kind.kind for kind in result.errors.sorted()) == ["429 Busy", "503 Busy"]
    assert outcome(result) is Outcome.MISSED


async def test_with_retry_a_busy_gateway_is_asked_again_when_it_said(gateway: Any, session: Any, time: Any) -> None:
    gateway.script.extend([503, 429, 503])
    result = await _Run(gateway, session, time, retries=5, concurrency=1).result()
    assert outcome(result) is Outcome.MET
    assert time.slept_s[:3] == [7, 7, 7]
    assert (result.totals.requests, result.totals.attempts, result.totals.accepted) == (10, 13, 1000)
    assert gateway.correlation_ids[0] == gateway.correlation_ids[3]


async def test_retries_are_bounded(gateway: Any, session: Any, time: Any) -> None:
    gateway.script.extend([503] * 50)
    plan = Plan(total=10, batch=10, seed=1)
    result = await _Run(gateway, session, time, plan=plan, retries=2).result()
    assert result.totals.attempts == 3
    assert result.totals.accepted == 0


async def test_a_request_taken_but_never_answered_is_found_by_its_receipt(
    gateway: Any, session: Any, time: Any
) -> None:
    gateway.script.append("take and drop")
    result = await _Run(gateway, session, time).result()
    totals = result.totals
    assert (totals.accepted, totals.stored, totals.unaccounted) == (900, 1000, 0)
    assert totals.requests_doubtful == 1
    assert [kind.kind for kind in result.errors.sorted()] == ["connection lost"]
    assert {check.name for check in result.checks if not check.met} == {"success"}


async def test_a_request_lost_on_the_way_is_no_debt_of_the_gateway(gateway: Any, session: Any, time: Any) -> None:
    gateway.script.append("drop")
    result = await _Run(gateway, session, time).result()
    assert (result.totals.accepted, result.totals.unaccounted) == (900, 0)
    assert result.totals.requests_outstanding == 0


async def test_a_slow_answer_ends_with_the_timeout(gateway: Any, session: Any, time: Any) -> None:
    gateway.script.append("hang")
    result = await _Run(gateway, session, time, timeout_s=0.2).result()
    assert [kind.kind for kind in result.errors.sorted()] == ["timeout"]
    assert result.totals.accepted == 900


async def test_an_accepted_event_that_is_never_stored_is_a_miss(gateway: Any, session: Any, time: Any) -> None:
    gateway.lose = 1
    result = await _Run(gateway, session, time, wait_s=10).result()
    assert result.totals.missing == 10
    assert outcome(result) is Outcome.MISSED
    assert result.times.store_s is None
    [line] = [check.line for check in result.checks if not check.met]
    assert "10 missing, 10 of 10 requests not settled after waiting 10" in line


async def test_the_wait_for_storage_ends_as_soon_as_everything_is_stored(gateway: Any, session: Any, time: Any) -> None:
    gateway.looks_until_stored = 3
    result = await _Run(gateway, session, time).result()
    assert outcome(result) is Outcome.MET
    assert result.times.store_s is not None
    assert result.times.accept_s < result.times.store_s < 5


async def test_nothing_is_sent_to_a_gateway_that_is_not_ready(gateway: Any, session: Any, time: Any) -> None:
    gateway.ready = {"status": "not_ready", "checks": {"nats": {"ok": False, "detail": "no servers"}}}
    with pytest.raises(CannotRun, match="nats is down: no servers"):
        await _Run(gateway, session, time).result()
    assert gateway.bodies == []


async def test_no_more_requests_than_asked_are_in_flight(gateway: Any, session: Any, time: Any) -> None:
    gateway.script.extend(["hang"] * 3)
    run = _Run(gateway, session, time, concurrency=3)
    running = asyncio.create_task(run.result())
    async with asyncio.timeout(DEADLINE_S):
        while len(gateway.bodies) < 3:
            gateway.posted.clear()
            await gateway.posted.wait()
    run.stop.set()
    result = await running
    # All three hang, so a fourth could only have come from a fourth sender.
    assert len(gateway.bodies) == 3
    assert result.totals.requests == 3


async def test_a_stop_cuts_the_run_short_and_still_sums_up(gateway: Any, session: Any, time: Any) -> None:
    gateway.script.extend([200, 200, "hang"])
    run = _Run(gateway, session, time, concurrency=1)
    running = asyncio.create_task(run.result())
    async with asyncio.timeout(DEADLINE_S):
        while len(gateway.bodies) < 3:
            gateway.posted.clear()
            await gateway.posted.wait()
    run.stop.set()
    result = await running
    assert outcome(result) is Outcome.INTERRUPTED
    assert (result.totals.sent, result.totals.accepted, result.totals.stored) == (300, 200, 200)
    assert result.totals.requests_doubtful == 1
    assert result.totals.unaccounted == 0
