"""A whole run: the stack, the ceilings, the phases, and everything that came of them as one JSON object.

Invariant: a phase that fails is told with its reason and costs no other phase its result.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from loadtest.bench import ceilings, machine, materials, phases, postgres
from loadtest.bench.authentication import authentication
from loadtest.bench.figures import figures
from loadtest.bench.freshness import freshness
from loadtest.bench.growth import growth
from loadtest.bench.meter import Meter
from loadtest.bench.options import BULK_EVENTS, BenchOptions, Phase
from loadtest.bench.rig import Rig
from loadtest.bench.stack import running_stack
from loadtest.bench.stored import Stored
from loadtest.errors import CannotRun
from shared.errors import FloodgateError

FORMAT: Final = 1
_BODY_EVENTS: Final = 5_000
_FAILURES: Final = (CannotRun, FloodgateError, aiohttp.ClientError, OSError, *postgres.ERRORS)
"""What a phase may raise where a part of the stack refuses, or is gone. TimeoutError is an OSError."""

KEYS: Final = {phase: phase.value.replace("end-to-end", "endToEnd") for phase in Phase}
"""Phase → its key in the results."""


async def run(options: BenchOptions, env: Mapping[str, str], say: Callable[[str], None]) -> dict[str, Any]:
    """Measures; returns the results. Raises CannotRun where the stack does not start."""
    results: dict[str, Any] = {
        "format": FORMAT,
        "startedAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "seed": options.seed,
        "machine": await asyncio.to_thread(machine.describe),
        "failed": {},
    }
    async with _data_dir(options, say) as folder, aiohttp.ClientSession() as session:
        stack_data = folder / "stack"
        async with running_stack(session=session, env=env, data_dir=stack_data, say=say) as stack:
            results["machine"] |= stack.versions
            results["durability"] = dict(stack.durability)
            say("durable as shipped: " + ", ".join(f"{name} {value}" for name, value in stack.durability.items()))
            rig = Rig(
                stack=stack,
                meter=Meter(stack.processes),
                session=session,
                stored=Stored(session, stack.ops_urls.values()),
                folder=folder,
                env=env,
                seed=options.seed,
                say=say,
            )
            for phase in options.phases:
                say(f"{phase} …")
                try:
                    results[KEYS[phase]] = await _measure(phase, rig, options)
                    if phase is Phase.END_TO_END and "ceilings" in results:
                        results["ceilings"] |= await _loader_again(rig, options)
                except _FAILURES as error:
                    reason = str(error) or type(error).__name__
                    results["failed"][KEYS[phase]] = reason
                    say(f"{phase} failed: {reason}")
    results["figures"] = [figure.as_json() for figure in figures(results)]
    return results


def _measure(phase: Phase, rig: Rig, options: BenchOptions) -> Awaitable[dict[str, Any]]:
    by_size = {
        Phase.ACCEPT: phases.accept,
        Phase.AUTHENTICATION: authentication,
        Phase.RESPONSIVENESS: phases.responsiveness,
        Phase.END_TO_END: phases.end_to_end,
        Phase.SINGLE: phases.single,
        Phase.FRESHNESS: freshness,
    }
    if phase is Phase.CEILINGS:
        return _ceilings(rig, options)
    return growth(rig, options) if phase is Phase.GROWTH else by_size[phase](rig, options.sizes)


async def _loader_again(rig: Rig, options: BenchOptions) -> dict[str, Any]:
    """The end-to-end rate is judged by the loader's before it and after it."""
    made = await asyncio.to_thread(
        materials.make, options.sizes.ceiling_events, body_events=_BODY_EVENTS, seed=rig.seed
    )
    return await ceilings.loader_again(rig.stack, rig.meter, made)


async def _ceilings(rig: Rig, options: BenchOptions) -> dict[str, Any]:
    sizes, meter = options.sizes, rig.meter
    made = await asyncio.to_thread(materials.make, sizes.ceiling_events, body_events=_BODY_EVENTS, seed=rig.seed)
    found = await ceilings.postgres_ceilings(rig.stack, meter, made)
    found |= await ceilings.jetstream_ceiling(rig.stack, meter, made)
    found |= await ceilings.code_ceilings(meter, made)
    del made
    bulk = await rig.bodies(sizes.ceiling_events, of=BULK_EVENTS)
    found |= await ceilings.bare_bulk(bulk, meter)
    singles = await rig.singles(int(sizes.single_s / 2 * 20_000))
    found |= await ceilings.bare_single(singles, meter, seconds=sizes.single_s / 2, connections=sizes.connections)
    for bodies in (bulk, singles):
        bodies.path.unlink()
        bodies.index_path.unlink()
    return found


@asynccontextmanager
async def _data_dir(options: BenchOptions, say: Callable[[str], None]) -> AsyncIterator[Path]:
    """The folder of the run: the one that was named, or a temporary one. Removed afterwards unless it is kept."""

    def make() -> Path:
        if options.data_dir is None:
            folder = Path(tempfile.mkdtemp(prefix="floodgate-bench-"))
            # PostgreSQL may run as another user than this one, and must be able to pass through.
            folder.chmod(0o711)
            return folder
        options.data_dir.mkdir(parents=True, exist_ok=True)
        return options.data_dir.absolute()

    try:
        folder = await asyncio.to_thread(make)
    except OSError as error:
        raise CannotRun(f"--data-dir {options.data_dir}: {os.strerror(error.errno or 0)}") from None
    try:
        yield folder
    finally:
        if options.keep:
            say(f"the data stays in {folder}")
        elif options.data_dir is None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        else:  # somebody's folder: only what this run put there
            await asyncio.to_thread(shutil.rmtree, folder / "stack", ignore_errors=True)
            (folder / "growth.json").unlink(missing_ok=True)
