"""How many events are committed, watched cheaply.

Invariant: the count is the collectors' own, which move it after each commit and never before, so an event that is
counted is stored. Reading it costs PostgreSQL nothing; counting its rows would have cost a third of the machine.
What the count says is checked against the receipts once the clock has stopped (`loadtest.bench.account`).
"""

import asyncio
import re
import time
from collections.abc import Iterable
from typing import Final

import aiohttp

from loadtest.errors import CannotRun

_SAMPLE: Final = re.compile(
    r'^collector_events_total\{.*outcome="(stored|duplicate|dead_lettered)".*\} (\S+)$', re.MULTILINE
)
_SELDOM_S: Final = 0.25
_OFTEN_S: Final = 0.02
_NEAR: Final = 0.97
_STUCK_S: Final = 60.0


class Stored:
    """Reads the collectors' counters. `timeline`: (monotonic seconds, events) as they were seen."""

    def __init__(self, session: aiohttp.ClientSession, ops_urls: Iterable[str]) -> None:
        self._session = session
        self._urls = [f"{url}/metrics" for url in ops_urls]
        self._since = 0
        self.timeline: list[tuple[float, int]] = []

    async def reset(self) -> None:
        """Counts from here."""
        self._since += await self.count()
        self.timeline = [(time.monotonic(), 0)]

    async def count(self) -> int:
        """Events with an outcome since the reset."""
        total = 0
        for url in self._urls:
            async with self._session.get(url) as response:
                total += settled(await response.text())
        return total - self._since

    async def until(self, events: int) -> float:
        """Waits until so many are committed; the time at which that was seen (20 ms after the fact at most).

        Raises CannotRun where nothing moves for 60 s.
        """
        moved_at, before = time.monotonic(), -1
        while True:
            now_s, seen = time.monotonic(), await self.count()
            self.timeline.append((now_s, seen))
            if seen >= events:
                return time.monotonic()
            if seen != before:
                moved_at, before = now_s, seen
            elif now_s - moved_at > _STUCK_S:
                raise CannotRun(f"{seen:,} of {events:,} events are stored, and for {_STUCK_S:g} s no further one")
            await asyncio.sleep(_OFTEN_S if seen >= events * _NEAR else _SELDOM_S)


def settled(metrics: str) -> int:
    """Events with an outcome, of a collector's metrics page."""
    return sum(int(float(value)) for _, value in _SAMPLE.findall(metrics))
