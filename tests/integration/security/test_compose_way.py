"""An event's whole way with the variables of deploy/compose.yaml, under the shipped rights and roles.

What only a container has (names of hosts, mounted secrets, ports of its own) is replaced by its like here; every other
variable is as it stands there.
"""

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from gateway.senders import key_hash
from shared.events import SOURCES
from streams.rights import ADMIN, GATEWAY, collector
from tests.integration.collectors.program import run, started
from tests.integration.collectors.rig import until
from tests.integration.gateway.events import array, facebook, tiktok
from tests.integration.security.database import RolesPostgres
from tests.integration.security.rig import SecuredNats
from tests.servers import free_port

COMPOSE = Path(__file__).parents[3] / "deploy" / "compose.yaml"
KEY = "fgk_of-this-test"
SENDERS = f'[senders.acme]\nscopes = ["ingest", "read"]\nkey_hashes = ["{key_hash(KEY)}"]\n'
QUICK = {"FLUSH_AGE": "20", "BACKLOG_INTERVAL": "50", "LOG_LEVEL": "warning"}
HERE = {"HOST": "127.0.0.1", "INTERNAL_HOST": "127.0.0.1", "OPS_HOST": "127.0.0.1", "OPS_PORT": "0"}

Service = Mapping[str, Any]


@pytest.fixture
def secrets(secured: SecuredNats, database: RolesPostgres, tmp_path: Path) -> dict[str, Path]:
    """The files of the secrets that the programs read, by name."""
    found = {"nats_gateway": secured.seeds[GATEWAY], "nats_streams": secured.seeds[ADMIN]}
    found |= {f"nats_collector_{source}": secured.seeds[collector(source)] for source in SOURCES}
    for role in ("owner", "collector", "reader"):
        found[f"database_url_{role}"] = tmp_path / role
        (tmp_path / role).write_text(database.url_as(f"floodgate_{role}") + "\n", encoding="utf-8")
    found["senders"] = tmp_path / "senders.toml"
    found["senders"].write_text(SENDERS, encoding="utf-8")
    return found


def variables(service: Service, secrets: Mapping[str, Path], nats_url: str, ports: Mapping[str, str]) -> dict[str, str]:
    """A service's own, but for what is of a container; a secret has to be one that the service is given."""
    given = dict(service["environment"])
    for name, value in given.items():
        folder, _, secret = value.rpartition("/")
        if folder == "/run/secrets":
            assert secret in service["secrets"], f"{name} is {value}, which is not mounted"
            given[name] = str(secrets[secret])
    assert given.get("NATS_URL", "nats://nats:4222") == "nats://nats:4222"
    theirs = {"NATS_URL": nats_url, **HERE, **ports}
    return QUICK | given | {name: value for name, value in theirs.items() if name in given}


async def test_events_get_into_the_tables_with_what_compose_says(
    secured: SecuredNats, secrets: dict[str, Path]
) -> None:
    services: Mapping[str, Service] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    ports = {"PORT": str(free_port()), "INTERNAL_PORT": str(free_port())}

    def of(name: str) -> tuple[list[str], dict[str, str]]:
        service = services[name]
        return ["-m", *service["command"]], variables(service, secrets, secured.url, ports)

    for name in ("provision-streams", "provision-tables"):
        words, environment = of(name)
        end = await run(*words, environment=environment)
        assert end.code == 0, end.said
    async with AsyncExitStack() as stack:
        for name in ("gateway", *(f"collector-{source}" for source in SOURCES)):
            words, environment = of(name)
            await stack.enter_async_context(started(*words, environment=environment))
        session = aiohttp.ClientSession(headers={"x-api-key": KEY, "x-correlation-id": "compose-1"})
        client = await stack.enter_async_context(session)
        public, inside = (f"http://127.0.0.1:{port}" for port in ports.values())

        async def answers(url: str) -> dict[str, Any] | None:
            try:
                async with client.get(url) as answer:
                    return await answer.json() if answer.status == 200 else None
            except aiohttp.ClientError:
                return None

        await until(lambda: answers(f"{public}/health/ready"))
        body, json_body = array(facebook(), tiktok(), facebook()), {"Content-Type": "application/json"}
        async with client.post(f"{public}/webhook/events/bulk", data=body, headers=json_body) as answer:
            assert answer.status == 200, await answer.text()

        async def complete() -> dict[str, Any] | None:
            receipt = await answers(f"{inside}/webhook/events/bulk/compose-1")
            return receipt if receipt is not None and receipt["complete"] else None

        receipt = await until(complete)
        assert (receipt["stored"], receipt["deadLettered"]) == (3, 0), json.dumps(receipt)
        assert await answers(f"{public}/webhook/events/bulk/compose-1") is None  # in public there are no receipts
