"""One child process, kept alive: started, watched, restarted with back-off, stopped.

Whatever happens, a child has at most one process at a time, and `stop` returns only when there is none.

The child is in a session of its own, so that a Ctrl-C on the terminal reaches the supervisor alone, which
then stops the children in their order.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from deploy.local.console import Console
from deploy.local.errors import StackError

READ_BYTES = 65_536
LONGEST_LINE_BYTES = 65_536
TAIL_LINES = 5
"""What is shown again of a child that cannot start: a person reads a handful."""
READY_POLL_S = 0.05
LAST_OUTPUT_S = 1.0
"""How long to read on after a process has ended: a grandchild may hold the pipe open for ever."""
HURRY_GRACE_S = 1.0
EXIT_WRONG_SETTING = 2
EXIT_LAUNCH_FAILED = 126


@dataclass(frozen=True, kw_only=True)
class ChildSpec:
    """What a child is. Times in seconds."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    is_ready: Callable[[], Awaitable[bool]] | None = None
    """Asked again and again until it says yes, once for each process. None: it is never ready, it ends."""
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 10.0
    """From the stop signal to SIGKILL."""
    shows: Callable[[str], bool] = lambda _line: True
    """Which lines of its output are worth the terminal. All of them stay in the tail."""


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """How a child that dies comes back. Times in seconds."""

    first_delay_s: float = 0.2
    longest_delay_s: float = 15.0
    steady_after_s: float = 30.0
    """A process that lived this long has the delays start over."""
    deaths_before_giving_up: int = 5
    """In a row, before it was ready for the first time. After that a child is always restarted."""

    def delay_s(self, deaths_in_a_row: int) -> float:
        """The pause after that many deaths: doubles with each, up to the longest."""
        doublings = min(deaths_in_a_row - 1, 32)  # past that it is the longest anyway, and no float overflows
        return min(self.first_delay_s * 2.0**doublings, self.longest_delay_s)


class ChildCannotStartError(StackError):
    """The child died too often before it was ready even once, or said itself that trying again is no use."""


class Child:
    """A supervised process. Its parts are given by the `Supervisor`, which alone makes and stops it."""

    def __init__(
        self,
        *,
        spec: ChildSpec,
        policy: RestartPolicy,
        console: Console,
        on_change: Callable[[], None],
        hurry: asyncio.Event,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec = spec
        self.pid: int | None = None
        """Of the running process, None between two of them."""
        self.restarts = 0
        self.first_ready = asyncio.Event()
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._policy = policy
        self._console = console
        self._on_change = on_change
        self._hurry = hurry
        self._monotonic_s = monotonic_s
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Keep the child alive until `stop`. Raises `ChildCannotStartError`, with no process left behind."""
        try:
            deaths_in_a_row = 0
            while not self._stopping.is_set():
                started_s = self._monotonic_s()
                code = await self._live_once()
                if self._stopping.is_set():
                    return
                lived_s = self._monotonic_s() - started_s
                deaths_in_a_row = 1 if lived_s >= self._policy.steady_after_s else deaths_in_a_row + 1
                self._raise_if_hopeless(code, deaths_in_a_row)
                delay_s = self._policy.delay_s(deaths_in_a_row)
                self._console.warn(
                    f"{self.spec.name} ended {ending(code)} after {lived_s:.1f} s; starting it again in {delay_s:.1f} s"
                )
                await _set_within(self._stopping, delay_s)
                self.restarts += 1
        finally:
            self._ended.set()

    async def run_to_end(self) -> int:
        """Run the process once and return its exit code. Cancelled, it kills the process."""
        try:
            return await self._live_once()
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Ask the process to stop, wait out its grace, then kill it. Returns when it is gone."""
        self._stopping.set()
        self._signal(self.spec.stop_signal)
        if not await self._ended_within_grace():
            self._console.warn(f"{self.spec.name} did not stop in time and was killed")
            self._kill()
        await self._ended.wait()

    async def _live_once(self) -> int:
        self.tail.clear()
        process, pipe = await self._spawn()
        self._process, self.pid = process, process.pid
        self._on_change()
        if self._stopping.is_set():  # asked to while it was being started
            self._signal(self.spec.stop_signal)
        output = asyncio.create_task(self._pass_output_on(pipe))
        readiness = asyncio.create_task(self._watch_for_ready())
        try:
            code = await process.wait()
            self._kill_session(process.pid)  # a worker that it has left would keep its ports
            await asyncio.wait({output}, timeout=LAST_OUTPUT_S)
        except asyncio.CancelledError:
            self._kill()
            await process.wait()
            raise
        finally:
            for task in (output, readiness):
                task.cancel()
            self._process = self.pid = None
            self._on_change()
            for outcome in await asyncio.gather(output, readiness, return_exceptions=True):
                if isinstance(outcome, Exception):  # a fault of ours, not the child's: never swallowed
                    raise outcome
        return code

    async def _spawn(self) -> tuple[asyncio.subprocess.Process, int]:
        """The process, and the end of the pipe where its output is read.

        The pipe is ours because asyncio's own, before Python 3.13, has the wait for a process that has ended go on
        for as long as any worker of it holds the other end.
        """
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *self.spec.argv,
                env=dict(self.spec.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        except BaseException as error:
            os.close(reading)
            if not isinstance(error, OSError):
                raise
            raise ChildCannotStartError(
                f"{self.spec.name} cannot start: {self.spec.argv[0]}: {error.strerror}"
            ) from error
        finally:
            os.close(writing)
        return process, reading

    async def _pass_output_on(self, pipe: int) -> None:
        reader = asyncio.StreamReader()
        with os.fdopen(pipe, "rb", buffering=0) as file:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), file
            )
            try:
                await self._show_lines(reader)
            finally:
                transport.close()

    async def _show_lines(self, reader: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await reader.read(READ_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._show(line)
            if len(rest) > LONGEST_LINE_BYTES:  # a line without an end must not fill our memory
                self._show(rest)
                rest = b""
        if rest:
            self._show(rest)

    def _show(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip()
        if line:
            self.tail.append(line)
            if self.spec.shows(line):
                self._console.child(self.spec.name, line)

    async def _watch_for_ready(self) -> None:
        if self.spec.is_ready is None:
            return
        while not await self.spec.is_ready():  # noqa: ASYNC110 - another process cannot set our event
            await asyncio.sleep(READY_POLL_S)
        if self.first_ready.is_set():
            self._console.say(f"{self.spec.name} is ready again")
        self.first_ready.set()
        self._on_change()

    def _raise_if_hopeless(self, code: int, deaths_in_a_row: int) -> None:
        if self.first_ready.is_set():
            return
        no_use = code in (EXIT_WRONG_SETTING, EXIT_LAUNCH_FAILED)
        if no_use or deaths_in_a_row >= self._policy.deaths_before_giving_up:
            times = "" if no_use else f", {deaths_in_a_row} times in a row"
            said = "; ".join(self.tail) or "nothing"
            raise ChildCannotStartError(
                f"{self.spec.name} cannot start: it ended {ending(code)}{times} and said: {said}"
            )

    async def _ended_within_grace(self) -> bool:
        """False when the grace is over, or shortly after somebody is in a hurry."""
        ended = asyncio.create_task(self._ended.wait())
        hurried = asyncio.create_task(self._hurry.wait())
        try:
            await asyncio.wait({ended, hurried}, timeout=self.spec.grace_s, return_when=asyncio.FIRST_COMPLETED)
            if hurried.done() and not ended.done():
                await asyncio.wait({ended}, timeout=min(HURRY_GRACE_S, self.spec.grace_s))
            return ended.done()
        finally:
            ended.cancel()
            hurried.cancel()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _kill(self) -> None:
        """SIGKILL to the whole session: a worker that the child started must not stay behind."""
        if self._process is not None and self._process.returncode is None:
            self._kill_session(self._process.pid)

    @staticmethod
    def _kill_session(leader: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)


def ending(code: int) -> str:
    """An exit code as words: `with exit code 1`, `by SIGKILL`."""
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


async def _set_within(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return False
