"""`python -m collectors` as a process of its own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
ENDS_WITHIN_S = 20.0
COLLECTOR = ("-m", "collectors", "--source", "facebook")
MIGRATE = ("-m", "collectors.migrate")


@dataclass(frozen=True)
class Ended:
    """How a program ended, and what it said."""

    code: int
    said: str


@asynccontextmanager
async def started(*arguments: str, environment: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python program, killed at the end of the block where it has not ended by then."""
    inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "VIRTUAL_ENV"}}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, env={**inherited, **environment},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def says(process: asyncio.subprocess.Process, words: str) -> None:
    """Wait until it has said so; a program that has just begun does not listen to signals yet."""
    assert process.stderr is not None
    async with asyncio.timeout(ENDS_WITHIN_S):
        while line := await process.stderr.readline():
            if words in line.decode():
                return
    raise AssertionError(f"it ended without having said {words}")


async def ended(process: asyncio.subprocess.Process, number: signal.Signals | None = None) -> Ended:
    """Send a signal, if one is given, and wait for the end."""
    if number is not None:
        process.send_signal(number)
    async with asyncio.timeout(ENDS_WITHIN_S):
        _, said = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, said.decode())


async def run(*arguments: str, environment: Mapping[str, str]) -> Ended:
    """Run a Python program to its end."""
    async with started(*arguments, environment=environment) as process:
        return await ended(process)
