"""The suite finds a product that breaks the promise: copies of it that acknowledge too early lose events, and say so.

Each copy is the code as it is with one line moved. The same faults on the code as it is are the control.
"""

import asyncio
import re
import shutil
from pathlib import Path
from random import Random

from tests.faults.fault import Fault
from tests.faults.phase import Result, Scenario, run_phase
from tests.faults.process_faults import killed_while_storing
from tests.faults.world import ROOT, World, WorldSpec

PACKAGES = ("gateway", "collectors", "streams", "shared")
SEED = 4
HELD_S = 1.0


async def broken_while_publishing(world: World, random: Random) -> None:
    """The connection to NATS breaks with messages in it that NATS never gets."""
    del random
    async with world.links["gateway-nats"].frozen(reset_after=True):
        await asyncio.sleep(HELD_S)


async def test_the_code_as_it_is_loses_nothing() -> None:
    result = await _phase(ROOT, killed_while_storing, broken_while_publishing)
    assert result.trouble == []
    assert result.acknowledged > 0


async def test_a_collector_that_acknowledges_before_it_commits_is_found(tmp_path: Path) -> None:
    tree = _copy(tmp_path)
    worker = tree / "collectors" / "worker.py"
    code = worker.read_text(encoding="utf-8")
    flush = re.search(r"    async def _flush\(.*?(?=\n    (?:async )?def |\n\n\n|\Z)", code, re.DOTALL)
    assert flush is not None
    body = flush.group()
    settles = "await settle(batch, self._log)"
    assert body.count(settles) == 1, "collectors/worker.py no longer settles in _flush: move this mutant with it"
    early = body.replace(settles, "pass").replace('"""\n', f'"""\n        {settles}\n', 1)
    worker.write_text(code.replace(body, early), encoding="utf-8")

    result = await _phase(tree, killed_while_storing)

    assert result.lost > 0
    assert any("lost" in trouble for trouble in result.trouble)


async def test_a_gateway_that_answers_before_the_broker_is_found(tmp_path: Path) -> None:
    tree = _copy(tmp_path)
    publisher = tree / "streams" / "publisher.py"
    code = publisher.read_text(encoding="utf-8")
    waits = re.search(r"( +)ack = await self\._connection\.jetstream\.publish\([^\n]*", code)
    assert waits is not None, "streams/publisher.py no longer publishes in one line: move this mutant with it"
    indent = waits.group(1)
    early = (
        f"{indent}await self._connection.client.publish(subject, body, headers=headers)\n"
        f'{indent}return Published("", 0, False)\n'
    )
    publisher.write_text(code.replace(waits.group(), early + waits.group()), encoding="utf-8")

    result = await _phase(tree, broken_while_publishing)

    assert result.lost > 0
    assert any("lost" in trouble for trouble in result.trouble)


def _copy(folder: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


async def _phase(tree: Path, *faults: Fault) -> Result:
    world_name = "mutant"
    spec = WorldSpec(
        name=world_name,
        collectors={"facebook": 1, "tiktok": 1},
        environment={"CONSUMER_ACK_WAIT": "1000"},
        tree=tree,
    )
    async with World(spec, seed=SEED) as world:
        scenario = Scenario(name=world_name, faults=faults, times=1, world=world_name)
        return await run_phase(world, scenario, phase="m", seed=SEED, receipts_within_s=5.0)
