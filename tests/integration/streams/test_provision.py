"""Provisioning on a real server: what is created, what is updated, and what is left to a person."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RetentionPolicy, StorageType, StreamConfig

from deploy.local.nats import MAX_FILE_STORE_BYTES
from shared.errors import Fatal, Retryable, UnsafeDrift
from shared.logs import Logger
from streams.connection import Connection
from streams.definitions import Definition, definitions
from streams.provision import Change, provision, provision_until_done
from streams.settings import StreamSettings
from streams.subjects import COLLECTOR, Names
from tests.faults.cluster import make_cluster
from tests.integration.streams.conftest import SOURCE, Connect, configured
from tests.servers import NatsServer

pytestmark = pytest.mark.usefixtures("no_streams_left")


def changed(settings: StreamSettings, **values: Any) -> list[Definition]:
    return definitions([SOURCE], settings.model_copy(update=values))


async def configuration(connection: Connection, names: Names) -> tuple[StreamConfig, ConsumerConfig]:
    stream = names.stream(SOURCE)
    info = await connection.jetstream.stream_info(stream)
    return info.config, (await connection.jetstream.consumer_info(stream, COLLECTOR)).config


async def publish(connection: Connection, names: Names, messages: int) -> None:
    for _ in range(messages):
        await connection.jetstream.publish(names.events(SOURCE), b"x" * 1_000)


async def test_what_is_missing_is_created_as_defined(
    connection: Connection, wanted: list[Definition], names: Names, stream_settings: StreamSettings
) -> None:
    applied = await provision(connection, wanted)
    assert [(one.name, one.change) for one in applied] == [
        (f"{names.prefix}FACEBOOK_EVENTS", Change.CREATED),
        (f"{names.prefix}FACEBOOK_EVENTS/collector", Change.CREATED),
        (f"{names.prefix}DEAD_LETTERS", Change.CREATED),
        (f"{names.prefix}RECEIPTS", Change.CREATED),
    ]
    stream, consumer = await configuration(connection, names)
    assert (stream.storage, stream.retention) == (StorageType.FILE, RetentionPolicy.LIMITS)
    assert names.events(SOURCE) in (stream.subjects or [])
    assert (stream.max_msgs, stream.max_bytes) == (10_000_000, stream_settings.max_bytes)
    assert (stream.max_age, stream.duplicate_window) == (7 * 24 * 3600, 120)
    assert (consumer.ack_policy, consumer.deliver_policy) == (AckPolicy.EXPLICIT, DeliverPolicy.ALL)
    assert (consumer.ack_wait, consumer.max_deliver, consumer.max_ack_pending) == (30, -1, 6_000)
    assert consumer.deliver_subject is None  # a pull consumer


async def test_by_default_the_limits_are_those_that_users_rely_on() -> None:
    by_name = {one.name: one.stream for one in definitions(["facebook", "tiktok"], StreamSettings.load())}
    assert set(by_name) == {"FACEBOOK_EVENTS", "TIKTOK_EVENTS", "DEAD_LETTERS", "RECEIPTS"}
    for name in ("FACEBOOK_EVENTS", "TIKTOK_EVENTS"):
        stream = by_name[name]
        assert (stream.max_msgs, stream.max_bytes, stream.max_age) == (10_000_000, 10 * 1024**3, 7 * 24 * 3600)


async def test_doing_it_again_changes_nothing(connection: Connection, wanted: list[Definition], names: Names) -> None:
    await provision(connection, wanted)
    before = await configuration(connection, names)
    assert {one.change for one in await provision(connection, wanted)} == {Change.UNCHANGED}
    assert await configuration(connection, names) == before


async def test_many_at_the_same_time_all_succeed(
    connection: Connection, connect: Connect, nats_url: str, wanted: list[Definition]
) -> None:
    others = [await connect(nats_url) for _ in range(3)]
    await asyncio.gather(*(provision(one, wanted) for one in [connection, *others] for _ in range(4)))
    assert {one.change for one in await provision(connection, wanted)} == {Change.UNCHANGED}


async def test_a_dry_run_tells_and_does_nothing(
    connection: Connection, wanted: list[Definition], names: Names, stream_settings: StreamSettings
) -> None:
    assert {one.change for one in await provision(connection, wanted, dry_run=True)} == {Change.CREATED}
    names_there = [info.config.name for info in await connection.jetstream.streams_info()]
    assert not [name for name in names_there if str(name).startswith(names.prefix)]
    await provision(connection, wanted)
    before = await configuration(connection, names)
    more = changed(stream_settings, max_messages=20_000_000, ack_wait_ms=60_000)
    told = {one.name: (one.change, one.fields) for one in await provision(connection, more, dry_run=True)}
    assert told[names.stream(SOURCE)] == (Change.UPDATED, ("max_msgs",))
    assert told[f"{names.stream(SOURCE)}/{COLLECTOR}"] == (Change.UPDATED, ("ack_wait",))
    assert await configuration(connection, names) == before


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"max_messages": 20_000_000}, ("max_msgs",)),
        ({"max_bytes": 32 * 1024**2}, ("max_bytes",)),
        ({"max_age_ms": 14 * 86_400_000}, ("max_age",)),
        ({"max_messages": 5}, ("max_msgs",)),
        ({"max_bytes": 8 * 1024**2}, ("max_bytes",)),
    ],
)
async def test_a_limit_that_evicts_nothing_is_updated_and_the_messages_stay(
    connection: Connection,
    names: Names,
    stream_settings: StreamSettings,
    values: dict[str, int],
    fields: tuple[str, ...],
) -> None:
    await publish(connection, names, 5)
    applied = {one.name: one for one in await provision(connection, changed(stream_settings, **values))}
    assert applied[names.stream(SOURCE)].change is Change.UPDATED
    assert applied[names.stream(SOURCE)].fields == fields
    stream, _ = await configuration(connection, names)
    assert getattr(stream, fields[0]) == next(iter(values.values())) / (1_000 if "age" in fields[0] else 1)
    assert (await connection.jetstream.stream_info(names.stream(SOURCE))).state.messages == 5


async def test_a_consumers_settings_are_updated_and_its_place_in_the_stream_stays(
    connection: Connection, wanted: list[Definition], names: Names, stream_settings: StreamSettings
) -> None:
    await provision(connection, wanted)
    await publish(connection, names, 3)
    subscription = await connection.jetstream.pull_subscribe_bind(durable=COLLECTOR, stream=names.stream(SOURCE))
    for message in await subscription.fetch(2, timeout=5):
        await message.ack_sync()
    applied = await provision(connection, changed(stream_settings, ack_wait_ms=45_000, max_ack_pending=77))
    assert applied[1].fields == ("ack_wait", "max_ack_pending")
    info = await connection.jetstream.consumer_info(names.stream(SOURCE), COLLECTOR)
    assert (info.config.ack_wait, info.config.max_ack_pending) == (45, 77)
    assert (info.num_pending, info.ack_floor.stream_seq if info.ack_floor else 0) == (1, 2)


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"max_messages": 4},
            r"holds 5 msgs and its max_msgs would go from 10000000 to 4, which would delete",
        ),
        ({"max_bytes": 1_024}, r"holds \d+ bytes and its max_bytes would go from 16777216 to 1024, which would delete"),
        ({"max_age_ms": 86_400_000}, r"has messages and its max_age would go from 604800 s to 86400 s"),
    ],
)
async def test_a_limit_that_would_evict_is_refused_and_nothing_is_changed(
    connection: Connection, names: Names, stream_settings: StreamSettings, values: dict[str, int], said: str
) -> None:
    await publish(connection, names, 5)
    before = await configuration(connection, names)
    with pytest.raises(UnsafeDrift, match=f"^stream {names.stream(SOURCE)} {said}"):
        await provision(connection, changed(stream_settings, **values))
    assert await configuration(connection, names) == before
    assert (await connection.jetstream.stream_info(names.stream(SOURCE))).state.messages == 5


@pytest.mark.parametrize(
    ("present", "said"),
    [
        ({"storage": StorageType.MEMORY}, "has storage=memory, and file is wanted"),
        ({"retention": RetentionPolicy.WORK_QUEUE}, "has retention=workqueue, and limits is wanted"),
    ],
)
async def test_what_only_deleting_could_change_is_refused(
    connection: Connection, wanted: list[Definition], names: Names, present: dict[str, Any], said: str
) -> None:
    await connection.jetstream.add_stream(wanted[0].stream.evolve(**present))
    before = (await connection.jetstream.stream_info(names.stream(SOURCE))).config
    with pytest.raises(UnsafeDrift, match=f"^stream {names.stream(SOURCE)} {said}: .* left to you$"):
        await provision(connection, wanted)
    assert (await connection.jetstream.stream_info(names.stream(SOURCE))).config == before


async def test_a_stream_with_other_subjects_and_messages_may_be_somebody_elses(
    connection: Connection, wanted: list[Definition], names: Names
) -> None:
    theirs = f"{names.prefix.lower()}theirs"
    await connection.jetstream.add_stream(wanted[0].stream.evolve(subjects=[theirs]))
    await connection.jetstream.publish(theirs, b"mine")
    with pytest.raises(UnsafeDrift, match=rf"has messages and would no longer take \['{theirs}'\]: is STREAM_PREFIX"):
        await provision(connection, wanted)
    assert (await connection.jetstream.stream_info(names.stream(SOURCE))).config.subjects == [theirs]


@pytest.mark.parametrize(
    ("present", "said"),
    [
        ({"ack_policy": AckPolicy.ALL}, "has ack_policy=all, and explicit is wanted"),
        ({"deliver_policy": DeliverPolicy.NEW}, "has deliver_policy=new, and all is wanted"),
    ],
)
async def test_a_consumer_that_would_lose_its_place_is_refused(
    connection: Connection, wanted: list[Definition], names: Names, present: dict[str, Any], said: str
) -> None:
    consumer = wanted[0].consumer
    assert consumer is not None
    await connection.jetstream.add_stream(wanted[0].stream)
    await connection.jetstream.add_consumer(names.stream(SOURCE), consumer.evolve(**present))
    before = await configuration(connection, names)
    with pytest.raises(UnsafeDrift, match=f"^consumer {names.stream(SOURCE)}/collector {said}: it would have to be"):
        await provision(connection, wanted)
    assert await configuration(connection, names) == before


async def test_a_subject_that_another_stream_has_is_refused_with_the_servers_words(
    connection: Connection, wanted: list[Definition], names: Names
) -> None:
    await connection.jetstream.add_stream(StreamConfig(name=f"{names.prefix}OTHER", subjects=[names.events(SOURCE)]))
    with pytest.raises(Fatal, match=r"subjects overlap with an existing stream \(10065\)"):
        await provision(connection, wanted)


async def test_replicas_without_a_cluster_are_refused_and_not_waited_for(
    connection: Connection, stream_settings: StreamSettings, log: Logger
) -> None:
    with pytest.raises(Fatal, match=r"^NATS is no cluster and keeps no replicas: set STREAM_REPLICAS to 1$"):
        await asyncio.wait_for(provision_until_done(connection, changed(stream_settings, replicas=3), log=log), 5)


async def test_fewer_copies_than_there_are_is_left_to_a_person(
    connect: Connect, stream_settings: StreamSettings
) -> None:
    nodes = make_cluster(3)
    try:
        await asyncio.gather(*(asyncio.to_thread(node.start) for node in nodes))
        connection = await connect(nodes[0].url)
        three = changed(stream_settings, replicas=3)
        await provision(connection, three)
        with pytest.raises(UnsafeDrift, match=r"has 3 copies and would go to 1, .*is STREAM_REPLICAS=1 meant for this"):
            await provision(connection, changed(stream_settings, replicas=1))
        assert {one.change for one in await provision(connection, three)} == {Change.UNCHANGED}
    finally:
        for node in nodes:
            node.close()


async def test_a_server_without_room_is_told_with_what_to_do(
    tmp_path: Path, connect: Connect, wanted: list[Definition]
) -> None:
    with configured(tmp_path, f"max_file_store: {MAX_FILE_STORE_BYTES}", "max_file_store: 1000000") as server:
        connection = await connect(server.url)
        with pytest.raises(Fatal, match=r"no room for the streams: give JetStream more disk"):
            await provision(connection, wanted)
        assert await connection.jetstream.streams_info() == []


async def test_a_server_that_is_away_is_waited_for(
    own_server: NatsServer, connect: Connect, wanted: list[Definition], log: Logger
) -> None:
    connection = await connect(own_server.url)
    await asyncio.to_thread(own_server.kill)
    with pytest.raises(Retryable):
        await asyncio.wait_for(provision(connection, wanted), 10)
    waiting = asyncio.ensure_future(provision_until_done(connection, wanted, log=log, wait_s=0.02))
    await asyncio.to_thread(own_server.start)
    assert {one.change for one in await asyncio.wait_for(waiting, 15)} == {Change.CREATED}
