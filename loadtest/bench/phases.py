"""The phases of a run but the ceilings and the growth: each sends its load, and says what came of it.

Invariant: bodies are made before the clock of a phase starts, receipts are read after it has stopped, and a phase
leaves nothing unstored behind.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable
from typing import Any, Final

from loadtest.bench.numbers import per_second, spread
from loadtest.bench.options import BULK_EVENTS, Sizes
from loadtest.bench.rig import Rig
from loadtest.errors import CannotRun

INVALID_SHARE: Final = 0.02
REPEATED_SHARE: Final = 0.01
TOGETHER: Final = 4
"""Requests of 50,000 at once."""

_LIVE_EVERY_S: Final = 0.01
_RESULTS_LIMIT_BYTES: Final = 16 * 1024 * 1024
_MOST_SINGLES_PER_S: Final = 15_000
_IDLE_S: Final = 1.0


async def accept(rig: Rig, sizes: Sizes) -> dict[str, Any]:
    """Requests of 50,000, all valid: one at a time, each after the one before it is stored; then four at once."""
    rounds, together = sizes.accept_rounds, sizes.accept_together_rounds * TOGETHER
    bodies = await rig.bodies((1 + rounds + together) * BULK_EVENTS, of=BULK_EVENTS)
    async with rig.load(bodies, rig.stack.bulk_url) as load:
        answers = (await load.bulk(1, connections=1))["requests"]  # the first one warms up, and does not count
        await rig.stored.until(BULK_EVENTS)
        alone = []
        for turn in range(rounds):
            alone += (await load.bulk(1, connections=1))["requests"]
            await rig.stored.until((2 + turn) * BULK_EVENTS)
        with rig.meter.measured(together * BULK_EVENTS, load.pid) as cost:
            at_once = (await load.bulk(together, connections=TOGETHER))["requests"]
            peaks = rig.meter.peaks()
            await rig.stored.until(bodies.valid)
    account = await rig.account(bodies.index, answers + alone + at_once)
    return {
        "one": _accepted(alone) | {"eventsPerSecond": per_second(rounds * BULK_EVENTS, sum(map(_took_s, alone)))},
        "together": _accepted(at_once) | {"eventsPerSecond": per_second(together * BULK_EVENTS, _span_s(at_once))},
        "peakRssBytes": peaks,
        "cpu": cost,
        "account": account,
    }


async def responsiveness(rig: Rig, sizes: Sizes) -> dict[str, Any]:
    """`/health/live` every 10 ms: at rest, then while four requests of 50,000 are under way all the time."""
    requests = sizes.responsiveness_rounds * TOGETHER
    bodies = await rig.bodies(requests * BULK_EVENTS, of=BULK_EVENTS)
    async with rig.load(bodies, rig.stack.bulk_url) as load:
        rest = await _probed(rig, asyncio.sleep(_IDLE_S))
        sending = asyncio.create_task(load.bulk(requests, connections=TOGETHER))
        busy = await _probed(rig, sending)
        answers = (await sending)["requests"]
        peaks = rig.meter.peaks()
        await rig.stored.until(bodies.valid)
    first, last = answers[0]["sentAt"], max(answer["answeredAt"] for answer in answers)
    during = [took for due, took in busy if first <= due <= last]
    return {
        "live": spread(during),
        "atRest": spread([took for _, took in rest]),
        "samples": len(during),
        "peakRssBytes": peaks,
        "account": await rig.account(bodies.index, answers),
    }


async def end_to_end(rig: Rig, sizes: Sizes) -> dict[str, Any]:
    """From the first byte sent until the last row is committed; what it cost, and how it went."""
    bodies = await rig.bodies(sizes.events, of=sizes.request_events, invalid=INVALID_SHARE, repeated=REPEATED_SHARE)
    async with rig.load(bodies, rig.stack.bulk_url) as load:
        with rig.meter.measured(bodies.valid, load.pid) as cost:
            sending = load.bulk(len(bodies.index), connections=sizes.concurrency)
            result, stored_at = await rig.until_stored(sending, bodies.valid)
        peaks = rig.meter.peaks()
    answers = result["requests"]
    first = min(answer["sentAt"] for answer in answers)
    answered_at = max(answer["answeredAt"] for answer in answers)
    return {
        "events": bodies.valid,
        "seconds": stored_at - first,
        "eventsPerSecond": per_second(bodies.valid, stored_at - first),
        "acceptedSeconds": answered_at - first,
        "acceptedPerSecond": per_second(bodies.valid, answered_at - first),
        "requestEvents": sizes.request_events,
        "concurrency": sizes.concurrency,
        "latency": spread([_took_s(answer) for answer in answers]),
        "timeline": {
            "stored": [[round(at - first, 3), count] for at, count in rig.stored.timeline if at >= first],
            "accepted": _cumulated(answers, first),
        },
        "cpu": cost,
        "generator": {"cpuSeconds": result["cpuSeconds"], "peakRssBytes": result["peakRssBytes"]},
        "peakRssBytes": peaks,
        "account": await rig.account(bodies.index, answers),
    }


async def single(rig: Rig, sizes: Sizes) -> dict[str, Any]:
    """One event a request on keep-alive connections, each sent when the one before it is answered."""
    bodies = await rig.singles(int(sizes.single_s * _MOST_SINGLES_PER_S))
    async with rig.load(bodies, rig.stack.single_url) as load:
        with rig.meter.measured(0, load.pid) as cost:
            result = await load.single(sizes.single_s, connections=sizes.connections)
            answered = cost["events"] = len(result["latencies"])
        await rig.stored.until(answered)
        peaks = rig.meter.peaks()
    return {
        "requests": answered,
        "requestsPerSecond": per_second(answered, result["spanSeconds"]),
        "connections": sizes.connections,
        "latency": spread(result["latencies"]),
        "cpu": cost,
        "generator": {"cpuSeconds": result["cpuSeconds"]},
        "peakRssBytes": peaks,
    }


async def _probed(rig: Rig, work: Awaitable[Any]) -> list[tuple[float, float]]:
    """Asks `/health/live` every 10 ms until `work` is done: (when it was due, seconds from then to its answer).

    Raises CannotRun where one is not answered 200.
    """
    probe = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.bench.probe", f"{rig.stack.url}/health/live", str(_LIVE_EVERY_S)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_RESULTS_LIMIT_BYTES,
        start_new_session=True,  # a Ctrl-C is this program's to answer
    )
    try:
        assert probe.stdout is not None  # noqa: S101 - it was started with a pipe
        await probe.stdout.readline()
        await work
        said, _ = await probe.communicate(b"")  # which ends its stdin
        if probe.returncode != 0:
            raise CannotRun("the probe of /health/live ended; what it said stands above")
    finally:
        if probe.returncode is None:
            probe.kill()
            await probe.wait()
    results: list[tuple[float, float]] = json.loads(said)
    return results


def _took_s(answer: dict[str, Any]) -> float:
    took: float = answer["answeredAt"] - answer["sentAt"]
    return took


def _span_s(answers: list[dict[str, Any]]) -> float:
    begin: float = min(answer["sentAt"] for answer in answers)
    end: float = max(answer["answeredAt"] for answer in answers)
    return end - begin


def _accepted(answers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"requests": len(answers), "events": BULK_EVENTS, "latency": spread([_took_s(answer) for answer in answers])}


def _cumulated(answers: list[dict[str, Any]], first: float) -> list[list[float]]:
    """(seconds since the first byte, events accepted by then), at each answer."""
    points, total = [[0.0, 0.0]], 0
    for answer in sorted(answers, key=lambda answer: float(answer["answeredAt"])):
        total += answer["processed"]
        points.append([round(answer["answeredAt"] - first, 3), total])
    return points
