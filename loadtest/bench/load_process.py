"""Starts and leads the load program.

Invariant: no order is given before the program has said that its bodies are in memory, and it does not outlive the
context it was started in.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from loadtest.bench.bodies import Bodies
from loadtest.errors import CannotRun

_ANSWER_LIMIT_BYTES: Final = 64 * 1024 * 1024  # a line holds a latency for each of some 100,000 single events
_TIMEOUT_S: Final = 300.0


class LoadProcess:
    """The running program. One order at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """For the account of who used the CPU."""
        return self._process.pid

    async def bulk(
        self, requests: int, *, connections: int, interval_s: float = 0.0, again: bool = False
    ) -> dict[str, Any]:
        """Sends the next bodies; returns when all are answered. Raises CannotRun where one was not answered 200.

        With `again`, what met the end of a kept connection is sent again (`loadtest.bench.load`).
        """
        order = {
            "run": "bulk",
            "requests": requests,
            "connections": connections,
            "interval_s": interval_s,
            "again": again,
        }
        result = await self._order(order)
        bad = [request for request in result["requests"] if request["status"] != 200]
        if bad or len(result["requests"]) != requests:
            first = bad[0].get("error", f"status {bad[0]['status']}") if bad else "no bodies left"
            raise CannotRun(f"{len(bad)} of {requests} requests failed, the first with: {first}")
        return result

    async def single(self, seconds: float, *, connections: int) -> dict[str, Any]:
        """One event a request for so long. Raises CannotRun where one was not answered 200."""
        result = await self._order({"run": "single", "seconds": seconds, "connections": connections})
        if unexpected := {status: count for status, count in result["statuses"].items() if status != "200"}:
            raise CannotRun(f"single events were answered with other statuses than 200: {unexpected}")
        return result

    async def answer(self) -> dict[str, Any]:
        """The next line it says. Raises CannotRun where it has ended or says nothing for 300 s."""
        assert self._process.stdout is not None  # noqa: S101 - it was started with a pipe
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise CannotRun(f"the load program said nothing for {_TIMEOUT_S:g} s") from None
        if not line:
            raise CannotRun("the load program ended; what it said stands above")
        content: dict[str, Any] = json.loads(line)
        return content

    async def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None  # noqa: S101 - it was started with a pipe
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        return await self.answer()


@asynccontextmanager
async def load_process(bodies: Bodies, url: str) -> AsyncIterator[LoadProcess]:
    """Starts the program on these bodies; yields it once they are in its memory."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.bench.load", str(bodies.path), url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_ANSWER_LIMIT_BYTES,
        start_new_session=True,  # a Ctrl-C is this program's to answer
    )
    load = LoadProcess(process)
    try:
        await load.answer()
        yield load
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
