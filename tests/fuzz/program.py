"""`python -m gateway` as a process of its own, ready, with streams of its own; it has ended after the block."""

import asyncio
import os
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from streams.subjects import Names
from tests.fuzz.connection import Broken, Connection
from tests.integration.gateway.conftest import delete_streams, eventually
from tests.servers import free_port

ROOT: Final = Path(__file__).parents[2]
READY_WITHIN_S: Final = 30.0
STOPPED_WITHIN_S: Final = 20.0
STREAM_BYTES: Final = 64 * 1024 * 1024
_KEPT_VARIABLES: Final = {"PATH", "HOME", "LANG", "VIRTUAL_ENV", "TMPDIR"}


class Program:
    """A gateway that runs."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, prefix: str, output: Path) -> None:
        self.process = process
        self.port = port
        self.names = Names(prefix)
        self._output = output

    def connection(self) -> Connection:
        """A new connection to it; not open yet."""
        return Connection("127.0.0.1", self.port)

    def said(self) -> str:
        """All it has logged."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def rss_bytes(self) -> int:
        """Memory it holds now. Raises psutil.NoSuchProcess where it has ended."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    async def answers(self, path: str, status: int, text: str = "") -> bool:
        """Whether a page has this status and text now; False where it does not answer."""
        async with self.connection() as connection:
            try:
                answer = await connection.get(path)
            except Broken:
                return False
        return answer.status == status and text.encode() in answer.body


def environment(**own: str) -> dict[str, str]:
    """Ours without what would set the product's settings, and what is given."""
    return {name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES} | own


@asynccontextmanager
async def gateway(nats_url: str, **settings: str) -> AsyncIterator[Program]:
    """Start one; its streams are deleted at the end. Fails where it does not stop with exit status 0."""
    port, prefix = free_port(), f"T{uuid.uuid4().hex[:12].upper()}_"
    defaults = {
        "PORT": str(port), "NATS_URL": nats_url, "STREAM_PREFIX": prefix, "STREAM_MAX_BYTES": str(STREAM_BYTES),
        "LOG_FORMAT": "json", "LOG_LEVEL": "error", "BACKLOG_INTERVAL": "200",
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="floodgate-test-") as folder:
        output = Path(folder) / "gateway.log"
        with output.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway",
                cwd=ROOT,
                env=environment(**defaults | settings),
                stdout=log,
                stderr=log,
            )
        program = Program(process, port, prefix, output)
        try:
            await eventually(lambda: program.answers("/health/ready", 200), within_s=READY_WITHIN_S)
            yield program
            process.terminate()
            async with asyncio.timeout(STOPPED_WITHIN_S):
                assert await process.wait() == 0, program.said()[-2_000:]
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            await delete_streams(nats_url, prefix)
