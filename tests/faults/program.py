"""One program of the product, supervised as in production: whenever it ends, it is started again.

Invariant: at most one process at a time; it dies with the harness. An end that nobody asked for (no signal of ours, or
another exit code than the signal's) is kept in `surprises`: a fault outside must never end a program.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from deploy.local.identity import launch
from deploy.local.probes import http_ok
from tests.faults.waiting import POLL_S, until

RESTART_DELAY_S: Final = 0.2
READY_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 15.0
_EXPECTED: Final = {signal.SIGKILL: {-9}, signal.SIGTERM: {0, -9}}


class Program:
    """`argv` in the folder `tree`, with its output in `log`; ready when `port` says so."""

    def __init__(
        self, name: str, argv: Sequence[str], *, environment: Mapping[str, str], tree: Path, log: Path, port: int
    ) -> None:
        self.name = name
        self.port = port
        self.log = log
        self.surprises: list[str] = []
        self.held = False
        self._argv = (sys.executable, *argv)
        self._environment = dict(environment)
        self._tree = tree
        self._process: asyncio.subprocess.Process | None = None
        self._sent: signal.Signals | None = None
        self._supervision: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        """Begin to supervise."""
        self._supervision = asyncio.create_task(self._supervise())

    async def close(self) -> None:
        """Stop for good, in order; killed where that takes too long. Raises what the supervision raised."""
        self._closing = True
        self.held = False
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        if self._supervision is None:
            return
        _, late = await asyncio.wait({self._supervision}, timeout=STOP_TIMEOUT_S)
        if late:
            self.send(signal.SIGKILL)
        await self._supervision

    def send(self, number: signal.Signals) -> None:
        """Signal the process, where there is one."""
        if self._process is None or self._process.returncode is not None:
            return
        if number in _EXPECTED:
            self._sent = number
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    async def ended(self) -> None:
        """Wait until the present process is gone."""
        process = self._process
        if process is not None:
            await process.wait()

    async def ready(self, *, within_s: float = READY_TIMEOUT_S) -> None:
        """Wait until it says that it is ready. Raises TimeoutError."""
        await until(lambda: http_ok(f"http://127.0.0.1:{self.port}/health/ready"), within_s=within_s)

    def said(self, text: str) -> int:
        """How often its output, of all its processes, has this text."""
        return self.log.read_text(encoding="utf-8", errors="replace").count(text) if self.log.exists() else 0

    async def _supervise(self) -> None:
        while not self._closing:
            if self.held:
                await asyncio.sleep(POLL_S)
                continue
            self._sent = None
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *launch(self._argv, death_signal=signal.SIGKILL),
                    env=self._environment,
                    cwd=self._tree,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            code = await self._process.wait()
            self._note_end(code)
            if not self._closing:
                await asyncio.sleep(RESTART_DELAY_S)

    def _note_end(self, code: int) -> None:
        if self._sent is not None and code in _EXPECTED[self._sent]:
            return
        last = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        after = f" after {self._sent.name}" if self._sent is not None else ""
        self.surprises.append(f"{self.name} ended with {code}{after}: {' '.join(last)[:300]}")
