"""CPU time and peak memory of the stack's processes, from the kernel's own accounts.

Invariant: nothing is sampled. CPU seconds are differences of counters, so no burst is missed; of a process that
starts others (PostgreSQL) the ended ones count too; and the peak of memory is the kernel's high-water mark.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

HARNESS: Final = "benchmark"
GENERATOR: Final = "generator"
OTHERS: Final = "other programs"
NOT_COUNTED: Final = frozenset({HARNESS, GENERATOR, OTHERS})
"""Not part of what is measured."""

_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Snapshot:
    """CPU seconds so far: of each family of processes, and of the whole machine."""

    seconds: Mapping[str, float]
    machine_s: float


class Processes:
    """The families to watch, each by the id of the process that all others of it descend from."""

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = dict(roots)

    def add(self, name: str, pid: int) -> None:
        """One more family, or another process under the same name."""
        self._roots[name] = pid

    def remove(self, name: str) -> None:
        """A family that has ended."""
        self._roots.pop(name, None)

    def snapshot(self) -> Snapshot:
        """The counters now."""
        everything = psutil.cpu_times()
        busy = sum(everything) - everything.idle - getattr(everything, "iowait", 0.0)
        busy -= getattr(everything, "guest", 0.0) + getattr(everything, "guest_nice", 0.0)  # in user and nice already
        # The stack's supervisor descends into everything else, and this program into the supervisor: theirs is
        # their own time alone.
        return Snapshot({name: _cpu_s(pid, family=_has_family(name)) for name, pid in self._roots.items()}, busy)

    def peak_bytes(self) -> dict[str, int]:
        """The most memory (resident, shared pages included) that any one process of each family ever had."""
        return {
            name: max((_peak_bytes(process) for process in _family(pid, _has_family(name))), default=0)
            for name, pid in self._roots.items()
        }


_FAMILIES: Final = frozenset({"postgres", "gateway", "nginx"})
"""First words of the names of those whose work is done by processes that they start."""


def _has_family(name: str) -> bool:
    return name.partition(" ")[0] in _FAMILIES


def used(before: Snapshot, after: Snapshot) -> dict[str, float]:
    """CPU seconds of each family between two snapshots, and under OTHERS what nobody of them used."""
    seconds = {name: max(0.0, after.seconds[name] - before.seconds.get(name, 0.0)) for name in after.seconds}
    seconds[OTHERS] = max(0.0, after.machine_s - before.machine_s - sum(seconds.values()))
    return {name: round(value, 3) for name, value in seconds.items()}


def of_the_stack(seconds: Mapping[str, float]) -> float:
    """What the stack itself used, of the result of `used`."""
    return sum(value for name, value in seconds.items() if name not in NOT_COUNTED)


def _family(pid: int, family: bool) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)] if family else [process]
    except psutil.NoSuchProcess:
        return []


def _cpu_s(pid: int, *, family: bool) -> float:
    total = 0.0
    for process in _family(pid, family):
        with suppress(psutil.NoSuchProcess):
            times: Any = process.cpu_times()
            total += times.user + times.system
            if family:
                total += times.children_user + times.children_system  # of those that have ended
    return total


def _peak_bytes(process: psutil.Process) -> int:
    """VmHWM of proc(5); where there is none, what is resident now."""
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIB
    with suppress(psutil.NoSuchProcess):
        resident: int = process.memory_info().rss
        return resident
    return 0
