"""A source over three streams, from the request to the tables and back: on real servers."""

from itertools import islice

import pytest

from shared.errors import SettingsError
from streams.message_ids import request_id
from streams.partitions import partition_of
from tests.integration.collectors.rig import SOURCE, Rig, until
from tests.integration.gateway.events import array, facebook, text, tiktok
from tests.integration.partitions.conftest import PARTITIONS, StartGateway, all_of, held, held_ids, ids_of, receipt
from tests.integration.streams.putting_through import BAD_IS_FINE, NONE_IS_BAD, run
from tests.unit.collectors.samples import event


async def test_each_event_goes_to_the_stream_of_its_id_and_is_stored_once_however_often_it_is_sent(
    parted: Rig, start: StartGateway
) -> None:
    gateway = await start(message_events=20)
    unique = [facebook() for _ in range(240)] + [tiktok() for _ in range(60)]
    bulk = [*unique, *unique[::10]]
    singles = unique[:6]

    for _ in range(2):
        answer = await gateway.post(array(*bulk), x_correlation_id="bulk")
        assert (answer.status, answer.json["processed"]) == (200, 330)
    answers = await all_of(
        *(gateway.post(text(one), path="/webhook/events", x_correlation_id="single") for one in singles)
    )
    assert {answer.status for answer in answers} == {200}
    pending = [await receipt(gateway, correlation_id) for correlation_id in ("bulk", "single")]
    assert [(one["accepted"], one["pending"]) for one in pending] == [(660, 660), (6, 6)]

    positions = set()
    for source in ("facebook", "tiktok"):
        for partition in parted.names.of(source):
            messages = await held(parted, partition.stream)
            ids = await held_ids(parted, partition.stream)
            expected = [e["eventId"] for e in unique if e["source"] == source]
            expected = [one for one in expected if partition_of(one, PARTITIONS) == partition.number]
            assert sorted(set(ids)) == sorted(expected), "each in the partition of its id, and nowhere else"
            assert {message.subject for message in messages} <= {partition.events, partition.grouped}
            positions |= {(partition.stream, message.seq) for message in messages}

    async with parted.collector(), parted.collector(source="tiktok"):
        for correlation_id in ("bulk", "single"):

            async def is_complete(correlation_id: str = correlation_id) -> bool:
                return bool((await receipt(gateway, correlation_id))["complete"])

            await until(is_complete)

    assert await parted.ids() == sorted(one["eventId"] for one in unique)
    accounts = [await receipt(gateway, correlation_id) for correlation_id in ("bulk", "single")]
    assert [one["accepted"] for one in accounts] == [660, 6]
    assert sum(one["stored"] for one in accounts) == 300
    assert sum(one["duplicates"] for one in accounts) == 366
    ledger = await parted.fetch("SELECT stream, stream_seq, message_id FROM batches")
    assert {(stream, seq) for stream, seq, _ in ledger} == positions
    messages_of = {message_id for _, _, message_id in ledger}
    assert len({request_id(message_id) for message_id in messages_of}) >= 3, "two bulks, and groups"


async def test_a_collector_of_one_partition_stores_that_one_and_leaves_the_others(
    parted: Rig, start: StartGateway
) -> None:
    gateway = await start()
    by_partition = [list(islice(ids_of(number), 4)) for number in range(PARTITIONS)]
    assert (await gateway.post(array(*(facebook(eventId=one) for ids in by_partition for one in ids)))).status == 200

    for number in (1, 0, 2):
        before = set(await parted.ids())
        async with parted.collector(partition=number) as collector:

            async def is_stored(before: set[str] = before) -> bool:
                return len(set(await parted.ids()) - before) == 4

            await until(is_stored)
            assert set(await parted.ids()) - before == set(by_partition[number])
            assert collector.collector._deliveries.streams == (parted.names.of(SOURCE)[number].stream,)
    await parted.all_settled()


async def test_the_lag_of_a_collector_is_that_of_all_its_streams(parted: Rig, start: StartGateway) -> None:
    gateway = await start()
    await gateway.post(array(*(facebook(eventId=next(ids_of(number))) for number in range(PARTITIONS))))
    await parted.execute("ALTER TABLE events RENAME TO away")  # a fatal error: it stops, and stores nothing

    async with parted.collector() as collector:
        await until(lambda: _value_is(collector.counted("collector_lag_messages", source=SOURCE), PARTITIONS))
    assert collector.task.done()


async def _value_is(value: float | None, wanted: float) -> bool:
    return value == wanted


def test_a_partition_that_there_is_not_is_told(parted: Rig) -> None:
    with pytest.raises(SettingsError, match=r"^PARTITION=3: takes a whole number from 0 to 2, as PARTITIONS is 3$"):
        parted.make_collector(partition=3)


async def test_the_guard_closes_when_one_partition_is_full_and_names_it(parted: Rig, start: StartGateway) -> None:
    gateway = await start(
        message_events=1, max_messages=10, backlog_close_at=0.5, backlog_open_at=0.3, backlog_interval_ms=20
    )
    full = list(islice(ids_of(1), 5))
    assert (await gateway.post(array(*(facebook(eventId=one) for one in full)))).status == 200

    ready = await gateway.answer_of("/health/ready", lambda answer: answer.status == 503)

    assert ready.json["checks"]["backlog"]["detail"].endswith("too far behind on facebook (partition 1)")
    refused = await gateway.post(array(facebook(eventId=next(ids_of(2)))))
    assert refused.status == 503
    assert [await held_ids(parted, one.stream) for one in parted.names.of(SOURCE)] == [[], full, []]
    metric = gateway.gateway._metrics.registry.get_sample_value
    await until(lambda: _value_is(metric("gateway_backlog_messages", {"source": SOURCE}), 5))
    await until(lambda: _value_is(metric("gateway_backlog_share", {"source": SOURCE}), 0.5))
    async with parted.collector(partition=1):
        await gateway.ready()
    assert (await gateway.post(array(facebook(eventId=next(ids_of(2)))))).status == 200


async def test_a_partition_that_fails_fails_alone(parted: Rig, start: StartGateway) -> None:
    gateway = await start(message_events=1, batch_events=3, attempts=1)
    partitions = parted.names.of(SOURCE)
    await parted.connection.jetstream.delete_stream(partitions[1].stream)
    each = 60  # in all more than are on their way at once: the last ones are sent after the first have failed
    by_partition = [list(islice(ids_of(number), each)) for number in range(PARTITIONS)]
    turn_about = [event_id for ids in zip(*by_partition, strict=True) for event_id in ids]

    answer = await gateway.post(array(*(facebook(eventId=one) for one in turn_about)))

    assert (answer.status, answer.json["processed"], answer.json["failed"]) == (503, 2 * each, each)
    assert {detail["index"] % PARTITIONS for detail in answer.json["errorDetails"]} == {1}
    for number in (0, 2):
        assert sorted(await held_ids(parted, partitions[number].stream)) == sorted(by_partition[number])


async def test_dead_letters_and_replays_come_back_through_the_partition_of_their_id(
    parted: Rig, start: StartGateway
) -> None:
    gateway = await start()
    ids = [f"{kind}-{number}" for kind in ("bad", "good") for number in range(12)]
    await parted.execute(NONE_IS_BAD)
    await gateway.post(array(*(event(one) for one in ids)), x_correlation_id="c-1")
    async with parted.collector():
        await parted.all_settled()
    assert (await receipt(gateway, "c-1"))["deadLettered"] == 12
    await parted.execute(BAD_IS_FINE)

    said = await run(parted, "dead-letters", "replay")
    assert said.startswith("12 dead letters replayed")
    for partition in parted.names.of(SOURCE):
        mine = [one for one in ids if partition_of(one, PARTITIONS) == partition.number]
        again = [one for one in mine if one.startswith("bad")]
        assert again, "the ids are spread over all partitions"
        assert sorted(await held_ids(parted, partition.stream)) == sorted(mine + again)
        assert f"{partition.stream} {len(again)}" in said
    async with parted.collector():
        await parted.all_settled()
    assert await parted.ids() == sorted(ids)
    account = await receipt(gateway, "c-1")
    assert (account["accepted"], account["stored"], account["deadLettered"], account["complete"]) == (24, 24, 0, True)

    await parted.execute("TRUNCATE events, demographics, revenue")
    before = {one.stream: len(await held(parted, one.stream)) for one in parted.names.of(SOURCE)}
    said = await run(parted, "replay", "--source", SOURCE, "--yes", "--since", "1h")
    for stream, messages in before.items():
        assert f"{messages} messages replayed to the end of {stream}" in said
        assert len(await held(parted, stream)) == 2 * messages
    async with parted.collector():
        await parted.all_settled()
    assert await parted.ids() == sorted(ids)


async def test_a_consumer_that_is_gone_from_one_stream_is_made_again_while_the_others_go_on(parted: Rig) -> None:
    partitions = parted.names.of(SOURCE)
    async with parted.collector():
        await parted.connection.jetstream.delete_consumer(partitions[2].stream, "collector")
        for partition in partitions:
            await parted.send([event(next(ids_of(partition.number)))], to=partition.events)

        async def are_stored() -> bool:
            return await parted.ids() == sorted(next(ids_of(number)) for number in range(PARTITIONS))

        await until(are_stored)
