"""Starts and leads a fleet: a cluster, PostgreSQL, a balancer, gateways and collectors, on this machine.

Invariant: however the context is left, the fleet is stopped; and it is never told of servers of the user's own.
"""

import asyncio
import json
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtest.bench.processes import HARNESS
from loadtest.errors import CannotRun
from loadtest.plan.model import Point

# A command and no import: the fleet stands above this package.
_COMMAND: Final = (sys.executable, "-m", "deploy.fleet")
_INHERITED: Final = frozenset({"PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV"})
"""Settings of a user's own installation must not reach a fleet that is to be compared with another one."""
_ORDER_WITHIN_S: Final = 300.0
_STOP_WITHIN_S: Final = 90.0
_LOG_LINES: Final = 10


@dataclass(frozen=True, slots=True)
class Fleet:
    """Where the parts of a fleet are now. `roots`: process ids by names whose first word is the kind."""

    url: str
    internal_url: str
    nats_url: str
    monitor_urls: tuple[str, ...]
    dsn: str
    gateways: Mapping[str, str]
    collectors: Mapping[str, str]
    roots: Mapping[str, int]
    restarts: int

    @property
    def bulk_url(self) -> str:
        """Where the balancer takes bulk requests."""
        return f"{self.url}/webhook/events/bulk"


class FleetProcess:
    """The program that holds the fleet. One order at a time."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def scale(self, point: Point) -> Fleet:
        """Returns when so many, and no others, are at work. Raises CannotRun, with what the fleet said."""
        assert self._process.stdin is not None  # noqa: S101 - it was started with pipes
        assert self._process.stdout is not None  # noqa: S101
        order = {"gateways": point.gateways, "collectors": point.collectors_per_source}
        line = b""
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_ORDER_WITHIN_S):
                self._process.stdin.write(json.dumps(order).encode() + b"\n")
                await self._process.stdin.drain()
                line = await self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": f"it did not answer {order}"}
        if "error" in answer:
            tail = await asyncio.to_thread(self._tail)
            raise CannotRun(f"the fleet did not start or grow: {answer['error']}; the end of its log:\n{tail}")
        return _read(answer, self._process.pid)

    def _tail(self) -> str:
        with self._log.open(encoding="utf-8", errors="replace") as lines:
            return "".join(deque(lines, maxlen=_LOG_LINES)).rstrip() or "(empty)"


@asynccontextmanager
async def running_fleet(folder: Path, env: Mapping[str, str]) -> AsyncIterator[FleetProcess]:
    """Starts one with its data in `folder`; it has no gateway and no collector until it is told how many."""
    log = folder.with_name(f"{folder.name}.log")
    with await asyncio.to_thread(log.open, "wb") as output:
        process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            str(folder),
            env={name: value for name, value in env.items() if name in _INHERITED},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            start_new_session=True,  # a Ctrl-C is this program's to answer
        )
    try:
        yield FleetProcess(process, log)
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                await process.wait()
        finally:
            if process.returncode is None:  # its children die with it: the kernel sees to that
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


def _read(answer: Mapping[str, Any], fleet_pid: int) -> Fleet:
    gateways = {f"gateway {number}": one for number, one in enumerate(answer["gateways"])}
    collectors: dict[str, Mapping[str, Any]] = {}
    for one in answer["collectors"]:
        number = sum(name.startswith(f"collectors {one['source']} ") for name in collectors)
        collectors[f"collectors {one['source']} {number}"] = one
    nodes = {f"nats {number}": one for number, one in enumerate(answer["nats"])}
    return Fleet(
        url=answer["url"],
        internal_url=answer["internalUrl"],
        nats_url=",".join(one["url"] for one in nodes.values()),
        monitor_urls=tuple(one["monitorUrl"] for one in nodes.values()),
        dsn=answer["postgres"]["dsn"],
        gateways={name: one["url"] for name, one in gateways.items()},
        collectors={name: one["opsUrl"] for name, one in collectors.items()},
        roots={
            **{name: one["pid"] for name, one in (gateways | collectors | nodes).items()},
            "postgres": answer["postgres"]["pid"],
            "nginx": answer["nginx"]["pid"],
            "fleet": fleet_pid,
            HARNESS: os.getpid(),
        },
        restarts=answer["restarts"],
    )
