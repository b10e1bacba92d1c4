"""The sender: keeps posting seeded bulks, several at a time, and retries each until it is answered 2xx.

A retry is the same body under the same correlation id, as a good sender makes it, with back-off. The longest outage is
the longest time in which no request was answered 2xx although several were always trying.
"""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from loadtest.generator import Batch, Plan, batches
from loadtest.sender import Answer, Outgoing
from loadtest.sender import Sender as Poster
from tests.faults.ledger import Ledger

WORKERS: Final = 4
EVENTS_A_REQUEST: Final = 200
REQUESTS_A_SECOND: Final = 10.0
"""Over all workers: enough that something is in flight at every moment, few enough for two cores."""
ANSWER_TIMEOUT_S: Final = 8.0
FIRST_RETRY_S, LONGEST_RETRY_S = 0.05, 1.0
ENDLESS_EVENTS: Final = 50_000_000


@dataclass(slots=True)
class Successes:
    """When requests that were answered 2xx had begun and ended, by the monotonic clock; only the latest is kept."""

    last_end_s: float
    longest_gap_s: float = 0.0
    latest_begin_s: float = 0.0
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, *, begin_s: float, end_s: float) -> None:
        """One more."""
        self.longest_gap_s = max(self.longest_gap_s, end_s - self.last_end_s)
        self.last_end_s = end_s
        self.latest_begin_s = max(self.latest_begin_s, begin_s)
        self.grown.set()


class Sender:
    """Sends for one phase, whose name is in every correlation id. Use as: start, …, finish."""

    def __init__(self, *, url: str, phase: str, seed: int, ledger: Ledger) -> None:
        self.ledger = ledger
        self.answers: dict[str, int] = {}
        """How often each kind of answer came: a status, or what kept it from coming."""
        self.drop_next = 0
        """So many of the next attempts are given up just after they were sent, their answers never read."""
        self._url = url
        self.phase = phase
        self._random = random.Random(seed)
        self._batches = batches(
            Plan(
                total=ENDLESS_EVENTS,
                batch=EVENTS_A_REQUEST,
                invalid_share=0.01,
                duplicates_share=0.02,
                seed=seed,
            )
        )
        self._finishing = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self.successes = Successes(time.monotonic())

    @property
    def attempts(self) -> int:
        """Requests sent, retries included."""
        return sum(request.attempts for request in self.ledger.requests.values())

    def start(self) -> None:
        """Begin to send."""
        self.successes = Successes(time.monotonic())
        self._workers = [asyncio.create_task(self._work(number)) for number in range(WORKERS)]

    async def finish(self, *, within_s: float) -> None:
        """Begin no new request, and wait until those that were begun have their 2xx. Raises TimeoutError."""
        self._finishing.set()
        try:
            async with asyncio.timeout(within_s):
                await asyncio.gather(*self._workers)
        finally:
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)

    async def succeeded_since(self, since_s: float, *, within_s: float) -> None:
        """Wait until a request that began after `since_s` (monotonic) was answered 2xx. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while self.successes.latest_begin_s <= since_s:
                self._raise_if_broken()
                self.successes.grown.clear()
                await self.successes.grown.wait()

    async def _work(self, number: int) -> None:
        async with aiohttp.ClientSession() as session:
            poster = Poster(session=session, url=self._url, timeout_s=ANSWER_TIMEOUT_S)
            await asyncio.sleep(number / REQUESTS_A_SECOND)
            while not self._finishing.is_set():
                begun_s = time.monotonic()
                await self._deliver(poster, next(self._batches))
                await asyncio.sleep(max(0.0, begun_s + WORKERS / REQUESTS_A_SECOND - time.monotonic()))

    async def _deliver(self, poster: Poster, batch: Batch) -> None:
        correlation_id = f"{self.phase}-{batch.number}"
        self.ledger.sending(correlation_id, batch)
        outgoing = Outgoing(
            correlation_id=correlation_id,
            events=len(batch.events),
            invalid=len(batch.invalid),
            repeated=len(batch.repeated),
            body=batch.array,
        )
        wait_s = FIRST_RETRY_S
        while True:
            begun_s = time.monotonic()
            answer = await self._attempt(poster, outgoing)
            self.ledger.answered(correlation_id, status=answer.status, processed=answer.processed)
            kind = str(answer.status or answer.error)
            self.answers[kind] = self.answers.get(kind, 0) + 1
            if answer.status == 200:
                self.successes.add(begin_s=begun_s, end_s=time.monotonic())
                return
            asked_s = answer.retry_after_s or 0.0
            await asyncio.sleep(max(asked_s, wait_s) * self._random.uniform(0.75, 1.25))
            wait_s = min(2 * wait_s, LONGEST_RETRY_S)

    async def _attempt(self, poster: Poster, outgoing: Outgoing) -> Answer:
        if self.drop_next <= 0:
            return await poster.post(outgoing)
        self.drop_next -= 1
        try:
            async with asyncio.timeout(self._random.uniform(0.001, 0.03)):
                return await poster.post(outgoing)
        except TimeoutError:  # of ours: the poster's own is an answer
            return Answer(status=None, error="dropped by the sender", maybe_taken=True)

    def _raise_if_broken(self) -> None:
        for worker in self._workers:
            if worker.done() and not worker.cancelled():
                worker.result()
