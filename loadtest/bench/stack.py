"""The throw-away stack of a run: where its parts are, and the proof that it is as durable as the shipped one.

Invariant: nothing is measured on a stack that does not sync. The settings are asked of the running servers, not of
the files they were started with.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil

from loadtest.bench import postgres
from loadtest.bench.processes import HARNESS, Processes
from loadtest.errors import CannotRun
from loadtest.health import problems
from loadtest.local_stack import throwaway_stack

_STATUS_COMMAND: Final = (sys.executable, "-m", "deploy.local", "status", "--json")
_READY_WITHIN_S: Final = 60.0
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A running stack. `durability`: setting → value, as the servers gave it; `versions`: server → version."""

    url: str
    nats_url: str
    dsn: str
    ops_urls: Mapping[str, str]
    processes: Processes
    durability: Mapping[str, str]
    versions: Mapping[str, str]

    @property
    def bulk_url(self) -> str:
        """Where bulk requests go."""
        return f"{self.url}/webhook/events/bulk"

    @property
    def single_url(self) -> str:
        """Where single events go."""
        return f"{self.url}/webhook/events"


@asynccontextmanager
async def running_stack(
    *, session: aiohttp.ClientSession, env: Mapping[str, str], data_dir: Path, say: Callable[[str], None]
) -> AsyncIterator[Stack]:
    """Starts one with its data in `data_dir`; yields it once all its programs are ready.

    Raises CannotRun where it does not start or does not sync every write.
    """
    throwaway = throwaway_stack(session=session, env=env, say=say, stop=asyncio.Event(), data_dir=data_dir)
    async with throwaway as url:
        status = await _status(env, data_dir)
        ops_urls = {one["source"]: one["ops_url"] for one in status["collectors"]}
        await _all_ready(session, [url, *ops_urls.values()])
        durability, versions = await proven(
            session, monitor_url=status["nats"]["monitor_url"], dsn=status["postgres"]["dsn"]
        )
        yield Stack(
            url=url,
            nats_url=status["nats"]["url"],
            dsn=status["postgres"]["dsn"],
            ops_urls=ops_urls,
            processes=Processes(_roots(status)),
            durability=durability,
            versions=versions,
        )


async def _status(env: Mapping[str, str], data_dir: Path) -> dict[str, Any]:
    """What the stack says of itself, once it says that it is ready. Raises CannotRun."""
    said = ""
    for _ in range(int(_READY_WITHIN_S / _POLL_S)):
        process = await asyncio.create_subprocess_exec(
            *_STATUS_COMMAND,
            env={**env, "DATA_DIR": str(data_dir)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        if process.returncode == 0:
            status: dict[str, Any] = json.loads(out)
            if status["ready"]:
                return status
        said = err.decode(errors="replace").strip() or "it is not ready"
        await asyncio.sleep(_POLL_S)
    raise CannotRun(f"the stack's status can't be had: {said}")


async def _all_ready(session: aiohttp.ClientSession, urls: list[str]) -> None:
    down = ["it was not asked"]
    for _ in range(int(_READY_WITHIN_S / _POLL_S)):
        if not (down := await problems(session, urls)):
            return
        await asyncio.sleep(_POLL_S)
    raise CannotRun(f"the stack did not become ready: {'; '.join(down)}")


async def proven(
    session: aiohttp.ClientSession, *, monitor_url: str, dsn: str
) -> tuple[dict[str, str], dict[str, str]]:
    """What the running servers say of their durability, and their versions. Raises CannotRun if one does not sync."""
    async with session.get(f"{monitor_url}/varz") as response:
        varz = await response.json()
    jetstream = varz.get("jetstream", {}).get("config", {})
    database = await postgres.settings(dsn)
    durability = {
        "NATS sync_interval": "always" if jetstream.get("sync_always") else f"{jetstream.get('sync_interval')}",
        **{f"PostgreSQL {name}": database[name] for name in ("fsync", "synchronous_commit", "full_page_writes")},
    }
    _check(durability)
    return durability, {"nats-server": varz.get("version", "?"), "PostgreSQL": database["server_version"]}


def _check(durability: Mapping[str, str]) -> None:
    wanted = {"NATS sync_interval": "always", "PostgreSQL fsync": "on", "PostgreSQL synchronous_commit": "on"}
    wrong = [
        f"{name} is {durability[name]}, not {value}" for name, value in wanted.items() if durability[name] != value
    ]
    if wrong:
        raise CannotRun(f"this stack could lose what it acknowledged, so its figures mean nothing: {'; '.join(wrong)}")


def _roots(status: dict[str, Any]) -> dict[str, int]:
    gateway: int = status["gateway"]["pid"]
    supervisor = psutil.Process(gateway).ppid()
    return {
        "gateway": gateway,
        **{f"collector {one['source']}": one["pid"] for one in status["collectors"]},
        "nats": status["nats"]["pid"],
        "postgres": status["postgres"]["pid"],
        "supervisor": supervisor,
        HARNESS: os.getpid(),
    }
