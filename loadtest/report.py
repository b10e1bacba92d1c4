"""A result as a person or a machine reads it, and as an exit code.

Invariant: both forms are made from the same result, and their verdict is the exit code's.
"""

from enum import StrEnum
from functools import partial
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadtest.bulk_test import BulkTestResult
from loadtest.errors import ErrorGroups
from loadtest.verdict import per_second

EXIT_CANNOT_RUN: Final = 2
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it

_SHOWN_KINDS: Final = 8


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
    known = totals.stored + totals.duplicates + totals.dead_lettered
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
            "storedPerSecond": None if times.store_s is None else per_second(known, times.store_s),
            "latencySeconds": _latencies(result.latencies_s),
        },
        "successShare": totals.success_share,
        "checks": [{"name": check.name, "met": check.met, "line": check.line} for check in result.checks],
        "notes": result.notes,
        "requestErrors": _kinds(result.errors),
        "eventErrors": _kinds(result.event_errors),
    }


def show(result: BulkTestResult, console: Console) -> None:
    """Prints the summary: counts, times, errors, and last the verdict."""
    # Whole lines, however narrow the terminal or absent: they are searched and copied.
    line = partial(console.print, soft_wrap=True)
    line(_title(result))
    console.print(_counts(result))
    line(_times_line(result))
    for title, groups in (("Requests that failed", result.errors), ("Refused events", result.event_errors)):
        if groups.sorted():
            line(f"[bold]{title}[/]")
            console.print(_errors_table(groups))
    for note in result.notes:
        line(f"[yellow]note[/]    {escape(note)}")
    for check in result.checks:
        line(f"{'[green]met[/]   ' if check.met else '[red]missed[/]'}  {escape(check.line)}")
    ended = outcome(result)
    if ended is Outcome.MET:
        line("[bold green]PASSED[/]")
    elif ended is Outcome.INTERRUPTED:
        line("[bold yellow]INTERRUPTED[/]: what is above was true when it was stopped")
    else:
        line(f"[bold red]MISSED[/]: {', '.join(c.name for c in result.checks if not c.met)}")


def _title(result: BulkTestResult) -> str:
    totals, options = result.totals, result.options
    requests = "one request"
    if options.requests > 1:
        requests = f"{totals.requests:,} requests, {min(options.concurrency, options.requests)} at a time"
    return f"[bold]Bulk test[/] of {escape(result.url)}: {totals.sent:,} events in {requests}, seed {options.plan.seed}"


def _counts(result: BulkTestResult) -> Table:
    totals = result.totals
    table = Table()
    table.add_column("events")
    table.add_column("expected", justify="right")
    table.add_column("actual", justify="right")
    expected_duplicates = totals.expected_duplicates
    fresh = None if expected_duplicates is None else totals.unique
    for name, expected, actual in (
        ("accepted", totals.valid, totals.accepted),
        ("refused", totals.refused_expected, totals.refused),
        ("stored", fresh, totals.stored),
        ("duplicates", expected_duplicates, totals.duplicates),
        ("dead letters", 0, totals.dead_lettered),
        ("not accounted for", 0, totals.unaccounted),
    ):
        colour = "yellow" if expected is None else "green" if expected == actual else "red"
        table.add_row(name, "?" if expected is None else f"{expected:,}", f"[{colour}]{actual:,}[/]")
    return table


def _times_line(result: BulkTestResult) -> str:
    totals, times = result.totals, result.times
    accepted = f"accepted in {times.accept_s:.2f} s ({per_second(totals.accepted, times.accept_s):,.0f} events/s)"
    if times.store_s is None:
        stored = f"not all stored after {times.accept_s + times.wait_s:.2f} s"
    else:
        known = totals.stored + totals.duplicates + totals.dead_lettered
        stored = f"all stored after {times.store_s:.2f} s ({per_second(known, times.store_s):,.0f} events/s)"
    latency = _latencies(result.latencies_s)
    if latency is None:
        return f"{accepted}, {stored}"
    spread = " / ".join(f"{latency[name] * 1000:,.0f}" for name in ("p50", "p95", "max"))
    return f"{accepted}, {stored}\nanswer time p50 / p95 / max: {spread} ms"


def _latencies(ascending: tuple[float, ...]) -> dict[str, float] | None:
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
    table = Table()
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
