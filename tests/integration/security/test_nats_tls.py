"""TLS to NATS: with a server that is trusted, and with no other."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.errors import Fatal
from shared.metrics import RoleMetrics
from streams.connection import Connection
from streams.rights import ADMIN
from streams.settings import NatsSettings
from tests.integration.collectors.rig import quiet
from tests.integration.security.rig import SecuredNats
from tests.integration.security.tls import Authority
from tests.servers import NatsServer

WITHIN_S = 10


@contextmanager
def tls_server(authority: Authority, more: str = "") -> Iterator[SecuredNats]:
    cert_file, key_file = authority.issue("server")
    server = SecuredNats(f'tls {{ cert_file: "{cert_file}", key_file: "{key_file}" {more} }}')
    try:
        yield server.start()
    finally:
        server.close()


@asynccontextmanager
async def opened(url: str, **settings: Any) -> AsyncIterator[Connection]:
    nats_settings = NatsSettings.load(url=url, reconnect_wait_ms=20, **settings)
    connection = Connection(nats_settings, name=ADMIN, log=quiet(), metrics=RoleMetrics("test"))
    try:
        async with asyncio.timeout(WITHIN_S):
            await connection.open()
        yield connection
    finally:
        await connection.close()


async def fails(url: str, **settings: Any) -> str:
    with pytest.raises(Fatal) as caught:
        async with opened(url, **settings):
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def by_tls(server: NatsServer) -> str:
    return server.url.replace("nats://", "tls://")


async def test_a_server_that_an_authority_of_ours_signed_is_trusted_and_no_other(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    with tls_server(authority) as server:
        seed = server.seed(ADMIN)
        for url in (by_tls(server), server.url):  # the file turns TLS on by itself
            async with opened(url, nkey_seed=seed, ca_file=str(authority.ca_file)) as connection:
                await connection.jetstream.account_info()
        said = await fails(by_tls(server), nkey_seed=seed, ca_file=str(other.ca_file))
        assert said.startswith(f"NATS at {by_tls(server)} can't be trusted: ")
        assert "NATS_CA_FILE" in said
        assert "can't be trusted" in await fails(by_tls(server), nkey_seed=seed)  # the system's authorities


async def test_a_server_that_wants_a_certificate_gets_ours_and_refuses_without(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert_file, key_file = map(str, authority.issue("client"))
    with tls_server(authority, f', ca_file: "{authority.ca_file}", verify: true') as server:
        settings = {"ca_file": str(authority.ca_file), "nkey_seed": server.seed(ADMIN)}
        async with opened(by_tls(server), **settings, cert_file=cert_file, key_file=key_file):
            pass
        assert "NATS_CERT_FILE" in await fails(by_tls(server), **settings)


@pytest.mark.parametrize("by", ["url", "file"])
async def test_nothing_is_sent_to_a_server_without_tls_where_it_is_asked_for(
    nats_server: NatsServer, tmp_path: Path, by: str
) -> None:
    """The server would take us: it asks for no credentials."""
    settings = {"ca_file": str(Authority(tmp_path).ca_file)} if by == "file" else {}
    said = await fails(by_tls(nats_server) if by == "url" else nats_server.url, **settings)
    assert said.endswith(" offers no TLS, and NATS_URL or NATS_CA_FILE asks for it")


async def test_no_credentials_leave_before_the_server_has_shown_its_certificate() -> None:
    """Somebody in between who says that there is no TLS gets to know nothing."""
    heard = bytearray()
    hung_up = asyncio.Event()

    async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"auth_required":true}\r\n')
        heard.extend(await reader.read())
        writer.close()
        hung_up.set()

    impostor = await asyncio.start_server(pretend, "127.0.0.1", 0)
    async with impostor:
        port = impostor.sockets[0].getsockname()[1]
        assert "offers no TLS" in await fails(f"tls://user:secret-password@127.0.0.1:{port}")
        await asyncio.wait_for(hung_up.wait(), WITHIN_S)
    assert not heard
