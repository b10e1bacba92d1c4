"""`python -m deploy.fleet FOLDER`: a fleet with its data in FOLDER, led over stdin.

Invariant: each line on stdin is `{"gateways": n, "collectors": n}` (collectors of each source), and is answered with
one JSON object on stdout once that many are at work: where they are, or `{"error": …}`, after which it ends. It ends in
order when stdin does, at Ctrl-C and at SIGTERM, and no process of it is left. All else that is said goes to stderr.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from deploy.fleet.fleet import Fleet
from deploy.local.console import Console
from deploy.local.errors import StackError
from deploy.local.supervisor import StopRequestedError
from shared.events import SOURCES


def main() -> int:
    """Lead the fleet until stdin ends; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.fleet", description="Many gateways and collectors, led over stdin."
    )
    parser.add_argument("folder", type=Path, help="for the data of its servers; it is not removed")
    console = Console(out=sys.stderr, colour=False, live=False)
    try:
        return asyncio.run(_led(parser.parse_args().folder.absolute(), console))
    finally:
        console.close()


async def _led(folder: Path, console: Console) -> int:
    fleet = Fleet(folder=folder, environment=os.environ, sources=tuple(SOURCES), console=console)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, fleet.request_stop, number.name)
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)

    async def lead() -> None:
        await fleet.start()
        async for line in orders:
            order = json.loads(line)
            _answer(await fleet.scale(gateways=order["gateways"], collectors=order["collectors"]))

    try:
        await fleet.unless_stopped(lead())
    except StopRequestedError:
        pass
    except StackError as error:
        _answer({"error": str(error)})
        return error.exit_code
    finally:
        await fleet.stop()
    return 0


def _answer(content: object) -> None:
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
