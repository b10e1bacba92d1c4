"""nats-server with the shipped configuration, and clients that are one of its users."""

import asyncio
import json
import shutil
import signal
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from deploy.local.identity import launch
from shared.events import REGISTRY
from shared.metrics import RoleMetrics
from streams.client import inbox_prefix
from streams.connection import Connection
from streams.keys import make_keys
from streams.nkeys import UserKey
from streams.rights import ADMIN, API_PREFIX, roles
from streams.settings import NatsSettings
from streams.subjects import Names
from tests.integration.collectors.rig import quiet
from tests.servers import NatsServer

SHIPPED = Path(__file__).parents[3] / "deploy" / "nats"


def api_prefix(role: str) -> str:
    """Of the JetStream API, as this role's account has it."""
    return "$JS.API" if role == ADMIN else API_PREFIX


class SecuredNats(NatsServer):
    """The server of deploy/nats on loopback, with new keys; `tls` is put in the place of tls.conf, and included."""

    def __init__(self, tls: str | None = None) -> None:
        super().__init__()
        self.config = self.folder / "config"
        shutil.copytree(SHIPPED, self.config)
        conf = self.config / "nats.conf"
        conf.write_text(conf.read_text().replace('"/data"', json.dumps(str(self.folder / "store"))))
        if tls is not None:
            (self.config / "tls.conf").write_text(tls)
            conf.write_text(conf.read_text().replace('# include "tls.conf"', 'include "tls.conf"'))
        self.seeds = {key.role.name: key.seed_file for key in make_keys(self.config, roles(REGISTRY.sources, Names()))}

    def reload(self) -> None:
        """Have it read its configuration anew."""
        self._signal_all(signal.SIGHUP)

    def seed(self, role: str) -> str:
        """Of this role's key."""
        return self.seeds[role].read_text().strip()

    def environment(self, role: str) -> dict[str, str]:
        """What a program of this role needs."""
        return {
            "NATS_URL": self.url,
            "NATS_NKEY_SEED_FILE": str(self.seeds[role]),
            "NATS_JETSTREAM_PREFIX": api_prefix(role),
        }

    def _command(self) -> tuple[str, ...]:
        server = Path(sysconfig.get_path("scripts")) / "nats-server"
        config = ("-c", str(self.config / "nats.conf"))
        ports = ("--addr", "127.0.0.1", "--port", str(self.port), "--http_port", str(self.monitor_port))
        return launch((str(server), *config, *ports), death_signal=signal.SIGKILL)


class Intruder:
    """A client that has a role's key and tries more than its program does. `refused` is what the server said."""

    def __init__(self, client: Client, refused: list[str]) -> None:
        self._client = client
        self._refused = refused

    async def may_publish(self, subject: str, body: bytes = b"{}", reply: str = "") -> bool:
        """Whether the server lets it; a refusal comes before the answer to a ping that was sent after."""
        return await self._allowed(self._client.publish(subject, body, reply))

    async def may_subscribe(self, subject: str) -> bool:
        """Whether the server lets it."""
        return await self._allowed(self._client.subscribe(subject))

    async def ask(self, subject: str, body: bytes = b"{}") -> bytes:
        """The answer of the JetStream API."""
        answer = await self._client.request(subject, body, timeout=5)
        return answer.data

    async def _allowed(self, asked: Any) -> bool:
        before = len(self._refused)
        await asked
        await self._client._flush_pending(force_flush=True)  # or the ping could overtake what is asked
        await self._client.flush()
        return len(self._refused) == before


@asynccontextmanager
async def intruder(server: SecuredNats, role: str) -> AsyncIterator[Intruder]:
    """Connected as this role."""
    refused: list[str] = []

    async def keep(error: Exception) -> None:
        refused.append(str(error))

    key = UserKey(server.seed(role))
    client = Client()
    client._public_nkey = key.public
    await client.connect(
        server.url, signature_cb=key.sign, inbox_prefix=inbox_prefix(role), error_cb=keep, allow_reconnect=False
    )
    try:
        yield Intruder(client, refused)
    finally:
        await client.close()


@asynccontextmanager
async def connected(server: SecuredNats, role: str) -> AsyncIterator[Connection]:
    """The product's own connection, as this role."""
    settings = NatsSettings(
        url=server.url, nkey_seed=server.seed(role), jetstream_prefix=api_prefix(role), reconnect_wait_ms=20
    )
    connection = Connection(settings, name=role, log=quiet(), metrics=RoleMetrics("test"))
    async with asyncio.timeout(10):
        await connection.open()
    try:
        yield connection
    finally:
        await connection.close()
