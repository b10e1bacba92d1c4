"""The live progress of a run, on stderr.

Invariant: stdout is never touched, and nothing is written where nobody watches (no terminal, or --json).
"""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class RunProgress(Protocol):
    """Told of each step of a run; all counts are events since the start."""

    def sent(self, *, done: int, failed_requests: int) -> None:
        """`done` events have had their answer, whatever it said."""

    def stored(self, *, accounted: int, accepted: int) -> None:
        """The receipts explain `accounted` of `accepted` events."""


class Quiet(AbstractContextManager["Quiet"]):
    """Says nothing."""

    def sent(self, *, done: int, failed_requests: int) -> None:
        """See RunProgress."""

    def stored(self, *, accounted: int, accepted: int) -> None:
        """See RunProgress."""

    def __exit__(self, *_: object) -> None:
        return None


class LiveProgress(AbstractContextManager["LiveProgress"]):
    """Two bars with rate and time to go: events answered, then events stored."""

    def __init__(self, *, console: Console, total: int) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<7}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("[red]{task.fields[note]}"),
            console=console,
            # The bars go when the run ends: the summary says it all again.
            transient=True,
        )
        self._send = self._progress.add_task("sending", total=total, note="")
        self._store: TaskID | None = None

    def __enter__(self) -> "LiveProgress":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def sent(self, *, done: int, failed_requests: int) -> None:
        """See RunProgress."""
        note = f"{failed_requests} requests failed" if failed_requests else ""
        self._progress.update(self._send, completed=done, note=note)

    def stored(self, *, accounted: int, accepted: int) -> None:
        """See RunProgress."""
        if self._store is None:
            self._store = self._progress.add_task("storing", total=accepted, note="")
        self._progress.update(self._store, completed=accounted, total=accepted)


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} events/s" if speed else "- events/s", style="cyan")
