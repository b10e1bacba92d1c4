"""Servers that go, hang, fill up and refuse: what is held, what is said, and that all is stored in the end."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import asyncpg
import pytest

from shared.errors import Fatal
from tests.integration.collectors.rig import SOURCE, Rig, Running, rig, until
from tests.servers import NatsServer, PostgresServer
from tests.unit.collectors.samples import event

NO_ROOM = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '{code}'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()
"""


def events(first: int, count: int = 5) -> list[dict[str, Any]]:
    return [event(f"e-{at:04}", amount="1") for at in range(first, first + count)]


def ids(count: int) -> list[str]:
    return [f"e-{at:04}" for at in range(count)]


async def checks(running: Running) -> tuple[int, dict[str, Any]]:
    """The ready route's status and checks."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{running.collector.ops_url}/health/ready") as answer,
    ):
        return answer.status, (await answer.json())["checks"]


async def is_ready(running: Running) -> bool:
    return running.collector.listening.is_set() and (await checks(running))[0] == 200


async def says(running: Running, words: str) -> bool:
    return words in (running.trouble() or "")


def retried(running: Running) -> float:
    return running.counted("collector_bulk_operations_total", source=SOURCE, result="retried")


@pytest.fixture(scope="module")
def spare_postgres() -> Iterator[PostgresServer]:
    """Of this module's own, so that it can be stopped."""
    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
async def own_postgres(nats_url: str, spare_postgres: PostgresServer) -> AsyncIterator[tuple[Rig, PostgresServer]]:
    """A rig on a PostgreSQL that the test may do anything to, if it runs again in the end.

    Start it without a thread: on Linux it dies with the thread that has started it, here with the test's own.
    """
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(spare_postgres.url)
    await connection.execute(f'CREATE DATABASE "{name}"')
    await connection.close()
    async with rig(nats_url, spare_postgres.url_of(name)) as made:
        yield made, spare_postgres


async def test_while_postgres_is_away_everything_is_held_and_said_and_afterwards_stored(
    own_postgres: tuple[Rig, PostgresServer],
) -> None:
    collecting, server = own_postgres
    async with collecting.collector() as running:
        await collecting.send(events(0))
        await collecting.all_settled()
        assert await is_ready(running)

        await asyncio.to_thread(server.kill)
        await collecting.send(events(5))
        await until(lambda: says(running, "Error"))
        status, shown = await checks(running)
        assert status == 503
        assert {name for name, check in shown.items() if not check["ok"]} == {"flow"}
        assert await collecting.unsettled() == 1

        server.start()
        await collecting.all_settled()
        assert await until(lambda: is_ready(running))

    assert await collecting.ids() == ids(10)


async def test_a_collector_waits_for_a_postgres_that_comes_later(own_postgres: tuple[Rig, PostgresServer]) -> None:
    collecting, server = own_postgres
    await asyncio.to_thread(server.stop)
    await collecting.send(events(0))
    async with collecting.collector() as running:
        await running.collector.listening.wait()

        async def waits_for_it() -> bool:
            return bool((await checks(running))[1]["started"]["detail"] == "waiting for PostgreSQL")

        await until(waits_for_it)
        server.start()
        await collecting.all_settled()

    assert await collecting.ids() == ids(5)


async def test_a_stop_while_postgres_hangs_comes_to_its_end_and_leaves_what_was_not_stored(
    own_postgres: tuple[Rig, PostgresServer],
) -> None:
    collecting, server = own_postgres
    async with collecting.collector(shutdown_grace_ms=300) as running:
        await collecting.send(events(0))
        await collecting.all_settled()
        await asyncio.to_thread(server.pause)
        try:
            await collecting.send(events(5))

            async def is_delivered() -> bool:
                info = await collecting.connection.jetstream.consumer_info(collecting.stream, "collector")
                return bool(info.num_pending == 0)

            await until(is_delivered)
            await until(lambda: has_run_for(running, 0.1))  # seen long before any time-out
            async with asyncio.timeout(5):
                await running.stop()
            assert running.counted("database_transaction_running_seconds") == 0
        finally:
            await asyncio.to_thread(server.resume)

    async with collecting.collector():
        await collecting.all_settled(within_s=5)  # released: not only after the ack wait
    assert await collecting.ids() == ids(10)


async def test_while_nats_is_away_it_is_said_and_afterwards_everything_goes_on(
    database_url: str, nats_servers: Callable[[], NatsServer]
) -> None:
    server = await asyncio.to_thread(nats_servers)
    async with rig(server.url, database_url, ack_wait_ms=2_000) as collecting, collecting.collector() as running:
        await collecting.send(events(0))
        await collecting.all_settled()

        await asyncio.to_thread(server.kill)

        async def says_so() -> bool:
            status, shown = await checks(running)
            return status == 503 and not shown["nats"]["ok"]

        await until(says_so)
        await asyncio.to_thread(server.start)
        # Without any message: ready again as soon as fetching works.
        await until(lambda: is_ready(running))

        async def sent() -> bool:
            return collecting.connection.is_connected

        await until(sent)
        await collecting.send(events(5))
        await collecting.all_settled()
        assert await collecting.ids() == ids(10)


async def test_a_nats_that_goes_between_fetch_and_acknowledgement_costs_a_redelivery_and_no_row(
    database_url: str, nats_servers: Callable[[], NatsServer]
) -> None:
    server = await asyncio.to_thread(nats_servers)
    async with rig(server.url, database_url, ack_wait_ms=1_000) as collecting, collecting.collector() as running:
        await until(running.is_started)
        locker = await asyncpg.connect(database_url)
        lock = locker.transaction()
        await lock.start()
        await locker.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        await collecting.send(events(0))
        await until(lambda: is_waiting_for_a_lock(locker))
        await asyncio.to_thread(server.kill)
        await lock.rollback()
        await locker.close()

        async def stored() -> bool:
            return await collecting.ids() == ids(5)

        await until(stored)
        await asyncio.to_thread(server.start)
        await collecting.all_settled()

        assert await collecting.ids() == ids(5)
        assert list((await collecting.ledger()).values()) == [(5, 5, 0, 0)]


async def has_run_for(running: Running, least_s: float) -> bool:
    """Whether the metrics show a transaction that has been running so long."""
    return running.counted("database_transaction_running_seconds") >= least_s


async def is_waiting_for_a_lock(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return bool(await connection.fetchval(waiting))


@pytest.mark.parametrize("whose", ["ours", "the server's"])
async def test_a_statement_that_takes_too_long_is_tried_again(collecting: Rig, whose: str) -> None:
    limit = {"query_timeout_ms": 200} if whose == "ours" else {}
    if whose != "ours":
        name = collecting.database_url.rpartition("/")[2]
        await collecting.execute(f"ALTER DATABASE \"{name}\" SET statement_timeout = '200ms'")
    locker = await asyncpg.connect(collecting.database_url, server_settings={"statement_timeout": "0"})
    async with collecting.collector(database=collecting.database(**limit)) as running:
        await until(running.is_started)
        async with locker.transaction():
            await locker.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
            await collecting.send(events(0))
            await until(lambda: says(running, "Timeout" if whose == "ours" else "57014"))
        await collecting.all_settled()
        assert retried(running) >= 1
    await locker.close()

    assert await collecting.ids() == ids(5)


async def test_too_many_connections_are_waited_out(collecting: Rig) -> None:
    name = collecting.database_url.rpartition("/")[2]
    async with collecting.collector() as running:
        await until(running.is_started)
        guest = await asyncpg.connect(collecting.database_url)
        await guest.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 1')
        await guest.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                            "AND datname = current_database()")  # fmt: skip
        await collecting.send(events(0))
        await until(lambda: says(running, "53300"))
        await guest.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
        await guest.close()
        await collecting.all_settled()

    assert await collecting.ids() == ids(5)


async def test_the_victim_of_a_deadlock_is_tried_again(collecting: Rig) -> None:
    copy_of = "INSERT INTO events SELECT now(), now(), 'facebook', $1, 'top', 'comment', 'u', 'other', '{}'"
    other = await asyncpg.connect(collecting.database_url)
    async with collecting.collector() as running:
        await until(running.is_started)
        theirs = other.transaction()
        await theirs.start()
        await other.execute(copy_of, "e-0004")
        await collecting.send(events(0))
        observer = await asyncpg.connect(collecting.database_url)
        await until(lambda: is_waiting_for_a_lock(observer))
        await observer.close()
        # Now each waits for the other. The collector has waited longer, so it is the one to be told.
        await other.execute(copy_of, "e-0000")
        await until(lambda: _is(retried(running) >= 1))
        await theirs.rollback()
        await collecting.all_settled()
    await other.close()

    assert await collecting.ids() == ids(5)
    assert list((await collecting.ledger()).values()) == [(5, 5, 0, 0)]


async def _is(value: bool) -> bool:
    return value


async def test_a_full_disk_stops_the_fetching_is_said_and_is_no_poison(collecting: Rig) -> None:
    await collecting.execute(NO_ROOM.format(code="53100"))
    async with collecting.collector(flush_events=5) as running:
        await until(running.is_started)
        for at in range(8):
            await collecting.send(events(5 * at))
        await until(lambda: says(running, "DiskFullError (53100)"))
        status, shown = await checks(running)
        assert status == 503
        assert "No space left" in shown["flow"]["detail"]

        await until(lambda: _is(retried(running) >= 3))
        info = await collecting.connection.jetstream.consumer_info(collecting.stream, "collector")
        assert (info.num_ack_pending or 0) <= 3, "one is being stored, one is ready, one is being collected"

        await collecting.execute("DROP TRIGGER refuse ON events")
        await collecting.all_settled()
        assert await is_ready(running)

    assert await collecting.ids() == ids(40)
    assert await collecting.dead_letters() == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("DROP TABLE revenue", 'relation "revenue" does not exist'),
        ("ALTER TABLE events RENAME COLUMN extra TO more", 'column "extra" of relation "events" does not exist'),
        ("REVOKE INSERT ON events FROM current_user", "permission denied for table events"),
        (NO_ROOM.format(code="P0001"), "No space left"),
    ],
)
async def test_tables_that_are_not_ours_end_it_and_everything_stays_in_the_stream(
    collecting: Rig, spoil: str, words: str
) -> None:
    async with collecting.collector() as running:
        await until(running.is_started)
        await collecting.execute(spoil)
        await collecting.send(events(0))
        with pytest.raises(BaseExceptionGroup) as told:
            await running.ended()

    assert told.group_contains(Fatal, match=words)
    assert await collecting.unsettled() == 1
    assert await collecting.ledger() == {}
