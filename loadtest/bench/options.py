"""What a benchmark is asked to do.

Invariant: frozen and already checked; nothing below this reads the environment or the command line.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

BULK_EVENTS: Final = 50_000
"""Of one request in the accept phases: the most that one may have."""


class Phase(StrEnum):
    """The parts of a run, in their order: end to end comes first of the load, as its ceiling has empty tables too."""

    CEILINGS = "ceilings"
    END_TO_END = "end-to-end"
    ACCEPT = "accept"
    AUTHENTICATION = "authentication"
    RESPONSIVENESS = "responsiveness"
    SINGLE = "single"
    FRESHNESS = "freshness"
    GROWTH = "growth"


USUAL_PHASES: Final = tuple(phase for phase in Phase if phase is not Phase.GROWTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything; all counts are events unless they say otherwise."""

    ceiling_events: int = 500_000
    accept_rounds: int = 7  # requests, one at a time
    accept_together_rounds: int = 3  # times four requests at once
    authentication_rounds: int = 15  # requests of each way to be known, in turns
    responsiveness_rounds: int = 3  # times four requests at once
    events: int = 1_000_000
    request_events: int = 5_000  # of a request in the end-to-end phase
    concurrency: int = 4  # requests at a time in the end-to-end phase
    single_s: float = 8.0
    connections: int = 64
    freshness_s: float = 20.0
    freshness_rate_per_s: int = 20_000
    growth_step: int = 1_000_000


QUICK: Final = Sizes(
    ceiling_events=50_000,
    accept_rounds=3,
    accept_together_rounds=1,
    authentication_rounds=2,
    responsiveness_rounds=1,
    events=200_000,
    single_s=3.0,
    freshness_s=4.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """One run. `rows` is how far the growth phase goes; `data_dir` is where the stack's data lies, if it is to stay."""

    phases: tuple[Phase, ...] = USUAL_PHASES
    sizes: Sizes = Sizes()
    quick: bool = False
    rows: int = 20_000_000
    seed: int
    json_file: Path | None = None
    html_file: Path | None = None
    data_dir: Path | None = None
    keep: bool = False
