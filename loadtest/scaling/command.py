"""One scaling test from checked options to exit code.

Invariant: stdout holds the tables; what is said on the way goes to stderr; the files are written before the tables
are shown.
"""

import asyncio
import signal
import sys
from collections.abc import Mapping

import orjson

from loadtest.errors import CannotRun
from loadtest.report import EXIT_CANNOT_RUN, EXIT_INTERRUPTED
from loadtest.scaling import page
from loadtest.scaling.options import ScalingOptions
from loadtest.scaling.run import run

EXIT_MEASURED = 0
EXIT_INCOMPLETE = 1


async def scaling(options: ScalingOptions, env: Mapping[str, str]) -> int:
    """Runs it and prints what came of it. Returns the exit code."""
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(run(options, env, _say))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    try:
        results = await running
        shown = "\n".join(page.lines(results))
        _write(options, results, shown)
    except CannotRun as error:
        _say(str(error))
        return EXIT_CANNOT_RUN
    except asyncio.CancelledError:
        _say("stopped; nothing was written")
        return EXIT_INTERRUPTED
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    print(shown)
    return EXIT_INCOMPLETE if results["failed"] else EXIT_MEASURED


def _write(options: ScalingOptions, results: dict[str, object], shown: str) -> None:
    """Raises CannotRun where a file can't be written, or the page has no section for it."""
    for file in (options.json_file, options.page):
        if file is None:
            continue
        try:
            if file is options.page:
                file.write_text(page.with_section(file.read_text(encoding="utf-8"), shown), encoding="utf-8")
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2) + b"\n")
        except OSError as error:
            raise CannotRun(f"{file} can't be written: {error.strerror}") from None
        except ValueError as error:
            raise CannotRun(f"{file}: {error}") from None
        _say(f"wrote {file}")


def _say(text: str) -> None:
    print(f"scaling: {text}", file=sys.stderr, flush=True)
