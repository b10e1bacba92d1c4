"""The command line of the benchmark.

Invariant: what comes out is a checked `BenchOptions`; what is wrong ends in one line that names the option, its value
and what it takes (argparse, exit 2).
"""

import argparse
import random
from dataclasses import replace
from pathlib import Path
from typing import Final

from loadtest.bench.options import QUICK, USUAL_PHASES, BenchOptions, Phase, Sizes
from loadtest.cli import OneLineParser

NAME: Final = "bench"
SUMMARY: Final = "measure a throw-away stack beside what this machine allows at most"
_LEAST_EVENTS: Final = 10_000
_EPILOG: Final = """\
phases:
  ceilings        PostgreSQL, JetStream, aiohttp and our own code, each alone
  end-to-end      from the first byte sent to the last row committed
  accept          requests of 50,000 events, one at a time and four at once, until each is durable
  authentication  what a key and a signature cost, beside the same requests without
  responsiveness  /health/live while four requests of 50,000 are under way
  single          one event a request on 64 connections
  freshness       from the answer to the committed row at a steady 20,000 events/s
  growth          the end-to-end rate while the tables grow; only where it is named

exit code:
  0  measured, whatever the figures are; targets are shown, not judged
  1  a phase could not be measured; the others are shown
  2  it could not run: a wrong option, or a stack that does not start
  130  stopped by Ctrl-C

examples:
  python -m loadtest bench --quick                       everything once, in less than a minute
  python -m loadtest bench --only accept                 one phase; repeatable
  python -m loadtest bench --only authentication         the accept rate open, with a key, and signed
  python -m loadtest bench --only growth --rows 20000000 --data-dir growth-data --keep
"""


def add_bench(subcommands: "argparse._SubParsersAction[OneLineParser]") -> None:
    """Adds the command."""
    parser = subcommands.add_parser(
        NAME,
        help=SUMMARY,
        description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes: under a minute, and coarser figures")
    parser.add_argument(
        "--only",
        type=_phase,
        action="append",
        metavar="PHASE",
        help=f"one of {', '.join(Phase)}; repeatable (default: all but {Phase.GROWTH})",
    )
    parser.add_argument("--events", type=_events, help="events of the end-to-end phase (default: 1000000)")
    parser.add_argument("--rows", type=_events, default=20_000_000, help="rows the tables grow to (default: 20000000)")
    parser.add_argument("--seed", type=int, help="the same events again (default: new ones)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with charts, complete in itself")
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where the stack's data lies, instead of a temporary folder; with --keep, a growth run that was "
        "stopped goes on from there",
    )
    parser.add_argument("--keep", action="store_true", help="leave the data there at the end, and say where")


def bench_options(args: argparse.Namespace) -> BenchOptions:
    """The parsed arguments, checked against each other. Raises ValueError, for a person."""
    sizes = QUICK if args.quick else Sizes()
    if args.events is not None:
        sizes = replace(sizes, events=args.events)
    phases = tuple(phase for phase in Phase if phase in args.only) if args.only else USUAL_PHASES
    if Phase.GROWTH in phases:
        sizes = replace(sizes, growth_step=min(sizes.growth_step, max(_LEAST_EVENTS, args.rows // 2)))
    return BenchOptions(
        phases=phases,
        sizes=sizes,
        quick=args.quick,
        rows=args.rows,
        seed=random.SystemRandom().getrandbits(31) if args.seed is None else args.seed,
        json_file=args.json,
        html_file=args.html,
        data_dir=args.data_dir,
        keep=args.keep,
    )


def _phase(text: str) -> Phase:
    try:
        return Phase(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: takes one of {', '.join(Phase)}") from None


def _events(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) >= _LEAST_EVENTS:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}: takes a whole number from {_LEAST_EVENTS}")
