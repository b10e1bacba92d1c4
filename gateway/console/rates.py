"""From what processes have counted to what happens a second, and how long it takes. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from shared.metrics import REQUEST_SECONDS
from streams.vitals import Heard

RATE_BEATS: Final = 3
"""A bulk a second, seen once a second, would flicker between nothing and twice as much; so would flushes."""

MIN_INTERVAL_S: Final = 0.2
"""Two beats that are closer than this came late together: a rate from them would be a spike that never was."""


def per_second(heards: Iterable[Heard], name: str) -> dict[str, float]:
    """How much one of their totals grew a second over the last RATE_BEATS, by label, over all of them."""
    rates: dict[str, float] = {}
    for heard in heards:
        if len(heard.beats) < 2:
            continue
        before, now = heard.beats[max(0, len(heard.beats) - 1 - RATE_BEATS)], heard.beats[-1]
        interval_s = max(now.clock_s - before.clock_s, MIN_INTERVAL_S)
        counted = before.totals.get(name, {})
        for label, total in now.totals.get(name, {}).items():
            grown = total - counted.get(label, 0)
            rates[label] = rates.get(label, 0.0) + max(0, grown) / interval_s
    return {label: round(rate, 2) for label, rate in rates.items()}


def latencies_ms(heards: Iterable[Heard], shares: Sequence[float]) -> list[float | None]:
    """The time within which such shares of the requests of the last ten seconds were answered.

    None for each where none was answered. Within a bucket times are taken as spread evenly, as Prometheus does.
    """
    counts = [0] * (len(REQUEST_SECONDS) + 1)
    for heard in heards:
        first, last = heard.beats[0].latency, heard.beats[-1].latency
        if len(first) == len(last) == len(counts):
            counts = [count + new - old for count, old, new in zip(counts, first, last, strict=True)]
    return [_quantile_ms(counts, share) for share in shares]


def _quantile_ms(counts: Sequence[int], share: float) -> float | None:
    """`counts` are cumulative; the last one has no bound, and is told as the highest bound."""
    if not (total := counts[-1]):
        return None
    wanted = share * total
    low_s, below = 0.0, 0
    for bound_s, count in zip(REQUEST_SECONDS, counts, strict=False):
        if count >= wanted:
            part = (wanted - below) / (count - below) if count > below else 1.0
            return round((low_s + (bound_s - low_s) * part) * 1_000, 2)
        low_s, below = bound_s, count
    return REQUEST_SECONDS[-1] * 1_000.0
