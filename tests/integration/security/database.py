"""PostgreSQL with the roles of deploy/postgres/roles.sql."""

import asyncio
from pathlib import Path

import asyncpg

from collectors.migrate import migrate
from collectors.settings import DatabaseSettings
from shared.events import REGISTRY
from tests.servers import PostgresServer

ROLES = Path(__file__).parents[3] / "deploy" / "postgres" / "roles.sql"
PASSWORD = "of-this-test"
ACCESS = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


class RolesPostgres(PostgresServer):
    """Its superuser can come in from this machine, to do what an administrator does once."""

    def url_as(self, role: str) -> str:
        """The DSN of the product's database for this role."""
        return f"postgresql://{role}:{PASSWORD}@127.0.0.1:{self.port}/floodgate"

    def make_roles(self) -> None:
        """Run the shipped file as the superuser, twice as it may be, and migrate as the owner."""
        asyncio.run(self._make_roles())

    async def execute(self, role: str, *statements: str) -> list[asyncpg.Record]:
        """Run statements as this role; the rows of the last one."""
        connection = await asyncpg.connect(self.url_as(role))
        try:
            rows: list[asyncpg.Record] = []
            for statement in statements:
                rows = await connection.fetch(statement)
            return rows
        finally:
            await connection.close()

    async def _make_roles(self) -> None:
        connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{self.port}/floodgate")
        try:
            for _ in range(2):
                await connection.execute(ROLES.read_text())
            for role in ("floodgate_owner", "floodgate_collector", "floodgate_reader", "floodgate_monitor"):
                await connection.execute(f"ALTER ROLE {role} PASSWORD '{PASSWORD}'")
        finally:
            await connection.close()
        await migrate(DatabaseSettings(url=self.url_as("floodgate_owner")), REGISTRY.sources)

    def _command(self) -> tuple[str, ...]:
        command = super()._command()
        access = self.folder / "postgres" / "pg_hba.conf"
        access.write_text(access.read_text() + ACCESS)
        return command
