"""Replays on real servers: a time range goes through the collectors again, and every receipt still adds up."""

import asyncio
from datetime import timedelta

import pytest

from shared.errors import Fatal, NotDurable, Retryable
from shared.outcomes import PublishFailure
from shared.wire import MESSAGE_ID
from streams.pace import Pace
from streams.publisher import Published, Publisher
from streams.reader import StreamReader
from streams.replay import CHUNK_MESSAGES
from tests.integration.collectors.rig import Rig
from tests.integration.streams.putting_through import (
    Answer,
    bury,
    collect,
    collecting,
    events,
    outlive_duplicate_window,
    run,
)
from tests.unit.collectors.samples import encoded, headers

__all__ = ["collecting"]  # a fixture

TABLES = ("events", "demographics", "revenue")
REPLAY = ("replay", "--source", "facebook", "--yes", "--since")


async def tables(collecting: Rig) -> dict[str, list[tuple[str, ...]]]:
    return {table: await collecting.fetch(f"SELECT t::text FROM {table} t ORDER BY 1") for table in TABLES}


async def receipt(collecting: Rig, accepted: int) -> tuple[int, ...]:
    answer = await collecting.receipt(accepted)
    names = ("accepted", "stored", "duplicates", "deadLettered", "pending", "replayed")
    return tuple(answer[name] for name in names)


async def stored_at(collecting: Rig, seq: int) -> str:
    message = await StreamReader(collecting.connection, collecting.stream).get(seq)
    assert message is not None
    return message.stored_at.isoformat()


async def last_seq(collecting: Rig) -> int:
    return (await StreamReader(collecting.connection, collecting.stream).span())[1]


async def test_a_table_that_was_lost_comes_back_as_it_was_and_no_receipt_changes(collecting: Rig) -> None:
    for turn in range(3):
        await collecting.send(events(f"{turn}-a", f"{turn}-b", "twice"))
    await collect(collecting)
    before = await tables(collecting)
    assert await receipt(collecting, 9) == (9, 7, 2, 0, 0, 0)
    await collecting.execute("TRUNCATE revenue; DELETE FROM events WHERE event_id LIKE '1-%'")

    async with collecting.collector():  # at work all the time
        said = await run(collecting, *REPLAY, "1h")
        assert said == f"3 messages replayed to the end of {collecting.stream}\n"
        await collecting.all_settled()
    assert await tables(collecting) == before
    assert await receipt(collecting, 9) == (9, 7, 2, 0, 0, 9)


async def test_a_whole_database_that_was_lost_comes_back_with_receipts_that_are_complete(collecting: Rig) -> None:
    await collecting.send(events("a", "b"))
    await bury(collecting, "c", "bad-1")
    await run(collecting, "dead-letters", "replay")
    await collect(collecting)
    before = await tables(collecting)
    assert await receipt(collecting, 4) == (4, 4, 0, 0, 0, 1)
    await collecting.execute("TRUNCATE events, demographics, revenue, batches")
    await run(collecting, *REPLAY, "1h")
    await collect(collecting)
    assert await tables(collecting) == before
    # The bad one is no longer bad: it is stored with its message, and its own replay finds it there.
    stored = await receipt(collecting, 4)
    assert (stored[0], stored[1], stored[4]) == (4, 4, 0)


async def test_only_what_was_stored_in_the_time_is_replayed(collecting: Rig) -> None:
    for name in "abcdef":
        await collecting.send(events(name))
    await collecting.send([])
    second, fourth, seventh = [await stored_at(collecting, seq) for seq in (2, 4, 7)]
    await collect(collecting)
    for since, until, wanted in [
        (second, fourth, ["b", "c"]),
        (fourth, seventh, ["d", "e", "f"]),
        ("1h", second, ["a"]),
    ]:
        await collecting.execute("TRUNCATE events")
        await outlive_duplicate_window(collecting)
        before = await last_seq(collecting)
        await run(collecting, *REPLAY, since, "--until", until)
        assert await last_seq(collecting) == before + len(wanted)
        await collect(collecting)
        assert await collecting.ids() == wanted
    assert "has nothing of that time" in await run(collecting, *REPLAY, "2h", "--until", "1h")
    assert "has nothing of that time" in await run(collecting, "replay", "--source", "tiktok", "--since", "1h")


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_replay_twice_and_a_replay_of_a_replay_double_nothing(collecting: Rig, is_late: bool) -> None:
    await collecting.send(events("a", "b"))
    await collecting.send(events("c"))
    await collect(collecting)
    before, until = await tables(collecting), (await stored_at(collecting, 2))
    await run(collecting, *REPLAY, "1h")
    await collect(collecting)
    if is_late:
        await outlive_duplicate_window(collecting)
    last = await last_seq(collecting)

    said = await run(collecting, *REPLAY, until)  # the second message and both replays
    if is_late:
        assert await last_seq(collecting) > last
    else:
        assert "3 messages replayed less than two minutes ago before" in said
        assert await last_seq(collecting) == last
    await collect(collecting)
    assert await tables(collecting) == before
    assert await receipt(collecting, 3) == (3, 3, 0, 0, 0, 3)


async def test_a_message_goes_again_as_it_was_and_the_consumer_stays_where_it_is(collecting: Rig) -> None:
    about = headers("m-1", events=1).encode() | {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    }
    await collecting.send_raw(encoded(*events("a")), dict(about))
    jetstream, names = collecting.connection.jetstream, collecting.names
    group = headers("g-1", correlation_id="x y", events=2).encode()
    await jetstream.publish(names.grouped("facebook"), encoded(*events("b", "c")), headers=dict(group))
    await collect(collecting)
    consumer = await jetstream.consumer_info(collecting.stream, "collector")
    await run(collecting, *REPLAY, "1h")
    for seq, subject, sent in ((3, names.events("facebook"), about), (4, names.grouped("facebook"), group)):
        first = await jetstream.get_msg(collecting.stream, seq - 2)
        again = await jetstream.get_msg(collecting.stream, seq)
        assert (again.subject, again.data) == (subject, first.data)
        assert again.headers == sent | {MESSAGE_ID: f"{sent[MESSAGE_ID]}~replay"}
    now = await jetstream.consumer_info(collecting.stream, "collector")
    assert (now.ack_floor, now.created) == (consumer.ack_floor, consumer.created)
    await collect(collecting)
    assert await collecting.ids() == ["a", "b", "c"]
    assert (await collecting.ledger())["g-1~replay.1"] == (1, 0, 1, 0)


async def test_nothing_goes_before_somebody_agrees_to_how_much(collecting: Rig) -> None:
    await collecting.send(events("a"))
    await collecting.send(events("b"))
    ask = ("replay", "--source", "facebook", "--since", "1h")
    refusing = Answer(False)
    said = await run(collecting, *ask, "--dry-run")
    assert said.startswith(f"would replay up to 2 messages of {collecting.stream}, stored from 20")
    with pytest.raises(Fatal, match="nothing was replayed"):
        await run(collecting, *ask, asked=refusing)
    assert refusing.asked[0].startswith(f"Replay up to 2 messages of {collecting.stream}")
    assert await last_seq(collecting) == 2
    await run(collecting, *ask, asked=Answer(True))
    assert await last_seq(collecting) == 4


async def test_what_has_no_message_id_or_is_gone_is_left_out_and_told(collecting: Rig) -> None:
    await collecting.send_raw(b"nonsense", None)
    for name in "abc":
        await collecting.send(events(name))
    await collecting.connection.jetstream.delete_msg(collecting.stream, 3)
    said = (await run(collecting, *REPLAY, "1h")).splitlines()
    assert said[0].startswith("2 messages replayed")
    assert said[1] == "1 message without an id, which is in the dead letters, left out"
    assert said[2] == "1 message no longer in the stream"


async def test_a_stream_that_is_nearly_full_of_unread_messages_takes_no_replay(collecting: Rig) -> None:
    jetstream = collecting.connection.jetstream
    config = (await jetstream.stream_info(collecting.stream)).config
    await jetstream.update_stream(config.evolve(max_msgs=10))
    for at in range(7):
        await collecting.send(events(f"e-{at}"))
    with pytest.raises(Fatal, match=r"stopped after 0 of 7 messages: .* full of unread messages to 70%"):
        await run(collecting, *REPLAY, "1h")
    assert await last_seq(collecting) == 7
    await collect(collecting)
    await run(collecting, *REPLAY, "1h")
    assert await last_seq(collecting) == 14


async def test_it_waits_for_the_collectors_and_gives_up_where_they_store_nothing(collecting: Rig) -> None:
    waited: list[float] = []
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        waited.append(seconds)

    for name in "abc":
        await collecting.send(events(name))
    pace = Pace(collecting.connection, collecting.stream, max_unstored=3, stall_s=60, clock=lambda: now, sleep=sleep)
    with pytest.raises(Fatal, match=r"3 messages before them and stored none for 60 s: are they running\?"):
        await run(collecting, *REPLAY, "1h", pace=pace)
    assert sum(waited) >= 60
    assert await last_seq(collecting) == 3

    async with collecting.collector():
        pace = Pace(collecting.connection, collecting.stream, max_unstored=1)
        await run(collecting, *REPLAY, "1h", pace=pace)
    assert await last_seq(collecting) == 6


async def test_where_it_stops_halfway_it_says_from_when_to_go_on_and_that_finishes_it(
    collecting: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = CHUNK_MESSAGES + 8
    for at in range(total):
        await collecting.send(events(f"e-{at:02}"))
    await collect(collecting)
    await collecting.execute("TRUNCATE events")
    publish, published = Publisher.publish, 0

    async def fail_after_a_chunk(self: Publisher, subject: str, body: bytes, about: dict[str, str]) -> Published:
        nonlocal published
        published += 1
        if published > CHUNK_MESSAGES + 3:
            raise NotDurable(PublishFailure.TIMEOUT, "nobody there")
        return await publish(self, subject, body, about)

    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "publish", fail_after_a_chunk)
        with pytest.raises(Fatal, match=rf"stopped after {CHUNK_MESSAGES} of {total} messages: timeout") as stopped:
            await run(collecting, *REPLAY, "1h")
    advice = str(stopped.value).rpartition("Go on with ")[2].split()
    said = await run(collecting, "replay", "--source", "facebook", "--yes", *advice)
    assert said.startswith("5 messages replayed")
    assert "3 messages replayed less than two minutes ago before" in said
    await collect(collecting)
    assert len(await collecting.ids()) == total


async def test_a_moment_is_found_among_many_messages_and_holes(collecting: Rig) -> None:
    for at in range(40):
        await collecting.send(events(f"e-{at}"))
    reader = StreamReader(collecting.connection, collecting.stream)
    times = {message.seq: message.stored_at async for message in reader.messages(1, 40)}
    for seq in range(10, 20):
        await reader.delete(seq, erase=seq % 2 == 0)
    await reader.delete(10, erase=True)  # gone already
    await reader.delete(11, erase=False)
    with pytest.raises(Retryable, match="there is no stream"):
        await StreamReader(collecting.connection, f"{collecting.stream}_NOT").delete(1, erase=True)
    found = await asyncio.gather(*(reader.first_at(times[seq]) for seq in (1, 9, 20, 40)))
    assert found == [1, 9, 10, 40], "the hole from 10 to 19 counts as what follows it"
    assert await reader.next(await reader.first_at(times[12])) == await reader.get(20)
    assert await reader.first_at(times[40] + timedelta(microseconds=1)) == 41
    assert await reader.first_at(times[1] - timedelta(days=1)) == 1
    empty = StreamReader(collecting.connection, collecting.names.dead_letters_stream)
    assert await empty.range(times[1], None) == (1, 0)
