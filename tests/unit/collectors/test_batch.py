"""When a batch is due, what it holds, and which dead letters come of it."""

from collections.abc import Iterable

import pytest

from collectors.batch import Batch, Message, decode, messages
from collectors.rows import RowBuilder
from shared.errors import Poison
from shared.events import REGISTRY
from shared.outcomes import DeadLetterReason
from shared.wire import CORRELATION_ID, EVENTS, FORMAT, MESSAGE_ID, RECEIVED_AT
from tests.unit.collectors.samples import delivery, delivery_of, encoded, event, headers

BUILDER = RowBuilder(REGISTRY["facebook"])
POISON = Poison(DeadLetterReason.DATA_ERROR, "it is no use")


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def a_batch(
    *, events: int = 1_000, body_bytes: int = 1_000_000, age_s: float = 0.2, clock: Clock | None = None
) -> Batch:
    return Batch(max_events=events, max_bytes=body_bytes, max_age_s=age_s, clock=clock or Clock())


def message(first: int, count: int) -> Message:
    ids = range(first, first + count)
    return decode(delivery_of([event(f"e-{at}") for at in ids], f"m-{first}", sequence=first + 1), BUILDER)


def of(messages: Iterable[Message]) -> Batch:
    batch = a_batch()
    for one in messages:
        batch.add(one)
    return batch


def test_an_empty_batch_is_never_due() -> None:
    clock = Clock()
    batch = a_batch(clock=clock)
    clock.now_s += 1_000

    assert not batch.is_due
    assert batch.remaining_s == 0.2


def test_a_batch_is_due_with_its_last_event() -> None:
    batch = a_batch(events=5)
    batch.add(message(0, 2))
    batch.add(message(2, 2))
    assert (batch.is_due, batch.room_events) == (False, 1)

    batch.add(message(4, 3))

    assert (batch.is_due, batch.room_events, batch.events) == (True, 0, 7)


def test_a_batch_is_due_with_its_last_byte() -> None:
    first, second = message(0, 1), message(1, 1)
    size = len(first.delivery.body) + len(second.delivery.body)
    batch = a_batch(body_bytes=size)
    batch.add(first)
    was_due = batch.is_due

    batch.add(second)

    assert (was_due, batch.is_due, batch.body_bytes) == (False, True, size)


def test_a_batch_is_due_at_its_age_counted_from_its_first_message() -> None:
    clock = Clock()
    batch = a_batch(clock=clock)
    clock.now_s += 50
    batch.add(message(0, 1))
    clock.now_s += 0.15
    batch.add(message(1, 1))
    assert not batch.is_due
    assert batch.remaining_s == pytest.approx(0.05)

    clock.now_s += 0.06

    assert batch.is_due


def test_rows_come_in_order_with_their_message_and_place() -> None:
    first, second = message(0, 2), message(2, 1)

    found = [(which.message_id, index, row.event_id) for which, index, row in of([first, second]).rows()]

    assert found == [("m-0", 0, "e-0"), ("m-0", 1, "e-1"), ("m-2", 0, "e-2")]


def test_one_event_that_can_not_be_decoded_leaves_its_neighbours() -> None:
    broken = b'{ "eventId": 5 }'
    found = decode(delivery_of([event("e-0"), broken, event("e-2")]), BUILDER)
    batch = of([found])

    assert [row.event_id for _, _, row in batch.rows()] == ["e-0", "e-2"]
    assert (found.events, found.dead_events, found.is_dead) == (3, 1, False)
    [letter] = batch.dead_letters("facebook")
    assert (letter.body, letter.index, letter.reason) == (broken, 1, DeadLetterReason.UNDECODABLE)
    assert (letter.origin_id, letter.correlation_id, letter.stream, letter.stream_seq) == ("m-1", "c-1", "STREAM", 1)


def test_a_buried_event_is_a_dead_letter_with_the_bytes_it_came_in() -> None:
    raw = b'{"eventId" : "e-1", "timestamp":"2026-01-25T17:31:13Z","source":"facebook","funnelStage":"top",'
    raw += b'"eventType":"comment","data":{ "user":{"userId":"u"},"engagement":{} } , "new":true}'
    found = decode(delivery_of([event("e-0"), raw]), BUILDER)
    batch = of([found])

    batch.bury(found, 1, POISON)

    assert [row.event_id for _, _, row in batch.rows()] == ["e-0"]
    [letter] = batch.dead_letters("facebook")
    assert (letter.body, letter.error, letter.reason) == (raw, POISON.detail, POISON.reason)


@pytest.mark.parametrize("body", [b"garbage", b"", b'{"a":1}', b"\xff"])
def test_a_body_that_can_not_be_read_is_one_dead_letter_for_all_its_events(body: bytes) -> None:
    found = decode(delivery(body, headers("m-9", correlation_id="c-9", events=70).encode(), sequence=4), BUILDER)

    assert (found.events, found.dead_events, found.is_dead) == (70, 70, True)
    assert (found.message_id, found.correlation_id) == ("m-9", "c-9")
    [letter] = of([found]).dead_letters("facebook")
    assert (letter.body, letter.index, letter.stream_seq) == (body, 0, 4)


def test_an_unknown_format_is_one_dead_letter_that_counts_in_its_receipt() -> None:
    about = headers("m-9", correlation_id="c-9", events=70).encode() | {FORMAT: "2"}
    found = decode(delivery(b"??", about), BUILDER)

    assert (found.message_id, found.correlation_id, found.events, found.is_dead) == ("m-9", "c-9", 70, True)
    [letter] = of([found]).dead_letters("facebook")
    assert letter.reason is DeadLetterReason.UNKNOWN_FORMAT


@pytest.mark.parametrize("about", [None, {}, {FORMAT: "1"}])
def test_a_message_without_headers_is_one_dead_letter_by_its_place_in_the_stream(
    about: dict[str, str] | None,
) -> None:
    found = decode(delivery(encoded(event("e-1")), about, sequence=12), BUILDER)

    assert (found.message_id, found.correlation_id, found.events) == ("STREAM:12", "unknown", 1)
    assert found.is_dead


@pytest.mark.parametrize(
    "wrong",
    [
        {MESSAGE_ID: "\udcff"},  # what nats-py makes of bytes that are no UTF-8
        {MESSAGE_ID: "m" * 3_000},
        {MESSAGE_ID: ""},
        {CORRELATION_ID: "c\0c"},
        {CORRELATION_ID: "größe"},
        {CORRELATION_ID: "c" * 256},
        {EVENTS: "many"},
        {RECEIVED_AT: "yesterday"},
        {RECEIVED_AT: "2026-01-25T17:31:13"},
    ],
)
def test_headers_that_the_ledger_can_not_hold_are_a_dead_letter_and_stop_nothing(wrong: dict[str, str]) -> None:
    found = decode(delivery(encoded(event("e-1")), headers().encode() | wrong, sequence=3), BUILDER)

    assert found.is_dead
    assert found.message_id in {"m-1", "STREAM:3"}
    assert found.correlation_id in {"c-1", "unknown"}
    assert found.events == 1


@pytest.mark.parametrize("events", ["-5", "0", "99999999999999999999", "9" * 10_000, "", "1_0", "٣", "1.5"])
def test_an_impossible_count_of_an_unreadable_message_counts_one(events: str) -> None:
    assert decode(delivery(b"garbage", headers().encode() | {EVENTS: events}), BUILDER).events == 1


def test_a_message_says_how_many_events_it_has_and_its_body_knows_better() -> None:
    found = decode(delivery(encoded(event("a"), event("b")), headers(events=9).encode()), BUILDER)

    assert found.events == 2


def dead(first: int, count: int, *which: int) -> Message:
    found = message(first, count)
    for index in which:
        found.rows[index] = None
        found.dead[index] = POISON
    return found


def test_dead_letters_in_a_row_are_counted_over_messages_and_batches_until_an_event_is_storable() -> None:
    unreadable = decode(delivery(b"garbage", headers(events=100).encode()), BUILDER)

    assert of([dead(0, 3)]).dead_in_a_row(4) == (4, 0)
    assert of([dead(0, 3, 1)]).dead_in_a_row(0) == (1, 0)
    assert of([dead(0, 3, 1, 2), dead(3, 3, 0)]).dead_in_a_row(0) == (3, 0)
    assert of([dead(0, 3, 0, 1, 2), dead(3, 2, 0, 1)]).dead_in_a_row(4) == (9, 9)
    assert of([dead(0, 3, 0, 1), dead(3, 2, 1)]).dead_in_a_row(4) == (6, 1)
    assert of([unreadable, dead(0, 1, 0)]).dead_in_a_row(1) == (3, 3), "a letter each, whatever it stands for"


def a_group(events: int, correlation_ids: str) -> list[Message]:
    about = headers("g", correlation_id=correlation_ids, events=events).encode()
    return messages(delivery(encoded(*(event(f"e-{at}") for at in range(events))), about, sequence=5), BUILDER)


def test_a_group_of_single_events_is_a_message_for_each_that_share_a_delivery() -> None:
    found = a_group(3, "c-1 c-2 c-1")

    assert [(one.message_id, one.correlation_id, one.events) for one in found] == [
        ("g.0", "c-1", 1), ("g.1", "c-2", 1), ("g.2", "c-1", 1),
    ]  # fmt: skip
    assert [row.event_id for _, _, row in of(found).rows()] == ["e-0", "e-1", "e-2"]
    assert of(found).deliveries == {found[0].delivery: False}


def test_a_groups_delivery_is_dead_only_where_all_of_it_is() -> None:
    found = a_group(2, "c-1 c-2")
    batch = of(found)
    batch.bury(found[0], 0, POISON)
    assert batch.deliveries == {found[0].delivery: False}
    [letter] = batch.dead_letters("facebook")
    assert (letter.origin_id, letter.correlation_id, letter.index) == ("g.0", "c-1", 0)

    batch.bury(found[1], 0, POISON)

    assert batch.deliveries == {found[0].delivery: True}


def test_a_group_that_does_not_fit_its_ids_is_a_dead_letter_whole() -> None:
    [found] = a_group(2, "c-1 c-2 c-3")

    assert (found.is_dead, found.events, found.correlation_id) == (True, 2, "unknown")
