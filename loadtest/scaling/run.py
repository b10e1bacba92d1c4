"""A whole run: each point of the grid on a fleet of its own, then one fleet that grows and shrinks under load.

Invariant: a point begins with empty tables and streams, so none is measured on what another has left; and a point
whose account does not add up is told as failed, and has no figures.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from loadtest.bench import machine, postgres
from loadtest.bench.meter import Meter
from loadtest.bench.processes import Processes
from loadtest.bench.rig import Rig
from loadtest.bench.stack import Stack, proven
from loadtest.bench.stored import Stored
from loadtest.errors import CannotRun
from loadtest.plan.model import MILLION
from loadtest.scaling.elastic import elastic
from loadtest.scaling.fleet import Fleet, FleetProcess, running_fleet
from loadtest.scaling.options import BASE, ScalingOptions
from loadtest.scaling.point import measure
from shared.errors import FloodgateError

FORMAT: Final = 1
_FAILURES: Final = (CannotRun, FloodgateError, aiohttp.ClientError, OSError, *postgres.ERRORS)
"""What a point may raise where a part of the fleet refuses, or is gone. TimeoutError is an OSError."""


async def run(options: ScalingOptions, env: Mapping[str, str], say: Callable[[str], None]) -> dict[str, Any]:
    """Measures; returns the results. Raises CannotRun where not even a fleet starts."""
    sizes = options.sizes
    results: dict[str, Any] = {
        "format": FORMAT,
        "startedAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "seed": options.seed,
        "machine": await asyncio.to_thread(machine.describe),
        "events": sizes.events,
        "requestEvents": sizes.request_events,
        "connections": sizes.connections,
        "points": [],
        "failed": {},
    }
    async with _folder() as folder, aiohttp.ClientSession() as session:
        for at, point in enumerate(sizes.points):
            say(f"{point} …")
            try:
                attempts: list[dict[str, Any]] = []
                while len(attempts) < sizes.attempts and all(noise(one) > sizes.noisy_share for one in attempts):
                    seed = options.seed + at * 1_000 + len(attempts) * 100
                    async with running_fleet(folder / f"fleet-{at}", env) as process:
                        fleet = await process.scale(point)
                        rig = await _rig(fleet, session, folder, seed, say)
                        results["machine"] |= rig.stack.versions
                        results["durability"] = dict(rig.stack.durability)
                        attempts.append(await measure(point, fleet, rig, sizes))
                    await asyncio.to_thread(shutil.rmtree, folder / f"fleet-{at}", ignore_errors=True)
                # By what others did, and never by its own figures.
                results["points"].append(min(attempts, key=noise) | {"attempts": len(attempts)})
            except _FAILURES as error:
                if point == BASE:
                    raise CannotRun(str(error) or type(error).__name__) from error
                results["failed"][f"{point}"] = str(error) or type(error).__name__
                say(f"{point} failed: {error}")
            await asyncio.to_thread(shutil.rmtree, folder / f"fleet-{at}", ignore_errors=True)
        say("growing and shrinking under load …")
        try:
            async with running_fleet(folder / "elastic", env) as process:
                results["elastic"] = await _elastic(process, session, folder, options, say)
        except _FAILURES as error:
            results["failed"]["elastic"] = str(error) or type(error).__name__
            say(f"elastic failed: {error}")
    return results


def noise(point: Mapping[str, Any]) -> float:
    """What other programs had of the CPU that was used at a point, of 1. Pure."""
    own_s: float = sum(point["cpuSecondsPerMillion"].values()) * point["events"] / MILLION
    share: float = point["othersSeconds"] / (own_s + point["othersSeconds"])
    return share


async def _elastic(
    process: FleetProcess,
    session: aiohttp.ClientSession,
    folder: Path,
    options: ScalingOptions,
    say: Callable[[str], None],
) -> dict[str, Any]:
    fleet = await process.scale(BASE)
    rig = await _rig(fleet, session, folder, options.seed + 1_000_000, say)
    return await elastic(process, fleet, rig, options.sizes)


async def _rig(
    fleet: Fleet, session: aiohttp.ClientSession, folder: Path, seed: int, say: Callable[[str], None]
) -> Rig:
    durability: dict[str, str] = {}
    versions: dict[str, str] = {}
    for url in fleet.monitor_urls:
        durability, versions = await proven(session, monitor_url=url, dsn=fleet.dsn)
    processes = Processes(fleet.roots)
    return Rig(
        stack=Stack(
            url=fleet.internal_url,  # receipts are not for the public
            nats_url=fleet.nats_url,
            dsn=fleet.dsn,
            ops_urls=fleet.collectors,
            processes=processes,
            durability=durability,
            versions=versions,
        ),
        meter=Meter(processes),
        session=session,
        stored=Stored(session, fleet.collectors.values()),
        folder=folder,
        seed=seed,
        say=say,
    )


@asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="floodgate-scaling-"))
    # PostgreSQL and nginx may run as another user than this one, and must be able to pass through.
    await asyncio.to_thread(folder.chmod, 0o711)
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
