"""The arithmetic of the benchmark: percentiles, ratios, verdicts, and who is charged for which CPU second."""

from typing import Any

import pytest

from loadtest.bench.families import OTHERS
from loadtest.bench.figures import Figure, Unit, Verdict, figures, shown
from loadtest.bench.growth import summary
from loadtest.bench.numbers import median, per_million, per_second, percentile, ratio, spread, weighted_percentile
from loadtest.bench.processes import Snapshot, of_the_stack, used
from loadtest.bench.stored import settled
from loadtest.bench.table import noise


def test_a_percentile_is_a_value_that_was_measured() -> None:
    hundred = [float(n) for n in range(100, 0, -1)]
    assert [percentile(hundred, share) for share in (0.01, 0.5, 0.99, 0.999, 1.0)] == [1, 50, 99, 100, 100]
    assert percentile([7.0], 0.5) == 7
    assert median([1.0, 9.0]) == 1
    # 0.07 * 100 is a little over 7 in floating point, and must not become rank 8.
    assert percentile(hundred, 0.07) == 7


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.1)])
def test_no_percentile_is_made_up(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="a percentile of"):
        percentile(values, share)


def test_a_value_counts_for_as_many_events_as_it_stands_for() -> None:
    assert weighted_percentile([(5.0, 1), (1.0, 99)], 0.99) == 1
    assert weighted_percentile([(5.0, 2), (1.0, 98)], 0.99) == 5


def test_rates_and_ratios_of_nothing_are_no_division_by_zero() -> None:
    assert (per_second(10, 0), per_second(10, 4), per_million(3, 0), per_million(3, 1_500_000)) == (0, 2.5, 0, 2)
    assert (ratio(1, 0), ratio(None, 2), ratio(1, None), ratio(1, 4)) == (None, None, None, 0.25)
    assert spread([]) == {}


def _figure(value: float | None, *, higher: bool, target: float | None = 10, ambition: float | None = None) -> Figure:
    return Figure(name="x", unit=Unit.SECONDS, value=value, target=target, ambition=ambition, higher_is_better=higher)


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (_figure(10, higher=True, ambition=20), Verdict.MET),
        (_figure(20, higher=True, ambition=20), Verdict.AMBITION),
        (_figure(9.99, higher=True), Verdict.MISSED),
        (_figure(10, higher=False, ambition=5), Verdict.MET),
        (_figure(5, higher=False, ambition=5), Verdict.AMBITION),
        (_figure(10.01, higher=False), Verdict.MISSED),
        (_figure(10, higher=False, target=None), Verdict.UNJUDGED),
        (_figure(None, higher=False), Verdict.UNMEASURED),
    ],
)
def test_a_verdict_follows_from_value_and_targets(figure: Figure, verdict: Verdict) -> None:
    assert figure.verdict is verdict


def test_each_figure_comes_from_its_phase_and_stands_beside_its_ceiling() -> None:
    results = {
        "ceilings": {
            "postgresLoader": {"eventsPerSecond": 90_000.0},
            "postgresLoaderAgain": {"eventsPerSecond": 110_000.0},
            "postgresStaged": {"eventsPerSecond": 125_000.0},
            "postgresCopy": {"eventsPerSecond": 200_000.0},
            "validate": {"eventsPerSecond": 200_000.0},
        },
        "accept": {
            "one": {"latency": {"p50": 0.5, "worst": 0.9}},
            "peakRssBytes": {"gateway": 200_000_000, "collector tiktok": 90_000_000},
        },
        "endToEnd": {
            "eventsPerSecond": 50_000.0,
            "peakRssBytes": {"gateway": 300_000_000, "collector facebook": 110_000_000},
        },
    }
    by_name = {figure.name: figure for figure in figures(results)}
    one = by_name["accept, one request of 50,000: median to a durable 200"]
    assert (one.value, one.ceiling, one.ratio, one.verdict) == (0.5, 0.25, 0.5, Verdict.MET)
    stored = by_name["end to end, stored"]
    assert (stored.ceiling, stored.ratio, stored.verdict) == (200_000, 0.25, Verdict.MISSED)
    over = by_name["end to end over PostgreSQL's ceiling"]
    assert (over.value, over.verdict) == (0.5, Verdict.MISSED)
    strict = by_name["the same, where the loader's rows are encoded beforehand"]
    assert (strict.value, strict.verdict) == (0.4, Verdict.UNJUDGED)
    # Only what was needed with four bulks in flight; the end-to-end phase comes later.
    assert by_name["gateway peak memory with four times 50,000 in flight"].value == 200
    assert by_name["collector peak memory"].value == 110


def test_what_was_not_measured_is_in_no_figure() -> None:
    assert {figure.verdict for figure in figures({})} == {Verdict.UNMEASURED}
    assert shown(None, Unit.SECONDS) == "-"


def _step(rows: int, rate: float, on_empty: float | None = None) -> dict[str, Any]:
    step: dict[str, Any] = {"rowsBefore": rows - 10, "rows": rows, "eventsPerSecond": rate}
    return step | ({"onEmpty": {"eventsPerSecond": on_empty}} if on_empty is not None else {})


def test_growth_is_the_last_rates_over_those_of_empty_tables_at_the_same_time() -> None:
    steps = [_step(10, 50.0), _step(20, 60.0, 80.0), _step(30, 45.0, 60.0)]
    assert summary(steps) == {"steps": steps, "rows": 30, "lastToFirst": 0.9, "lastToEmpty": 0.75}
    assert summary(steps[:1])["lastToFirst"] is None
    assert summary(steps[:1])["lastToEmpty"] is None
    assert summary([])["rows"] == 0


def test_growth_that_went_on_is_of_its_last_three_steps_and_of_all_three() -> None:
    earlier = [_step(10, 90.0), _step(20, 80.0, 80.0), _step(30, 80.0)]
    last = [_step(40, 40.0, 80.0), _step(50, 40.0, 80.0), _step(60, 40.0, 80.0)]
    assert summary(earlier + last)["lastToEmpty"] == 0.5
    assert summary([*earlier, *last[:-1], _step(60, 40.0)])["lastToEmpty"] is None


def test_cpu_that_no_known_process_used_is_others() -> None:
    before = Snapshot({"gateway": 1.0, "postgres": 5.0, "benchmark": 0.5}, machine_s=100.0)
    after = Snapshot({"gateway": 3.0, "postgres": 6.0, "benchmark": 1.0, "generator": 0.25}, machine_s=105.0)
    seconds = used(before, after)
    assert seconds == {"gateway": 2.0, "postgres": 1.0, "benchmark": 0.5, "generator": 0.25, OTHERS: 1.25}
    assert of_the_stack(seconds) == 3.0


def test_a_run_beside_other_work_says_so() -> None:
    def results(others: float) -> dict[str, object]:
        return {"endToEnd": {"cpu": {"seconds": {"gateway": 8.0, "nats": 2.0}, "othersSeconds": others}}}

    assert noise(results(0.9)) is None
    line = noise(results(5.0))
    assert line is not None
    assert "50%" in line


def test_only_settled_events_count_as_stored() -> None:
    page = """\
# HELP collector_events_total Events settled, by outcome
collector_events_total{outcome="stored",source="tiktok"} 1.5e+06
collector_events_total{outcome="duplicate",source="tiktok"} 20.0
collector_events_total{outcome="dead_lettered",source="tiktok"} 3.0
collector_events_created{outcome="stored",source="tiktok"} 1.7e+09
collector_redeliveries_total{source="tiktok"} 9.0
"""
    assert settled(page) == 1_500_023
