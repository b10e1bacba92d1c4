"""Admission: what is booked is given back on every way out, and past a cap nobody comes in."""

import asyncio

import pytest

from gateway.admission import Admission
from gateway.problems import Refused
from shared.metrics import GatewayMetrics
from shared.outcomes import RefuseReason


class Gate:
    """An admission whose reason to be closed the test sets."""

    def __init__(self, *, max_requests: int = 2, max_bytes: int = 100) -> None:
        self.closed: tuple[RefuseReason, str] | None = None
        self.metrics = GatewayMetrics()
        self.admission = Admission(
            max_requests=max_requests, max_bytes=max_bytes, closed_because=lambda: self.closed, metrics=self.metrics
        )

    def assert_holds(self, requests: int, held_bytes: int) -> None:
        """Both counts, and the metrics that tell them."""
        assert (self.admission.requests, self.admission.bytes) == (requests, held_bytes)
        value = self.metrics.registry.get_sample_value
        assert (value("gateway_requests_in_flight"), value("gateway_bytes_in_flight")) == (requests, held_bytes)


@pytest.mark.parametrize("error", [None, ValueError, Refused, asyncio.CancelledError, KeyboardInterrupt])
async def test_what_was_booked_is_given_back_on_every_way_out(error: type[BaseException] | None) -> None:
    gate = Gate()

    def leave() -> None:
        with gate.admission.admit() as ticket:
            ticket.book(60)
            gate.assert_holds(1, 60)
            if error is Refused:
                ticket.book(101)
            elif error is not None:
                raise error

    if error is None:
        leave()
    else:
        with pytest.raises(error):
            leave()
    gate.assert_holds(0, 0)


def test_a_booking_grows_and_never_shrinks() -> None:
    gate = Gate()
    with gate.admission.admit() as ticket:
        for total, booked in ((10, 10), (5, 10), (10, 10), (70, 70), (0, 70)):
            ticket.book(total)
            gate.assert_holds(1, booked)


def test_more_bytes_than_the_cap_are_refused_and_the_booking_stays() -> None:
    gate = Gate()
    with gate.admission.admit() as first, gate.admission.admit() as second:
        first.book(60)
        with pytest.raises(Refused) as caught:
            second.book(41)
        assert (caught.value.status, caught.value.reason) == (503, RefuseReason.BUSY)
        gate.assert_holds(2, 60)
        second.book(40)
        gate.assert_holds(2, 100)
    gate.assert_holds(0, 0)


def test_more_requests_than_the_cap_are_refused_until_one_leaves() -> None:
    gate = Gate(max_requests=1)
    with gate.admission.admit():
        with pytest.raises(Refused) as caught, gate.admission.admit():
            pass
        assert (caught.value.status, caught.value.reason) == (503, RefuseReason.BUSY)
        gate.assert_holds(1, 0)
    with gate.admission.admit():
        gate.assert_holds(1, 0)


@pytest.mark.parametrize("reason", [RefuseReason.DRAINING, RefuseReason.BACKLOG, RefuseReason.NOT_CONNECTED])
def test_closed_it_lets_nobody_in_and_says_why(reason: RefuseReason) -> None:
    gate = Gate()
    with gate.admission.admit() as inside:
        gate.closed = (reason, "because")
        with pytest.raises(Refused, match="because") as caught, gate.admission.admit():
            pass
        assert (caught.value.status, caught.value.reason) == (503, reason)
        inside.book(10)  # who is inside goes on
    gate.assert_holds(0, 0)


async def test_empty_waits_for_the_last_to_leave() -> None:
    gate = Gate()
    await gate.admission.empty()
    with gate.admission.admit():
        with gate.admission.admit():
            pass
        waiting = asyncio.ensure_future(gate.admission.empty())
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 5)
