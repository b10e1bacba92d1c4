"""Follows accepted requests to the database, by their receipts.

Invariant: only requests the ledger still has open are asked for, at most `CONCURRENCY` at a time, in rounds
that grow rarer while nothing moves: watching must not slow down what it watches.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import orjson

from loadtest.errors import ErrorGroups
from loadtest.ledger import Ledger, Receipt
from loadtest.sender import credentials

CONCURRENCY: Final = 4
_ROUND: Final = 16  # receipts a round; the rest waits its turn
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_PATH: Final = "/webhook/events/bulk/"


class ReceiptWatch:
    """Asks for receipts and enters them in the ledger. `progressed` is called after each round."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        url: str,
        ledger: Ledger,
        errors: ErrorGroups,
        progressed: Callable[[], None],
        clock: Callable[[], float],
        api_key: str | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._session = session
        self._url = url + _PATH
        self._ledger = ledger
        self._errors = errors
        self._progressed = progressed
        self._clock = clock
        self._headers = credentials(api_key)
        self._sleep = sleep

    async def until_settled(self, wait_s: float) -> bool:
        """Asks until every request is settled (True) or `wait_s` has passed (False); each at least once.

        A receipt that cannot be had is counted as an error and asked for again.
        """
        deadline = self._clock() + wait_s
        queue = deque(self._ledger.outstanding())
        unseen = len(queue)
        pause_s = _FIRST_PAUSE_S
        while queue:
            size = min(_ROUND, unseen or len(queue))
            asked = [queue.popleft() for _ in range(size)]
            unseen = max(0, unseen - size)
            still_open = await self._ask_all(asked)
            queue.extend(still_open)
            self._progressed()
            if unseen:
                continue  # the first look at each comes before any wait
            left_s = deadline - self._clock()
            if left_s <= 0:
                return not queue
            if len(still_open) <= len(asked) // 2:
                pause_s = _FIRST_PAUSE_S
                continue
            await self._sleep(min(pause_s, left_s))
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 1.5)
        return True

    async def follow(self) -> None:
        """Looks how far storage is, again and again until cancelled: a few receipts a round, spread over the open ones,
        so that the place where they begin to be incomplete is found soon, however many there are.
        """
        while True:
            waiting = self._ledger.frontier()
            places = {len(waiting) * part // CONCURRENCY - 1 for part in range(1, CONCURRENCY + 1)}
            await self._ask_all([waiting[place] for place in sorted(places) if place >= 0])
            self._progressed()
            await self._sleep(_FIRST_PAUSE_S)

    async def _ask_all(self, asked: list[str]) -> list[str]:
        """Asks for these receipts; returns the ids that are still open, in their order."""
        waiting = deque(asked)
        settled: set[str] = set()

        async def ask_in_turn() -> None:
            while waiting:
                correlation_id = waiting.popleft()
                if await self._ask(correlation_id):
                    settled.add(correlation_id)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(CONCURRENCY, len(asked))):
                group.create_task(ask_in_turn())
        return [correlation_id for correlation_id in asked if correlation_id not in settled]

    async def _ask(self, correlation_id: str) -> bool:
        try:
            async with self._session.get(
                self._url + correlation_id, headers=self._headers, timeout=_TIMEOUT
            ) as response:
                status, body = response.status, await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            self._errors.add(f"receipt: {type(error).__name__}", str(error) or "no answer in time")
            return False
        if status == 404:
            return self._ledger.receipt(correlation_id, None)
        receipt = parse(body) if status == 200 else None
        if receipt is None:
            self._errors.add(f"receipt: {status}", body[:200].decode("utf-8", "replace"))
            return False
        return self._ledger.receipt(correlation_id, receipt)


def parse(body: bytes) -> Receipt | None:
    """The gateway's JSON → Receipt, or None when it is none."""
    try:
        content: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict):
        return None
    counts = [content.get(key) for key in ("accepted", "stored", "duplicates", "deadLettered")]
    complete = content.get("complete")
    if not all(isinstance(count, int) for count in counts) or not isinstance(complete, bool):
        return None
    accepted, stored, duplicates, dead_lettered = (int(count) for count in counts if count is not None)
    return Receipt(accepted, stored, duplicates, dead_lettered, complete)
