"""A receipt's figures: accepted = stored + duplicates + dead-lettered + pending, whatever happened."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.receipts import TURN_ROWS, LedgerRow, settle
from streams.receipts import RequestRecord


def _record(
    request: str, accepted: dict[str, int], *, failed: int = 0, unconfirmed: tuple[str, ...] = ()
) -> RequestRecord:
    return RequestRecord(
        request_id=request,
        correlation_id="mine",
        received_at="2026-01-25T17:31:13+00:00",
        accepted=accepted,
        failed=failed,
        unconfirmed=unconfirmed,
    )


def _row(message: str, inserted: int, duplicates: int = 0, dead: int = 0) -> LedgerRow:
    events = inserted + duplicates + dead
    return LedgerRow(message, message.split("-")[1], events, inserted, duplicates, dead)


async def _settled(*given: Any) -> dict[str, Any]:
    records = [item for item in given if isinstance(item, RequestRecord)]
    receipt = await settle(records, [item for item in given if isinstance(item, LedgerRow)])
    assert receipt is not None
    return receipt


def _figures(receipt: dict[str, Any]) -> tuple[int, ...]:
    return tuple(receipt[name] for name in ("accepted", "stored", "duplicates", "deadLettered", "pending"))


async def test_nothing_known_is_no_receipt() -> None:
    assert await settle([], []) is None


async def test_what_is_not_in_the_ledger_yet_is_pending() -> None:
    receipt = await _settled(_record("a", {"facebook": 100, "tiktok": 50}, failed=3), _row("a-facebook-0", 60))
    assert _figures(receipt) == (150, 60, 0, 0, 90)
    assert (receipt["complete"], receipt["failed"], receipt["requests"]) == (False, 3, 1)
    assert receipt["bySource"]["tiktok"]["pending"] == 50


async def test_every_outcome_counts_and_makes_it_complete() -> None:
    receipt = await _settled(_record("a", {"facebook": 10}), _row("a-facebook-0", 5, 1), _row("a-facebook-1", 0, 2, 2))
    assert _figures(receipt) == (10, 5, 3, 2, 0)
    assert receipt["complete"]


async def test_requests_of_one_correlation_id_are_summed() -> None:
    receipt = await _settled(
        _record("a", {"facebook": 4}, failed=1),
        _record("b", {"facebook": 4}, failed=1),
        _row("a-facebook-0", 4),
        _row("b-facebook-0", 0, 4),
    )
    assert _figures(receipt) == (8, 4, 4, 0, 0)
    assert (receipt["requests"], receipt["failed"]) == (2, 2)


async def test_an_unconfirmed_message_counts_only_once_it_turns_up() -> None:
    record = _record("a", {"facebook": 10}, unconfirmed=("a-facebook-1",))
    stored = _row("a-facebook-0", 10)
    assert _figures(await _settled(record, stored)) == (10, 10, 0, 0, 0)
    assert _figures(await _settled(record, stored, _row("a-facebook-1", 3, 4))) == (17, 13, 4, 0, 0)


async def test_a_confirmed_message_is_not_counted_as_accepted_twice() -> None:
    record = _record("a", {"facebook": 10}, unconfirmed=("a-facebook-1",))
    assert _figures(await _settled(record, _row("a-facebook-0", 10)))[0] == 10


async def test_messages_of_a_request_without_a_record_count_as_accepted() -> None:
    receipt = await _settled(_row("lost-tiktok-0", 5, 1, 1))
    assert _figures(receipt) == (7, 5, 1, 1, 0)
    assert receipt["complete"]


async def test_a_request_of_invalid_events_alone_leaves_nothing_pending() -> None:
    receipt = await _settled(_record("a", {}, failed=7))
    assert _figures(receipt) == (0, 0, 0, 0, 0)
    assert (receipt["complete"], receipt["failed"], receipt["bySource"]) == (True, 7, {})


_messages = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["facebook", "tiktok"]),
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
        st.sampled_from(["confirmed", "unconfirmed"]),
        st.booleans(),
    ),
    max_size=12,
)


@given(messages=_messages, recorded=st.sets(st.sampled_from("abc")))
async def test_the_figures_always_add_up_and_nothing_is_ever_surplus(messages: list[Any], recorded: set[str]) -> None:
    records, ledger, expected = [], [], 0
    for request in recorded:
        mine = [(ordinal, message) for ordinal, message in enumerate(messages) if message[0] == request]
        accepted: dict[str, int] = {}
        for _, (_, source, split, confirmed, _stored) in mine:
            if confirmed == "confirmed":
                accepted[source] = accepted.get(source, 0) + sum(split)
        unconfirmed = tuple(f"{request}-{m[1]}-{ordinal}" for ordinal, m in mine if m[3] == "unconfirmed")
        records.append(_record(request, accepted, unconfirmed=unconfirmed))
    for ordinal, (request, source, split, confirmed, stored) in enumerate(messages):
        if stored:
            ledger.append(_row(f"{request}-{source}-{ordinal}", *split))
        if stored or (confirmed == "confirmed" and request in recorded):
            expected += sum(split)

    receipt = await settle(records, ledger)

    if not records and not ledger:
        assert receipt is None
        return
    assert receipt is not None
    for figures in (receipt, *receipt["bySource"].values()):
        accepted_, stored_, duplicates, dead, pending = _figures(figures)
        assert accepted_ == stored_ + duplicates + dead + pending
        assert pending >= 0
    assert receipt["accepted"] == expected
    assert receipt["complete"] == (receipt["pending"] == 0)
    assert receipt["requests"] >= len(recorded)


async def test_a_large_receipt_leaves_turns_to_others() -> None:
    ledger = [_row(f"a-facebook-{ordinal}", 1) for ordinal in range(5 * TURN_ROWS)]
    singles = [(f"b.{ordinal}", "tiktok") for ordinal in range(5 * TURN_ROWS)]
    settling = asyncio.create_task(settle([_record("a", {"facebook": 5 * TURN_ROWS})], ledger, singles))
    turns = 0
    while not settling.done() and turns < 1_000:
        await asyncio.sleep(0)
        turns += 1
    receipt = await settling
    assert receipt is not None
    assert _figures(receipt) == (10 * TURN_ROWS, 5 * TURN_ROWS, 0, 0, 5 * TURN_ROWS)
    assert turns >= 5 * 5  # it goes through the rows three times, and twice through the single events
