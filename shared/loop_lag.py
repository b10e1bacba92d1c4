"""How late the event loop is: what every request and flush of a process waits for, whatever else is fast.

Invariant: it measures the loop alone. It asks to be woken and looks how much later it was; it does no work of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, NoReturn

from shared.lifecycle import repeat
from shared.metrics import RoleMetrics

EVERY_S: Final = 0.5


async def watch(
    metrics: RoleMetrics,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = monotonic,
) -> NoReturn:
    """Observe the loop's lag, until cancelled."""

    async def look() -> None:
        asked = clock()
        await sleep(EVERY_S)
        metrics.loop_lag_seconds.observe(max(0.0, clock() - asked - EVERY_S))

    await repeat(look, every_s=0)
