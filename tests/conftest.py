"""Fixtures that every test may ask for: one real NATS server and one real PostgreSQL a session, a database a test.

A session is one process: `make test` runs several at once, each with servers of its own.

Nothing here touches the usual ports or the data folder of `make run`, so both run side by side. Whoever wants to kill
or pause a server takes one of its own from `nats_servers` or `postgres_servers`.
"""

import asyncio
import fcntl
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import nats
import pytest

from tests.servers import NatsServer, PostgresServer


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    """The session's server: shared, so leave it running.

    It always has a stream: with an account's last one nats-server takes the account's folder away, and a stream that
    is made meanwhile meets "error creating store for stream" (10049).
    """
    server = NatsServer()
    try:
        server.start()
        asyncio.run(_add_stream(server.url, "STAYS"))
        yield server
    finally:
        server.close()


class SharedPostgres(PostgresServer):
    """Without autovacuum: its workers are the superuser's, whom the role of the tests may not send off a database."""

    SETTINGS: Mapping[str, str] = {**PostgresServer.SETTINGS, "autovacuum": "off"}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The session's server: shared, so leave it running."""
    server = SharedPostgres()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def nats_url(nats_server: NatsServer) -> str:
    """Of the session's server. Streams are told apart by unique names."""
    return nats_server.url


@pytest.fixture
async def database_url(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """An empty database of this test's own, dropped afterwards even from under open connections."""
    name = f"test_{uuid.uuid4().hex}"
    await _execute(postgres_server.url, f'CREATE DATABASE "{name}"')
    yield postgres_server.url_of(name)
    await _execute(postgres_server.url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def nats_servers() -> Iterator[Callable[[], NatsServer]]:
    """Makes started servers that the test may do anything to."""
    with ExitStack() as servers:

        def make() -> NatsServer:
            server = NatsServer()
            servers.callback(server.close)
            return server.start()

        yield make


@pytest.fixture
def postgres_servers() -> Iterator[Callable[[], PostgresServer]]:
    """Makes started servers that the test may do anything to."""
    with ExitStack() as servers:

        def make() -> PostgresServer:
            server = PostgresServer()
            servers.callback(server.close)
            return server.start()

        yield make


@pytest.fixture
def usual_ports() -> Iterator[None]:
    """Nobody else of this test run has a stack of `make run` up meanwhile. Blocks until the last one is down.

    A stack takes the usual ports, or the next free ones above them: two that start at once would choose the same, and
    one whose server comes back after a kill could find another's on its port. A test that starts one asks for this.
    """
    with Path(__file__).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


async def _add_stream(url: str, name: str) -> None:
    client = await nats.connect(url)
    try:
        await client.jetstream().add_stream(name=name, subjects=[name.lower()])
    finally:
        await client.close()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
