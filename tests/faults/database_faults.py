"""Faults inside PostgreSQL, provoked for real: locks, limits and isolation levels, set from other sessions.

Each returns only after a collector has met the error (its log has the SQLSTATE), so a fault that had no effect is no
fault: `FaultHadNoEffectError` then.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from functools import partial
from random import Random
from typing import Final

import asyncpg

from deploy.local.postgres import ROLE
from tests.faults.fault import FaultHadNoEffectError
from tests.faults.waiting import until, until_true
from tests.faults.world import World

EFFECT_TIMEOUT_S: Final = 45.0
TOO_MANY: Final = 100
"""More connections than any PostgreSQL of the suite takes."""
REFUSED_USERS: Final = "00[0-3]$"
"""Events of users whose id (in hex) ends so are refused by the constraint: one of 1024."""


@contextlib.asynccontextmanager
async def _met(world: World, code: str) -> AsyncIterator[None]:
    """For the length of the block, and until a collector's log has this SQLSTATE once more."""
    before = world.said(f"({code})")
    yield
    try:
        await until_true(lambda: world.said(f"({code})") > before, within_s=EFFECT_TIMEOUT_S)
    except TimeoutError:
        raise FaultHadNoEffectError(f"no collector met {code} within {EFFECT_TIMEOUT_S:g} s") from None


@contextlib.asynccontextmanager
async def _role_with(world: World, setting: str, value: str) -> AsyncIterator[None]:
    """All sessions of the product's role with another setting, and afterwards without it again."""
    await world.tables.execute(f"ALTER ROLE {ROLE} SET {setting} = '{value}'")
    try:
        await world.tables.end_backends()
        yield
    finally:
        await world.tables.execute(f"ALTER ROLE {ROLE} RESET {setting}")
        await world.tables.end_backends()


async def statement_timeout(world: World, random: Random) -> None:
    """Every statement is cancelled after 1 ms, for a while."""
    async with _role_with(world, "statement_timeout", "1ms"), _met(world, "57014"):
        await asyncio.sleep(random.uniform(0.2, 1.5))


async def lock_timeout(world: World, random: Random) -> None:
    """Another session holds the tables, and waiting for a lock is bounded."""
    async with _role_with(world, "lock_timeout", "100ms"):
        connection = await world.tables.connect()
        try:
            async with _met(world, "55P03"):
                await connection.execute("BEGIN; LOCK TABLE events IN EXCLUSIVE MODE")
                await asyncio.sleep(random.uniform(0.2, 1.5))
        finally:
            await connection.close()


async def deadlock(world: World, random: Random) -> None:
    """Another session takes the collectors' tables in the opposite order."""
    connection = await world.tables.connect()
    try:
        async with _met(world, "40P01"):
            for _ in range(10):
                await connection.execute("BEGIN; LOCK TABLE revenue IN EXCLUSIVE MODE")
                await until(partial(_others_wait, connection), within_s=EFFECT_TIMEOUT_S, poll_s=0.01)
                try:
                    await connection.execute("LOCK TABLE events IN EXCLUSIVE MODE")
                except asyncpg.DeadlockDetectedError:
                    continue  # the server chose us to give way: once more
                else:
                    break
                finally:
                    await connection.execute("ROLLBACK")
            await asyncio.sleep(random.uniform(0.0, 0.5))
    finally:
        await connection.close()


async def serialization_failure(world: World, random: Random) -> None:
    """Two collectors of one source, serializable: they read and write the same index pages."""
    async with _role_with(world, "default_transaction_isolation", "serializable"), _met(world, "40001"):
        await asyncio.sleep(random.uniform(0.2, 1.0))


async def too_many_connections(world: World, random: Random) -> None:
    """Others hold every connection that PostgreSQL takes."""
    taken: list[asyncpg.Connection] = []
    try:
        async with _met(world, "53300"):
            for _ in range(2):  # the collectors' own become free when they are ended
                with contextlib.suppress(asyncpg.TooManyConnectionsError):
                    while len(taken) < TOO_MANY:
                        taken.append(await asyncpg.connect(world.postgres.url))
                await taken[0].execute(_END_COLLECTORS)
            with contextlib.suppress(asyncpg.TooManyConnectionsError):
                while len(taken) < TOO_MANY:
                    taken.append(await asyncpg.connect(world.postgres.url))
            await asyncio.sleep(random.uniform(0.2, 1.5))
    finally:
        for connection in taken:
            connection.terminate()


async def tables_held(world: World, random: Random) -> None:
    """Another session holds a table for longer than a statement may take."""
    connection = await world.tables.connect()
    try:
        await connection.execute("BEGIN; LOCK TABLE events IN EXCLUSIVE MODE")
        await asyncio.sleep(random.uniform(1.0, 6.0))
    finally:
        await connection.close()


async def refused_rows(world: World, random: Random) -> None:
    """A constraint refuses some events for good: they belong into the dead letters. Then a collector is killed."""
    with contextlib.suppress(asyncpg.DuplicateObjectError):
        await world.tables.execute(
            f"ALTER TABLE events ADD CONSTRAINT faults CHECK (user_id !~ '{REFUSED_USERS}') NOT VALID"
        )
    await asyncio.sleep(random.uniform(0.3, 1.5))
    chosen = random.choice(world.collectors)
    chosen.send(signal.SIGKILL)
    await chosen.ended()


async def _others_wait(connection: asyncpg.Connection) -> bool:
    return bool(await connection.fetchval(_WAITING, connection.get_server_pid()))


_WAITING: Final = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> $1"
_END_COLLECTORS: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'floodgate-collector'"
)
