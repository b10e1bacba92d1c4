"""The benchmark as a person starts it, stack and all."""

import asyncio
import os
import sys
from pathlib import Path

import orjson

DEADLINE_S = 120


def _names(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.iterdir())


async def test_a_quick_run_of_one_phase_measures_it_and_nothing_else(tmp_path: Path) -> None:
    """The real thing, stack and all; what it measured is not looked at, only that it adds up."""
    files = {name: tmp_path / f"out.{name}" for name in ("json", "html")}
    arguments = [part for name, file in files.items() for part in (f"--{name}", str(file))]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest", "bench", "--quick", "--only", "accept", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode == 0, err.decode()
    results = orjson.loads(files["json"].read_bytes())
    accept = results["accept"]
    assert accept["account"]["stored"] == accept["account"]["sent"] == 50_000 * (1 + 3 + 4)
    assert results["durability"]["NATS sync_interval"] == "always"
    assert {"gateway", "collector facebook", "collector tiktok", "nats", "postgres"} <= set(accept["peakRssBytes"])
    assert accept["cpu"]["seconds"]["generator"] < accept["cpu"]["seconds"]["gateway"]
    assert "endToEnd" not in results
    assert results["failed"] == {}
    assert "accept, one request of 50,000" in out.decode()
    assert "<svg" in files["html"].read_text()
    assert _names(tmp_path) == ["out.html", "out.json"]  # no folder of the stack is left
