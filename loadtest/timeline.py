"""A run over time: what was accepted, what was stored, how long answers took. Pure.

Invariant: seconds are since the first request; counts of `stored` are cumulative, so a look that was late or missed
changes the detail of a chart and never its sum. What a receipt does not say yet is backlog.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from loadtest.bench.numbers import percentile

SLICES: Final = 40
"""As many points as a chart of this width shows apart."""
SHORTEST_SLICE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Slice:
    """A piece of the run that ends at `until_s`: rates in events a second, answer times in seconds.

    `p50_s` and `worst_s` are None where no answer came. `backlog`: events accepted and not known to be stored, at its
    end.
    """

    until_s: float
    accepted_per_s: float
    stored_per_s: float
    backlog: float
    p50_s: float | None
    worst_s: float | None


@dataclass(slots=True)
class Timeline:
    """Filled while a run goes on."""

    _answers: list[tuple[float, int, float]] = field(default_factory=list)
    _looks: list[tuple[float, int]] = field(default_factory=list)

    def answered(self, at_s: float, accepted: int, took_s: float) -> None:
        """An answer came, with so many events accepted."""
        self._answers.append((at_s, accepted, took_s))

    def stored(self, at_s: float, events: int) -> None:
        """A look at the receipts: so many events are stored (or duplicates, or dead letters) by now."""
        self._looks.append((at_s, events))

    def slices(self) -> list[Slice]:
        """The run in equal pieces; [] where nothing was answered."""
        if not self._answers:
            return []
        self._answers.sort()
        ends_s = max(self._answers[-1][0], self._looks[-1][0] if self._looks else 0.0, SHORTEST_SLICE_S)
        count = max(1, min(SLICES, int(ends_s / SHORTEST_SLICE_S)))
        width_s = ends_s / count
        moments = [at for at, *_ in self._answers]
        stored_curve = [(0.0, 0.0), *((at, float(events)) for at, events in self._looks)]
        slices, first, accepted_before, stored_before = [], 0, 0, 0.0
        for number in range(1, count + 1):
            until_s = ends_s if number == count else number * width_s
            last = len(moments) if number == count else bisect_left(moments, until_s)
            answers = self._answers[first:last]
            accepted = accepted_before + sum(events for _, events, _ in answers)
            stored = min(_at(stored_curve, until_s), accepted)
            times = [took_s for *_, took_s in answers]
            slices.append(
                Slice(
                    until_s=until_s,
                    accepted_per_s=(accepted - accepted_before) / width_s,
                    stored_per_s=max(0.0, stored - stored_before) / width_s,
                    backlog=accepted - stored,
                    p50_s=percentile(times, 0.5) if times else None,
                    worst_s=max(times) if times else None,
                )
            )
            first, accepted_before, stored_before = last, accepted, stored
        return slices


def _at(curve: Sequence[tuple[float, float]], moment: float) -> float:
    """The curve's height at a moment, on a straight line between two points; after the last, its own."""
    place = bisect_left(curve, (moment, 0.0))
    if place >= len(curve):
        return curve[-1][1]
    (x0, y0), (x1, y1) = curve[max(0, place - 1)], curve[place]
    return y1 if x1 <= x0 else y0 + (y1 - y0) * (moment - x0) / (x1 - x0)
