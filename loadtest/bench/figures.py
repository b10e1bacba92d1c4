"""What was measured, as the figures a reader asks for: value, ceiling, ratio, target. Pure.

Invariant: every figure has one row whether it was measured or not, its verdict comes from its value and its target
alone, and a ceiling is named beside its number.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from loadtest.bench.numbers import ratio

MB: Final = 1_000_000


class Unit(StrEnum):
    """Of a figure's value, its ceiling and its targets."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    EVENTS_PER_S = "events/s"
    REQUESTS_PER_S = "requests/s"
    MEGABYTES = "MB"
    CPU_S_PER_MILLION = "CPU s per million"
    SHARE = "of 1"


class Verdict(StrEnum):
    """How a value stands to its target."""

    AMBITION = "ambition met"
    MET = "met"
    MISSED = "missed"
    UNJUDGED = "no target"
    UNMEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row. `ratio` is of a throughput to its ceiling; a time has none."""

    name: str
    unit: Unit
    value: float | None
    target: float | None = None
    ambition: float | None = None
    higher_is_better: bool = False
    ceiling: float | None = None
    ceiling_name: str = ""
    ratio: float | None = None

    @property
    def verdict(self) -> Verdict:
        """By the value and the targets."""
        if self.value is None:
            return Verdict.UNMEASURED
        if self.target is None:
            return Verdict.UNJUDGED
        if self.ambition is not None and self._reaches(self.value, self.ambition):
            return Verdict.AMBITION
        return Verdict.MET if self._reaches(self.value, self.target) else Verdict.MISSED

    def _reaches(self, value: float, wanted: float) -> bool:
        return value >= wanted if self.higher_is_better else value <= wanted

    def as_json(self) -> dict[str, Any]:
        """For the file; camel case, as the rest of it."""
        return {
            "name": self.name,
            "unit": self.unit.value,
            "value": self.value,
            "ceiling": self.ceiling,
            "ceilingName": self.ceiling_name,
            "ratio": self.ratio,
            "target": self.target,
            "ambition": self.ambition,
            "higherIsBetter": self.higher_is_better,
            "verdict": self.verdict.value,
        }


CEILING_NAMES: Final = {
    "postgresLoader": "PostgreSQL: COPY + ON CONFLICT by a plain loader, the same rows",
    "postgresLoaderAgain": "PostgreSQL: the same once more, after the end-to-end phase",
    "postgresStaged": "PostgreSQL: COPY + ON CONFLICT of encoded rows, encoded before the clock starts",
    "postgresCopy": "PostgreSQL: COPY straight, no conflicts asked for",
    "jetstream": "JetStream: the same messages published, each synced",
    "aiohttpBulk": "bare aiohttp: bulk bodies read, nothing done",
    "aiohttpSingle": "bare aiohttp: one small body a request",
    "validate": "our splitting and validating, one core, no I/O",
    "rows": "our row building, one core, no I/O",
}
"""Key of `ceilings` → what it is, in words."""


def figures(results: Mapping[str, Any]) -> list[Figure]:
    """All rows, in the order of the targets' table."""
    get = _Reader(results)
    loader = _mean(get("ceilings", key, "eventsPerSecond") for key in ("postgresLoader", "postgresLoaderAgain"))
    staged = get("ceilings", "postgresStaged", "eventsPerSecond")
    stored = get("endToEnd", "eventsPerSecond")
    return [
        Figure(
            name="accept, one request of 50,000: median to a durable 200",
            unit=Unit.SECONDS,
            value=get("accept", "one", "latency", "p50"),
            target=0.50,
            ambition=0.35,
            ceiling=_seconds_of_50_000(get("ceilings", "validate", "eventsPerSecond")),
            ceiling_name="splitting and validating alone",
            ratio=_time_ratio(get("accept", "one", "latency", "p50"), get("ceilings", "validate", "eventsPerSecond")),
        ),
        Figure(name="accept, one request: worst", unit=Unit.SECONDS, value=get("accept", "one", "latency", "worst")),
        _of_ceiling(
            name="accept, one request at a time",
            value=get("accept", "one", "eventsPerSecond"),
            ceiling=get("ceilings", "jetstream", "eventsPerSecond"),
            ceiling_name="JetStream publish alone",
            unit=Unit.EVENTS_PER_S,
            higher_is_better=True,
        ),
        Figure(
            name="accept, four at once: median", unit=Unit.SECONDS, value=get("accept", "together", "latency", "p50")
        ),
        Figure(
            name="accept, four at once: worst", unit=Unit.SECONDS, value=get("accept", "together", "latency", "worst")
        ),
        _of_ceiling(
            name="accept, four at once",
            value=get("accept", "together", "eventsPerSecond"),
            ceiling=get("ceilings", "jetstream", "eventsPerSecond"),
            ceiling_name="JetStream publish alone",
            unit=Unit.EVENTS_PER_S,
            higher_is_better=True,
        ),
        Figure(
            name="authentication by key: share of the accept rate it costs",
            unit=Unit.SHARE,
            value=get("authentication", "costs", "key"),
            target=0.05,
        ),
        Figure(
            name="authentication by signature: share of the accept rate it costs",
            unit=Unit.SHARE,
            value=get("authentication", "costs", "signature"),
            target=0.05,
        ),
        _of_ceiling(
            name="end to end, stored",
            unit=Unit.EVENTS_PER_S,
            value=stored,
            target=60_000,
            ambition=80_000,
            higher_is_better=True,
            ceiling=get("ceilings", "postgresCopy", "eventsPerSecond"),
            ceiling_name="PostgreSQL COPY alone",
        ),
        Figure(
            name="end to end over PostgreSQL's ceiling",
            unit=Unit.SHARE,
            value=ratio(stored, loader),
            target=0.6,
            ambition=0.8,
            higher_is_better=True,
            ceiling_name=f"COPY + ON CONFLICT by a plain loader: {loader:,.0f} events/s" if loader else "",
        ),
        Figure(
            name="the same, where the loader's rows are encoded beforehand",
            unit=Unit.SHARE,
            value=ratio(stored, staged),
            higher_is_better=True,
            ceiling_name=f"COPY + ON CONFLICT of encoded rows: {staged:,.0f} events/s" if staged else "",
        ),
        Figure(
            name="gateway peak memory with four times 50,000 in flight",
            unit=Unit.MEGABYTES,
            value=_mb(_most(get, "gateway", "accept", "responsiveness")),
            target=250,
            ambition=180,
        ),
        Figure(
            name="collector peak memory",
            unit=Unit.MEGABYTES,
            value=_mb(_most(get, "collector ", "accept", "responsiveness", "endToEnd")),
            target=200,
            ambition=120,
        ),
        Figure(
            name="/health/live p99 with four times 50,000 in flight",
            unit=Unit.MILLISECONDS,
            value=_ms(get("responsiveness", "live", "p99")),
            target=50,
            ambition=20,
            ceiling=_ms(get("responsiveness", "atRest", "p99")),
            ceiling_name="the same at rest",
        ),
        Figure(name="/health/live worst", unit=Unit.MILLISECONDS, value=_ms(get("responsiveness", "live", "worst"))),
        _of_ceiling(
            name="single events, durable",
            unit=Unit.REQUESTS_PER_S,
            value=get("single", "requestsPerSecond"),
            target=5_000,
            ambition=8_000,
            higher_is_better=True,
            ceiling=get("ceilings", "aiohttpSingle", "eventsPerSecond"),
            ceiling_name="bare aiohttp",
        ),
        Figure(name="single events p50", unit=Unit.MILLISECONDS, value=_ms(get("single", "latency", "p50"))),
        Figure(name="single events p99", unit=Unit.MILLISECONDS, value=_ms(get("single", "latency", "p99")), target=50),
        Figure(
            name="freshness at 20,000 events/s p50",
            unit=Unit.MILLISECONDS,
            value=_ms(get("freshness", "latency", "p50")),
        ),
        Figure(
            name="freshness at 20,000 events/s p99",
            unit=Unit.MILLISECONDS,
            value=_ms(get("freshness", "latency", "p99")),
            target=1_000,
            ambition=300,
        ),
        Figure(
            name="CPU per million events, all but the generator",
            unit=Unit.CPU_S_PER_MILLION,
            value=get("endToEnd", "cpu", "stackSecondsPerMillion"),
            target=30,
            ambition=20,
            ceiling=get("ceilings", "postgresStaged", "cpu", "secondsPerMillion", "postgres"),
            ceiling_name="PostgreSQL alone, COPY + ON CONFLICT",
        ),
        Figure(
            name=_growth_name(get("growth", "rows")),
            unit=Unit.SHARE,
            value=get("growth", "lastToEmpty"),
            target=0.8,
            ambition=0.95,
            higher_is_better=True,
        ),
    ]


class _Reader:
    """Numbers of the results by their path; None where a phase was not run or failed."""

    def __init__(self, results: Mapping[str, Any]) -> None:
        self._results = results

    def __call__(self, *path: str) -> float | None:
        found: Any = self._results
        for name in path:
            if not isinstance(found, Mapping) or name not in found:
                return None
            found = found[name]
        return float(found) if isinstance(found, int | float) else None

    def peaks(self, phase: str) -> Mapping[str, int]:
        """Bytes by process, after a phase; {} where it was not run."""
        found = self._results.get(phase)
        peaks: Mapping[str, int] = found.get("peakRssBytes", {}) if isinstance(found, Mapping) else {}
        return peaks


def _of_ceiling(
    *, name: str, value: float | None, ceiling: float | None, ceiling_name: str, unit: Unit, **more: Any
) -> Figure:
    return Figure(
        name=name,
        unit=unit,
        value=value,
        ceiling=ceiling,
        ceiling_name=ceiling_name,
        ratio=ratio(value, ceiling),
        **more,
    )


def _seconds_of_50_000(per_s: float | None) -> float | None:
    return 50_000 / per_s if per_s else None


def _time_ratio(seconds: float | None, ceiling_per_s: float | None) -> float | None:
    """A time's share of its ceiling: how near it is to what it can't be faster than."""
    return ratio(_seconds_of_50_000(ceiling_per_s), seconds)


def _most(get: _Reader, prefix: str, *phases: str) -> float | None:
    """The most that a process of that name needed by the end of these phases (a high-water mark only rises)."""
    found = [value for phase in phases for name, value in get.peaks(phase).items() if name.startswith(prefix)]
    return max(found, default=None)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1_000


def _mean(values: Iterable[float | None]) -> float | None:
    """Of those that were measured."""
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None


def _mb(amount: float | None) -> float | None:
    return None if amount is None else amount / MB


def _growth_name(rows: float | None) -> str:
    return f"rate at {rows:,.0f} rows to rate at zero" if rows else "rate at 20 million rows to rate at zero"


def shown(value: float | None, unit: Unit) -> str:
    """A number as a person reads it, without its unit."""
    if value is None:
        return "-"
    if unit in {Unit.EVENTS_PER_S, Unit.REQUESTS_PER_S}:
        return f"{value:,.0f}"
    if unit in {Unit.SECONDS, Unit.SHARE}:
        return f"{value:.2f}"
    return f"{value:,.1f}"
