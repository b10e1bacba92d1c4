"""Work that is done piece by piece, by one of many at a time.

Invariant: in one turn of the event loop no more than one piece is done, however many take part: health checks and
single events wait for a piece of one bulk, not for one of each. Whoever waits longest is next.
"""

import asyncio
from types import TracebackType


class Turns:
    """A context around a piece of work that does not wait; it is left in the next turn of the event loop.

    A lock alone would not do: the body of its context would be over before anybody else looked at it.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> None:
        await self._lock.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            await asyncio.sleep(0)
        finally:
            self._lock.release()
