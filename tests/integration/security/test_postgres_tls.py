"""`sslmode` in DATABASE_URL: PostgreSQL by TLS, and only the one that is trusted.

The server of the wheel is built without OpenSSL, so TLS ends at a proxy in front of it, which speaks PostgreSQL's
own way to begin it.
"""

from pathlib import Path

import pytest

from collectors.migrate import migrate
from collectors.settings import DatabaseSettings
from collectors.store import Store
from shared.errors import Fatal, Retryable
from shared.events import REGISTRY
from shared.metrics import CollectorMetrics
from tests.integration.security.database import RolesPostgres
from tests.integration.security.tls import Authority, postgres_with_tls


def at(database: RolesPostgres, role: str, port: int, query: str) -> DatabaseSettings:
    url = database.url_as(role).replace(f":{database.port}/", f":{port}/")
    return DatabaseSettings(url=f"{url}?{query}")


async def test_the_collectors_and_migrations_reach_a_server_that_they_verify(
    database: RolesPostgres, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    verified = f"sslmode=verify-full&sslrootcert={authority.ca_file}"
    async with postgres_with_tls(database.port, *authority.issue("server")) as port:
        await migrate(at(database, "floodgate_owner", port, verified), REGISTRY.sources)
        store = Store("facebook", at(database, "floodgate_collector", port, verified), metrics=CollectorMetrics())
        await store.open()
        await store.close()


async def test_a_server_with_a_foreign_certificate_is_fatal_and_the_line_names_the_setting(
    database: RolesPostgres, tmp_path: Path
) -> None:
    foreign = Authority(tmp_path, "foreign")
    settings_ca = Authority(tmp_path).ca_file
    async with postgres_with_tls(database.port, *foreign.issue("server")) as port:
        settings = at(database, "floodgate_collector", port, f"sslmode=verify-full&sslrootcert={settings_ca}")
        with pytest.raises(Fatal, match=r"PostgreSQL can't be trusted: .*sslrootcert"):
            await Store("facebook", settings, metrics=CollectorMetrics()).open()


async def test_a_server_without_tls_is_not_used_where_it_is_required(database: RolesPostgres) -> None:
    settings = at(database, "floodgate_collector", database.port, "sslmode=require")
    with pytest.raises(Retryable, match="rejected SSL upgrade"):
        await Store("facebook", settings, metrics=CollectorMetrics()).open()
