"""An event's whole way under the shipped rights: every program is a process with its own key and database role."""

import json
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from streams.rights import ADMIN, GATEWAY, collector
from tests.integration.collectors.program import ended, started
from tests.integration.collectors.rig import until
from tests.integration.gateway.events import array, facebook, tiktok
from tests.integration.security.database import RolesPostgres
from tests.integration.security.rig import SecuredNats, intruder
from tests.integration.streams.test_command import Command
from tests.servers import free_port

QUICK = {"FLUSH_AGE": "20", "OPS_PORT": "0", "BACKLOG_INTERVAL": "50", "LOG_LEVEL": "warning"}
COUNT = "SELECT count(*) FROM events WHERE correlation_id IN ('bulk-1', 'single-1')"
PROVISIONED = {"PROVISION_ON_START": "false", "MIGRATE_ON_START": "false"}


async def test_events_get_from_the_gateway_into_the_tables_and_nothing_is_refused_on_the_way(
    secured: SecuredNats, database: RolesPostgres, tmp_path: Path
) -> None:
    logged = len(secured.log_text())
    dsn = tmp_path / "dsn"
    dsn.write_text(database.url_as("floodgate_collector") + "\n")
    port = str(free_port())
    common = QUICK | PROVISIONED
    async with AsyncExitStack() as stack:
        reads = {"DATABASE_URL": database.url_as("floodgate_reader"), "PORT": port}
        processes = [
            await stack.enter_async_context(
                started("-m", "gateway", environment=common | secured.environment(GATEWAY) | reads)
            )
        ]
        for source in ("facebook", "tiktok"):
            environment = common | secured.environment(collector(source)) | {"DATABASE_URL_FILE": str(dsn)}
            processes.append(
                await stack.enter_async_context(
                    started("-m", "collectors", "--source", source, environment=environment)
                )
            )
        async with intruder(secured, GATEWAY) as publisher:  # what no gateway sends, and a collector parks
            assert await publisher.may_publish("events.facebook", b"no events")
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:

            async def answers(path: str) -> dict[str, object] | None:
                try:
                    async with client.get(path) as answer:
                        return await answer.json() if answer.status == 200 else None
                except aiohttp.ClientError:
                    return None

            await until(lambda: answers("/health/ready"))
            for path, body, correlation_id in (
                ("/webhook/events/bulk", array(facebook(), tiktok(), facebook()), "bulk-1"),
                ("/webhook/events", json.dumps(facebook()).encode(), "single-1"),
            ):
                headers = {"Content-Type": "application/json", "x-correlation-id": correlation_id}
                async with client.post(path, data=body, headers=headers) as answer:
                    assert answer.status == 200, await answer.text()

                async def complete(path: str = f"/webhook/events/bulk/{correlation_id}") -> object:
                    receipt = await answers(path)
                    return receipt if receipt is not None and receipt["complete"] else None

                assert (await until(complete))["deadLettered"] == 0

        admin = Command(secured.url, "")
        key = {"NATS_NKEY_SEED_FILE": str(secured.seeds[ADMIN]), "STREAM_MAX_BYTES": ""}

        async def parked() -> bool:
            return "1 dead letter: " in (await admin("dead-letters", "list", **key))[1]

        await until(parked)
        since = ["--since", "1h", "--yes"]
        assert (await admin("replay", "--source", "facebook", *since, **key))[0] == 0
        assert (await admin("dead-letters", "drop", "--yes", **key))[0] == 0
        assert (await admin("apply", **key))[0] == 0
        [[rows]] = await database.execute("floodgate_collector", COUNT)
        assert rows == 4
        for process in processes:
            end = await ended(process, signal.SIGTERM)
            assert end.code == 0, end.said
            assert "nats_right_missing" not in end.said
    assert "Violation" not in secured.log_text()[logged:]
