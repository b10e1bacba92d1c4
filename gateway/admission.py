"""Who may come in: caps on requests and bytes in flight, the backlog guard, draining.

Invariant: memory is bounded. What a request holds is booked before it is read, and given back on every
way out; past a cap a request is refused at once, so that those inside finish fast.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from gateway.problems import Refused
from shared.metrics import GatewayMetrics
from shared.outcomes import RefuseReason


class Ticket:
    """One admitted request's booking of bytes."""

    def __init__(self, admission: "Admission") -> None:
        self._admission = admission
        self.booked_bytes = 0

    def book(self, total_bytes: int) -> None:
        """Make the booking `total_bytes` in all, where it is less. Raises Refused (503) over the cap."""
        if (more := total_bytes - self.booked_bytes) > 0:
            self._admission.take_bytes(more)
            self.booked_bytes = total_bytes


class Admission:
    """Counts what is in flight and decides. Lives in one event loop."""

    def __init__(
        self,
        *,
        max_requests: int,
        max_bytes: int,
        closed_because: Callable[[], tuple[RefuseReason, str] | None],
        metrics: GatewayMetrics,
    ) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._closed_because = closed_because
        self._metrics = metrics
        self.requests = 0
        self.bytes = 0
        self._empty = asyncio.Event()
        self._empty.set()

    async def empty(self) -> None:
        """Wait until no request is in flight."""
        await self._empty.wait()

    @contextmanager
    def admit(self) -> Iterator[Ticket]:
        """For the length of one request. Raises Refused (503) where it can't be taken now."""
        if (closed := self._closed_because()) is not None:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, *closed)
        if self.requests >= self._max_requests:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                RefuseReason.BUSY,
                f"{self.requests} requests are being worked on already; send this one again later",
            )
        ticket = Ticket(self)
        self._set(self.requests + 1, self.bytes)
        try:
            yield ticket
        finally:
            self._set(self.requests - 1, self.bytes - ticket.booked_bytes)

    def take_bytes(self, more: int) -> None:
        """Book bytes for a ticket. Raises Refused (503) over the cap."""
        if self.bytes + more > self._max_bytes:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                RefuseReason.BUSY,
                "The requests being worked on hold all the memory there is for them; send this one again later",
            )
        self._set(self.requests, self.bytes + more)

    def _set(self, requests: int, held_bytes: int) -> None:
        self.requests, self.bytes = requests, held_bytes
        (self._empty.clear if requests else self._empty.set)()
        self._metrics.requests_in_flight.set(requests)
        self._metrics.bytes_in_flight.set(held_bytes)
