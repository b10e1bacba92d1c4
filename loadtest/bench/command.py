"""One benchmark from checked options to exit code.

Invariant: stdout holds the tables; what is said on the way goes to stderr; the files are written before the tables
are shown, so a broken pipe costs no result.
"""

import asyncio
import signal
import sys
from collections.abc import Mapping

import orjson
from rich.console import Console

from loadtest.bench import html, table
from loadtest.bench.options import BenchOptions
from loadtest.bench.run import run
from loadtest.errors import CannotRun
from loadtest.report import EXIT_CANNOT_RUN, EXIT_INTERRUPTED

EXIT_MEASURED = 0
EXIT_INCOMPLETE = 1
_FILE_WIDTH = 180


async def bench(options: BenchOptions, env: Mapping[str, str]) -> int:
    """Runs it and prints what came of it; `env` is for the stack. Returns the exit code."""
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(run(options, env, _say))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    try:
        results = await running
        _write(options, results)
    except CannotRun as error:
        _say(str(error))
        return EXIT_CANNOT_RUN
    except asyncio.CancelledError:
        _say("stopped; nothing was written")
        return EXIT_INTERRUPTED
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    console = Console(highlight=False)
    # A file or a pipe has no width of its own, and the tables are wide.
    table.show(results, console if console.is_terminal else Console(highlight=False, width=_FILE_WIDTH))
    return EXIT_INCOMPLETE if results["failed"] else EXIT_MEASURED


def _write(options: BenchOptions, results: dict[str, object]) -> None:
    for file, content in ((options.json_file, _json), (options.html_file, _html)):
        if file is None:
            continue
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content(results))
        except OSError as error:
            raise CannotRun(f"{file} can't be written: {error.strerror}") from None
        _say(f"wrote {file}")


def _json(results: dict[str, object]) -> bytes:
    return orjson.dumps(results, option=orjson.OPT_INDENT_2) + b"\n"


def _html(results: dict[str, object]) -> bytes:
    return html.page(results).encode()


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
