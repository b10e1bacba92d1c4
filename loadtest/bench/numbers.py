"""Percentiles, medians and ratios. Pure.

Invariant: a percentile is a value that was measured (nearest rank), never one between two: a worst case must not be
smoothed away.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

_PER_MILLION: Final = 1_000_000


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that `share` (over 0, up to 1) of all values do not exceed. Raises ValueError for none."""
    return weighted_percentile(((value, 1) for value in values), share)


def weighted_percentile(values: Iterable[tuple[float, int]], share: float) -> float:
    """The same for values that each stand for a number of events."""
    ascending = sorted(values)
    if not ascending or not 0 < share <= 1:
        raise ValueError(
            f"a percentile of {len(ascending)} values at {share}: takes values, and a share over 0 up to 1"
        )
    rank = math.ceil(share * sum(weight for _, weight in ascending) - 1e-9)
    seen = 0
    for value, weight in ascending:
        seen += weight
        if seen >= rank:
            return value
    return ascending[-1][0]


def median(values: Iterable[float]) -> float:
    """The value in the middle; of an even number the lower of the two."""
    return percentile(values, 0.5)


def ratio(value: float | None, other: float | None) -> float | None:
    """`value` over `other`; None where one is missing, or the other is zero."""
    return value / other if value is not None and other else None


def per_second(count: int, seconds: float) -> float:
    """A rate; 0 where no time has passed, since then nothing was measured."""
    return count / seconds if seconds > 0 else 0.0


def per_million(amount: float, events: int) -> float:
    """An amount per million events; 0 where there were none."""
    return amount / events * _PER_MILLION if events else 0.0


def spread(values: Sequence[float]) -> dict[str, float]:
    """What the reports say of a set of times: p50, p90, p99, p99.9 and the worst; {} of none."""
    if not values:
        return {}
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "worst": 1.0}
    return {name: percentile(values, share) for name, share in shares.items()}


def weighted_spread(values: Sequence[tuple[float, int]]) -> dict[str, float]:
    """The same for values that each stand for a number of events."""
    if not values:
        return {}
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "worst": 1.0}
    return {name: weighted_percentile(values, share) for name, share in shares.items()}
