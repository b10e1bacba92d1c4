"""The adapters of `make run`, by way of the throw-away servers that are made from them."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import asyncpg
import nats
import psutil
import pytest

from deploy.local.errors import StackError
from deploy.local.postgres import Postgres
from tests.servers import NatsServer, PostgresServer, wait_until

ROOT = Path(__file__).parents[3]


async def test_nats_keeps_a_stream_over_a_kill_and_a_restart(nats_servers: Callable[[], NatsServer]) -> None:
    server = nats_servers()
    client = await nats.connect(server.url)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
    await client.jetstream().publish("kept", b"payload")
    await client.close()

    server.kill()
    server.start()

    client = await nats.connect(server.url)
    message = await client.jetstream().get_msg("KEPT", 1)
    await client.close()
    assert message.data == b"payload"


def test_nats_syncs_before_it_acknowledges_and_listens_on_loopback_alone(nats_server: NatsServer) -> None:
    with urllib.request.urlopen(f"{nats_server.monitor_url}/varz") as answer:  # noqa: S310 - our own http URL
        about = json.load(answer)

    assert about["host"] == "127.0.0.1"
    assert about["http_host"] == "127.0.0.1"
    assert about["jetstream"]["config"]["sync_always"] is True


async def test_postgres_keeps_rows_over_a_kill_a_restart_and_a_pause(
    postgres_servers: Callable[[], PostgresServer],
) -> None:
    server = postgres_servers()
    connection = await asyncpg.connect(server.url)
    await connection.execute("CREATE TABLE kept (value int); INSERT INTO kept VALUES (7)")
    await connection.close()

    server.kill()
    server.start()

    connection = await asyncpg.connect(server.url)
    server.pause()
    with pytest.raises(TimeoutError):
        await connection.fetchval("SELECT value FROM kept", timeout=0.2)
    connection.terminate()
    server.resume()
    connection = await asyncpg.connect(server.url)
    assert await connection.fetchval("SELECT value FROM kept") == 7
    await connection.close()


async def test_the_product_role_is_no_superuser_and_the_superuser_has_no_way_in(
    postgres_server: PostgresServer,
) -> None:
    connection = await asyncpg.connect(postgres_server.url)
    assert await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    assert await connection.fetchval("SHOW fsync") == "on"
    assert await connection.fetchval("SHOW synchronous_commit") == "on"
    await connection.close()

    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(postgres_server.url, user="postgres")


async def test_postgres_wants_the_password_of_its_folder(postgres_server: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres_server.url, password="guessed")


async def test_every_test_has_an_empty_database_of_its_own(database_url: str, postgres_server: PostgresServer) -> None:
    assert database_url != postgres_server.url
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await connection.execute("CREATE TABLE mine (value int)")
    await connection.close()


def test_a_cluster_that_was_left_unfinished_is_made_anew(tmp_path: Path) -> None:
    unfinished = tmp_path / "postgres.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")

    Postgres(folder=tmp_path / "postgres", port=1).prepare()

    assert not unfinished.exists()
    assert (tmp_path / "postgres" / "floodgate.password").stat().st_mode & 0o777 == 0o600


def test_a_cluster_of_another_postgres_is_refused_in_one_line(tmp_path: Path) -> None:
    cluster = Postgres(folder=tmp_path / "postgres", port=1)
    cluster.prepare()
    (tmp_path / "postgres" / "PG_VERSION").write_text("19\n")

    with pytest.raises(
        StackError, match=r"holds data of PostgreSQL 19, and the installed one is \d+: set DATA_DIR"
    ) as told:
        cluster.prepare()

    assert "\n" not in str(told.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand PostgreSQL to somebody else")
def test_started_by_root_postgres_runs_as_somebody_else_also_below_a_closed_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    data = closed / "data"
    data.mkdir()
    server = PostgresServer(data)
    try:
        server.start()
        status = Path(f"/proc/{server.pid}/status").read_text()
        uids = next(line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
        assert "0" not in uids
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        server.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_a_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from tests.servers import NatsServer\n"
        "print(NatsServer(Path(sys.argv[1])).start().pid, flush=True); os.kill(os.getpid(), 9)"
    )
    starter = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    pid = int(starter.stdout)
    assert wait_until(lambda: not psutil.pid_exists(pid) or _is_zombie(pid), within_s=10)


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
