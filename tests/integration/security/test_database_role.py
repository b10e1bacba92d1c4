"""What the role of the collectors can do in PostgreSQL, and what not."""

import asyncpg
import pytest

from collectors.migrate import migrate
from collectors.rows import RowBuilder
from collectors.settings import DatabaseSettings
from collectors.store import Store
from shared.errors import Fatal
from shared.events import REGISTRY
from shared.metrics import CollectorMetrics
from tests.integration.security.database import RolesPostgres
from tests.unit.collectors.samples import encoded, event, headers

LEDGER_ROW = (
    "INSERT INTO batches (stream_seq, events, inserted, duplicates, dead_lettered, stream, source, message_id, "
    "correlation_id) VALUES (1, 1, 1, 0, 0, 'S', 'facebook', {id}, 'c')"
)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE events ADD COLUMN spy text",
        "ALTER TABLE events DETACH PARTITION events_facebook",
        "ALTER TABLE batches DROP CONSTRAINT batches_add_up",
        "DROP TABLE events",
        "DROP TABLE events_facebook",
        "TRUNCATE demographics",
        "DELETE FROM revenue",
        "DELETE FROM events_tiktok",
        "UPDATE batches SET inserted = 0",
        "UPDATE events SET user_id = 'someone'",
        "CREATE TABLE spy (a int)",
        "CREATE INDEX ON events (user_id)",
        "CREATE SCHEMA spy",
        "CREATE ROLE spy",
        "SET ROLE floodgate_owner",
        "INSERT INTO alembic_version VALUES ('9999')",
        "SELECT pg_read_file('PG_VERSION')",
        "COPY events TO PROGRAM 'cat'",
    ],
)
async def test_the_collectors_role_can_change_nothing_that_is_there(database: RolesPostgres, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await database.execute("floodgate_collector", statement)


async def test_the_exporters_role_sees_the_sessions_of_others_and_no_table(database: RolesPostgres) -> None:
    [row] = await database.execute(
        "floodgate_monitor",
        "SELECT count(*) FILTER (WHERE query = '<insufficient privilege>') AS hidden, "
        "pg_database_size(current_database()) AS bytes FROM pg_stat_activity",
    )
    assert row["hidden"] == 0
    assert row["bytes"] > 0
    for table in ("events", "demographics", "batches"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await database.execute("floodgate_monitor", f"SELECT * FROM public.{table}")


async def test_the_collectors_role_can_insert_and_the_readers_can_read_the_ledger(database: RolesPostgres) -> None:
    await database.execute("floodgate_collector", LEDGER_ROW.format(id="'inserted'"))
    [row] = await database.execute("floodgate_reader", "SELECT stream FROM batches WHERE message_id = 'inserted'")
    assert row["stream"] == "S"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM events",
        "SELECT 1 FROM demographics",
        "SELECT 1 FROM revenue",
        LEDGER_ROW.format(id="'forged'"),
        "CREATE TEMPORARY TABLE spy (a int)",
    ],
)
async def test_the_readers_role_sees_the_ledger_and_nothing_else(database: RolesPostgres, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await database.execute("floodgate_reader", statement)


async def test_rows_can_be_written_by_way_of_staging_tables(database: RolesPostgres) -> None:
    """The way that a flush takes when another replica stores the same keys; the program's usual one is tested whole."""
    settings = DatabaseSettings(url=database.url_as("floodgate_collector"))
    store = Store("facebook", settings, metrics=CollectorMetrics())
    await store.open()
    try:
        rows = RowBuilder(REGISTRY["facebook"]).build(encoded(event("staged", amount="1.50")), headers())
        assert await store.probe(rows) is None
    finally:
        await store.close()


async def test_a_partition_that_is_added_later_can_be_written_to(database: RolesPostgres) -> None:
    await migrate(DatabaseSettings(url=database.url_as("floodgate_owner")), ["added_later"])
    insert = "INSERT INTO demographics (first_seen_at, source, user_id) VALUES (now(), 'added_later', 'u')"
    await database.execute("floodgate_collector", insert)


async def test_a_collector_that_is_told_to_migrate_ends_and_says_that_it_may_not(database: RolesPostgres) -> None:
    with pytest.raises(Fatal, match="InsufficientPrivilege"):
        await migrate(DatabaseSettings(url=database.url_as("floodgate_collector")), REGISTRY.sources)
