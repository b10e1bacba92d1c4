"""The machine a result was measured on.

Invariant: nothing in it tells whose machine it is: no host name, no user, no path.
"""

import os
import platform
from pathlib import Path

import psutil


def describe() -> dict[str, str]:
    """Name → value, for the report. Reads /proc; blocks for no time worth naming."""
    return {
        "CPU": _cpu_model(),
        "cores": f"{_cores()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _cores() -> int:
    """Those this program may use: a container often has fewer than its machine."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
