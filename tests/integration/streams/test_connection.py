"""The connection: a server that is not there yet, one that refuses, one that comes back, and the end of it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shared.errors import Fatal, Retryable
from shared.logs import Logger
from shared.metrics import GatewayMetrics
from streams.connection import Connection
from streams.settings import NatsSettings
from tests.integration.streams.conftest import Connect, configured
from tests.integration.streams.waiting import until
from tests.servers import NatsServer, free_port

WITH_USERS = 'authorization: {user: "app", password: "right-secret"}\nlame_duck_duration'


def connected(metrics: GatewayMetrics) -> float | None:
    return metrics.registry.get_sample_value("nats_connected")


async def test_a_server_that_is_not_up_yet_is_waited_for(
    log: Logger, metrics: GatewayMetrics, own_server: NatsServer, logged: list[dict[str, Any]]
) -> None:
    await asyncio.to_thread(own_server.stop)
    settings = NatsSettings.load(url=own_server.url, reconnect_wait_ms=20)
    connection = Connection(settings, name="test", log=log, metrics=metrics)
    opening = asyncio.ensure_future(connection.open())
    await until(lambda: sum(entry["event"] == "nats_error" for entry in logged) >= 3)
    assert not opening.done()
    with pytest.raises(Retryable, match="not connected to NATS"):
        connection.require()
    await asyncio.to_thread(own_server.start)
    await asyncio.wait_for(opening, 10)
    connection.require()
    assert connected(metrics) == 1
    await connection.close()
    assert connected(metrics) == 0


async def test_attempts_that_are_used_up_are_fatal(connect: Connect) -> None:
    with pytest.raises(Fatal, match=r"^NATS at nats://127.0.0.1:\d+ can't be reached: "):
        await connect(f"nats://someone:hidden@127.0.0.1:{free_port()}", max_reconnect_attempts=2, reconnect_wait_ms=1)


@pytest.mark.parametrize("user", ["app:wrong-secret@", "app:right-secret-not@", ""])
async def test_refused_credentials_are_fatal_in_one_line_that_does_not_show_them(
    tmp_path: Path, connect: Connect, logged: list[dict[str, Any]], user: str
) -> None:
    with configured(tmp_path, "lame_duck_duration", WITH_USERS) as server:
        url = server.url.replace("//", f"//{user}")
        with pytest.raises(Fatal) as caught:
            await asyncio.wait_for(connect(url), 10)
        assert str(caught.value) == f"NATS at {server.url} refuses these credentials"
    assert "secret" not in str(logged)


async def test_credentials_are_in_no_detail_and_no_log(
    tmp_path: Path, connect: Connect, logged: list[dict[str, Any]]
) -> None:
    with configured(tmp_path, "lame_duck_duration", WITH_USERS) as server:
        connection = await connect(server.url.replace("//", "//app:right-secret@"))
        details = {connection.detail}
        await asyncio.to_thread(server.kill)
        await until(lambda: not connection.is_connected)
        details.add(connection.detail)
        await asyncio.to_thread(server.start)
        await until(lambda: connection.is_connected and connection.detail.startswith("connected"))
        details.add(connection.detail)
        await connection.close()
    assert f"connected to 127.0.0.1:{server.port}" in details
    assert "secret" not in str(details) + str(logged)
    assert {"nats_connected", "nats_disconnected", "nats_reconnected"} <= {entry["event"] for entry in logged}


async def test_a_connection_that_is_closed_for_good_is_fatal(connection: Connection, metrics: GatewayMetrics) -> None:
    """The server hangs up on a message whose headers it finds too long, and the client never comes back."""
    watching = asyncio.ensure_future(connection.watch())
    await asyncio.sleep(0)
    assert not watching.done()
    await connection.client.publish("anything", b"", headers={"H": "x" * 2**21})
    with pytest.raises(Fatal, match="the connection to NATS is closed for good"):
        await asyncio.wait_for(watching, 10)
    assert not connection.is_connected
    assert connected(metrics) == 0


async def test_a_lost_connection_is_not_fatal_and_is_counted_when_it_is_back(
    own_server: NatsServer, connect: Connect, metrics: GatewayMetrics
) -> None:
    connection = await connect(own_server.url)
    watching = asyncio.ensure_future(connection.watch())
    await asyncio.to_thread(own_server.kill)
    await until(lambda: connected(metrics) == 0)
    with pytest.raises(Retryable, match="not connected to NATS: "):
        connection.require()
    await asyncio.to_thread(own_server.start)
    await until(lambda: connected(metrics) == 1)
    assert metrics.registry.get_sample_value("nats_reconnects_total") == 1
    assert not watching.done()
    watching.cancel()


async def test_reconnecting_in_vain_ends_in_fatal_where_attempts_are_limited(
    own_server: NatsServer, connect: Connect
) -> None:
    connection = await connect(own_server.url, max_reconnect_attempts=2, reconnect_wait_ms=1)
    watching = asyncio.ensure_future(connection.watch())
    await asyncio.to_thread(own_server.kill)
    with pytest.raises(Fatal, match="closed for good"):
        await asyncio.wait_for(watching, 10)


async def test_closing_does_not_hang_on_a_server_that_does_not_answer(own_server: NatsServer, connect: Connect) -> None:
    connection = await connect(own_server.url)
    own_server.pause()
    try:
        await asyncio.wait_for(connection.close(), 10)
    finally:
        own_server.resume()
    assert connection.client.is_closed


async def test_a_message_may_be_as_long_as_the_server_says(connection: Connection) -> None:
    assert connection.max_payload_bytes == 2**20
