"""The programs: exit codes, and what a person is told in one line."""

import asyncio
import signal

import pytest

from shared.events import REGISTRY
from tests.integration.collectors.program import COLLECTOR, MIGRATE, ended, run, says, started
from tests.integration.collectors.rig import Rig, until
from tests.servers import free_port
from tests.unit.collectors.samples import event

TABLES = ("events", "demographics", "revenue", "batches")


async def tables(collecting: Rig) -> list[str]:
    return [row[0] for row in await collecting.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]


async def drop_tables(collecting: Rig) -> None:
    await collecting.execute(f"DROP TABLE {', '.join(TABLES)}, alembic_version")


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (COLLECTOR, {"FLUSH_EVENTS": "0"}, ["FLUSH_EVENTS", "'0'"]),
        (COLLECTOR, {"DATABASE_URL": "postgresql://u:secret@h:abc/x"}, ["DATABASE_URL", "postgresql://"]),
        (MIGRATE, {"DB_CONNECT_TIMEOUT": "soon"}, ["DB_CONNECT_TIMEOUT", "'soon'"]),
    ],
)
async def test_a_wrong_setting_is_told_in_one_line_and_exits_2(
    arguments: tuple[str, ...], environment: dict[str, str], words: list[str]
) -> None:
    end = await run(*arguments, environment=environment)

    assert end.code == 2, end.said
    [line] = end.said.splitlines()
    assert all(word in line for word in words), line
    assert "secret" not in line


async def test_an_unknown_source_exits_2_and_names_the_known_ones() -> None:
    end = await run("-m", "collectors", "--source", "myspace", environment={})

    assert end.code == 2
    assert all(source in end.said for source in REGISTRY.sources)


async def test_an_ops_port_that_is_taken_is_a_fatal_error_in_one_line(collecting: Rig) -> None:
    port = free_port()
    holder = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    async with holder:
        end = await run(*COLLECTOR, environment=collecting.environment(OPS_PORT=str(port)))

    assert end.code == 1
    [line] = [line for line in end.said.splitlines() if not line.startswith("{")]
    assert f"127.0.0.1:{port}" in line
    assert "OPS_PORT" in line


async def test_a_program_stores_and_stops_cleanly_when_asked(collecting: Rig) -> None:
    await collecting.send([event("a"), event("b")])
    async with started(*COLLECTOR, environment=collecting.environment()) as process:
        await collecting.all_settled()
        end = await ended(process, signal.SIGTERM)

    assert end.code == 0, end.said
    assert await collecting.ids() == ["a", "b"]


async def test_a_program_that_waits_for_its_servers_stops_when_asked(collecting: Rig) -> None:
    nobody = f"nats://127.0.0.1:{free_port()}"
    async with started(*COLLECTOR, environment=collecting.environment(NATS_URL=nobody)) as process:
        await says(process, "nats_error")
        end = await ended(process, signal.SIGTERM)

    assert end.code == 0, end.said


async def test_too_many_dead_letters_exit_1_and_everything_stays_in_the_stream(collecting: Rig) -> None:
    await collecting.execute("ALTER TABLE events ADD CHECK (event_id NOT LIKE 'bad%')")
    await collecting.send([event(f"bad-{at}") for at in range(20)])

    end = await run(*COLLECTOR, environment=collecting.environment(MAX_DEAD_LETTERS_IN_A_ROW="10"))

    assert end.code == 1, end.said
    [line] = [line for line in end.said.splitlines() if not line.startswith("{")]
    assert "20 dead letters in a row" in line
    assert "MAX_DEAD_LETTERS_IN_A_ROW" in line
    assert await collecting.unsettled() == 1
    assert await collecting.dead_letters() == []
    assert "user-of-bad" not in end.said, "what is in an event is nobody's to log"


async def test_a_table_that_is_gone_exits_1_in_one_line(collecting: Rig) -> None:
    await collecting.execute("DROP TABLE batches")
    await collecting.send([event("a")])

    end = await run(*COLLECTOR, environment=collecting.environment(MIGRATE_ON_START="false"))

    assert end.code == 1, end.said
    [line] = [line for line in end.said.splitlines() if not line.startswith("{")]
    assert "batches" in line
    assert await collecting.unsettled() == 1


async def test_migrations_from_several_processes_at_once_make_the_tables_once(collecting: Rig) -> None:
    await drop_tables(collecting)

    ends = await asyncio.gather(*(run(*MIGRATE, environment=collecting.environment()) for _ in range(3)))

    assert [end.code for end in ends] == [0, 0, 0], [end.said for end in ends]
    assert {*TABLES, "alembic_version", *(f"events_{source}" for source in REGISTRY.sources)} <= set(
        await tables(collecting)
    )
    assert await collecting.fetch("SELECT count(*) FROM alembic_version") == [(1,)]


async def test_migrating_again_changes_nothing(collecting: Rig) -> None:
    await collecting.send([event("a", amount="1")])
    async with collecting.collector():
        await collecting.all_settled()
    columns = "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns ORDER BY 1, 2"
    before = await collecting.fetch(columns)

    assert (await run(*MIGRATE, environment=collecting.environment())).code == 0

    assert await collecting.fetch(columns) == before
    assert await collecting.ids() == ["a"]


@pytest.mark.parametrize("arguments", [MIGRATE, COLLECTOR])
async def test_tables_of_a_newer_version_are_refused_in_one_line(collecting: Rig, arguments: tuple[str, ...]) -> None:
    await collecting.execute("UPDATE alembic_version SET version_num = '9999'")

    end = await run(*arguments, environment=collecting.environment())

    assert end.code == 1
    [line] = [line for line in end.said.splitlines() if not line.startswith("{")]
    assert "newer version (9999)" in line


async def test_a_role_that_may_not_create_is_told_so_in_one_line(collecting: Rig) -> None:
    await drop_tables(collecting)
    await collecting.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC, pg_database_owner")

    end = await run(*MIGRATE, environment=collecting.environment())

    assert end.code == 1
    [line] = end.said.splitlines()
    assert "permission denied for schema public" in line


async def test_a_role_that_may_not_create_can_use_tables_that_are_there(collecting: Rig) -> None:
    await collecting.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC, pg_database_owner")

    assert (await run(*MIGRATE, environment=collecting.environment())).code == 0
    await collecting.send([event("a")])
    async with collecting.collector():
        await collecting.all_settled()


async def test_a_database_that_does_not_exist_is_told_in_one_line(collecting: Rig) -> None:
    url = collecting.database_url + "_that_is_not_there"

    end = await run(*MIGRATE, environment=collecting.environment(DATABASE_URL=url))

    assert end.code == 1
    [line] = end.said.splitlines()
    assert "_that_is_not_there" in line


async def test_a_url_with_parameters_is_understood_by_every_part(collecting: Rig) -> None:
    url = collecting.database_url.replace("postgresql://", "postgres://") + "?sslmode=prefer"
    await collecting.send([event("a")])
    async with started(*COLLECTOR, environment=collecting.environment(DATABASE_URL=url)) as process:
        await until(lambda: _ended_or_settled(collecting, process))
        end = await ended(process, signal.SIGTERM)

    assert end.code == 0, end.said
    assert await collecting.ids() == ["a"]


async def _ended_or_settled(collecting: Rig, process: asyncio.subprocess.Process) -> bool:
    return process.returncode is not None or await collecting.unsettled() == 0
