"""Waiting for a condition with a deadline, in place of sleeping."""

import asyncio
from collections.abc import Awaitable, Callable

WITHIN_S = 15.0
POLL_S = 0.01


async def until(condition: Callable[[], bool | Awaitable[bool]], *, within_s: float = WITHIN_S) -> None:
    """Return once the condition is true; fails where that takes longer than `within_s` seconds."""
    async with asyncio.timeout(within_s):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(POLL_S)
