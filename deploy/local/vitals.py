"""One line that says how the stack is doing, read from the metrics of its programs once a second.

Invariant: it only reads, in bounded time, and what does not answer is shown as away: vital signs never disturb what
they are of.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from deploy.local.console import Console
from deploy.local.probes import http_text
from deploy.local.status import Addresses

EVERY_S = 1.0
RATE_OVER_S = 3.0
"""Long enough that the collectors' flushes make no waves."""
P99_OVER_S = 10.0
SEPARATOR = "  ·  "
AWAY = "–"  # noqa: RUF001 - a dash for people

ACCEPTED = "gateway_bulk_events_processed_total"
BACKLOG = "gateway_backlog_messages"
ANSWERS = "gateway_bulk_processing_duration_seconds_bucket"
STORED = "collector_events_total"
ERRORS = (
    "gateway_events_rejected_total",
    "gateway_events_undurable_total",
    "gateway_requests_refused_total",
    "collector_dead_letters_total",
)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Everything at one moment. Counts are since the programs started."""

    at_s: float
    gateway_up: bool
    collectors_up: int
    accepted: float = 0.0
    stored: float = 0.0
    errors: float = 0.0
    backlog: float = 0.0
    answers: Mapping[float, float] = field(default_factory=dict)
    """Answers that took so many seconds or less: a histogram's buckets."""


@asynccontextmanager
async def shown(console: Console, at: Addresses) -> AsyncIterator[None]:
    """Vital signs below the log for the length of the block; nothing where nobody watches."""
    if not console.live:
        yield
        return
    vitals = Vitals(
        gateway_url=at.internal_url, ops_urls=tuple(at.ops_urls.values()), show=console.last_line, clock=monotonic
    )
    showing = asyncio.create_task(vitals.run())
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.wait({showing})
        if not showing.cancelled():  # a bug, which must not end the stack
            console.warn(f"the vital signs ended: {showing.exception()!r}")


class Vitals:
    """Reads again and again, and shows a line for each time."""

    def __init__(
        self, *, gateway_url: str, ops_urls: Sequence[str], show: Callable[[str], None], clock: Callable[[], float]
    ) -> None:
        self._gateway_url = gateway_url
        self._ops_urls = ops_urls
        self._show = show
        self._clock = clock
        self._readings: deque[Reading] = deque(maxlen=math.ceil(P99_OVER_S / EVERY_S) + 1)

    async def run(self) -> None:
        """Until cancelled; then the line is taken away."""
        try:
            while True:
                self._readings.append(await self.read())
                self._show(SEPARATOR.join(parts(self._readings, collectors=len(self._ops_urls))))
                await asyncio.sleep(EVERY_S)
        finally:
            self._show("")

    async def read(self) -> Reading:
        """All programs at once. Never raises for one that does not answer."""
        gateway, *collectors = await asyncio.gather(
            *(http_text(f"{url}/metrics") for url in (self._gateway_url, *self._ops_urls))
        )
        up = [text for text in (gateway, *collectors) if text is not None]
        counts = [_samples(text) for text in up]

        def total(name: str, having: str = "") -> float:
            return sum(value for one in counts for labels, value in one.get(name, ()) if having in labels)

        answers: dict[float, float] = {}
        for one in counts:
            for labels, value in one.get(ANSWERS, ()):
                up_to_s = float(labels.partition('le="')[2].partition('"')[0])
                answers[up_to_s] = answers.get(up_to_s, 0.0) + value
        return Reading(
            at_s=self._clock(),
            gateway_up=gateway is not None,
            collectors_up=len(up) - (gateway is not None),
            accepted=total(ACCEPTED),
            stored=total(STORED, 'outcome="stored"'),
            errors=sum(total(name) for name in ERRORS),
            backlog=total(BACKLOG),
            answers=answers,
        )


def parts(readings: Sequence[Reading], *, collectors: int) -> list[str]:
    """The pieces of the line, the most important first. Pure."""
    last = readings[-1]
    recent = next(one for one in readings if last.at_s - one.at_s <= RATE_OVER_S)
    p99_s = _p99(readings[0].answers, last.answers)
    up = last.gateway_up
    return [
        f"{_rate(recent, last, 'accepted')} accepted/s" if up else "gateway away",
        f"{_rate(recent, last, 'stored')} stored/s",
        f"backlog {last.backlog:,.0f}" if up else f"backlog {AWAY}",
        f"p99 {AWAY}" if p99_s is None else f"p99 {_up_to(p99_s)}",
        f"errors {last.errors:,.0f}",
        f"collectors {last.collectors_up}/{collectors}",
    ]


def _rate(first: Reading, last: Reading, name: str) -> str:
    seconds = last.at_s - first.at_s
    # A program that was started again counts from zero.
    grown = max(0.0, getattr(last, name) - getattr(first, name))
    return f"{grown / seconds:,.0f}" if seconds > 0 else "0"


def _p99(before: Mapping[float, float], after: Mapping[float, float]) -> float | None:
    """The bound of the bucket that the slowest answer but one in a hundred fell into; None where none came."""
    counts = {up_to_s: max(0.0, count - before.get(up_to_s, 0.0)) for up_to_s, count in sorted(after.items())}
    most = counts.get(math.inf, 0.0)
    return next((up_to_s for up_to_s, count in counts.items() if count >= 0.99 * most), None) if most else None


def _up_to(seconds: float) -> str:
    if math.isinf(seconds):
        return "> 1 min"  # past the histogram's last bucket
    return f"≤ {seconds:g} s" if seconds >= 1 else f"≤ {seconds * 1_000:g} ms"


def _samples(text: str) -> dict[str, list[tuple[str, float]]]:
    """The samples of the names above in a page of Prometheus's text format, each with its labels as they stand."""
    wanted = {ACCEPTED, BACKLOG, ANSWERS, STORED, *ERRORS}
    found: dict[str, list[tuple[str, float]]] = {}
    for line in text.splitlines():
        name, _, labels = line.partition(" ")[0].partition("{")
        if name in wanted:
            found.setdefault(name, []).append((labels, float(line.rpartition(" ")[2])))
    return found
