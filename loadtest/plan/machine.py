"""What one machine bears that stands in for many: every process of an installation on the same cores. Pure.

Invariant: a point's prediction is made from what was measured elsewhere: one of each from the benchmark of a single
server, any other from one of each and from what doubling cost at other points. No point is fitted to itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Any, Final

import orjson

from loadtest.errors import CannotRun
from loadtest.plan.costs import Assumptions, Costs
from loadtest.plan.model import MILLION, Load, Point

SCALING: Final = Path(__file__).resolve().parents[2] / "docs" / "benchmark" / "scaling.json"
ONE: Final = Point(1, 1)
_TWICE_THE_GATEWAYS: Final = ((ONE, Point(2, 1)), (Point(1, 2), Point(2, 2)))
_TWICE_THE_COLLECTORS: Final = ((ONE, Point(1, 2)), (Point(2, 1), Point(2, 2)))
"""Two points that differ in this alone; what was measured of these is averaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubling:
    """CPU in seconds that a million events cost more with twice as many processes, whatever the number.

    Most of it comes of repeated events: with twice the collectors more of them have their first copy in the hands of
    another one, for which a flush is written anew. That share ends at a limit (all but one of n), and smaller flushes
    cost the same for each process more; the same for each doubling lies between the two.
    """

    gateway_cpu_s: float = 0.0
    collector_cpu_s: float = 0.0

    def cpu_s(self, point: Point) -> float:
        """What a point costs more than one of each."""
        return self.gateway_cpu_s * log2(point.gateways) + self.collector_cpu_s * log2(point.collectors_per_source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A point as it was measured. `others_cores`: what programs that were no part of it took of the machine."""

    point: Point
    events_per_s: float
    cpu_s: float
    others_cores: float

    @property
    def busy_cores(self) -> float:
        """How much of the machine was used by anybody."""
        return self.events_per_s * self.cpu_s / MILLION + self.others_cores


def one_of_each_cpu_s(load: Load, costs: Costs, assumed: Assumptions) -> float:
    """CPU in seconds per million events, from the benchmark of one server alone."""
    copies = 1 + assumed.follower_cpu_share * (load.replicas - 1)
    return costs.total_cpu_s + costs.nats_cpu_s * (copies - 1)


def one_machine(
    cores: float, points: Sequence[Point], load: Load, costs: Costs, assumed: Assumptions, *, doubling: Doubling
) -> list[float]:
    """Events a second when everything shares the cores of one machine, all of them used.

    The smallest of: the cores over what an event costs in all; each kind of process over its own cost, as one of
    them has one core. Tables are new, so nothing has grown.
    """
    base_cpu_s = one_of_each_cpu_s(load, costs, assumed)
    return [
        min(
            cores * MILLION / (base_cpu_s + doubling.cpu_s(point)),
            point.gateways * MILLION / costs.gateway_cpu_s,
            point.collectors_per_source * load.sources * MILLION / costs.collector_cpu_s,
        )
        for point in points
    ]


def predictions(
    cores: int, measured: Sequence[Measured], load: Load, costs: Costs, assumed: Assumptions
) -> dict[Point, float]:
    """Events a second of each measured point, from other points; what other programs took is not there to be used."""
    by_point = {one.point: one for one in measured}
    one = by_point.get(ONE)
    found = {}
    for point, at in by_point.items():
        if point == ONE or one is None:
            cpu_s, busy = one_of_each_cpu_s(load, costs, assumed), float(cores)
        else:
            elsewhere = doubling_of([other for other in measured if other.point != point])
            cpu_s, busy = one.cpu_s + elsewhere.cpu_s(point), one.busy_cores
        found[point] = max(0.0, busy - at.others_cores) * MILLION / cpu_s
    return found


def doubling_of(measured: Sequence[Measured]) -> Doubling:
    """What doubling costs, from points with two of one kind; nothing where there are none."""
    cpu_s = {one.point: one.cpu_s for one in measured}

    def dearer(pairs: Sequence[tuple[Point, Point]]) -> float:
        found = [cpu_s[two] - cpu_s[one] for one, two in pairs if one in cpu_s and two in cpu_s]
        return max(0.0, sum(found) / len(found)) if found else 0.0

    return Doubling(gateway_cpu_s=dearer(_TWICE_THE_GATEWAYS), collector_cpu_s=dearer(_TWICE_THE_COLLECTORS))


def measured_points(results: Mapping[str, Any]) -> list[Measured]:
    """Of a scaling test's results. Raises KeyError or TypeError where it is none."""
    return [
        Measured(
            point=Point(point["gateways"], point["collectors_per_source"]),
            events_per_s=point["eventsPerSecond"],
            cpu_s=sum(point["cpuSecondsPerMillion"].values()),
            others_cores=point["othersSeconds"] / point["seconds"],
        )
        for point in results["points"]
    ]


def load_measured(file: Path = SCALING) -> list[Measured]:
    """Of a scaling test's JSON; none where there was no test yet. Raises CannotRun where the file is no such."""
    try:
        return measured_points(orjson.loads(file.read_bytes()))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CannotRun(f"{file} can't be read: {error.strerror}; `make bench-scaling` writes it") from None
    except (orjson.JSONDecodeError, KeyError, TypeError, ZeroDivisionError) as error:
        raise CannotRun(f"{file} holds no scaling test ({error!r}); `make bench-scaling` writes one") from None
