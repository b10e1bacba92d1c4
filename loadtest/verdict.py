"""Did the run meet its targets? Pure code: totals and times in, checks out.

Invariant: a run is met only when every check is, and a check that is missed says by how much.
"""

from dataclasses import dataclass

from loadtest.ledger import Totals
from loadtest.options import Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds since the first request: to the last answer, and to the last receipt (None: not all came)."""

    accept_s: float
    store_s: float | None
    wait_s: float


@dataclass(frozen=True, slots=True)
class Check:
    """One target: its name, whether it was met, and the line that says so."""

    name: str
    met: bool
    line: str


def judge(totals: Totals, times: Times, targets: Targets) -> tuple[Check, ...]:
    """All checks, as a person asks: taken, fast enough, refused rightly, accounted for, not doubled."""
    return (
        _success(totals, targets),
        _rate(totals, times, targets),
        _refused(totals),
        _accounted(totals, times),
        _not_doubled(totals),
    )


def notes(totals: Totals) -> list[str]:
    """What is no failure and still worth a line."""
    lines = []
    if totals.dead_lettered:
        lines.append(f"{totals.dead_lettered:,} accepted events are dead letters: a collector could not store them")
    expected = totals.expected_duplicates
    if expected is not None and not totals.missing and totals.duplicates > expected:
        lines.append(
            f"{totals.duplicates:,} duplicates, {expected:,} expected: the database had events of this seed before"
        )
    if totals.requests_doubtful:
        lines.append(f"{totals.requests_doubtful:,} requests without a clear answer: their receipts say what was taken")
    return lines


def per_second(events: int, seconds: float) -> float:
    """A rate; 0 when no time has passed, since then nothing was measured."""
    return events / seconds if seconds > 0 else 0.0


def _success(totals: Totals, targets: Targets) -> Check:
    share, least = totals.success_share, targets.min_success_share
    # More than the target; all of them is always enough, so that a target of 1 can be met.
    met = share > least or totals.accepted >= totals.valid
    wanted = f"more than {_percent(least)} wanted"
    line = f"success {_percent(share)} of {totals.valid:,} valid events accepted, {wanted}"
    return Check("success", met, line if met else f"{line}: {(least - share) * 100:.2f} points short")


def _rate(totals: Totals, times: Times, targets: Targets) -> Check:
    rate, least = per_second(totals.accepted, times.accept_s), targets.min_rate_per_s
    if not totals.valid:
        return Check("rate", met=True, line="rate not judged: no valid event was sent")
    line = f"rate {rate:,.0f} events/s accepted, more than {least:,.0f} wanted"
    return Check("rate", rate > least, line if rate > least else f"{line}: {least - rate:,.0f} short")


def _refused(totals: Totals) -> Check:
    refused, expected = totals.refused, totals.refused_expected
    line = f"refused {refused:,} events, {expected:,} expected"
    if refused == expected:
        return Check("refused", met=True, line=line)
    what = "invalid events were accepted" if refused < expected else "valid events were refused"
    return Check("refused", met=False, line=f"{line}: {abs(refused - expected):,} {what}")


def _accounted(totals: Totals, times: Times) -> Check:
    known = totals.stored + totals.duplicates + totals.dead_lettered
    owed = known + totals.missing
    line = f"accounted for {known:,} of {owed:,} accepted events (stored, duplicates, dead letters)"
    # A receipt that adds up and says it is not complete is still open: more may come.
    if not totals.unaccounted and not totals.requests_outstanding:
        return Check("accounted", met=True, line=line)
    short = [f"{totals.missing:,} missing"] if totals.missing else []
    short += [f"{totals.surplus:,} more than accepted"] if totals.surplus else []
    if totals.requests_outstanding:
        still_open = f"{totals.requests_outstanding:,} of {totals.requests:,} requests"
        short.append(f"{still_open} not settled after waiting {times.wait_s:.1f} s")
    return Check("accounted", met=False, line=f"{line}: {', '.join(short)}")


def _not_doubled(totals: Totals) -> Check:
    line = f"stored {totals.stored:,} rows, at most {totals.unique:,} can be unique"
    met = totals.stored <= totals.unique
    return Check("not doubled", met, line if met else f"{line}: {totals.stored - totals.unique:,} too many")


def _percent(share: float) -> str:
    # Down, never up: 99.999 % must not read as all of them.
    return f"{int(share * 10_000) / 100:.2f} %"
