"""A result as a person or a machine reads it, and as an exit code.

Invariant: both forms are made from the same result, and their verdict is the exit code's.
"""

from enum import StrEnum
from functools import partial
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadtest.bulk_test import BulkTestResult
from loadtest.errors import ErrorGroups
from loadtest.ledger import Totals
from loadtest.verdict import per_second

EXIT_CANNOT_RUN: Final = 2
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it

_SHOWN_KINDS: Final = 8
_NAME_WIDTH: Final = 18
_NUMBER_WIDTH: Final = 12


class Outcome(StrEnum):
    """How a run ended."""

    MET = "met"
    MISSED = "missed"
    INTERRUPTED = "interrupted"
    CANNOT_RUN = "cannot_run"


def outcome(result: BulkTestResult) -> Outcome:
    """Interrupted goes before missed: a run that was cut short has not failed its targets."""
    if result.interrupted:
        return Outcome.INTERRUPTED
    return Outcome.MET if all(check.met for check in result.checks) else Outcome.MISSED


def exit_code(ended: Outcome) -> int:
    """0 met, 1 missed, 2 could not run, 130 interrupted."""
    codes = {Outcome.MET: 0, Outcome.MISSED: 1, Outcome.CANNOT_RUN: EXIT_CANNOT_RUN}
    return codes.get(ended, EXIT_INTERRUPTED)


def as_json(result: BulkTestResult) -> dict[str, Any]:
    """The result for machines: times in seconds, shares 0 to 1, counts of events unless under `requests`."""
    totals, times, plan = result.totals, result.times, result.options.plan
    ended = outcome(result)
    return {
        "outcome": ended.value,
        "exitCode": exit_code(ended),
        "url": result.url,
        "plan": {
            "total": plan.total,
            "batch": plan.total if result.options.single_request else plan.batch,
            "requests": result.options.requests,
            "concurrency": result.options.concurrency,
            "sources": list(plan.sources),
            "seed": plan.seed,
        },
        "requests": {
            "sent": totals.requests,
            "attempts": totals.attempts,
            "answeredInFull": totals.requests_answered,
            "withoutAnswer": totals.requests_doubtful,
            "notSettled": totals.requests_outstanding,
        },
        "events": {
            "sent": totals.sent,
            "valid": totals.valid,
            "invalid": totals.invalid,
            "repeated": totals.repeated,
            "accepted": totals.accepted,
            "acceptedByAnswers": totals.claimed,
            "acceptedByReceipts": totals.receipts_accepted,
            "refused": totals.refused,
            "stored": totals.stored,
            "duplicates": totals.duplicates,
            "deadLettered": totals.dead_lettered,
            "missing": totals.missing,
            "surplus": totals.surplus,
        },
        "expected": {
            "refused": totals.refused_expected,
            "uniqueStored": totals.unique,
            "duplicates": totals.expected_duplicates,
        },
        "timing": {
            "acceptSeconds": times.accept_s,
            "acceptedPerSecond": per_second(totals.accepted, times.accept_s),
            "storeSeconds": times.store_s,
            "storedPerSecond": None if times.store_s is None else per_second(known(totals), times.store_s),
            "latencySeconds": latencies(result.latencies_s),
        },
        "successShare": totals.success_share,
        "checks": [{"name": check.name, "met": check.met, "line": check.line} for check in result.checks],
        "notes": result.notes,
        "requestErrors": _kinds(result.errors),
        "eventErrors": _kinds(result.event_errors),
    }


def show(result: BulkTestResult, console: Console) -> None:
    """Prints the summary: counts, times, errors, checks, and last the verdict with the figures that one came for."""
    # Whole lines, however narrow the terminal or absent: they are searched and copied.
    line = partial(console.print, soft_wrap=True)
    line(_title(result))
    for figures in (_counts(result), _times(result)):
        line()
        console.print(figures)
    line()
    for title, groups in (("Requests that failed", result.errors), ("Refused events", result.event_errors)):
        if groups.sorted():
            line(f"[bold]{title}[/]")
            console.print(_errors_table(groups))
            line()
    for note in result.notes:
        line(f"[yellow]note[/]    {escape(note)}")
    for check in result.checks:
        line(f"{'[green]met[/]   ' if check.met else '[red]missed[/]'}  {escape(check.line)}")
    line()
    line(_verdict(result))


def headline(result: BulkTestResult) -> str:
    """The run in one line: how many of how many, how fast in, how fast through, how long an answer took."""
    totals, times = result.totals, result.times
    parts = [f"{totals.accepted:,} of {totals.valid:,} accepted ({per_second(totals.accepted, times.accept_s):,.0f}/s)"]
    if times.store_s is None:
        parts.append(f"not all stored after {times.accept_s + times.wait_s:.2f} s")
    else:
        parts.append(f"all stored after {times.store_s:.2f} s ({per_second(known(totals), times.store_s):,.0f}/s)")
    if latency := latencies(result.latencies_s):
        parts.append(f"answers p99 {latency['p99'] * 1000:,.0f} ms")
    return ", ".join(parts)


def title_of(result: BulkTestResult) -> str:
    """What was sent, and where to."""
    totals, options = result.totals, result.options
    requests = "one request"
    if options.requests > 1:
        requests = f"{totals.requests:,} requests, {min(options.concurrency, options.requests)} at a time"
    return f"{totals.sent:,} events in {requests} to {result.url}, seed {options.plan.seed}"


def counted(result: BulkTestResult) -> list[tuple[str, int | None, int]]:
    """What became of the events: a name, how many were expected (None: nobody can say) and how many there are."""
    totals = result.totals
    duplicates = totals.expected_duplicates
    return [
        ("accepted", totals.valid, totals.accepted),
        ("refused", totals.refused_expected, totals.refused),
        ("stored", None if duplicates is None else totals.unique, totals.stored),
        ("duplicates", duplicates, totals.duplicates),
        ("dead letters", 0, totals.dead_lettered),
        ("not accounted for", 0, totals.unaccounted),
    ]


def known(totals: Totals) -> int:
    """Events whose fate the receipts tell."""
    return totals.stored + totals.duplicates + totals.dead_lettered


def _verdict(result: BulkTestResult) -> str:
    said = escape(headline(result))
    ended = outcome(result)
    if ended is Outcome.MET:
        return f"[bold green]PASSED[/]: {said}"
    if ended is Outcome.INTERRUPTED:
        return f"[bold yellow]INTERRUPTED[/]: {said}"
    missed = ", ".join(check.name for check in result.checks if not check.met)
    return f"[bold red]MISSED[/]: {missed}; {said}"


def _title(result: BulkTestResult) -> str:
    return f"[bold]Bulk test[/]: {escape(title_of(result))}"


def _counts(result: BulkTestResult) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("events", min_width=_NAME_WIDTH)
    table.add_column("expected", justify="right", min_width=_NUMBER_WIDTH)
    table.add_column("actual", justify="right", min_width=_NUMBER_WIDTH)
    for name, expected, actual in counted(result):
        colour = "yellow" if expected is None else "green" if expected == actual else "bold red"
        table.add_row(name, "?" if expected is None else f"{expected:,}", f"[{colour}]{actual:,}[/]")
    return table


def _times(result: BulkTestResult) -> Table:
    """When everything was accepted and stored, how fast that is, and how long answers took."""
    totals, times = result.totals, result.times
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("times", min_width=_NAME_WIDTH)
    table.add_column("seconds", justify="right", min_width=_NUMBER_WIDTH)
    table.add_column("events/s", justify="right", min_width=_NUMBER_WIDTH)
    table.add_row("all accepted", f"{times.accept_s:.2f}", f"{per_second(totals.accepted, times.accept_s):,.0f}")
    if times.store_s is None:
        table.add_row("all stored", f"not after {times.accept_s + times.wait_s:.2f}", "")
    else:
        table.add_row("all stored", f"{times.store_s:.2f}", f"{per_second(known(totals), times.store_s):,.0f}")
    for name, value in (latencies(result.latencies_s) or {}).items():
        table.add_row(f"an answer, {'slowest' if name == 'max' else name}", f"{value:.3f}", "")
    return table


def latencies(ascending: tuple[float, ...]) -> dict[str, float] | None:
    """Seconds: p50, p95, p99 and max of these; None of none."""
    if not ascending:
        return None
    last = len(ascending) - 1
    return {
        "p50": ascending[round(last * 0.5)],
        "p95": ascending[round(last * 0.95)],
        "p99": ascending[round(last * 0.99)],
        "max": ascending[-1],
    }


def _errors_table(groups: ErrorGroups) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("count", justify="right")
    table.add_column("kind")
    table.add_column("for example")
    kinds = groups.sorted()
    for kind in kinds[:_SHOWN_KINDS]:
        table.add_row(f"{kind.count:,}", escape(kind.kind), escape(kind.example))
    if rest := kinds[_SHOWN_KINDS:]:
        table.add_row(f"{sum(kind.count for kind in rest):,}", f"{len(rest)} more kinds", "--json has them all")
    return table


def _kinds(groups: ErrorGroups) -> list[dict[str, Any]]:
    return [{"kind": kind.kind, "count": kind.count, "example": kind.example} for kind in groups.sorted()]
