"""One fetch over the durable consumers of several streams.

Invariant: what was fetched and not handed out yet is in `held`, for its reader to keep alive and, in the end, to
release (`close`); no fetch is ever cancelled. Every stream has a fetch of its own under way, for its share of
what is wanted, so that a full stream can't starve another.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from shared.errors import Retryable
from streams.connection import Connection
from streams.delivery import Delivery, Puller

_TOGETHER_S: Final = 0.01
"""Fetches that end within this long of each other end together: what they bring belongs into the same batch."""


class FanIn:
    """Fetches deliveries of several streams, as `Puller` does those of one."""

    def __init__(self, connection: Connection, streams: Iterable[str]) -> None:
        self._connection = connection
        self._pullers = {stream: Puller(connection, stream) for stream in streams}
        self._fetching: dict[str, asyncio.Task[list[Delivery]]] = {}
        self._ends_at: dict[str, float] = {}
        self._trouble: Retryable | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that it reads."""
        return tuple(self._pullers)

    @property
    def held(self) -> list[Delivery]:
        """Deliveries that were fetched and not handed out."""
        ended = [task for task in self._fetching.values() if task.done()]
        return [delivery for task in ended if task.exception() is None for delivery in task.result()]

    async def use(self, streams: Iterable[str]) -> None:
        """Read these streams from now on. What was fetched of another is still handed out."""
        wanted = tuple(streams)
        for stream in wanted:
            if stream not in self._pullers:
                self._pullers[stream] = Puller(self._connection, stream)
        for stream in self._pullers.keys() - set(wanted):
            puller = self._pullers.pop(stream)
            if (fetching := self._fetching.get(stream)) is not None:
                await asyncio.wait([fetching])
            await puller.close()

    async def fetch(self, max_messages: int, wait_s: float) -> list[Delivery]:
        """Up to about `max_messages` deliveries, and at least one a stream that has any; waits up to `wait_s` for
        the first; [] where none came.

        Raises Retryable while disconnected, ConsumerMissing where a consumer is gone; what the other streams had
        is handed out before or after.
        """
        self._tell_trouble()
        clock = asyncio.get_running_loop().time
        share = max(1, max_messages // max(1, len(self._pullers)))
        for stream, puller in self._pullers.items():
            if stream not in self._fetching:
                self._fetching[stream] = asyncio.create_task(puller.fetch(share, wait_s))
                self._ends_at[stream] = clock() + wait_s
        await asyncio.wait(self._fetching.values(), return_when=asyncio.FIRST_COMPLETED)
        ending = [task for stream, task in self._fetching.items() if self._ends_at[stream] <= clock() + _TOGETHER_S]
        if ending:
            await asyncio.wait(ending, timeout=2 * _TOGETHER_S)
        deliveries = self._take()
        if not deliveries:
            self._tell_trouble()
        return deliveries

    async def close(self) -> list[Delivery]:
        """Wait for the fetches under way, give the subscriptions back; what is to be released. Never raises."""
        if self._fetching:
            await asyncio.wait(self._fetching.values())
        for puller in self._pullers.values():
            await puller.close()
        held = self.held
        self._fetching.clear()
        return held

    def _tell_trouble(self) -> None:
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise trouble

    def _take(self) -> list[Delivery]:
        """What the fetches that have ended brought; remembers what kept one of them from it."""
        deliveries: list[Delivery] = []
        for stream in [stream for stream, task in self._fetching.items() if task.done()]:
            try:
                deliveries += self._fetching.pop(stream).result()
            except Retryable as error:
                if stream in self._pullers:  # else it was deleted, and nobody reads it any more
                    self._trouble = error
        return deliveries
