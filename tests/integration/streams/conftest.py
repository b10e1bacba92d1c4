"""Connections to a real server, and streams of a test's own that are gone afterwards."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from nats.js.errors import APIError

from shared.logs import Logger
from shared.metrics import GatewayMetrics
from streams.connection import Connection
from streams.definitions import Definition, definitions
from streams.provision import provision
from streams.settings import NatsSettings, StreamSettings
from streams.subjects import Names
from tests.servers import NatsServer

SOURCE = "facebook"


@contextmanager
def configured(folder: Path, old: str, new: str) -> Iterator[NatsServer]:
    """A server whose configuration has `new` for `old`."""

    class Configured(NatsServer):
        def _command(self) -> tuple[str, ...]:
            command = super()._command()
            config = self.folder / "nats" / "nats.conf"
            text = config.read_text()
            assert old in text
            config.write_text(text.replace(old, new, 1))
            return command

    server = Configured(folder)
    try:
        yield server.start()
    finally:
        server.close()


Connect = Callable[..., Awaitable[Connection]]


@pytest.fixture
def logged() -> list[dict[str, Any]]:
    """What the code under test has logged."""
    return []


@pytest.fixture
def log(logged: list[dict[str, Any]]) -> Logger:
    """A logger that prints nothing."""

    def keep(_logger: object, level: str, entry: Any) -> Any:
        logged.append({"level": level, **entry})
        raise structlog.DropEvent

    log: Logger = structlog.wrap_logger(None, processors=[keep])
    return log


@pytest.fixture
def metrics() -> GatewayMetrics:
    """In a registry of the test's own."""
    return GatewayMetrics()


@pytest.fixture
async def connect(log: Logger, metrics: GatewayMetrics) -> AsyncIterator[Connect]:
    """Opens connections, quick to reconnect, and closes them afterwards."""
    opened: list[Connection] = []

    async def open_one(url: str, **settings: Any) -> Connection:
        nats_settings = NatsSettings.load(url=url, **{"reconnect_wait_ms": 20, **settings})
        connection = Connection(nats_settings, name="test", log=log, metrics=metrics)
        opened.append(connection)
        await connection.open()
        return connection

    yield open_one
    for connection in opened:
        await connection.close()


@pytest.fixture
async def connection(connect: Connect, nats_url: str) -> Connection:
    """To the session's server."""
    return await connect(nats_url)


@pytest.fixture
def stream_settings() -> StreamSettings:
    """Streams of this test's own, small: what a stream may hold is taken from the server's room at once."""
    prefix = f"T{uuid.uuid4().hex[:10].upper()}_"
    return StreamSettings.load(prefix=prefix, max_bytes=16 * 1024**2, ack_wait_ms=30_000)


@pytest.fixture
def names(stream_settings: StreamSettings) -> Names:
    """Of this test's streams."""
    return Names(stream_settings.prefix)


@pytest.fixture
def wanted(stream_settings: StreamSettings) -> list[Definition]:
    """One source's stream with its consumer, dead letters, receipts."""
    return definitions([SOURCE], stream_settings)


@pytest.fixture
async def no_streams_left(connection: Connection, names: Names) -> AsyncIterator[None]:
    """Removes this test's streams afterwards."""
    yield
    for info in await connection.jetstream.streams_info():
        if str(info.config.name).startswith(names.prefix):
            try:
                await connection.jetstream.delete_stream(str(info.config.name))
            except APIError as error:
                assert error.code == 404  # noqa: PT017 - one that a task of the test has removed meanwhile


@pytest.fixture
async def streams(connection: Connection, wanted: list[Definition], no_streams_left: None) -> list[Definition]:
    """Provisioned on the session's server."""
    await provision(connection, wanted)
    return wanted


@pytest.fixture
def own_server(nats_servers: Callable[[], NatsServer]) -> NatsServer:
    """A server that this test may do anything to."""
    return nats_servers()
