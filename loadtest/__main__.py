"""`python -m loadtest [COMMAND]`: the bulk test, unless another command is named.

Invariant: the environment is read here and nowhere below. A wrong option ends with one line and exit 2.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

import uvloop

from loadtest.bench.cli import NAME as BENCH
from loadtest.bench.cli import add_bench, bench_options
from loadtest.cli import NAME as BULK_TEST
from loadtest.cli import OneLineParser, add_bulk_test, bulk_test_options, url_from
from loadtest.command import bulk_test
from loadtest.options import BulkTestOptions
from loadtest.plan import cli as plan
from loadtest.report import EXIT_INTERRUPTED
from loadtest.scaling import cli as scaling


def main(argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> int:
    """Runs the command and returns its exit code. Blocks until the run has ended."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    environment = dict(os.environ if env is None else env)
    parser, commands = _parser(environment)
    if not arguments or arguments[0] not in {*commands.choices, "-h", "--help"}:
        arguments.insert(0, BULK_TEST)
    args = parser.parse_args(arguments)
    if args.command == plan.NAME:
        return plan.run(args)
    try:
        if args.command == BENCH:
            # As the programs it measures: a ceiling on a slower loop would be none.
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                # It looks at processes by a package of the extra `local`, which the bulk test in an image is without.
                bench = import_module("loadtest.bench.command").bench
                code: int = runner.run(bench(bench_options(args), environment))
                return code
        if args.command == scaling.NAME:
            measured: int = asyncio.run(
                import_module("loadtest.scaling.command").scaling(scaling.scaling_options(args), environment)
            )
            return measured
        return asyncio.run(bulk_test(_checked(args, commands), environment))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED  # a second Ctrl-C: out at once, without the summary


def _checked(args: argparse.Namespace, commands: "argparse._SubParsersAction[OneLineParser]") -> BulkTestOptions:
    try:
        return bulk_test_options(args)
    except ValueError as error:
        commands.choices[BULK_TEST].error(str(error))


def _parser(
    env: Mapping[str, str],
) -> tuple[OneLineParser, "argparse._SubParsersAction[OneLineParser]"]:
    parser = OneLineParser(
        prog="python -m loadtest",
        description="Load scripts for a Floodgate gateway.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    add_bulk_test(commands, url_from(env), env.get("API_KEY") or None)
    add_bench(commands)
    scaling.add_scaling(commands)
    plan.add_plan(commands)
    # The default command's options can be given without its name, so they belong in the first help.
    options = commands.choices[BULK_TEST].format_help()
    parser.epilog = f"Without a command, {BULK_TEST} is meant:\n\n{options}".replace("%", "%%")
    return parser, commands


if __name__ == "__main__":
    sys.exit(main())
