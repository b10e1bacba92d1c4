"""Keeps what is put through again from crowding out what comes in.

Invariant: no more is published while the collectors have `max_unstored` messages before them, and nothing
once the stream is so full that the gateway would soon have to refuse events.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from shared.errors import Fatal
from streams.backlog import read_backlog
from streams.connection import Connection

MAX_UNSTORED: Final = 1_000
"""Messages: a few seconds' work for a collector, which is how much later new events are stored."""

MAX_SHARE: Final = 0.7
"""Of the stream's limits, taken by unread messages; the gateway closes at 0.9 if not set otherwise."""

STALL_S: Final = 60.0
POLL_S: Final = 0.25


class Pace:
    """Says when there is room in one stream."""

    def __init__(
        self,
        connection: Connection,
        stream: str,
        *,
        max_unstored: int | None = MAX_UNSTORED,
        max_share: float = MAX_SHARE,
        stall_s: float = STALL_S,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._max_unstored = max_unstored
        self._max_share = max_share
        self._stall_s = stall_s
        self._clock = clock
        self._sleep = sleep

    async def room(self) -> None:
        """Wait until there is room. Raises Fatal where waiting can't help, Retryable where it can't be seen.

        It can't help where the stream is too full, or the collectors have stored nothing for `stall_s`.
        """
        fewest: int | None = None
        moved_at = self._clock()
        while True:
            backlog = await read_backlog(self._connection, self._stream)
            if backlog.share >= self._max_share:
                raise Fatal(
                    f"{self._stream} is full of unread messages to {backlog.share:.0%} of its limits, and from "
                    f"{self._max_share:.0%} on nothing is put through again: let the collectors catch up first"
                )
            if self._max_unstored is None or backlog.messages < self._max_unstored:
                return
            if fewest is None or backlog.messages < fewest:
                fewest, moved_at = backlog.messages, self._clock()
            elif self._clock() - moved_at >= self._stall_s:
                raise Fatal(
                    f"the collectors of {self._stream} have {backlog.messages} messages before them and stored none "
                    f"for {self._stall_s:g} s: are they running?"
                )
            await self._sleep(POLL_S)
