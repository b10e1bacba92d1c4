"""One bulk test from checked options to exit code: where to, with a throw-away stack or not, and how it is told.

Invariant: stdout holds the summary or, with --json, one JSON object; everything said on the way goes to stderr.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager

import aiohttp
import orjson
from rich.console import Console

from loadtest.bulk_test import BulkTest, BulkTestResult
from loadtest.errors import CannotRun
from loadtest.local_stack import is_local, something_listens, throwaway_stack
from loadtest.options import BulkTestOptions
from loadtest.progress import LiveProgress, Quiet
from loadtest.receipts import CONCURRENCY
from loadtest.report import EXIT_CANNOT_RUN, Outcome, as_json, exit_code, outcome, show
from loadtest.report_page import page


async def bulk_test(options: BulkTestOptions, env: Mapping[str, str]) -> int:
    """Runs the test and prints what came of it; `env` is for a throw-away stack. Returns the exit code."""
    try:
        with _stop_on_signals() as stop:
            result = await _result(options, env, stop)
    except CannotRun as error:
        _say(str(error))
        if options.json:
            _print_json({"outcome": Outcome.CANNOT_RUN.value, "exitCode": EXIT_CANNOT_RUN, "error": str(error)})
        return EXIT_CANNOT_RUN
    if options.json:
        _print_json(as_json(result))
    else:
        show(result, Console(highlight=False))
    if options.report is not None:
        try:
            options.report.write_text(page(result), encoding="utf-8")
        except OSError as error:
            _say(f"{options.report}: the report could not be written: {error.strerror or error}")
            return EXIT_CANNOT_RUN
        _say(f"the charts are in {options.report}")
    return exit_code(outcome(result))


async def _result(options: BulkTestOptions, env: Mapping[str, str], stop: asyncio.Event) -> BulkTestResult:
    stderr = Console(stderr=True)
    watched = stderr.is_terminal and not options.json
    async with AsyncExitStack() as stack:
        # As many connections as requests at a time: a queue in the session would count as answer time.
        looks = CONCURRENCY if options.report else 0  # which ask for receipts meanwhile
        connector = aiohttp.TCPConnector(limit=options.concurrency + looks)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        url = options.url
        if options.start_stack and is_local(url) and not await something_listens(url):
            _say(f"nothing listens at {url}")
            throwaway = throwaway_stack(session=session, env=env, say=_say, stop=stop)
            url = await stack.enter_async_context(throwaway)
        progress: LiveProgress | Quiet = LiveProgress(console=stderr, total=options.plan.total) if watched else Quiet()
        stack.enter_context(progress)
        test = BulkTest(options=options, url=url, session=session, progress=progress, stop=stop, clock=time.monotonic)
        return await test.run()


@contextmanager
def _stop_on_signals() -> Iterator[asyncio.Event]:
    """SIGINT and SIGTERM end the run with a summary; a second Ctrl-C ends it without."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def interrupted() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, interrupted)
    # Stays: by default a second SIGTERM would kill this process and orphan its stack.
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    try:
        yield stop
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        loop.remove_signal_handler(signal.SIGTERM)


def _say(text: str) -> None:
    print(f"bulk-test: {text}", file=sys.stderr, flush=True)


def _print_json(content: object) -> None:
    print(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
