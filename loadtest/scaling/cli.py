"""The command line of the scaling test.

Invariant: what comes out is a checked `ScalingOptions`; what is wrong ends in one line that names the option, its value
and what it takes (argparse, exit 2).
"""

import argparse
import random
from pathlib import Path
from typing import Final

from loadtest.cli import OneLineParser
from loadtest.scaling.options import QUICK, ScalingOptions, Sizes

NAME: Final = "scaling"
SUMMARY: Final = "measure 1 to 4 gateways and collectors on a three-node cluster, beside what the plan predicts"
_EPILOG: Final = """\
It needs nginx (Debian: apt-get install nginx-light), and starts everything else itself.

exit code:
  0  measured, whatever the figures are
  1  a point could not be measured, or growing and shrinking was felt by the sender; the others are shown
  2  it could not run: a wrong option, no nginx, or a fleet that does not start
  130  stopped by Ctrl-C
"""


def add_scaling(subcommands: "argparse._SubParsersAction[OneLineParser]") -> None:
    """Adds the command."""
    parser = subcommands.add_parser(
        NAME,
        help=SUMMARY,
        description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--quick", action="store_true", help="two points and fewer events: under a minute")
    parser.add_argument("--seed", type=int, help="the same events again (default: new ones)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the tables into a Markdown page's section")


def scaling_options(args: argparse.Namespace) -> ScalingOptions:
    """The parsed arguments."""
    return ScalingOptions(
        sizes=QUICK if args.quick else Sizes(),
        quick=args.quick,
        seed=random.SystemRandom().getrandbits(31) if args.seed is None else args.seed,
        json_file=args.json,
        page=args.page,
    )
