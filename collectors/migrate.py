"""`python -m collectors.migrate`: bring the tables up to date, by alembic's plain-SQL revisions.

Where the roles of deploy/postgres/roles.sql exist, they are granted their rights: a collector's inserts and
reads, and no more. A partition needs none of its own, as PostgreSQL asks for rights on the table that is named.

Safe to run from many processes at once (an advisory lock lets one work and the others wait), and never
run backwards: tables of a newer version are refused.
"""

import argparse
import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from collectors.failures import DATABASE_ERRORS, classify
from collectors.settings import DatabaseSettings
from collectors.sql import statement
from shared import lifecycle
from shared.errors import Fatal, Pressure, Retryable
from shared.events import REGISTRY

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x666C6F6F64  # "flood": the advisory lock's number
_WAIT_S: Final = 30.0
_PARTITIONED: Final = ("events", "demographics", "revenue")
_RIGHTS: Final = {
    "floodgate_collector": "SELECT, INSERT ON events, demographics, revenue, batches",
    "floodgate_reader": "SELECT ON batches",  # all that a receipt is made from, and no personal data
}


async def migrate(settings: DatabaseSettings, sources: Iterable[str]) -> None:
    """Bring the tables to the newest revision, with partitions for these sources; else changes nothing.

    Raises Retryable where PostgreSQL is not there (yet), Fatal where it refuses or its tables are newer.
    """
    # asyncpg reads the URL itself, as it does for the store: SQLAlchemy knows fewer of its forms.
    engine = create_async_engine(
        "postgresql+asyncpg://",
        poolclass=NullPool,
        async_creator=lambda: asyncpg.connect(settings.url, timeout=settings.connect_timeout_ms / 1_000),
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_upgrade, tuple(sources))
    except CommandError as error:
        raise Fatal(f"the tables can't be brought up to date: {error}") from error
    except DBAPIError as error:
        cause = getattr(error.orig, "__cause__", None) or error.orig
        raise classify(cause if isinstance(cause, DATABASE_ERRORS) else OSError(str(error))) from error
    except DATABASE_ERRORS as error:
        raise classify(error) from error
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, sources: Sequence[str]) -> None:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    with connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _refuse_newer(connection, ScriptDirectory.from_config(config))
        command.upgrade(config, "head")
        for source in sources:
            for table in _PARTITIONED:
                found = connection.execute(text("SELECT to_regclass(:name)"), {"name": f"{table}_{source}"}).scalar()
                if found is None:
                    connection.execute(text(statement("create_partition").format(table=table, source=source)))
        for (role,) in connection.execute(text("SELECT rolname FROM pg_roles")).all():
            if role in _RIGHTS:
                connection.execute(text(f"GRANT {_RIGHTS[role]} TO {role}"))


def _refuse_newer(connection: Connection, scripts: ScriptDirectory) -> None:
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar() is None:
        return
    known = {script.revision for script in scripts.walk_revisions()}
    present = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if present is not None and present not in known:
        raise Fatal(
            f"the tables are of a newer version ({present}) than this program ({scripts.get_current_head()}): "
            "use that version or a newer one, or another database"
        )


def main() -> None:
    """Migrate, waiting up to 30 s for PostgreSQL. Exits 0; 1 for a fatal error; 2 for a wrong setting."""
    argparse.ArgumentParser(
        prog="collectors.migrate", description="Brings the tables in DATABASE_URL up to date."
    ).parse_args()
    lifecycle.run(_main, program="migrate")


async def _main() -> None:
    settings = DatabaseSettings.load()
    trouble: Exception | None = None
    try:
        async with asyncio.timeout(_WAIT_S):
            while True:
                try:
                    return await migrate(settings, REGISTRY.sources)
                except (Retryable, Pressure) as error:
                    trouble = error
                    await asyncio.sleep(0.5)
    except TimeoutError:
        raise Fatal(f"PostgreSQL did not answer within {_WAIT_S:g} s: {trouble}. Is DATABASE_URL right?") from None


if __name__ == "__main__":
    main()
