"""A collector at work: what it stores, what it acknowledges, what it dead-letters."""

import random
from typing import Any

import pytest

from shared.errors import Fatal
from shared.wire import CORRELATION_ID, EVENTS, FORMAT, FORMAT_VERSION, MESSAGE_ID, RECEIVED_AT
from streams.dead_letter import ATTEMPTS, ERROR, ORIGIN, REASON, SOURCE
from tests.integration.collectors.rig import Rig, until
from tests.unit.collectors.samples import encoded, event, headers

NO_BAD_EVENTS = "ALTER TABLE events ADD CONSTRAINT none_is_bad CHECK (event_id NOT LIKE 'bad%')"


def events(*ids: str) -> list[dict[str, Any]]:
    return [event(event_id, amount="1.50") for event_id in ids]


async def letters(collecting: Rig) -> list[tuple[bytes, str]]:
    return [(letter.data or b"", (letter.headers or {})[REASON]) for letter in await collecting.dead_letters()]


async def test_what_is_in_the_stream_is_stored_once_and_acknowledged(collecting: Rig) -> None:
    ids = [f"e-{at:03}" for at in range(500)]
    for at in range(0, 500, 50):
        await collecting.send(events(*ids[at : at + 50]))
    await collecting.send(events(*ids[:50]))

    async with collecting.collector(flush_events=100) as running:
        await collecting.all_settled()
        assert running.counted("collector_events_total", source="facebook", outcome="stored") == 500
        assert running.counted("collector_events_total", source="facebook", outcome="duplicate") == 50

    assert await collecting.ids() == ids
    receipt = await collecting.receipt(550)
    assert (receipt["accepted"], receipt["stored"], receipt["duplicates"]) == (550, 500, 50)
    assert (receipt["deadLettered"], receipt["pending"], receipt["complete"]) == (0, 0, True)


async def test_duplicates_in_a_message_over_messages_and_over_flushes_are_counted_where_they_came(
    collecting: Rig,
) -> None:
    one = await collecting.send(events("a", "a", "b"))
    two = await collecting.send(events("b", "c"))
    async with collecting.collector(flush_age_ms=200):
        await collecting.all_settled()
        three = await collecting.send(events("a", "b", "c", "d", "d"))
        await collecting.all_settled()

    assert await collecting.ledger() == {one: (3, 2, 1, 0), two: (2, 1, 1, 0), three: (5, 1, 4, 0)}


async def test_a_message_whose_acknowledgement_was_lost_is_counted_once(collecting: Rig) -> None:
    message_id = await collecting.send(events("a", "b"))
    async with collecting.collector():
        await collecting.all_settled()
    before = await collecting.fetch("SELECT * FROM batches")
    # The consumer forgets what was acknowledged: the message is delivered again.
    await collecting.connection.jetstream.delete_consumer(collecting.stream, "collector")

    async with collecting.collector() as running:
        await collecting.all_settled()
        await until(lambda: _value(running.counted("collector_flush_events_count", source="facebook")))
        assert running.counted("collector_events_total", source="facebook", outcome="stored") == 0
        assert running.counted("collector_events_total", source="facebook", outcome="duplicate") == 0

    assert await collecting.fetch("SELECT * FROM batches") == before
    assert await collecting.ledger() == {message_id: (2, 2, 0, 0)}


async def _value(value: float) -> float:
    return value


async def test_a_consumer_that_is_deleted_under_a_collector_is_made_again(collecting: Rig) -> None:
    async with collecting.collector() as running:
        restore, shown = running.collector._worker._restore_consumer, []

        async def watched() -> None:
            shown.append(running.counted("collector_consumer_present", source="facebook"))
            await restore()

        running.collector._worker._restore_consumer = watched
        await collecting.send(events("a"))
        await collecting.all_settled()
        assert running.counted("collector_consumer_present", source="facebook") == 1
        await collecting.connection.jetstream.delete_consumer(collecting.stream, "collector")
        await collecting.send(events("b"))

        async def stored() -> bool:
            return await collecting.ids() == ["a", "b"]

        await until(stored)
        assert shown == [0]
        assert running.counted("collector_consumer_present", source="facebook") == 1


async def test_what_postgres_refuses_is_isolated_and_dead_lettered_and_its_neighbours_are_stored(
    collecting: Rig,
) -> None:
    await collecting.execute(NO_BAD_EVENTS)
    sent = [events(*(f"{'bad' if at in {3, 17} else 'good'}-{turn}-{at:02}" for at in range(20))) for turn in range(3)]
    ids = [await collecting.send(one) for one in sent]

    async with collecting.collector(flush_age_ms=300) as running:
        await collecting.all_settled()
        assert running.counted("collector_events_total", source="facebook", outcome="dead_lettered") == 6
        name = "collector_dead_letters_total"
        assert running.counted(name, source="facebook", reason="integrity_error") == 6
        assert running.counted("collector_freshness_seconds_count", source="facebook") == 3
        assert running.trouble() is None

    assert len(await collecting.ids()) == 54
    assert await collecting.ledger() == dict.fromkeys(ids, (20, 18, 0, 2))
    receipt = await collecting.receipt(60)
    assert (receipt["stored"], receipt["deadLettered"], receipt["complete"]) == (54, 6, True)
    found = {letter.data: letter.headers or {} for letter in await collecting.dead_letters()}
    wanted = {encoded(sent[turn][at])[1:-1]: (ids[turn], turn + 1, at) for turn in range(3) for at in (3, 17)}
    assert found.keys() == wanted.keys(), "the bytes that were sent"
    for body, (message_id, sequence, at) in wanted.items():
        about = found[body]
        assert about[MESSAGE_ID] == f"{message_id}:dead:{at}"
        assert about[CORRELATION_ID] == "c-1"
        assert about[SOURCE] == "facebook"
        assert about[REASON] == "integrity_error"
        assert about[ORIGIN] == f"{collecting.stream}:{sequence}"
        assert about[ATTEMPTS] == "1"
        assert "CheckViolationError (23514)" in about[ERROR]
        assert "none_is_bad" in about[ERROR]
        assert "Zoë" not in about[ERROR]


async def test_a_message_that_is_poison_whole_is_terminated_and_its_dead_letters_are_there(collecting: Rig) -> None:
    await collecting.execute(NO_BAD_EVENTS)
    message_id = await collecting.send(events("bad-1", "bad-2"))

    async with collecting.collector():
        await collecting.all_settled()

    assert await collecting.ledger() == {message_id: (2, 0, 0, 2)}
    assert [reason for _, reason in await letters(collecting)] == ["integrity_error"] * 2


async def test_nothing_is_ended_before_its_dead_letters_are_durable(collecting: Rig) -> None:
    await collecting.execute(NO_BAD_EVENTS)
    jetstream, stream = collecting.connection.jetstream, collecting.names.dead_letters_stream
    definition = (await jetstream.stream_info(stream)).config

    async with collecting.collector() as running:
        await until(running.is_started)  # which makes the streams that are missing
        await jetstream.delete_stream(stream)
        message_id = await collecting.send(events("bad-1", "good-1"))

        async def it_says_so() -> bool:
            return "no_stream" in (running.trouble() or "")

        await until(it_says_so)
        assert (await collecting.unsettled(), await collecting.ids(), await collecting.ledger()) == (1, [], {})

        await jetstream.add_stream(definition)
        await collecting.all_settled()

    assert [reason for _, reason in await letters(collecting)] == ["integrity_error"]
    assert await collecting.ledger() == {message_id: (2, 1, 0, 1)}


async def test_data_that_postgres_can_not_hold_is_a_dead_letter_of_its_own_kind(collecting: Rig) -> None:
    nul = event("a")
    nul["data"]["user"]["name"] = "a\0b"
    too_long = event(random.Random(1).randbytes(30_000).hex())  # PostgreSQL would shorten a plainer one
    await collecting.send([nul, event("b"), too_long])

    async with collecting.collector():
        await collecting.all_settled()

    assert await collecting.ids() == ["b"]
    assert sorted(await letters(collecting)) == sorted(
        [(encoded(nul)[1:-1], "data_error"), (encoded(too_long)[1:-1], "data_error")]
    )


ABOUT = headers("m-9", correlation_id="c-9", events=7).encode()
UNREADABLE: dict[str, tuple[bytes, dict[str, str] | None, str, int]] = {
    "garbage": (b"garbage", ABOUT, "undecodable", 7),
    "an empty body": (b"", ABOUT, "undecodable", 7),
    "an object": (b'{"a":1}', ABOUT, "undecodable", 7),
    "a cut body": (encoded(event("a"))[:-9], ABOUT, "undecodable", 7),
    "an unknown format": (encoded(event("a")), ABOUT | {FORMAT: "2"}, "unknown_format", 7),
    "no headers": (encoded(event("a")), None, "unknown_format", 1),
    "no correlation id": (
        encoded(event("a")), {key: ABOUT[key] for key in ABOUT if key != CORRELATION_ID}, "undecodable", 7,
    ),
    "no time": (encoded(event("a")), ABOUT | {RECEIVED_AT: "then"}, "undecodable", 7),
    "no count": (encoded(event("a")), ABOUT | {EVENTS: "x"}, "undecodable", 1),
    "an impossible count": (b"garbage", ABOUT | {EVENTS: "99999999999999"}, "undecodable", 1),
    "ids that are no ASCII": (encoded(event("a")), ABOUT | {CORRELATION_ID: "größe"}, "undecodable", 7),
    "ids without end": (encoded(event("a")), ABOUT | {CORRELATION_ID: "c" * 4_000}, "undecodable", 7),
}  # fmt: skip


async def test_an_unreadable_message_is_dead_lettered_whole_and_stops_nothing(collecting: Rig) -> None:
    for at, (body, about, *_) in enumerate(UNREADABLE.values()):
        await collecting.send_raw(body, about and about | {MESSAGE_ID: f"m-{at}"})
    await collecting.send(events("next"))

    async with collecting.collector() as running:
        await collecting.all_settled()
        assert not running.task.done()

    assert await collecting.ids() == ["next"]
    assert sorted(await letters(collecting)) == sorted((body, reason) for body, _, reason, _ in UNREADABLE.values())
    ledger = await collecting.ledger()
    for at, (name, (_, about, _, counts)) in enumerate(UNREADABLE.items(), start=1):
        message_id = f"m-{at - 1}" if about else f"{collecting.stream}:{at}"
        assert ledger.pop(message_id) == (counts, 0, 0, counts), name
    assert list(ledger.values()) == [(1, 1, 0, 0)]


async def test_bytes_that_are_no_text_in_a_header_stop_nothing(collecting: Rig) -> None:
    """As another client could send them: nats-py itself would not."""
    client = collecting.connection.client
    block = b"NATS/1.0\r\n" + f"{FORMAT}: {FORMAT_VERSION}\r\n{EVENTS}: 1\r\n".encode()
    block += f"{RECEIVED_AT}: {ABOUT[RECEIVED_AT]}\r\n{CORRELATION_ID}: c-1\r\n".encode()
    block += MESSAGE_ID.encode() + b": \xff\xfe\r\n\r\n"
    subject, body = collecting.names.events("facebook"), encoded(event("a"))
    command = f"HPUB {subject} {len(block)} {len(block) + len(body)}\r\n".encode() + block + body + b"\r\n"
    await client._send_command(command)
    await client.flush()
    await collecting.send(events("next"))

    async with collecting.collector():
        await collecting.all_settled()

    assert await collecting.ids() == ["next"]
    assert await letters(collecting) == [(body, "undecodable")]


async def test_too_many_dead_letters_in_a_row_end_it_and_leave_everything_in_the_stream(collecting: Rig) -> None:
    await collecting.execute(NO_BAD_EVENTS)
    for at in range(4):
        await collecting.send(events(*(f"bad-{at}-{each}" for each in range(4))))

    async with collecting.collector(max_dead_letters_in_a_row=10) as running:
        with pytest.raises(BaseExceptionGroup) as told:
            await running.ended()
    assert told.group_contains(Fatal, match="dead letters in a row.*bad release.*MAX_DEAD_LETTERS_IN_A_ROW")

    async def released() -> bool:
        return await collecting.unsettled() == 4 - len(await collecting.ledger())

    assert await until(released)
    assert len(await collecting.ledger()) <= 2, "not more than what is within the bound"

    async with collecting.collector(max_dead_letters_in_a_row=1_000):
        await collecting.all_settled()
    assert len(await letters(collecting)) == 16


async def test_dead_letters_between_stored_events_never_end_it_however_many(collecting: Rig) -> None:
    await collecting.execute(NO_BAD_EVENTS)
    await collecting.send(events(*(f"{'good' if at % 3 == 0 else 'bad'}-{at}" for at in range(30))))

    async with collecting.collector(max_dead_letters_in_a_row=2):
        await collecting.all_settled()

    assert await collecting.fetch("SELECT inserted, dead_lettered FROM batches") == [(10, 20)]


async def test_unreadable_messages_in_a_row_count_over_flushes_too(collecting: Rig) -> None:
    async with collecting.collector(max_dead_letters_in_a_row=3) as running:
        for at in range(3):
            await collecting.send_raw(b"garbage", headers(f"m-{at}", events=100).encode())
            await collecting.all_settled()
        assert not running.task.done()
        await collecting.send_raw(b"garbage", headers("m-4", events=100).encode())
        with pytest.raises(BaseExceptionGroup):
            await running.ended()

    assert len(await collecting.ledger()) == 3
    assert len(await collecting.dead_letters()) == 3
