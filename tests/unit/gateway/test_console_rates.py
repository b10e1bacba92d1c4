"""Rates and latencies from what processes have counted."""

from typing import Any

import pytest

from gateway.console.checks import Finding, Findings, State, collectors_of
from gateway.console.rates import latencies_ms, per_second
from shared.metrics import REQUEST_SECONDS
from streams.vitals import Heard, Vitals

BUCKETS = len(REQUEST_SECONDS) + 1


def beat(clock_s: float, **fields: Any) -> Vitals:
    said: dict[str, Any] = {
        "role": "gateway", "id": "a", "pid": 1, "host": "h", "version": "1", "started_at": 0.0, "state": "serving",
    }  # fmt: skip
    return Vitals(clock_s=clock_s, **said | fields)


def heard(*beats: Vitals) -> Heard:
    found = Heard(0.0)
    found.beats.extend(beats)
    return found


def counted(clock_s: float, total: int) -> Vitals:
    return beat(clock_s, totals={"accepted": {"facebook": total}})


def test_a_rate_is_what_was_added_over_the_time_by_the_process_own_clock() -> None:
    assert per_second([heard(counted(5.0, 100), counted(7.0, 300))], "accepted") == {"facebook": 100.0}


def test_processes_add_up_and_one_beat_has_no_rate() -> None:
    first, second = heard(counted(0.0, 0), counted(1.0, 10)), heard(counted(0.0, 0), counted(2.0, 10))

    assert per_second([first, second, heard(counted(0.0, 999))], "accepted") == {"facebook": 15.0}


def test_a_lost_beat_makes_no_spike() -> None:
    assert per_second([heard(counted(0.0, 0), counted(1.0, 10), counted(3.0, 30))], "accepted") == {"facebook": 10.0}


def latencies(clock_s: float, **at_most: int) -> Vitals:
    counts = [at_most.get(f"b{at}", 0) for at in range(BUCKETS)]
    for at in range(1, BUCKETS):
        counts[at] = max(counts[at], counts[at - 1])
    return beat(clock_s, latency=counts)


def test_latencies_are_of_the_last_beats_and_spread_within_a_bucket() -> None:
    before = latencies(0.0, b0=100)  # all long ago, and fast
    now = latencies(1.0, b0=100, b1=200)

    half, nearly_all = latencies_ms([heard(before, now)], (0.5, 0.99))

    assert half == pytest.approx(7.5)  # in the middle between 5 and 10 ms
    assert nearly_all == pytest.approx(9.95)


def test_without_a_request_there_is_no_latency() -> None:
    assert latencies_ms([heard(latencies(0.0, b0=7), latencies(1.0, b0=7))], (0.5,)) == [None]


def test_a_time_over_the_last_bound_is_told_as_that() -> None:
    slow = beat(1.0, latency=[0] * (BUCKETS - 1) + [3])

    assert latencies_ms([heard(latencies(0.0), slow)], (0.99,)) == [REQUEST_SECONDS[-1] * 1_000]


def test_a_finding_keeps_its_time_until_its_state_changes() -> None:
    now = 10.0
    findings = Findings(clock=lambda: now)

    def seen(state: State, detail: str) -> float:
        return findings.dated([Finding("nats", "NATS", state, detail)])[0].since

    assert seen("ok", "connected") == 10.0
    now = 20.0
    assert seen("ok", "connected to another one") == 10.0
    assert seen("down", "disconnected") == 20.0


@pytest.mark.parametrize(
    ("beats", "state", "said"),
    [
        ([], "down", "none is running"),
        ([("idle", 0.1)], "ok", "1 running"),
        ([("idle", 9.0)], "down", "1 went silent"),
        ([("idle", 0.1), ("idle", 9.0)], "warn", "1 running, 1 silent"),
        ([("held", 0.1)], "down", "held: PostgreSQL is away"),
        ([("held", 0.1), ("storing", 0.1)], "warn", "held: PostgreSQL is away"),
    ],
)
def test_collectors_are_judged_together(beats: list[tuple[str, float]], state: str, said: str) -> None:
    replicas = [
        (heard(beat(0.0, role="collector", source="tiktok", state=what, reason="PostgreSQL is away")), ago_s)
        for what, ago_s in beats
    ]

    finding = collectors_of("tiktok", replicas, can_hear=True)

    assert (finding.state, finding.detail) == (state, said)
    assert collectors_of("tiktok", replicas, can_hear=False).state == "unknown"
