"""What a run of the scaling test is asked to do.

Invariant: frozen and already checked; nothing below this reads the environment or the command line.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtest.plan.model import Point

BASE: Final = Point(1, 1)
"""Where the model is calibrated; always measured, and first."""
GRID: Final = (BASE, Point(2, 1), Point(1, 2), Point(2, 2), Point(4, 2), Point(2, 4), Point(4, 4))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything. `elastic_*`: of the run in which the fleet grows and shrinks under load."""

    points: tuple[Point, ...] = GRID
    events: int = 500_000  # of each point
    warm_up_events: int = 40_000  # before them: connections are open, code is warm
    attempts: int = 2  # at a point, where other programs take over `noisy_share` of the machine
    noisy_share: float = 0.1
    request_events: int = 5_000
    connections: int = 8
    elastic_most: int = 4  # gateways, and collectors a source
    elastic_slice_requests: int = 40
    elastic_interval_s: float = 0.25  # between two requests: 20,000 events/s
    elastic_slices: int = 6  # at most


QUICK: Final = Sizes(points=(BASE, Point(2, 2)), events=100_000, attempts=1, elastic_most=2, elastic_slice_requests=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingOptions:
    """One run. `page`: a Markdown file whose section between the markers is written anew."""

    sizes: Sizes = Sizes()
    quick: bool = False
    seed: int
    json_file: Path | None = None
    page: Path | None = None
