"""Who used the CPU while something was measured.

Invariant: what is reported adds up to what the machine was busy with; what is of no known process is told apart, so a
figure that was taken beside other work can be seen to be one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loadtest.bench.families import GENERATOR, OTHERS
from loadtest.bench.numbers import per_million
from loadtest.bench.processes import Processes, of_the_stack, used


class Meter:
    """Takes the account of a stack's processes."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    @contextmanager
    def measured(self, events: int, generator_pid: int | None = None) -> Iterator[dict[str, Any]]:
        """The CPU of what runs inside; the yielded dict is filled when the context is left.

        `seconds`: by process; `stackSecondsPerMillion`: of the stack alone; `othersSeconds`: of programs that are
        no part of the run. Where the number of events is known only at the end, `events` of the dict is set inside.
        """
        cost: dict[str, Any] = {}
        if generator_pid is not None:
            self._processes.add(GENERATOR, generator_pid)
        before = self._processes.snapshot()
        try:
            yield cost
        finally:
            seconds = used(before, self._processes.snapshot())
            self._processes.remove(GENERATOR)
            others = seconds.pop(OTHERS)
            events = cost.setdefault("events", events)
            cost |= {
                "seconds": seconds,
                "secondsPerMillion": {name: per_million(value, events) for name, value in seconds.items()},
                "stackSecondsPerMillion": per_million(of_the_stack(seconds), events),
                "othersSeconds": others,
            }

    def peaks(self) -> dict[str, int]:
        """The most memory that a process of each family ever had, bytes."""
        return self._processes.peak_bytes()
