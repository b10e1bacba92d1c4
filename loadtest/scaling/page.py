"""The results as tables in Markdown, for a terminal and for a page of the docs. Pure.

Invariant: each measured figure stands beside its prediction, and a prediction that missed is named.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from loadtest.errors import CannotRun
from loadtest.plan import costs, machine
from loadtest.plan.model import Load, Point
from loadtest.scaling.point import KINDS

BEGIN: Final = "<!-- begin of what `make bench-scaling` writes -->"
END: Final = "<!-- end of what `make bench-scaling` writes -->"
WITHIN: Final = 0.2
"""Of the measured rate: how far off a prediction may be."""
_BUSY: Final = 0.05
"""CPU of other programs, as a share of the machine: over it, the figures are worth less."""


def lines(results: Mapping[str, Any]) -> Iterator[str]:
    """Everything that is shown."""
    points = machine.measured_points(results)
    predicted = predictions(results)
    about = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    yield f"Measured {results['startedAt'][:10]} on one machine that stands in for many: {about}."
    yield (
        f"Each point: {results['events']:,} events in requests of {results['requestEvents']:,} on "
        f"{results['connections']} connections, new tables; three nats-servers, three copies; one PostgreSQL; nginx."
    )
    yield ""
    yield from _table(
        ("gateways x collectors a source", "stored/s", "predicted", "error", "accepted/s", "request p50, p99"),
        [_rate_row(point, predicted) for point in results["points"]],
    )
    yield ""
    yield "CPU seconds per million events, by kind of process:"
    yield ""
    yield from _table(
        ("gateways x collectors a source", *KINDS, "all"),
        [_cost_row(point) for point in results["points"]],
    )
    yield ""
    yield "Each replica's share of the work, and the account: every accepted event stored once, by receipts and rows:"
    yield ""
    yield from _table(
        ("gateways x collectors a source", "gateways", "collectors", "accepted", "stored", "duplicates absorbed"),
        [_account_row(point) for point in results["points"]],
    )
    if (found := results.get("elastic")) is not None:
        yield ""
        yield from _elastic(found)
    if missed := [
        one for one in points if one.point in predicted and abs(_error(one.events_per_s, predicted[one.point])) > WITHIN
    ]:
        yield ""
        yield f"Missed by more than {WITHIN:.0%}: {', '.join(str(one.point) for one in missed)}."
    cores = int(results["machine"]["cores"])
    if busy := [one for one in points if one.others_cores / cores > _BUSY]:
        yield ""
        yield (
            f"Other programs took up to {max(one.others_cores for one in busy) / cores:.0%} of the machine at "
            f"{', '.join(str(one.point) for one in busy)}: measure again on a quiet one."
        )
    for what, reason in results["failed"].items():
        yield ""
        yield f"Failed: {what}: {reason}"


def predictions(results: Mapping[str, Any]) -> dict[Point, float]:
    """Of each measured point, from what was measured elsewhere; {} where there is no benchmark to begin with."""
    try:
        known = costs.load()
    except CannotRun:
        return {}
    return machine.predictions(
        int(results["machine"]["cores"]),
        machine.measured_points(results),
        Load(events_per_s=1),
        known,
        costs.Assumptions(),
    )


def with_section(text: str, section: str) -> str:
    """The page with what is between the markers replaced. Raises ValueError where they are not there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"takes a page with the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{section}\n\n{END}{after}"


def _rate_row(point: Mapping[str, Any], predicted: Mapping[Point, float]) -> tuple[str, ...]:
    at = _point(point)
    stored, latency = point["eventsPerSecond"], point["latency"]
    guess = predicted.get(at)
    return (
        f"{at}",
        f"{stored:,.0f}",
        "" if guess is None else f"{guess:,.0f}",
        "" if guess is None else f"{_error(stored, guess):+.0%}",
        f"{point['acceptedPerSecond']:,.0f}",
        f"{latency['p50']:.2f} s, {latency['p99']:.2f} s",
    )


def _cost_row(point: Mapping[str, Any]) -> tuple[str, ...]:
    spent = point["cpuSecondsPerMillion"]
    return (f"{_point(point)}", *(f"{spent[kind]:.2f}" for kind in KINDS), f"{sum(spent.values()):.1f}")


def _account_row(point: Mapping[str, Any]) -> tuple[str, ...]:
    account = point["account"]
    counts = (account["accepted"], account["stored"], account["duplicates"])
    shares = (_share(point["gatewayShares"]), _share(point["collectorShares"]))
    return (f"{_point(point)}", *shares, *(f"{count:,}" for count in counts))


def _elastic(found: Mapping[str, Any]) -> Iterator[str]:
    account, latency = found["account"], found["latency"]
    yield (
        f"Growing from 1x1 to {found['most']}x{found['most']} ({found['grewSeconds']:.1f} s) and back "
        f"({found['shrankSeconds']:.1f} s) at {found['eventsPerSecond']:,.0f} events/s: {found['requests']} requests, "
        f"{found['errors']} errors at the sender, {found['sentAgain']} sent again as nginx had just closed their kept "
        f"connection; request p50 {latency['p50']:.2f} s, worst {latency['worst']:.2f} s; {account['accepted']:,} "
        f"accepted, {account['stored']:,} stored, {account['duplicates']:,} duplicates absorbed, none lost or doubled."
    )


def _error(measured: float, predicted: float) -> float:
    return predicted / measured - 1


def _point(point: Mapping[str, Any]) -> Point:
    return Point(point["gateways"], point["collectors_per_source"])


def _share(found: Mapping[str, float] | None) -> str:
    if found is None:
        return ""
    return "alone" if found["of"] == 1 else f"{found['least']:.0%} to {found['most']:.0%}, fair {1 / found['of']:.0%}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Aligned, so that it reads on a terminal as well."""
    first, *others = [max(len(row[at]) for row in (header, *rows)) for at in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        numbers = [cell.rjust(width) for cell, width in zip(cells[1:], others, strict=True)]
        return f"| {' | '.join([cells[0].ljust(first), *numbers])} |"

    yield line(header)
    yield line(["-" * first, *("-" * (width - 1) + ":" for width in others)])
    yield from map(line, rows)
