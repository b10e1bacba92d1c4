"""Following accepted requests by their receipts."""

from collections import Counter
from typing import Any

import aiohttp
import pytest

from loadtest.errors import ErrorGroups
from loadtest.ledger import Ledger, Receipt
from loadtest.receipts import ReceiptWatch, parse


class _Watched:
    """A watch with a ledger that was told of accepted requests the fake gateway has receipts for."""

    def __init__(self, gateway: Any, session: aiohttp.ClientSession, time: Any, requests: int) -> None:
        self.ledger = Ledger()
        self.errors = ErrorGroups()
        self.rounds = 0
        for number in range(requests):
            name = f"r{number}"
            self.ledger.sending(name, events=10, invalid=0, repeated=0)
            self.ledger.answered(name, processed=10, refused=0)
            gateway.receipts[name] = {"accepted": 10, "stored": 10, "duplicates": 0}
        self.watch = ReceiptWatch(
            session=session,
            url=gateway.url,
            ledger=self.ledger,
            errors=self.errors,
            progressed=self._progressed,
            clock=time.clock,
            sleep=time.sleep,
        )

    def _progressed(self) -> None:
        self.rounds += 1


async def test_complete_receipts_are_asked_for_once_and_without_a_pause(gateway: Any, session: Any, time: Any) -> None:
    watched = _Watched(gateway, session, time, requests=50)
    assert await watched.watch.until_settled(60)
    assert Counter(gateway.looks) == {f"r{n}": 1 for n in range(50)}
    assert time.slept_s == []
    assert watched.ledger.accounted() == 500
    assert watched.rounds > 1


async def test_only_open_receipts_are_asked_again_and_less_and_less_often(
    gateway: Any, session: Any, time: Any
) -> None:
    gateway.looks_until_stored = 5
    watched = _Watched(gateway, session, time, requests=4)
    assert await watched.watch.until_settled(60)
    assert set(Counter(gateway.looks).values()) == {6}
    assert len(time.slept_s) == 5
    assert time.slept_s == sorted(time.slept_s)
    assert time.slept_s[-1] > time.slept_s[0]


async def test_pauses_never_grow_past_two_seconds_and_end_with_the_wait(gateway: Any, session: Any, time: Any) -> None:
    gateway.looks_until_stored = 10**6
    watched = _Watched(gateway, session, time, requests=2)
    assert not await watched.watch.until_settled(30)
    assert max(time.slept_s) == 2
    assert time.now_s == pytest.approx(30)
    assert watched.ledger.totals().missing == 20


async def test_a_stuck_request_does_not_keep_the_others_from_being_asked(gateway: Any, session: Any, time: Any) -> None:
    watched = _Watched(gateway, session, time, requests=60)
    for number in range(20):
        gateway.receipts[f"r{number}"]["stored"] = 9
    assert not await watched.watch.until_settled(10)
    assert watched.ledger.outstanding() == [f"r{n}" for n in range(20)]


async def test_without_a_wait_each_receipt_is_still_looked_at_once(gateway: Any, session: Any, time: Any) -> None:
    gateway.looks_until_stored = 1
    watched = _Watched(gateway, session, time, requests=40)
    assert not await watched.watch.until_settled(0)
    assert Counter(gateway.looks) == {f"r{n}": 1 for n in range(40)}


async def test_a_receipt_that_is_not_known_stays_open(gateway: Any, session: Any, time: Any) -> None:
    watched = _Watched(gateway, session, time, requests=1)
    gateway.receipts.clear()
    assert not await watched.watch.until_settled(5)
    assert watched.ledger.totals().missing == 10
    assert watched.errors.sorted() == []


async def test_a_gateway_that_is_gone_is_an_error_and_is_asked_again(session: Any, gateway: Any, time: Any) -> None:
    watched = _Watched(gateway, session, time, requests=1)
    watched.watch = ReceiptWatch(
        session=session,
        url="http://127.0.0.1:1",
        ledger=watched.ledger,
        errors=watched.errors,
        progressed=lambda: None,
        clock=time.clock,
        sleep=time.sleep,
    )
    assert not await watched.watch.until_settled(5)
    [kind] = watched.errors.sorted()
    assert kind.kind.startswith("receipt: ClientConnectorError")
    assert kind.count > 1


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"accepted":"1","stored":1,"duplicates":0,"deadLettered":0,"complete":true}',
     b'{"accepted":1,"stored":1,"duplicates":0,"deadLettered":0}'],
)  # fmt: skip
def test_what_is_no_receipt_is_none(body: bytes) -> None:
    assert parse(body) is None


def test_a_receipt_may_carry_more_than_is_read() -> None:
    body = b'{"accepted":9,"stored":5,"duplicates":3,"deadLettered":1,"pending":0,"complete":true,"bySource":{}}'
    assert parse(body) == Receipt(9, 5, 3, 1, complete=True)
