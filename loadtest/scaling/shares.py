"""Who did how much of the work. Pure, but for reading a metrics page.

Invariant: counts are differences of each process's own counter, so what it did before does not count.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from loadtest.bench.stored import settled

_MADE_DURABLE: Final = re.compile(r"^gateway_bulk_events_processed_total\{.*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Shares:
    """The smallest and the largest part of the work that one of several equal processes had, of 1; of `of` of them."""

    least: float
    most: float
    of: int


def durable(metrics: str) -> int:
    """Events made durable, of a gateway's metrics page."""
    return sum(int(float(value)) for value in _MADE_DURABLE.findall(metrics))


def stored(metrics: str) -> int:
    """Events with an outcome, of a collector's metrics page."""
    return settled(metrics)


def done(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """What each did between two readings."""
    return {name: count - before.get(name, 0) for name, count in after.items()}


def shares(counts: Iterable[int]) -> Shares | None:
    """Of processes that share one work; None where nobody did anything."""
    ascending = sorted(counts)
    whole = sum(ascending)
    return Shares(ascending[0] / whole, ascending[-1] / whole, len(ascending)) if whole else None


def collectors_shares(counts: Mapping[str, int]) -> Shares | None:
    """Of the collectors of one source among themselves, the source where they are furthest apart.

    Their names are `collectors <source> <number>`.
    """
    by_source: dict[str, list[int]] = {}
    for name, count in counts.items():
        by_source.setdefault(name.split()[1], []).append(count)
    found = [one for one in map(shares, by_source.values()) if one is not None]
    return max(found, key=lambda one: one.most - one.least, default=None)
