"""The receipt of a request parts of which were put through again: it adds up at every moment, whatever is lost."""

from collections.abc import Iterable, Sequence
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from gateway.receipts import LedgerRow, settle
from streams.message_ids import replay_id, revival_id
from streams.receipts import RequestRecord

REQUEST = "0af7651916cd43dd8448eb211c80319c"
MESSAGE = f"{REQUEST}-facebook-0"
FIGURES = ("accepted", "stored", "duplicates", "deadLettered", "pending")


def record(accepted: int, *, unconfirmed: Sequence[str] = ()) -> RequestRecord:
    return RequestRecord(
        request_id=REQUEST, correlation_id="c", received_at="", accepted={"facebook": accepted}, failed=0,
        unconfirmed=unconfirmed,
    )  # fmt: skip


def row(message_id: str, inserted: int, duplicates: int = 0, dead: int = 0, *, source: str = "facebook") -> LedgerRow:
    return LedgerRow(message_id, source, inserted + duplicates + dead, inserted, duplicates, dead)


async def figures(records: Iterable[RequestRecord], rows: Iterable[LedgerRow]) -> tuple[int, ...]:
    receipt = await settle(records, rows)
    assert receipt is not None
    for line in [receipt, *receipt["bySource"].values()]:
        assert min(line[name] for name in FIGURES) >= 0, receipt
        assert line["accepted"] == sum(line[name] for name in FIGURES[1:])
    return (*(receipt[name] for name in FIGURES), receipt["replayed"])


async def test_a_dead_letter_that_was_put_through_is_no_longer_one_but_what_it_came_to() -> None:
    rows = [row(MESSAGE, 97, 1, 2), row(revival_id(MESSAGE, 5), 1), row(revival_id(MESSAGE, 9), 0, 1)]
    for order in permutations(rows):
        assert await figures([record(100)], order) == (100, 98, 2, 0, 0, 2)


async def test_a_dead_letter_that_is_one_again_is_counted_as_one_until_it_is_mended() -> None:
    first = revival_id(MESSAGE, 5)
    rows = [row(MESSAGE, 99, 0, 1), row(first, 0, 0, 1)]
    assert await figures([record(100)], rows) == (100, 99, 0, 1, 0, 1)
    assert await figures([record(100)], [*rows, row(revival_id(first, 0), 1)]) == (100, 100, 0, 0, 0, 2)


async def test_a_message_from_the_stream_counts_once_and_in_place_of_a_row_that_is_lost() -> None:
    whole, replay = row(MESSAGE, 99, 0, 1), row(replay_id(MESSAGE), 4, 95, 1)
    for order in permutations([whole, replay]):
        assert await figures([record(100)], order) == (100, 99, 0, 1, 0, 100)
    assert await figures([record(100)], [replay]) == (100, 4, 95, 1, 0, 100)


async def test_a_message_and_its_replay_have_one_dead_letter_between_them() -> None:
    revived = row(revival_id(MESSAGE, 5), 1)
    assert revival_id(replay_id(MESSAGE), 5) == revived.message_id
    rows = [row(MESSAGE, 99, 0, 1), row(replay_id(MESSAGE), 0, 99, 1), revived]
    for order in permutations(rows):
        assert await figures([record(100)], order) == (100, 100, 0, 0, 0, 101)


async def test_a_dead_letter_that_is_stored_before_its_message_is_in_the_ledger_was_pending() -> None:
    revived = row(revival_id(MESSAGE, 5), 1)
    assert await figures([record(100)], [revived]) == (100, 1, 0, 0, 99, 1)
    assert await figures([], [revived]) == (1, 1, 0, 0, 0, 1), "a request without a record is known by its rows alone"
    assert await figures([record(0, unconfirmed=[MESSAGE])], [revived]) == (1, 1, 0, 0, 0, 1)
    again = row(revival_id(revived.message_id, 0), 1)
    assert await figures([record(100)], [row(MESSAGE, 99, 0, 1), again]) == (100, 100, 0, 0, 0, 1)


async def test_a_replay_of_an_unconfirmed_message_is_as_late_as_the_message() -> None:
    records = [record(0, unconfirmed=[MESSAGE])]
    assert await figures(records, [row(replay_id(MESSAGE), 10)]) == (10, 10, 0, 0, 0, 10)
    assert await figures(records, [row(MESSAGE, 10), row(replay_id(MESSAGE), 0, 10)]) == (10, 10, 0, 0, 0, 10)


async def test_a_stored_event_that_a_replay_dead_lettered_takes_nothing_from_the_request() -> None:
    rows = [row(MESSAGE, 100), row(replay_id(MESSAGE), 0, 99, 1), row(revival_id(MESSAGE, 5), 0, 1)]
    assert await figures([record(100)], rows) == (100, 100, 0, 0, 0, 101)


async def test_an_event_that_turns_out_to_be_of_another_source_moves_there() -> None:
    rows = [row(MESSAGE, 9, 0, 1), row(revival_id(MESSAGE, 5), 1, source="tiktok")]
    receipt = await settle([record(10)], rows)
    assert receipt is not None
    assert [receipt["bySource"][source]["accepted"] for source in ("facebook", "tiktok")] == [9, 1]
    assert await figures([record(10)], rows) == (10, 10, 0, 0, 0, 1)


@given(st.data())
async def test_whatever_is_put_through_again_however_often_every_receipt_adds_up(data: st.DataObject) -> None:
    """A history of messages whose events die and are put through at random, looked at with rows missing."""
    rows: dict[str, LedgerRow] = {}
    total = 0
    graves: list[tuple[str, int]] = []
    for ordinal in range(data.draw(st.integers(1, 3))):
        message_id = f"{REQUEST}-facebook-{ordinal}"
        events = data.draw(st.integers(1, 5))
        dead = data.draw(st.sets(st.integers(0, events - 1)))
        total += events
        graves += [(message_id, index) for index in dead]
        rows[message_id] = row(message_id, events - len(dead), 0, len(dead))
        if data.draw(st.booleans()):
            rows[replay_id(message_id)] = row(replay_id(message_id), 0, events - len(dead), len(dead))
            graves += [(replay_id(message_id), index) for index in dead]
    buried = len({revival_id(*grave) for grave in graves})
    for _ in range(data.draw(st.integers(0, 12)) if graves else 0):
        grave = data.draw(st.sampled_from(graves))
        message_id, dies = revival_id(*grave), data.draw(st.booleans())
        if message_id not in rows:  # else the ledger keeps the first
            rows[message_id] = row(message_id, 0, 0, 1) if dies else row(message_id, 1)
            graves += [(message_id, 0)] if dies else []
            buried -= not dies
    everything = data.draw(st.permutations(list(rows.values())))
    assert (await figures([record(total)], everything))[:5] == (total, total - buried, 0, buried, 0)
    lost = data.draw(st.sets(st.sampled_from(list(rows))))
    await figures([record(total)], [one for one in everything if one.message_id not in lost])
