"""The verdict, the exit code, and the two forms of the summary."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import orjson
import pytest
from rich.console import Console

from loadtest.bulk_test import BulkTestResult
from loadtest.errors import ErrorGroups
from loadtest.generator import Plan
from loadtest.ledger import Ledger, Receipt
from loadtest.options import BulkTestOptions, Targets
from loadtest.report import Outcome, as_json, exit_code, outcome, show
from loadtest.report_page import page
from loadtest.timeline import Timeline
from loadtest.verdict import Times, judge, notes

Build = Callable[..., BulkTestResult]


@pytest.fixture
def result() -> Build:
    """A result of one request of 1,000 events with 100 invalid and 50 repeated ones; each count may be changed."""

    def build(
        *,
        processed: int = 900,
        refused: int = 100,
        stored: int = 850,
        duplicates: int = 50,
        dead: int = 0,
        complete: bool = True,
        accept_s: float = 0.5,
        interrupted: bool = False,
        targets: Targets = Targets(),  # noqa: B008 - frozen
    ) -> BulkTestResult:
        ledger = Ledger()
        ledger.sending("a", events=1000, invalid=100, repeated=50)
        ledger.answered("a", processed=processed, refused=refused)
        ledger.receipt("a", Receipt(processed, stored, duplicates, dead, complete))
        totals = ledger.totals()
        times = Times(accept_s=accept_s, store_s=0.8 if not totals.requests_outstanding else None, wait_s=3)
        errors = ErrorGroups()
        errors.add("503 Busy", "the [gateway] is full")
        return BulkTestResult(
            options=BulkTestOptions(plan=Plan(total=1000, seed=4), targets=targets),
            url="http://127.0.0.1:3000",
            totals=totals,
            times=times,
            latencies_s=(0.01, 0.02, 0.4),
            errors=errors,
            event_errors=ErrorGroups(),
            checks=judge(totals, times, targets),
            notes=notes(totals),
            interrupted=interrupted,
            timeline=timeline(),
        )

    return build


def timeline() -> Timeline:
    """Two seconds of 1,000 events each; the second thousand is stored a second late."""
    made = Timeline()
    made.answered(0.9, 1000, 0.02)
    made.answered(1.9, 1000, 0.4)
    made.stored(1.0, 1000)
    made.stored(3.0, 2000)
    return made


def _missed(result: BulkTestResult) -> dict[str, str]:
    return {check.name: check.line for check in result.checks if not check.met}


def _shown(result: BulkTestResult) -> str:
    out = io.StringIO()
    show(result, Console(file=out, width=80))
    return out.getvalue()


def test_a_run_that_meets_every_target_exits_with_0(result: Build) -> None:
    met = result()
    assert _missed(met) == {}
    assert (outcome(met), exit_code(outcome(met))) == (Outcome.MET, 0)
    last_line = _shown(met).rstrip().splitlines()[-1]
    assert last_line == ("PASSED: 900 of 900 accepted (1,800/s), all stored after 0.80 s (1,125/s), answers p99 400 ms")
    assert met.notes == []


@pytest.mark.parametrize(
    ("changed", "name", "said"),
    [
        ({"processed": 810, "stored": 760}, "success", "90.00 %"),
        ({"processed": 855, "stored": 805}, "success", "0.00 points short"),
        ({"accept_s": 1.0}, "rate", "100 short"),
        ({"accept_s": 0.9}, "rate", "0 short"),
        ({"refused": 97}, "refused", "3 invalid events were accepted"),
        ({"refused": 104}, "refused", "4 valid events were refused"),
        ({"stored": 840}, "accounted", "10 missing"),
        ({"stored": 840, "complete": False}, "accounted", "1 of 1 requests not settled after waiting 3.0 s"),
        ({"complete": False}, "accounted", "1 of 1 requests not settled"),
        ({"duplicates": 60}, "accounted", "10 more than accepted"),
        ({"stored": 860, "duplicates": 40}, "not doubled", "10 too many"),
    ],
)
def test_a_missed_target_exits_with_1_and_says_by_how_much(
    result: Build, changed: dict[str, int], name: str, said: str
) -> None:
    missed = result(**changed)
    assert said in _missed(missed)[name]
    assert exit_code(outcome(missed)) == 1
    shown = _shown(missed)
    assert said in shown
    last_line = shown.rstrip().splitlines()[-1]
    assert last_line.startswith("MISSED: ")
    assert name in last_line


def test_a_target_of_everything_can_be_met(result: Build) -> None:
    everything = Targets(min_success_share=1.0)
    assert _missed(result(targets=everything)) == {}
    assert "success" in _missed(result(processed=899, stored=849, targets=everything))


def test_almost_everything_never_reads_as_all_of_it(result: Build) -> None:
    ledger = Ledger()
    ledger.sending("a", events=100_000, invalid=0, repeated=0)
    ledger.answered("a", processed=99_999, refused=0)
    checks = judge(ledger.totals(), result().times, Targets(min_success_share=1.0))
    assert "99.99 %" in checks[0].line


def test_dead_letters_are_accounted_for_and_noted(result: Build) -> None:
    dead = result(stored=847, dead=3)
    assert _missed(dead) == {}
    assert "3 accepted events are dead letters" in "".join(dead.notes)


def test_events_the_database_already_had_are_noted_and_no_failure(result: Build) -> None:
    again = result(stored=0, duplicates=900)
    assert _missed(again) == {}
    assert "had events of this seed before" in "".join(again.notes)


def test_an_interrupted_run_exits_with_130_whatever_it_missed(result: Build) -> None:
    cut = result(stored=0, interrupted=True)
    assert (outcome(cut), exit_code(outcome(cut))) == (Outcome.INTERRUPTED, 130)
    assert "INTERRUPTED" in _shown(cut)


def test_a_run_that_could_not_start_exits_with_2() -> None:
    assert exit_code(Outcome.CANNOT_RUN) == 2


def test_a_run_of_invalid_events_only_is_not_judged_by_its_rate(result: Build) -> None:
    ledger = Ledger()
    ledger.sending("a", events=10, invalid=10, repeated=0)
    ledger.answered("a", processed=0, refused=10)
    assert all(check.met for check in judge(ledger.totals(), result().times, Targets()))


def test_the_summary_shows_counts_times_and_errors_as_they_were_said(result: Build) -> None:
    shown = _shown(result())
    for part in ("seed 4", "850", "1,800", "0.020", "0.400", "503 Busy", "the [gateway] is full"):
        assert part in shown


def test_the_json_carries_the_same_verdict_and_counts(result: Build) -> None:
    missed = result(stored=840)
    content = orjson.loads(orjson.dumps(as_json(missed)))
    assert (content["outcome"], content["exitCode"]) == ("missed", 1)
    assert content["events"]["missing"] == 10
    assert content["events"]["stored"] + content["events"]["duplicates"] + 10 == content["events"]["accepted"]
    assert content["timing"]["acceptedPerSecond"] == 1800
    assert content["timing"]["latencySeconds"]["max"] == 0.4
    assert content["requestErrors"] == [{"kind": "503 Busy", "count": 1, "example": "the [gateway] is full"}]
    assert [check["name"] for check in content["checks"] if not check["met"]] == ["accounted"]


def test_nothing_divides_by_a_time_or_latency_that_is_not_there(result: Build) -> None:
    instant = replace(result(accept_s=0.0), latencies_s=())
    assert as_json(instant)["timing"]["acceptedPerSecond"] == 0
    assert as_json(instant)["timing"]["latencySeconds"] is None
    assert "an answer" not in _shown(instant)
    assert "p99" not in page(instant)


class _Page(HTMLParser):
    """What a page asks for, and what stands in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.asks_for: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "line", "circle", "rect", "polyline"}:
            self.open.append(tag)
        self.asks_for += [value or "" for name, value in attrs if name in {"src", "href", "data", "action"}]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:  # the charts' marks have none of their own, or hold a title
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_no_other_host_and_is_light_and_dark(result: Build) -> None:
    text = page(result())
    shown = _Page(text)
    assert shown.open == []
    assert shown.asks_for == []
    assert "<script" not in text
    assert not re.search(r"url\(|@import", text)
    assert "prefers-color-scheme:dark" in text


def test_the_page_says_what_the_summary_says(result: Build) -> None:
    missed = result(stored=840)
    shown = _Page(page(missed)).text
    assert "Missed" in shown
    for check in missed.checks:
        assert check.line in shown
    for part in ("1,800/s", "400 ms", "the [gateway] is full", "Throughput", "Answer times", "Backlog"):
        assert part in shown
    assert "Passed" in _Page(page(result())).text


def test_what_a_gateway_said_is_text_on_the_page_and_no_markup(result: Build) -> None:
    hostile = result()
    hostile.errors.add("<script>alert(1)</script>", "<img src=x>")
    assert "<script" not in page(hostile)
    assert "<img" not in page(hostile)


def test_a_timeline_has_the_rates_and_the_backlog_of_the_run() -> None:
    slices = timeline().slices()
    width_s = slices[0].until_s
    assert slices[-1].until_s == 3.0
    assert sum(one.accepted_per_s * width_s for one in slices) == pytest.approx(2000)
    assert sum(one.stored_per_s * width_s for one in slices) == pytest.approx(2000)
    assert slices[-1].backlog == 0
    (at_two,) = [one for one in slices if one.until_s == pytest.approx(2.0)]
    assert at_two.backlog == pytest.approx(500)
    assert [one.worst_s for one in slices if one.worst_s is not None] == [0.02, 0.4]
    assert all(one.backlog >= 0 and one.stored_per_s >= 0 for one in slices)


def test_a_long_run_has_as_many_slices_as_a_short_one_and_an_empty_one_has_none() -> None:
    long = Timeline()
    for at in range(10_000):
        long.answered(float(at), 10, 0.1)
    assert len(long.slices()) == 40
    assert sum(one.accepted_per_s for one in long.slices()) * 9_999 / 40 == pytest.approx(100_000)
    assert Timeline().slices() == []


def test_error_groups_stay_bounded_and_keep_their_first_example() -> None:
    groups = ErrorGroups()
    groups.add("timeout", "first")
    groups.add("timeout", "second", 4)
    for number in range(1000):
        groups.add(f"kind {number}", "x" * 10_000)
    kinds = groups.sorted()
    assert len(kinds) <= 51
    assert sum(kind.count for kind in kinds) == 1005
    assert all(len(kind.example) <= 200 for kind in kinds)
    [timeout] = [kind for kind in kinds if kind.kind == "timeout"]
    assert (timeout.count, timeout.example) == (5, "first")
