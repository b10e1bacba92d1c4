"""Waiting for what another process does: asked again and again, up to a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

POLL_S: Final = 0.05


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float, poll_s: float = POLL_S) -> None:
    """Return once the condition holds. Raises TimeoutError after `within_s`."""
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110 - what is waited for is in another process, which sets no event
            await asyncio.sleep(poll_s)


async def until_true(condition: Callable[[], bool], *, within_s: float, poll_s: float = POLL_S) -> None:
    """The same for a condition that is looked up without waiting."""

    async def holds() -> bool:
        return condition()

    await until(holds, within_s=within_s, poll_s=poll_s)
