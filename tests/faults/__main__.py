"""`python -m tests.faults`: break everything, settle the ledger, print the table. Exits 1 unless nothing is wrong."""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.faults import report, scenarios
from tests.faults.phase import Result, Scenario, run_phase
from tests.faults.world import ROOT, World

SHORT_SEED: Final = 20_260_125
PAGE: Final = ROOT / "docs" / "reliability.md"
FULL_LIMIT_S: Final = 25 * 60.0
SHORT_LIMIT_S: Final = 8 * 60.0
LEAST_FAULTS: Final = 200


def main() -> None:
    """Run the suite. Takes up to FULL_LIMIT_S seconds, and up to SHORT_LIMIT_S for the short form."""
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="every kind of fault once, with a fixed seed")
    parser.add_argument("--seed", type=int, help="of all choices and moments; printed, so that a run can be repeated")
    parser.add_argument("--only", help="scenarios with this text in their names")
    parser.add_argument("--times", type=int, help="inject each fault so often")
    parser.add_argument("--list", action="store_true", help="the scenarios, and how often each is injected")
    parser.add_argument("--logs", type=Path, help="keep the programs' output in this folder")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--page", type=Path, help=f"write the table here (a full run writes {PAGE.relative_to(ROOT)})")
    arguments = parser.parse_args()
    chosen = scenarios.short() if arguments.short else scenarios.full()
    chosen = [scenario for scenario in chosen if arguments.only is None or arguments.only in scenario.name]
    if arguments.times:
        chosen = [replace(scenario, times=arguments.times) for scenario in chosen]
    if arguments.list:
        for scenario in chosen:
            print(f"{scenario.injections:3}  {scenario.name}  ({scenario.world})")
        return
    seed = arguments.seed if arguments.seed is not None else SHORT_SEED if arguments.short else int(time.time())
    started_s = time.monotonic()
    limit_s = SHORT_LIMIT_S if arguments.short else FULL_LIMIT_S
    print(f"seed {seed}: {sum(s.injections for s in chosen)} faults in {len(chosen)} scenarios", flush=True)
    results, missing = asyncio.run(
        run(chosen, seed=seed, limit_s=limit_s, is_brief=arguments.short, logs=arguments.logs)
    )
    is_full = not (arguments.short or arguments.only or arguments.times)
    _write(arguments, results, seed=seed, seconds=time.monotonic() - started_s, is_full=is_full)
    sys.exit(_exit_status(results, missing, is_full=is_full))


async def run(
    chosen: Sequence[Scenario], *, seed: int, limit_s: float, is_brief: bool, logs: Path | None
) -> tuple[list[Result], list[str]]:
    """The results in order, and the names of scenarios for which there was no time left."""
    deadline_s = time.monotonic() + limit_s
    results: list[Result] = []
    missing: list[str] = []
    numbers = itertools.count()
    for kind, group in itertools.groupby(chosen, key=lambda scenario: scenario.world):
        async with World(scenarios.WORLDS[kind], seed=seed, is_brief=is_brief, logs=logs) as world:
            for scenario in group:
                if time.monotonic() > deadline_s:
                    missing.append(scenario.name)
                    continue
                number = next(numbers)
                result = await run_phase(world, scenario, phase=f"f{number}", seed=seed + number)
                results.append(result)
                print(_line(result), flush=True)
            results[-1].trouble += _whole(await world.tables.totals())
    return results, missing


def _whole(totals: dict[str, int]) -> list[str]:
    """What is wrong with the tables of a world as a whole, whatever its phases know."""
    pairs = (("events", "distinct_events"), ("events", "inserted"), ("users", "demographics"))
    return [
        f"all in all {totals[one]} {one} and {totals[other]} {other}"
        for one, other in pairs
        if totals[one] != totals[other]
    ]


def _line(result: Result) -> str:
    verdict = "ok " if not result.trouble else "BAD"
    lines = [
        f"{verdict} {result.fault}: {result.injected} injected, {result.acknowledged} acknowledged, "
        f"{result.stored} stored, {result.dead_letters} dead, {result.lost} lost, {result.doubled} doubled, "
        f"outage {result.longest_outage_s:.1f} s, recovery {result.recovery_s:.1f} s ({result.seconds:.0f} s)"
    ]
    return "\n".join([*lines, *(f"    {trouble}" for trouble in result.trouble)])


def _write(
    arguments: argparse.Namespace, results: Sequence[Result], *, seed: int, seconds: float, is_full: bool
) -> None:
    form = "full" if is_full else "part"
    text = report.table(results)
    print("\n" + text)
    content = json.dumps(report.as_object(results, seed=seed, form=form, seconds=seconds), indent=2) + "\n"
    page = arguments.page or (PAGE if is_full else None)
    if page is not None:
        injected = sum(result.injected for result in results)
        head = f"{injected} faults in {seconds / 60:.0f} minutes, seed {seed}."
        report.write_into(page, f"{head}\n\n{text}")
        page.with_suffix(".json").write_text(content, encoding="utf-8")
    if arguments.json is not None:
        arguments.json.write_text(content, encoding="utf-8")


def _exit_status(results: Sequence[Result], missing: Sequence[str], *, is_full: bool) -> int:
    bad = [result for result in results if result.trouble or result.lost or result.doubled]
    for result in bad:
        for trouble in result.trouble:
            print(f"{result.fault}: {trouble}", file=sys.stderr)
    if missing:
        print(f"no time left for: {', '.join(missing)}", file=sys.stderr)
    too_few = is_full and sum(result.injected for result in results) < LEAST_FAULTS
    if too_few:
        print(f"fewer than {LEAST_FAULTS} faults were injected", file=sys.stderr)
    return 1 if bad or missing or too_few or not results else 0


if __name__ == "__main__":
    main()
