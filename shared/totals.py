"""Reads metrics back: what they have counted, as plain numbers.

Invariant: the values are this process's own, also where several processes share a port and their metrics.
"""

from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.samples import Sample


def by_label(counter: Counter, label: str) -> dict[str, int]:
    """What was counted for each value of one label, the others summed; nothing where nothing was."""
    found: dict[str, int] = {}
    for sample in _samples(counter, "_total"):
        name = sample.labels[label]
        if sample.value:
            found[name] = found.get(name, 0) + int(sample.value)
    return found


def value(gauge: Gauge) -> float:
    """Of a gauge without labels."""
    return float(next(iter(gauge.collect())).samples[0].value)


def cumulative(histogram: Histogram) -> list[int]:
    """How many observations were at or below each bound, the last one being all."""
    return [int(sample.value) for sample in _samples(histogram, "_bucket")]


def _samples(metric: Counter | Histogram, suffix: str) -> Iterator[Sample]:
    return (sample for family in metric.collect() for sample in family.samples if sample.name.endswith(suffix))
