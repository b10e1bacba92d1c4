"""A program for the tests of lifecycle and logs: `python program.py NAME` runs one of the stories below."""

import asyncio
import sys
from typing import NoReturn

from shared import lifecycle, logs
from shared.errors import Fatal, SettingsError, UnsafeDrift
from shared.settings import LogSettings


def say(word: str) -> None:
    """A line for the test that waits for it."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def stops_when_asked() -> None:
    """Says what it hears: started, soft, hard."""
    shutdown = lifecycle.Shutdown()
    shutdown.listen()
    say("started")
    await shutdown.soft.wait()
    say("soft")
    await shutdown.hard.wait()
    say("hard")


async def drains_then_ends() -> None:
    """The first signal is enough."""
    shutdown = lifecycle.Shutdown()
    shutdown.listen()
    say("started")
    await shutdown.soft.wait()
    say("drained")


async def insists_after_the_grace() -> None:
    """Never finishes by itself."""
    shutdown = lifecycle.Shutdown()
    shutdown.listen()
    say("started")
    await shutdown.insist_after(0.05)
    assert shutdown.hard.is_set()
    say("hard")


async def ends() -> None:
    """All is done."""


async def fatal() -> NoReturn:
    """A person has to act."""
    raise Fatal("the streams are gone: run `python -m streams apply`")


async def wrong_setting() -> NoReturn:
    """Two wrong variables."""
    raise SettingsError("PORT='x': takes a number\nHOST='': takes text")


async def fatal_in_a_group() -> None:
    """Two tasks of a group, each with its own error."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_raise(Fatal("the first")))
        group.create_task(_raise(UnsafeDrift("the second")))


async def bug() -> NoReturn:
    """Not part of the design."""
    raise ZeroDivisionError("a bug")


async def bug_beside_fatal() -> None:
    """The bug must not be hidden by the error that is part of the design."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_raise(Fatal("the first")))
        group.create_task(_raise(ZeroDivisionError("a bug")))


async def logs_something() -> None:
    """Lines of ours and of a library's."""
    import logging  # noqa: PLC0415 - as a library has it

    import structlog  # noqa: PLC0415 - only this story binds context

    log = logs.configure(LogSettings.load(), role="gateway")
    log.debug("not_shown_at_info")
    log.info("request_done", events=3)
    with structlog.contextvars.bound_contextvars(correlation_id="c-1"):
        log.warning("batch_failed", detail='two\nlines and "quotes"')
        logging.getLogger("nats.aio").warning("library says %s", "this")
    logging.getLogger("nats.aio").info("small talk")
    password = "".join(reversed("terces eht"))
    try:
        dict[int, str]()[len(password) // 2]
    except KeyError:
        log.exception("flush_failed")
        logging.getLogger("aiohttp.server").exception("Error handling request")


async def floods() -> None:
    """The same warning again and again, ours and a library's."""
    import logging  # noqa: PLC0415 - as above

    log = logs.configure(LogSettings.load())
    for number in range(10):
        log.warning("broken", number=number)
    for number in range(10):
        logging.getLogger("nats.aio").warning("library says %s", number)
    log.info("ended")


async def _raise(error: Exception) -> NoReturn:
    raise error


if __name__ == "__main__":
    lifecycle.run(globals()[sys.argv[1]], program="story")
