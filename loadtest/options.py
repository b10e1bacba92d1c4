"""What a bulk test is asked to do.

Invariant: frozen and already checked; nothing below this reads the environment or the command line.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtest.generator import Plan

DEFAULT_URL: Final = "http://127.0.0.1:3000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What a run must do better than: accepted of valid events, 0 to 1, and accepted events a second."""

    min_success_share: float = 0.95
    min_rate_per_s: float = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkTestOptions:
    """One bulk test. `url` has no slash at its end; `retries` is attempts after the first."""

    plan: Plan
    url: str = DEFAULT_URL
    health_urls: tuple[str, ...] = ()
    single_request: bool = False
    concurrency: int = 4
    timeout_s: float = 120.0
    wait_s: float = 120.0
    retries: int = 0
    targets: Targets = Targets()
    json: bool = False
    start_stack: bool = False
    report: Path | None = None
    api_key: str | None = field(default=None, repr=False)

    @property
    def requests(self) -> int:
        """Requests the run makes when none is repeated."""
        return 1 if self.single_request else self.plan.requests
