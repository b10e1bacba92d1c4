"""`python -m deploy.local run | status [--json]`: the stack of `make run`, and where its parts are.

Exit codes: 0 after a stop that was asked for; 1 when the stack cannot start or go on, or, for `status`,
when none runs; 2 when a setting is impossible. Whatever is wrong is one line on stderr.
"""

import argparse
import asyncio
import json
import os
import signal
import sys

from deploy.local import status
from deploy.local.console import Console
from deploy.local.data_dir import DataDir
from deploy.local.errors import StackError
from deploy.local.settings import LocalSettings
from deploy.local.stack import Programs, Stack
from shared.events import SOURCES


def main() -> int:
    """Run the command line. Blocks for as long as the stack runs."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="start everything and keep it running; Ctrl-C stops it in order")
    asked = commands.add_parser("status", help="where the parts of the running stack are (same DATA_DIR)")
    asked.add_argument("--json", action="store_true", help="as one JSON object")
    options = parser.parse_args()
    try:
        settings = LocalSettings.from_environment(os.environ)
        if options.command == "status":
            shown = status.read(DataDir.state_file_of(settings.data_dir))
            print(json.dumps(shown) if options.json else status.as_text(shown))
            return 0
        return run(settings, programs=Programs())
    except StackError as error:
        print(f"floodgate: {error}", file=sys.stderr)
        return error.exit_code


def run(settings: LocalSettings, *, programs: Programs) -> int:
    """Run a stack until a signal ends it. Raises `StackError` when it cannot start or go on."""
    console = Console(
        colour=False if os.environ.get("NO_COLOR") else None, live=False if os.environ.get("TERM") == "dumb" else None
    )
    try:
        asyncio.run(_run(settings, console=console, programs=programs))
    finally:
        console.close()
    return 0


async def _run(settings: LocalSettings, *, console: Console, programs: Programs) -> None:
    stack = Stack(settings=settings, environment=os.environ, sources=tuple(SOURCES), console=console, programs=programs)
    loop = asyncio.get_running_loop()
    for number, reason in (
        (signal.SIGINT, "Ctrl-C"),
        (signal.SIGTERM, "SIGTERM"),
        (signal.SIGHUP, "terminal closed"),
    ):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup asks to stay
            loop.add_signal_handler(number, stack.request_stop, reason)
    await stack.run()


if __name__ == "__main__":
    raise SystemExit(main())
