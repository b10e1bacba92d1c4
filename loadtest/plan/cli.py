"""The command line of the plan.

Invariant: what is wrong ends in one line that names the option, its value and what it takes (argparse, exit 2).
"""

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import orjson

from loadtest.cli import OneLineParser
from loadtest.errors import CannotRun
from loadtest.plan.costs import RESULTS, Assumptions, load
from loadtest.plan.machine import SCALING, doubling_of, load_measured, one_machine
from loadtest.plan.model import Load, Node, Point, plan
from loadtest.plan.report import as_json, lines, machine_lines
from loadtest.report import EXIT_CANNOT_RUN

NAME: Final = "plan"
SUMMARY: Final = "how large an installation has to be for a load, from what was measured"
_EPILOG: Final = """\
examples:
  python -m loadtest plan --events-per-second 100000
  python -m loadtest plan --events-per-second 1000000 --event-bytes 420 --retention-days 7 --replicas 3
  python -m loadtest plan --events-per-second 20000 --replicas 1 --cores 8 --disk-tb 1 --json
  python -m loadtest plan --events-per-second 1 --replicas 3 --one-machine 2
"""
POINTS: Final = tuple(Point(gateways, collectors) for gateways in (1, 2, 4) for collectors in (1, 2, 4))
_WORDS: Final = {
    "sources": "platforms (default: 2)",
    "event_bytes": "of an event's JSON (default: 420)",
    "retention_days": "that the streams keep events for replay (default: 7)",
    "table_days": "that the tables keep them (default: 30)",
    "replicas": "copies of each stream (default: 3)",
    "memory_gb": "of a node (default: 256)",
    "cores": "of a node (default: 32)",
    "disk_mb_per_s": "that a node's disk writes (default: 1000)",
    "disk_tb": "of a node's disk (default: 7.5)",
    "syncs_per_s": "that a node's disk does (default: 20000)",
    "reads_per_s": "random ones, that a node's disk does (default: 200000)",
    "network_gbit_per_s": "of a node (default: 25)",
    "utilisation": "of a node that is planned with, up to 1 (default: 0.6)",
    "postgres_growth": "PostgreSQL's CPU an event over that with new tables (default: 2.2)",
    "source_skew": "events of the busiest source over the average (default: 1)",
}


def add_plan(subcommands: "argparse._SubParsersAction[OneLineParser]") -> None:
    """Adds the command."""
    parser = subcommands.add_parser(
        NAME,
        help=SUMMARY,
        description=f"Says {SUMMARY}. Every number that it rests on is printed with it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--events-per-second", type=_over_zero, required=True, metavar="N", help="sustained")
    for section in (Load, Node, Assumptions):
        for field in fields(section):
            if field.name in _WORDS:
                parser.add_argument(
                    f"--{field.name.replace('_', '-')}", type=_kind(field.default), default=field.default,
                    metavar="N", help=_WORDS[field.name],
                )  # fmt: skip
    parser.add_argument(
        "--one-machine", type=_count, metavar="CORES",
        help="say instead what one machine of so many cores bears in all, new tables and all cores used, with 1, 2 and "
        "4 gateways and collectors a source",
    )  # fmt: skip
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="a benchmark's JSON")
    parser.add_argument(
        "--scaling", type=Path, default=SCALING, metavar="FILE", help="a scaling test's JSON, for --one-machine"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Print the plan; the exit code."""
    try:
        costs = load(args.results)
        doubling = doubling_of(load_measured(args.scaling) if args.one_machine is not None else [])
    except CannotRun as error:
        print(f"plan: {error}", file=sys.stderr)
        return EXIT_CANNOT_RUN
    if args.utilisation > 1:
        print(f"plan: --utilisation {args.utilisation:g}: takes a number over 0, up to 1", file=sys.stderr)
        return EXIT_CANNOT_RUN
    wanted = Load(events_per_s=args.events_per_second, **_given(Load, args))
    node, assumed = Node(**_given(Node, args)), Assumptions(**_given(Assumptions, args))
    if args.one_machine is not None:
        rates = one_machine(args.one_machine, POINTS, wanted, costs, assumed, doubling=doubling)
        points = list(zip(POINTS, rates, strict=True))
        if args.json:
            print(orjson.dumps([asdict(point) | {"eventsPerSecond": rate} for point, rate in points]).decode())
        else:
            print("\n".join(machine_lines(points)))
        return 0
    made = (wanted, node, costs, assumed, plan(wanted, node, costs, assumed))
    if args.json:
        print(orjson.dumps(as_json(*made), option=orjson.OPT_INDENT_2).decode())
    else:
        print("\n".join(lines(*made)))
    return 0


def _given(section: type[Any], args: argparse.Namespace) -> dict[str, Any]:
    return {field.name: getattr(args, field.name) for field in fields(section) if field.name in _WORDS}


def _kind(default: object) -> Callable[[str], float]:
    return _count if isinstance(default, int) else _over_zero


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r}: takes a whole number from 1")
    return int(text)


def _over_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: takes a number over 0")
    return value
