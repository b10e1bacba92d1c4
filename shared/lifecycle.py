"""How a program starts, stops and ends.

Invariant: stopping has two phases. The first signal asks (`soft`): take nothing new, finish what is in
hand. The second, or the end of the grace period, insists (`hard`): leave at once; what was not
acknowledged is delivered again. Exit status: 0 stopped as asked, 1 a fatal error, 2 a wrong setting.
"""

import asyncio
import ctypes
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NoReturn

import uvloop

from shared.errors import Fatal, SettingsError

EXIT_FATAL: Final = 1
EXIT_SETTINGS: Final = 2

CANCEL_AGAIN_S: Final = 0.5
M_MMAP_THRESHOLD: Final = -3  # malloc.h
LARGE_BLOCK_BYTES: Final = 1024 * 1024
GC_YOUNG_OBJECTS: Final = 50_000


class Shutdown:
    """The two phases of stopping, as events. Lives in one event loop."""

    def __init__(self) -> None:
        self.soft = asyncio.Event()
        self.hard = asyncio.Event()

    def request(self) -> None:
        """Ask to stop; asked a second time, insist."""
        (self.hard if self.soft.is_set() else self.soft).set()

    def listen(self) -> None:
        """Take SIGTERM and SIGINT as requests from now on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request)

    async def insist_after(self, grace_s: float) -> None:
        """Wait for the request, then for `grace_s` seconds, then insist. Returns earlier once insisted."""
        await self.soft.wait()
        try:
            async with asyncio.timeout(grace_s):
                await self.hard.wait()
        except TimeoutError:
            self.hard.set()


async def first_of(*awaitables: Coroutine[Any, Any, Any]) -> None:
    """Wait until one of these is done, end the others, and raise what the first one raised, if it did."""
    tasks = [asyncio.create_task(awaitable) for awaitable in awaitables]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def repeat(step: Callable[[], Awaitable[None]], *, every_s: float) -> NoReturn:
    """Do `step` now and then every `every_s` seconds, until cancelled. What it raises ends the program."""
    while True:
        await step()
        heed_cancellation()
        await asyncio.sleep(every_s)


def heed_cancellation() -> None:
    """Raise CancelledError where the task was cancelled and what it awaited did not pass that on.

    Python 3.11's wait_for, which nats-py waits with, drops a cancellation that comes with the answer; a loop
    around it would then never end.
    """
    this = asyncio.current_task()
    if this is not None and this.cancelling():
        raise asyncio.CancelledError


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they have ended, however often that takes; for tasks with nothing to clean up."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


def settle_memory() -> None:
    """Spare the garbage collector what start-up made, have it look less often, and give large blocks back.

    A flush or a bulk makes tens of thousands of short-lived objects and hardly a cycle; with Python's
    default threshold of 700 the collector took a fifth of a collector's time. Call once, when started.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_YOUNG_OBJECTS, 20, 20)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        # Left to itself, glibc soon keeps bodies of 20 MB on its heap, in whose holes the memory stays.
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def run(main: Callable[[], Coroutine[Any, Any, None]], *, program: str) -> NoReturn:
    """Run a program to its end and exit with its status; what a person must mend is said in a line."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except SettingsError as error:
        _say(program, error)
        sys.exit(EXIT_SETTINGS)
    except Fatal as error:
        _say(program, error)
        sys.exit(EXIT_FATAL)
    except BaseExceptionGroup as group:
        fatal, rest = group.split(Fatal)
        if rest is not None or fatal is None:
            raise
        for leaf in _leaves(fatal):
            _say(program, leaf)
        sys.exit(EXIT_FATAL)
    sys.exit(0)


def _say(program: str, error: BaseException) -> None:
    for line in str(error).splitlines():
        sys.stderr.write(f"{program}: {line}\n")


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
