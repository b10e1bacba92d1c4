"""A throw-away stack for one run, when nothing listens where the test should go.

Invariant: when the context is left, however it is left, the stack is stopped and its folder is gone; and it
never touches servers of the user's own, since it is not told of them.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from loadtest.errors import CannotRun
from loadtest.health import problems

# A command and no import: the stack stands above this package.
STACK_COMMAND: Final = (sys.executable, "-m", "deploy.local", "run")
ACCESS: Final = frozenset({"AUTH", "SENDERS", "SENDERS_FILE", "INTERNAL_HOST", "INTERNAL_PORT"})
"""Who may use another gateway; a throw-away one is open, and on loopback."""

# With these the stack would use, and fill, the servers or ports of another one.
_NOT_INHERITED: Final = frozenset({"NATS_URL", "DATABASE_URL", "HOST", "OPS_PORT"}) | ACCESS
_START_TIMEOUT_S: Final = 120.0  # the first start makes a database cluster, on a slow disk
_STOP_TIMEOUT_S: Final = 60.0  # it drains
_POLL_S: Final = 0.2
_LOG_LINES: Final = 20


async def something_listens(url: str) -> bool:
    """Whether a TCP connection to the address of `url` is taken; blocks at most 2 s."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (TimeoutError, OSError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def is_local(url: str) -> bool:
    """Whether `url` is of this machine: only there may a local stack stand in for what is not running."""
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}


@asynccontextmanager
async def throwaway_stack(
    *,
    session: aiohttp.ClientSession,
    env: Mapping[str, str],
    say: Callable[[str], None],
    stop: asyncio.Event,
    command: Sequence[str] = STACK_COMMAND,
    data_dir: Path | None = None,
) -> AsyncIterator[str]:
    """Starts a stack on a free port and in a new folder; yields its base URL once its gateway is ready.

    With `data_dir` its data lies there instead, and is the caller's to remove.
    Raises CannotRun, with the end of the stack's log, when it ends, is not ready within 120 s, or `stop` is
    set before it is.
    """
    folder = await asyncio.to_thread(_new_folder)
    log = folder / "stack.log"
    url = f"http://127.0.0.1:{_free_port()}"
    say(f"starting a throw-away stack at {url} (log: {log})")
    try:
        process = await _start(command, env, url=url, data_dir=data_dir or folder / "data", log=log)
        try:
            await _ready(session, process, url, log, stop)
            yield url
        finally:
            say("stopping the throw-away stack")
            await _stop(process)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="floodgate-bulk-test-"))
    # PostgreSQL may run as another user than this one, and must be able to pass through.
    folder.chmod(0o711)
    return folder


async def _start(
    command: Sequence[str], env: Mapping[str, str], *, url: str, data_dir: Path, log: Path
) -> asyncio.subprocess.Process:
    kept = {name: value for name, value in env.items() if name not in _NOT_INHERITED}
    stack_env = {**kept, "PORT": str(urlsplit(url).port), "DATA_DIR": str(data_dir)}
    # A session of its own: Ctrl-C in the terminal is for the test, which then stops the stack in order.
    with await asyncio.to_thread(log.open, "wb") as output:
        return await asyncio.create_subprocess_exec(
            *command,
            env=stack_env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


async def _ready(
    session: aiohttp.ClientSession,
    process: asyncio.subprocess.Process,
    url: str,
    log: Path,
    stop: asyncio.Event,
) -> None:
    """Waits until the gateway is ready, the stack ends, or the time is up: whichever is first."""
    ended = asyncio.create_task(process.wait())
    stopped = asyncio.create_task(stop.wait())
    down = ["it was not asked"]
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            while not (ended.done() or stopped.done()):
                down = await problems(session, [url])
                if not down:
                    return
                await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED, timeout=_POLL_S)
    except TimeoutError:
        reason = f"the throw-away stack was not ready within {_START_TIMEOUT_S:g} s ({'; '.join(down)})"
        raise CannotRun(f"{reason}; the end of its log:\n{await _tail(log)}") from None
    finally:
        ended.cancel()
        stopped.cancel()
    if stop.is_set():
        raise CannotRun("stopped before the throw-away stack was ready, so nothing was sent")
    raise CannotRun(
        f"the throw-away stack ended with {process.returncode} at its start; the end of its log:\n{await _tail(log)}"
    )


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            # Too slow, or a second Ctrl-C: its whole session, so that no server outlives the run.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _tail(log: Path) -> str:
    def last_lines() -> list[str]:
        with log.open(encoding="utf-8", errors="replace") as lines:
            return list(deque(lines, maxlen=_LOG_LINES))

    return "".join(await asyncio.to_thread(last_lines)).rstrip() or "(empty)"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
