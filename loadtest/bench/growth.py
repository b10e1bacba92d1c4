"""The end-to-end rate while the tables grow.

Invariant: each step is one end-to-end run of the same size on tables that hold what all steps before it stored; a
step that was measured is on the disk, so a run that was stopped goes on after it where the data was kept.

A machine that is shared is not the same five minutes later. So after each of the last steps the same load is sent to a
second, empty stack: what the growth costs is their rates over those.
"""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any, Final

from loadtest.bench.numbers import per_second, ratio
from loadtest.bench.options import BenchOptions
from loadtest.bench.phases import INVALID_SHARE, REPEATED_SHARE
from loadtest.bench.rig import Rig
from loadtest.errors import CannotRun

STATE_FILE: Final = "growth.json"
_BYTES_A_ROW: Final = 1_300
"""At two million rows it was 760 in the tables and their indexes and 390 in the streams; some room on top."""
_WAL_BYTES: Final = 9 * 1024**3
_COMPARED_STEPS: Final = 3
"""The last ones: one alone says little where a step is 4 % off."""


async def growth(rig: Rig, options: BenchOptions) -> dict[str, Any]:
    """Steps until the tables hold `options.rows`. Raises CannotRun where the disk has no room for them."""
    state = rig.folder / STATE_FILE
    steps = await asyncio.to_thread(load_steps, state)
    rows = steps[-1]["rows"] if steps else 0
    rig.files = max(rig.files, len(steps))  # a run that goes on with the same seed must not send the same events
    _check_room(rig.folder, options.rows - rows)
    while rows < options.rows:
        is_compared = rows > 0 and options.rows - rows <= _COMPARED_STEPS * options.sizes.growth_step
        step = await _step(rig, options, rows)
        rows = step["rows"]
        steps.append(step)
        await asyncio.to_thread(_save, state, steps)
        rig.say(f"growth: {rows:,} of {options.rows:,} rows, {step['eventsPerSecond']:,.0f} events/s")
        if is_compared:
            async with rig.on_empty_stack() as empty:
                step["onEmpty"] = await _step(empty, options, 0)
            await asyncio.to_thread(_save, state, steps)
            rig.say(f"growth: {step['onEmpty']['eventsPerSecond']:,.0f} events/s on empty tables")
    return summary(steps)


def summary(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """The steps, and the rate of the last ones over that of empty tables at the same time. Pure."""
    return {
        "steps": steps,
        "rows": steps[-1]["rows"] if steps else 0,
        "lastToFirst": ratio(steps[-1]["eventsPerSecond"], steps[0]["eventsPerSecond"]) if len(steps) > 1 else None,
        "lastToEmpty": _to_empty([step for step in steps[-_COMPARED_STEPS:] if step["rowsBefore"]]),
    }


def _to_empty(steps: list[dict[str, Any]]) -> float | None:
    """None where one of them was not compared, as its run was stopped meanwhile."""
    if not steps or not all("onEmpty" in step for step in steps):
        return None
    empty = [step["onEmpty"]["eventsPerSecond"] for step in steps]
    return ratio(sum(step["eventsPerSecond"] for step in steps), sum(empty))


def load_steps(state: Path) -> list[dict[str, Any]]:
    """What an earlier run on the same data has measured; [] where there was none."""
    try:
        steps: list[dict[str, Any]] = json.loads(state.read_text(encoding="ascii"))
    except FileNotFoundError:
        return []
    return steps


async def _step(rig: Rig, options: BenchOptions, rows: int) -> dict[str, Any]:
    sizes = options.sizes
    bodies = await rig.bodies(
        sizes.growth_step, of=sizes.request_events, invalid=INVALID_SHARE, repeated=REPEATED_SHARE
    )
    async with rig.load(bodies, rig.stack.bulk_url) as load:
        with rig.meter.measured(bodies.valid, load.pid) as cost:
            sending = load.bulk(len(bodies.index), connections=sizes.concurrency)
            result, stored_at = await rig.until_stored(sending, bodies.valid)
    answers = result["requests"]
    seconds = stored_at - min(answer["sentAt"] for answer in answers)
    account = await rig.account(bodies.index, answers)
    return {
        "rowsBefore": rows,
        "rows": rows + account["stored"],
        "events": bodies.valid,
        "seconds": seconds,
        "eventsPerSecond": per_second(bodies.valid, seconds),
        "cpu": cost,
    }


def _save(state: Path, steps: list[dict[str, Any]]) -> None:
    fresh = state.with_suffix(".new")
    fresh.write_text(json.dumps(steps), encoding="ascii")
    fresh.replace(state)


def _check_room(folder: Path, rows: int) -> None:
    needed, free = rows * _BYTES_A_ROW + _WAL_BYTES, shutil.disk_usage(folder).free
    if rows > 0 and free < needed:
        raise CannotRun(
            f"{rows:,} more rows take about {needed / 1e9:.0f} GB of disk, and {free / 1e9:.0f} GB are free: "
            "lower --rows, or name a folder on another disk: --data-dir"
        )
