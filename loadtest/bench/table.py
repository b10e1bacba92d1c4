"""The results on a terminal.

Invariant: every figure stands beside its ceiling, its ratio and its target, and the verdict is a word as well as a
colour.
"""

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadtest.bench.families import NOT_COUNTED
from loadtest.bench.figures import CEILING_NAMES, Unit, Verdict, shown
from loadtest.bench.numbers import per_million

_COLOURS: Final = {
    Verdict.AMBITION: "bold green",
    Verdict.MET: "green",
    Verdict.MISSED: "red",
    Verdict.UNJUDGED: "dim",
    Verdict.UNMEASURED: "dim",
}
GROWTH_COLUMNS: Final = (
    "rows before", "events/s", "on empty tables then", "stack CPU s per million", "PostgreSQL CPU s per million"
)  # fmt: skip
_NOISY: Final = 0.1
"""CPU of other programs, as a share of what the run itself used: over it, the figures are worth less."""


def show(results: Mapping[str, Any], console: Console) -> None:
    """Prints the tables."""
    machine = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    console.print(f"\n{escape(machine)}")
    console.print(", ".join(f"{name} {value}" for name, value in results["durability"].items()), style="dim")
    console.print(_figures(results))
    if "ceilings" in results:
        console.print(_ceilings(results["ceilings"]))
    if "endToEnd" in results:
        console.print(_cost(results["endToEnd"]))
    if "growth" in results:
        console.print(_growth(results["growth"]))
    for phase, reason in results["failed"].items():
        console.print(f"[red]{phase} failed[/]: {escape(reason)}")
    if line := noise(results):
        console.print(f"[yellow]{line}[/]")


def noise(results: Mapping[str, Any]) -> str | None:
    """A line where other programs had a good part of the machine while something was measured. Pure."""
    worst = 0.0
    for name, phase in results.items():
        if name in {"accept", "endToEnd", "single", "freshness"} and (cost := phase.get("cpu")):
            own = sum(cost["seconds"].values())
            worst = max(worst, cost["othersSeconds"] / own if own else 0.0)
    if worst < _NOISY:
        return None
    return (
        f"other programs (or other guests of the host) used up to {worst:.0%} of what this run used: "
        "measure again on a quiet machine"
    )


def _figures(results: Mapping[str, Any]) -> Table:
    table = Table(title="Floodgate, beside what this machine allows", title_justify="left")
    for column in ("figure", "value", "ceiling", "ratio", "target", "ambition", ""):
        table.add_column(column, justify="left" if column in {"figure", ""} else "right")
    for row in results["figures"]:
        unit, verdict = Unit(row["unit"]), Verdict(row["verdict"])
        if verdict is Verdict.UNMEASURED:  # a phase that failed is told below
            continue
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        ceiling = "" if row["ceiling"] is None else shown(row["ceiling"], unit)
        named = f"{ceiling} [dim]{escape(row['ceilingName'])}[/]" if row["ceilingName"] else ceiling
        table.add_row(
            escape(row["name"]),
            f"{shown(row['value'], unit)} [dim]{unit.value}[/]",
            named,
            ratio,
            *("" if row[goal] is None else shown(row[goal], unit) for goal in ("target", "ambition")),
            f"[{_COLOURS[verdict]}]{verdict.value}[/]",
        )
    return table


def _ceilings(ceilings: Mapping[str, Any]) -> Table:
    table = Table(title="Ceilings: each part alone", title_justify="left")
    for column in ("part", "per second", "CPU s per million", "of these PostgreSQL", "NATS"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for key, found in ceilings.items():
        cost = found["cpu"]["secondsPerMillion"]
        table.add_row(
            CEILING_NAMES.get(key, key),
            f"{found['eventsPerSecond']:,.0f}",
            f"{sum(cost.values()):.1f}",
            f"{cost.get('postgres', 0):.1f}",
            f"{cost.get('nats', 0):.1f}",
        )
    return table


def _cost(phase: Mapping[str, Any]) -> Table:
    table = Table(title=f"Cost of {phase['events']:,} events, end to end", title_justify="left")
    for column in ("process", "CPU s per million", "share", "peak memory MB"):
        table.add_column(column, justify="left" if column == "process" else "right")
    seconds, events = phase["cpu"]["seconds"], phase["cpu"]["events"]
    total = sum(seconds.values()) or 1.0
    for name, value in sorted(seconds.items(), key=lambda item: -item[1]):
        peak = phase["peakRssBytes"].get(name)
        if name == "generator":
            peak = phase["generator"]["peakRssBytes"]
        table.add_row(
            f"{name} [dim](not counted)[/]" if name in NOT_COUNTED else name,
            f"{per_million(value, events):.2f}",
            f"{value / total:.0%}",
            "" if peak is None else f"{peak / 1e6:,.0f}",
        )
    table.add_row(
        "other programs [dim](no part of the run)[/]", f"{per_million(phase['cpu']['othersSeconds'], events):.2f}"
    )
    return table


def growth_row(step: Mapping[str, Any]) -> tuple[str, ...]:
    """A step of the growth in words; a GROWTH_COLUMNS each."""
    empty = step.get("onEmpty")
    return (
        f"{step['rowsBefore']:,}",
        f"{step['eventsPerSecond']:,.0f}",
        f"{empty['eventsPerSecond']:,.0f}" if empty else "",
        f"{step['cpu']['stackSecondsPerMillion']:.1f}",
        f"{step['cpu']['secondsPerMillion']['postgres']:.1f}",
    )


def _growth(growth: Mapping[str, Any]) -> Table:
    table = Table(title="Growth", title_justify="left")
    for column in GROWTH_COLUMNS:
        table.add_column(column, justify="right")
    for step in growth["steps"]:
        table.add_row(*growth_row(step))
    return table
