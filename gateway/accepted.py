"""What became of a request's events: how many were taken, and why each of the others was not.

Invariant: `is_durable` says no where a valid event, or the request's record, could not be made durable.
"""

from collections import Counter
from dataclasses import dataclass, field

from shared.errors import NotDurable
from shared.events import Rejection
from shared.outcomes import PublishFailure, RejectReason


@dataclass(slots=True)
class Failure:
    """An event that was not taken: why, and whether sending it again can help."""

    index: int
    event_id: str | None
    rejection: Rejection | None
    publish_failure: PublishFailure | None = None


@dataclass(slots=True)
class Accepted:
    """What became of a request's events. `failures` is capped; the counts are not."""

    total: int
    max_failures: int
    processed: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    rejected: int = 0
    forbidden: int = 0
    """Of the rejected ones: those that are valid, but not their sender's to send."""
    undurable: int = 0
    unconfirmed: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    record_failure: NotDurable | None = None

    @property
    def is_durable(self) -> bool:
        """Whether a 2xx may be answered as far as valid events go."""
        return self.undurable == 0 and self.record_failure is None

    @property
    def failed(self) -> int:
        """Events that were not taken."""
        return self.rejected + self.undurable

    def fail(self, failure: Failure) -> None:
        """Count an event that was not taken, and keep it while there is room."""
        if failure.rejection is not None:
            self.rejected += 1
            self.forbidden += failure.rejection.reason is RejectReason.FORBIDDEN_SOURCE
        else:
            self.undurable += 1
        if len(self.failures) < self.max_failures:
            self.failures.append(failure)
