"""Another number of partitions, with messages unread: none is lost, none is doubled, and each has a reader."""

import asyncio
import os
import sys
from pathlib import Path

from streams.definitions import definition
from streams.present import present, retired
from streams.provision import Change, provision
from tests.integration.collectors.rig import SOURCE, Rig, until
from tests.integration.gateway.events import array, facebook, text
from tests.integration.partitions.conftest import StartGateway, held, ids_of, receipt
from tests.integration.streams.putting_through import run

ROOT = Path(__file__).resolve().parents[3]


async def streams_command(parted: Rig, *arguments: str) -> list[str]:
    """The lines that `python -m streams` prints, for as many partitions as the rig has."""
    settings = parted.streams()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streams", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        env=os.environ | {
            "NATS_URL": parted.nats_url, "STREAM_PREFIX": parted.prefix, "PARTITIONS": str(settings.partitions),
            "STREAM_MAX_BYTES": str(settings.max_bytes),
        },
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    return out.decode().splitlines()


async def test_from_one_stream_to_three_nothing_is_lost_and_nothing_doubled(parted: Rig, start: StartGateway) -> None:
    await parted.repartition(1)
    events = [facebook() for _ in range(30)]
    old = await start()
    assert (await old.post(array(*events[:20]), x_correlation_id="before")).status == 200
    assert (await old.post(text(events[20]), path="/webhook/events", x_correlation_id="lone")).status == 200

    await parted.repartition(3)
    new = await start()
    assert (await new.post(array(*events[10:]), x_correlation_id="after")).status == 200
    assert (await receipt(new, "lone"))["pending"] == 1, "seen in the stream that is retired"
    stream = parted.names.stream(SOURCE)
    assert [one.stream for one in await retired(parted.connection, parted.names, [SOURCE])] == [stream]
    unread = len(await held(parted, stream))
    said = [line for line in await streams_command(parted, "apply") if line.startswith(f"{stream} ")]
    assert said[-1:] == [f"{stream:<32} retired: kept; {unread} unread, which the collectors of its source go on with"]

    async with parted.collector():
        await parted.all_settled()
        # a gateway of before the change is still there, as in a rolling one
        late = facebook()
        assert (await old.post(array(late), x_correlation_id="late")).status == 200

        async def is_complete() -> bool:
            return bool((await receipt(new, "late"))["complete"])

        await until(is_complete)

    assert await parted.ids() == sorted(one["eventId"] for one in [*events, late])
    accounts = [await receipt(new, one) for one in ("before", "lone", "after")]
    assert all(one["complete"] for one in accounts)
    assert (sum(one["accepted"] for one in accounts), sum(one["stored"] for one in accounts)) == (41, 30)
    said = [line for line in await streams_command(parted, "apply") if line.startswith(f"{stream} ")]
    assert said[-1:] == [f"{stream:<32} retired: kept for replay; nothing in it is unread"]
    table = [line.split() for line in await streams_command(parted, "status")]
    assert [stream, "(retired)"] in [line[:2] for line in table]

    await parted.execute("TRUNCATE events, demographics, revenue")
    await run(parted, "replay", "--source", SOURCE, "--yes", "--since", "1h")
    async with parted.collector():
        await parted.all_settled()
    assert await parted.ids() == sorted(one["eventId"] for one in [*events, late]), "what is retired is replayed too"


async def test_from_three_to_two_each_old_stream_is_read_by_one_pool(parted: Rig, start: StartGateway) -> None:
    gateway = await start()
    by_partition = [next(ids_of(number)) for number in range(3)]
    assert (await gateway.post(array(*(facebook(eventId=one) for one in by_partition)))).status == 200

    await parted.repartition(2)
    assert [one.number for one in await retired(parted.connection, parted.names, [SOURCE])] == [2]
    async with parted.collector(partition=1):
        await until(lambda: _stored(parted, {by_partition[1]}))
    async with parted.collector(partition=0):
        await until(lambda: _stored(parted, set(by_partition)))
    await parted.all_settled()


async def test_a_retired_stream_that_is_deleted_under_a_collector_is_missed_by_nobody(parted: Rig) -> None:
    await parted.repartition(1)
    await parted.repartition(2)
    old, first = parted.names.stream(SOURCE), parted.names.of(SOURCE)[0]
    async with parted.collector() as collector:

        async def reads_it() -> bool:
            return old in collector.collector._deliveries.streams

        await until(reads_it)
        await parted.connection.jetstream.delete_stream(old)

        async def reads_it_no_more() -> bool:
            return not await reads_it()

        await until(reads_it_no_more)
        await parted.send([facebook(eventId="after")], to=first.events)
        await until(lambda: _stored(parted, {"after"}))
    there = [one.stream for one in await present(parted.connection, parted.names, SOURCE)]
    assert old not in there, "and nobody makes it again"


async def test_a_retired_stream_is_kept_and_never_made(parted: Rig) -> None:
    last = parted.names.of(SOURCE)[2]
    wanted = [definition(last, parted.streams(max_messages=50), is_retired=True)]
    await parted.connection.jetstream.delete_consumer(last.stream, "collector")
    applied = await provision(parted.connection, wanted)
    assert [one.change for one in applied] == [Change.UPDATED, Change.CREATED], "its limits, and its consumer"

    await parted.connection.jetstream.delete_stream(last.stream)
    assert await provision(parted.connection, wanted) == []
    assert last not in await present(parted.connection, parted.names, SOURCE)


async def _stored(parted: Rig, ids: set[str]) -> bool:
    return set(await parted.ids()) == ids


async def test_a_retired_stream_takes_no_more_room_than_it_had(parted: Rig) -> None:
    last = parted.names.of(SOURCE)[-1]
    before = (await parted.connection.jetstream.stream_info(last.stream)).config.max_bytes
    assert before
    for max_bytes, expected in ((before * 2, before), (before // 2, before // 2)):
        wanted = [definition(last, parted.streams(max_bytes=max_bytes), is_retired=True)]
        await provision(parted.connection, wanted)
        assert (await parted.connection.jetstream.stream_info(last.stream)).config.max_bytes == expected
