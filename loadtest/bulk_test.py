"""The bulk test: check → send → watch the receipts → judge.

Invariant: every event sent is in the ledger before it leaves, so whenever the test ends, by success, failure or
Ctrl-C, the summary adds up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from loadtest.errors import CannotRun, ErrorGroups
from loadtest.health import problems
from loadtest.ledger import Ledger, Totals
from loadtest.options import BulkTestOptions
from loadtest.progress import RunProgress
from loadtest.receipts import ReceiptWatch
from loadtest.sender import Answer, Outgoing, Sender
from loadtest.timeline import Timeline
from loadtest.traffic import requests_of
from loadtest.verdict import Check, Times, judge, notes

_RETRIED: Final = frozenset({429, 503})
_LONGEST_RETRY_S: Final = 30.0
_LAST_LOOK_S: Final = 3.0  # after Ctrl-C: long enough for the receipts, short enough for the person


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkTestResult:
    """Everything the summary is made of. `latencies_s`: one an answered attempt, ascending."""

    options: BulkTestOptions
    url: str
    totals: Totals
    times: Times
    latencies_s: tuple[float, ...]
    errors: ErrorGroups
    event_errors: ErrorGroups
    checks: tuple[Check, ...]
    notes: list[str]
    interrupted: bool
    timeline: Timeline


class BulkTest:
    """One run against one gateway. Use once."""

    def __init__(
        self,
        *,
        options: BulkTestOptions,
        url: str,
        session: aiohttp.ClientSession,
        progress: RunProgress,
        stop: asyncio.Event,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._options = options
        self._url = url
        self._session = session
        self._progress = progress
        self._stop = stop
        self._clock = clock
        self._sleep = sleep
        self._sender = Sender(session=session, url=url, timeout_s=options.timeout_s, api_key=options.api_key)
        self._ledger = Ledger()
        self._errors = ErrorGroups()
        self._event_errors = ErrorGroups()
        self._latencies_s: list[float] = []
        self._timeline = Timeline()
        self._started = 0.0
        self._done_events = 0
        self._failed_requests = 0

    async def run(self) -> BulkTestResult:
        """Runs to the end, to the stop event, or to the end of the wait for storage.

        Raises CannotRun, before anything is sent, when a service is not ready.
        """
        down = await problems(self._session, (self._url, *self._options.health_urls))
        if down:
            raise CannotRun("\n".join(["not ready, so nothing was sent:", *(f"  {line}" for line in down)]))
        watch = ReceiptWatch(
            session=self._session,
            url=self._url,
            ledger=self._ledger,
            errors=self._errors,
            progressed=self._show_stored,
            clock=self._clock,
            api_key=self._options.api_key,
            sleep=self._sleep,
        )
        self._started = started = self._clock()
        all_sent = await self._unless_stopped(self._send_all(watch))
        accepted_at = self._clock()
        watched = all_sent and await self._unless_stopped(watch.until_settled(self._options.wait_s))
        if not watched:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_LOOK_S):
                    await watch.until_settled(0)
        ended = self._clock()
        totals = self._ledger.totals()
        times = Times(
            accept_s=accepted_at - started,
            store_s=None if totals.requests_outstanding else ended - started,
            wait_s=ended - accepted_at,
        )
        return BulkTestResult(
            options=self._options,
            url=self._url,
            totals=totals,
            times=times,
            latencies_s=tuple(sorted(self._latencies_s)),
            errors=self._errors,
            event_errors=self._event_errors,
            checks=judge(totals, times, self._options.targets),
            notes=notes(totals),
            interrupted=not watched,
            timeline=self._timeline,
        )

    async def _unless_stopped(self, work: Coroutine[Any, Any, object]) -> bool:
        """Does the work; True when it was done, False when the stop event came first and it was cancelled."""
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task  # its exception, if there is one
                return True
            return False
        finally:
            for unfinished in (task, stopped):
                unfinished.cancel()
            await asyncio.gather(task, stopped, return_exceptions=True)

    async def _send_all(self, watch: ReceiptWatch) -> None:
        following = asyncio.create_task(watch.follow()) if self._options.report else None
        try:
            await self._send_traffic()
        finally:
            if following is not None:
                following.cancel()
                await asyncio.wait({following})
                if not following.cancelled():
                    following.result()  # a bug, which must not go unseen

    async def _send_traffic(self) -> None:
        traffic = requests_of(self._options.plan, single_request=self._options.single_request)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._options.concurrency, self._options.requests)):
                group.create_task(self._send_in_turn(traffic))

    async def _send_in_turn(self, traffic: Iterator[Outgoing]) -> None:
        for outgoing in traffic:
            failed = await self._send(outgoing)
            self._done_events += outgoing.events
            self._failed_requests += failed
            self._progress.sent(done=self._done_events, failed_requests=self._failed_requests)

    async def _send(self, outgoing: Outgoing) -> bool:
        """Sends a request, again where that is asked for and allowed; whether it failed in the end."""
        attempt = 0
        while True:
            answer = await self._attempt(outgoing)
            again = answer.status in _RETRIED and answer.retry_after_s is not None
            if not again or attempt >= self._options.retries:
                return answer.error is not None
            attempt += 1
            await self._sleep(min(answer.retry_after_s or 0.0, _LONGEST_RETRY_S))

    async def _attempt(self, outgoing: Outgoing) -> Answer:
        name = outgoing.correlation_id
        self._ledger.sending(name, events=outgoing.events, invalid=outgoing.invalid, repeated=outgoing.repeated)
        began = self._clock()
        answer = await self._sender.post(outgoing)
        ended = self._clock()
        if answer.status is not None:
            self._latencies_s.append(ended - began)
            self._timeline.answered(ended - self._started, answer.processed, ended - began)
        if answer.error is not None:
            self._errors.add(answer.error, answer.example)
        for kind in answer.event_errors:
            self._event_errors.add(kind.code, kind.example, kind.count)
        if answer.status is None:
            self._ledger.unanswered(name, maybe_taken=answer.maybe_taken)
        else:
            self._ledger.answered(
                name, processed=answer.processed, refused=answer.refused, maybe_taken=answer.maybe_taken
            )
        return answer

    def _show_stored(self) -> None:
        accounted, accepted = self._ledger.accounted(), self._ledger.claimed()
        self._timeline.stored(self._clock() - self._started, self._ledger.stored_about())
        self._progress.stored(accounted=accounted, accepted=accepted)
