"""A bulk test as one page that needs nothing else: no script, no font, no other host.

Invariant: the page says what the summary says, and everything a chart shows is in a table below it.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from loadtest.bench.charts import Line, lines
from loadtest.bench.html import STYLE, table
from loadtest.bulk_test import BulkTestResult
from loadtest.errors import ErrorGroups
from loadtest.report import Outcome, counted, known, latencies, outcome, title_of
from loadtest.timeline import Slice
from loadtest.verdict import per_second

_CARDS: Final = """
.verdict{display:inline-block;padding:.15rem .7rem;border-radius:1rem;border:2px solid;font-weight:700}
.verdict.warn{color:var(--bar-second)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:.8rem;margin:1.2rem 0}
.card{border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem}
.card b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums;color:var(--ink);line-height:1.3}
.card small{display:block}details{margin:1rem 0}summary{cursor:pointer;color:var(--soft)}
"""
_VERDICTS: Final = {
    Outcome.MET: ("good", "Passed"),
    Outcome.MISSED: ("bad", "Missed"),
    Outcome.INTERRUPTED: ("warn", "Interrupted"),
}


def page(result: BulkTestResult) -> str:
    """The whole page. Pure."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Floodgate bulk test</title><style>{STYLE}{_CARDS}</style></head><body><main>\n"
        + "\n".join(part for part in _parts(result) if part)
        + "\n</main></body></html>\n"
    )


def _parts(result: BulkTestResult) -> Iterator[str]:
    tone, word = _VERDICTS[outcome(result)]
    yield f'<h1>Floodgate bulk test <span class="verdict {tone}">{word}</span></h1><p>{escape(title_of(result))}</p>'
    yield '<div class="cards">' + "".join(_cards(result)) + "</div>"
    yield from _charts(result.timeline.slices())
    yield "<h2>Targets</h2>" + table(("", ""), [_check(check.met, check.line) for check in result.checks])
    yield from (f"<p>{escape(note)}</p>" for note in result.notes)
    yield "<h2>Events</h2>" + table(("", "expected", "actual"), [_counted(*row) for row in counted(result)])
    yield _times(result)
    yield _errors("Requests that failed", result.errors)
    yield _errors("Refused events", result.event_errors)
    yield _numbers(result.timeline.slices())


def _cards(result: BulkTestResult) -> Iterator[str]:
    totals, times = result.totals, result.times
    yield _card(f"{totals.accepted:,}", f"accepted of {totals.valid:,} valid")
    yield _card(f"{per_second(totals.accepted, times.accept_s):,.0f}/s", f"accepted, in {times.accept_s:.2f} s")
    if times.store_s is None:
        yield _card(f"{known(totals):,}", "stored so far, not all")
    else:
        yield _card(f"{per_second(known(totals), times.store_s):,.0f}/s", f"stored, all after {times.store_s:.2f} s")
    if found := latencies(result.latencies_s):
        yield _card(f"{found['p99'] * 1000:,.0f} ms", f"answer, p99 (median {found['p50'] * 1000:,.0f} ms)")
    yield _card(f"{totals.unaccounted:,}", "not accounted for")


def _card(figure: str, about: str) -> str:
    return f'<div class="card"><b>{escape(figure)}</b><small>{escape(about)}</small></div>'


def _charts(slices: Sequence[Slice]) -> Iterator[str]:
    if len(slices) < 2:
        yield "<p>Too short for charts.</p>"
        return
    yield lines(
        "Throughput",
        [
            Line("accepted", [(one.until_s, one.accepted_per_s) for one in slices], "second"),
            Line("stored", [(one.until_s, one.stored_per_s) for one in slices], "ours"),
        ],
        x_name="seconds",
        y_name="events per second",
    )
    answered = [one for one in slices if one.p50_s is not None and one.worst_s is not None]
    yield lines(
        "Answer times",
        [
            Line("median", [(one.until_s, (one.p50_s or 0.0) * 1000) for one in answered], "ours"),
            Line("slowest", [(one.until_s, (one.worst_s or 0.0) * 1000) for one in answered], "second"),
        ],
        x_name="seconds",
        y_name="milliseconds",
    )
    yield lines(
        "Backlog: accepted and not known to be stored",
        [Line("backlog", [(0.0, 0.0), *((one.until_s, one.backlog) for one in slices)], "ours")],
        x_name="seconds",
        y_name="events",
    )


def _check(met: bool, line: str) -> list[str]:
    return [f'<span class="{"good" if met else "bad"}">{"met" if met else "missed"}</span>', _left(line)]


def _counted(name: str, expected: int | None, actual: int) -> list[str]:
    tone = "" if expected is None else "good" if expected == actual else "bad"
    return [escape(name), "?" if expected is None else f"{expected:,}", f'<span class="{tone}">{actual:,}</span>']


def _times(result: BulkTestResult) -> str:
    found = latencies(result.latencies_s)
    if found is None:
        return ""
    return "<h2>Answer times, in milliseconds</h2>" + table(
        tuple(found), [[f"{value * 1000:,.1f}" for value in found.values()]]
    )


def _errors(title: str, groups: ErrorGroups) -> str:
    rows = [[_left(kind.kind), f"{kind.count:,}", _left(kind.example)] for kind in groups.sorted()]
    return f"<h2>{escape(title)}</h2>" + table(("kind", "count", "for example"), rows) if rows else ""


def _numbers(slices: Iterable[Slice]) -> str:
    rows = [
        [
            f"{one.until_s:.2f}",
            f"{one.accepted_per_s:,.0f}",
            f"{one.stored_per_s:,.0f}",
            f"{one.backlog:,.0f}",
            "" if one.p50_s is None else f"{one.p50_s * 1000:,.1f}",
            "" if one.worst_s is None else f"{one.worst_s * 1000:,.1f}",
        ]
        for one in slices
    ]
    head = ("until, s", "accepted/s", "stored/s", "backlog", "answer, median ms", "answer, slowest ms")
    return f"<details><summary>The charts as numbers</summary>{table(head, rows)}</details>" if rows else ""


def _left(text: str) -> str:
    return f'<div style="text-align:left">{escape(text)}</div>'
