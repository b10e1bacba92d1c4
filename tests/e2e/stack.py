"""`python -m deploy.local run` as a process, and a client of what it offers."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import asyncpg
import orjson

from tests.servers import free_port

ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 60.0
STORED_WITHIN_S = 30.0
POLL_S = 0.05
KEPT_VARIABLES = {"PATH", "HOME", "LANG", "VIRTUAL_ENV", "TMPDIR"}


async def until(condition: Callable[[], Awaitable[Any]], *, within_s: float) -> Any:
    """The condition's first true answer."""
    deadline = monotonic() + within_s
    while not (answer := await condition()):
        assert monotonic() < deadline, f"{condition} did not come true within {within_s:g} s"
        await asyncio.sleep(POLL_S)
    return answer


async def python(*arguments: str, folder: Path = ROOT, **environment: str) -> tuple[int, str]:
    """Run a Python program to its end: exit code and standard output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=folder, env=_environment(environment),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(READY_WITHIN_S):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@asynccontextmanager
async def program(*arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python program beside the stack, asked to stop at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, env=_environment(environment),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


class Stack:
    """One run of the stack, ready to be used."""

    def __init__(
        self, process: asyncio.subprocess.Process, data_dir: Path, status: dict[str, Any], output: Path
    ) -> None:
        self.process = process
        self.data_dir = data_dir
        self.status = status
        self.output = output
        self.url: str = status["gateway"]["url"]
        self.dsn: str = status["postgres"]["dsn"]

    def said(self) -> str:
        """All it has written so far."""
        return self.output.read_text(errors="replace")

    async def stop(self) -> int:
        """SIGTERM, and wait for the end; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOPPED_WITHIN_S):
            return await self.process.wait()

    async def post(
        self,
        body: bytes,
        *,
        correlation_id: str,
        media_type: str = "application/json",
        path: str = "/bulk",
        **more: str,
    ) -> tuple[int, dict[str, Any]]:
        """Status and answer of a webhook request."""
        headers = {"x-correlation-id": correlation_id, "Content-Type": media_type, **more}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/webhook/events{path}", data=body, headers=headers) as answer,
        ):
            return answer.status, await answer.json()

    async def receipt(self, correlation_id: str, *, accepted: int) -> dict[str, Any]:
        """The receipt, once it is complete and has so many events."""

        async def complete() -> dict[str, Any] | None:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{self.url}/webhook/events/bulk/{correlation_id}") as answer,
            ):
                found: dict[str, Any] = await answer.json()
                return found if answer.status == 200 and found["complete"] and found["accepted"] == accepted else None

        receipt: dict[str, Any] = await until(complete, within_s=STORED_WITHIN_S)
        return receipt

    async def fetch(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(statement, *arguments)]
        finally:
            await connection.close()

    async def tables(self) -> dict[str, int]:
        """How many rows each has."""
        return {
            table: (await self.fetch(f"SELECT count(*) FROM {table}"))[0][0]
            for table in ("events", "demographics", "revenue")
        }


@asynccontextmanager
async def stack(data_dir: Path, *, folder: Path = ROOT, **settings: str) -> AsyncIterator[Stack]:
    """The stack of the sources in `folder`, ready; it has ended after the block."""
    output = data_dir.with_name(f"{data_dir.name}.log")
    environment = {"DATA_DIR": str(data_dir), "PORT": str(free_port()), **settings}
    with output.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.local", "run", cwd=folder, env=_environment(environment),
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip

    async def ready() -> dict[str, Any] | None:
        assert process.returncode is None, output.read_text()
        code, said = await python("-m", "deploy.local", "status", "--json", folder=folder, **environment)
        status: dict[str, Any] | None = json.loads(said) if code == 0 else None
        return status if status and status["ready"] else None

    try:
        yield Stack(process, data_dir, await until(ready, within_s=READY_WITHIN_S), output)
    finally:
        if process.returncode is None:
            process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(STOPPED_WITHIN_S):
                    await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


def array(events: Sequence[Mapping[str, Any]]) -> bytes:
    """The body that most senders post."""
    return orjson.dumps(list(events))


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in KEPT_VARIABLES} | dict(own)
