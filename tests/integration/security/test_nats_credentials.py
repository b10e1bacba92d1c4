"""Keys and credentials files: taken, refused at the start, and refused while a program runs."""

import asyncio
import gc
import json
from base64 import b32encode, urlsafe_b64encode
from binascii import crc_hqx
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.errors import ConnectionClosedError

from shared.errors import Fatal
from shared.events import REGISTRY
from streams.backlog import read_backlog
from streams.connection import Connection
from streams.definitions import definitions
from streams.keys import make_keys
from streams.nkeys import UserKey
from streams.provision import provision
from streams.rights import ADMIN, GATEWAY, collector, config, roles
from streams.settings import StreamSettings
from streams.subjects import Names
from tests.integration.collectors.program import ended, run, says, started
from tests.integration.security.rig import SecuredNats, connected
from tests.integration.security.test_nats_tls import fails, opened
from tests.integration.streams.conftest import configured
from tests.servers import wait_until

REFUSED = "NATS at {url} refuses these credentials"


def rotate(server: SecuredNats, *names: str) -> None:
    """New keys for these roles, as operators change them."""
    for name in names:
        server.seeds[name].unlink()
    make_keys(server.config, roles(["facebook", "tiktok"], Names()))
    server.reload()


async def test_a_key_that_the_server_does_not_know_is_fatal_in_one_line(secured: SecuredNats, tmp_path: Path) -> None:
    seed_file = tmp_path / "seed"
    seed_file.write_text(UserKey.new().seed)
    environment = {"NATS_URL": secured.url, "NATS_NKEY_SEED_FILE": str(seed_file)}
    quiet_ones = environment | {"PORT": "0", "OPS_PORT": "0", "LOG_LEVEL": "error"}
    programs = (("gateway",), ("collectors", "--source", "facebook"), ("streams", "apply"))
    ends = await asyncio.gather(*(run("-m", *program, environment=quiet_ones) for program in programs))
    for program, end in zip(programs, ends, strict=True):
        assert end.code == 1
        assert (
            end.said == f"{program[0].replace('collectors', 'collector-facebook')}: {REFUSED.format(url=secured.url)}\n"
        )


async def test_no_key_at_all_is_refused_too(secured: SecuredNats) -> None:
    end = await run("-m", "streams", "status", environment={"NATS_URL": secured.url})
    assert (end.code, end.said) == (1, f"streams: {REFUSED.format(url=secured.url)}\n")


async def test_a_program_whose_key_is_taken_back_ends_and_says_so() -> None:
    server = SecuredNats()
    try:
        await asyncio.to_thread(server.start)
        end = await run("-m", "streams", "apply", environment=server.environment(ADMIN))
        assert end.code == 0, end.said
        environment = server.environment(GATEWAY) | {"PORT": "0", "PROVISION_ON_START": "false"}
        async with started("-m", "gateway", environment=environment) as process:
            await says(process, "nats_connected")
            rotate(server, GATEWAY)
            end = await ended(process)
        assert end.code == 1
        assert end.said.splitlines()[-1] == f"gateway: {REFUSED.format(url=server.url)}"
        assert "Traceback" not in end.said
        async with connected(server, GATEWAY):  # with the new one
            pass
    finally:
        server.close()


def test_a_program_whose_key_is_taken_back_while_it_publishes_is_told() -> None:
    """On uvloop, as the programs run: it raises for a write to a socket that the server has closed."""

    async def refused_while_it_publishes() -> tuple[str, list[object]]:
        lost: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: lost.append(context))
        async with _refusing("Authorization Violation") as (url, refuse), opened(url) as connection:

            async def publish() -> None:
                while True:
                    await connection.client.publish("subject", bytes(1_000))
                    await asyncio.sleep(0)

            publishing = asyncio.create_task(publish())
            refuse.set()
            with pytest.raises(Fatal) as caught:
                await asyncio.wait_for(connection.watch(), 10)
            with pytest.raises(ConnectionClosedError):
                await publishing
        return str(caught.value).replace(url, "{url}"), lost

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(refused_while_it_publishes()) == (REFUSED, [])


# nats-py forgets to close the socket of an attempt to reconnect that was refused; Python does when it collects it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_key_is_changed_for_another_while_both_are_valid_and_nobody_is_sent_away() -> None:
    server = SecuredNats()
    wanted = roles(["facebook", "tiktok"], Names())

    async def use(*, with_next: bool) -> None:
        await asyncio.to_thread(make_keys, server.config, wanted, with_next=with_next)
        (server.config / "rights.conf").write_text(config(wanted, with_next=with_next))
        server.reload()
        told = partial(_has_reloaded, server, times=1 if with_next else 2)
        assert await asyncio.to_thread(wait_until, told, within_s=10)

    async def can_ask(connection: Connection) -> bool:
        return bool((await connection.jetstream.account_info()).limits)

    try:
        await asyncio.to_thread(server.start)
        following = server.seeds[ADMIN].with_suffix(".next.seed")
        async with connected(server, ADMIN) as old:
            await use(with_next=True)
            assert await can_ask(old)
            current, server.seeds[ADMIN] = server.seeds[ADMIN], following
            async with connected(server, ADMIN) as new:
                following.replace(current)
                await use(with_next=False)
                assert await can_ask(new)
                with pytest.raises(Fatal, match="refuses these credentials"):
                    await old.watch()
    finally:
        await asyncio.to_thread(server.close)
        gc.collect()  # that socket, while its warning is of this test


async def test_a_credentials_file_is_taken_by_a_server_with_operators(tmp_path: Path) -> None:
    operator, account, system = _Signer("O"), _Signer("A"), _Signer("A")
    user = UserKey.new()
    unlimited = {"subs": -1, "data": -1, "payload": -1}
    limits = {"type": "account", "limits": {**unlimited, "conn": -1}}
    accounts = ", ".join(f"{one.public}: {operator.sign(one.public, limits)}" for one in (account, system))
    jwt = account.sign(user.public, {"type": "user", **unlimited})
    creds = (
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        f"*** keep it secret ***\n\n-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    trust = (
        f"operator: {operator.sign(operator.public, {'type': 'operator'})}\nsystem_account: {system.public}\n"
        f"resolver: MEMORY\nresolver_preload: {{ {accounts} }}\n"
    )
    (tmp_path / "server").mkdir()
    with configured(tmp_path / "server", "lame_duck_duration", trust + "lame_duck_duration") as server:
        async with opened(server.url, creds=creds) as connection:
            await connection.client.flush()
        other = creds.replace(user.seed, UserKey.new().seed)
        assert await fails(server.url, creds=other) == REFUSED.format(url=server.url)


@pytest.mark.parametrize(
    "said", ["Authorization Violation", "User Authentication Expired", "User Authentication Revoked"]
)
async def test_a_server_that_refuses_while_connected_is_fatal_in_the_same_line(said: str) -> None:
    """As when a JWT expires: the client is told once, and nats-py closes without another word."""
    async with _refusing(said) as (url, refuse), opened(url) as connection:
        refuse.set()
        with pytest.raises(Fatal) as caught:
            await asyncio.wait_for(connection.watch(), 10)
    assert str(caught.value) == REFUSED.format(url=url)


@asynccontextmanager
async def _refusing(said: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """The URL of a server that takes a client, and what makes it say this, and hang up as nats-server does."""
    refuse = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"headers":true}\r\n')
        await reader.readuntil(b"PING\r\n")
        writer.write(b"PONG\r\n")
        await refuse.wait()
        writer.write(f"-ERR '{said}'\r\n".encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", refuse


class _Signer:
    """An operator or account, as the nsc tool makes them."""

    def __init__(self, letter: str) -> None:
        self._key = Ed25519PrivateKey.generate()
        raw = bytes([{"O": 14 << 3, "A": 0}[letter]]) + self._key.public_key().public_bytes_raw()
        self.public = b32encode(raw + crc_hqx(raw, 0).to_bytes(2, "little")).decode().rstrip("=")

    def sign(self, subject: str, claims: Mapping[str, object]) -> str:
        header = {"typ": "JWT", "alg": "ed25519-nkey"}
        body = {
            "jti": subject,
            "iat": 1,
            "iss": self.public,
            "sub": subject,
            "name": "test",
            "nats": {"version": 2, **claims},
        }
        signed = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, body))
        return b".".join([signed, urlsafe_b64encode(self._key.sign(signed)).rstrip(b"=")]).decode()


async def test_a_new_platforms_collector_is_let_in_by_a_second_reload() -> None:
    """nats-server ties an account that a reload brings to what it imports with the reload after: docs/changes.md."""
    server = SecuredNats()
    sources = [*REGISTRY.sources, "pinboard"]
    wanted = roles(sources, Names())
    try:
        await asyncio.to_thread(server.start)
        server.seeds |= {key.role.name: key.seed_file for key in make_keys(server.config, wanted)}
        (server.config / "rights.conf").write_text(config(wanted))
        for times in (1, 2):
            server.reload()
            told = partial(_has_reloaded, server, times=times)
            assert await asyncio.to_thread(wait_until, told, within_s=10)
        async with connected(server, ADMIN) as admin:
            await provision(admin, definitions(sources, StreamSettings()))
        async with connected(server, collector("pinboard")) as connection:
            assert (await read_backlog(connection, "PINBOARD_EVENTS")).messages == 0
    finally:
        await asyncio.to_thread(server.close)


def _has_reloaded(server: SecuredNats, *, times: int) -> bool:
    return server.log_text().count("Reloaded server configuration") >= times
