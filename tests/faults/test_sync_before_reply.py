"""Power loss: with the shipped settings both servers have synced what they acknowledge, before they do.

Killing processes can't show this, as what was written survives in the page cache. So the servers run under strace,
one event goes the whole way, and the order of write, sync and reply is read from the traces. The same with the syncs
switched off shows that the look would notice.
"""

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import orjson
import pytest

from loadtest.generator import Plan, batches
from tests.faults.syscalls import TRACE_OPTIONS, Order, order
from tests.faults.waiting import until
from tests.faults.world import World, WorldSpec
from tests.servers import NatsServer, PostgresServer

STORED_WITHIN_S = 60.0

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace (Debian: apt-get install strace)")


class TracedNats(NatsServer):
    """The shipped server under strace."""

    def _command(self) -> tuple[str, ...]:
        return traced(super()._command(), self.folder)

    def stop(self) -> None:
        """A signal would end strace alone, and leave the server."""
        self.kill()


class UnsyncedNats(TracedNats):
    """With NATS's own default instead: a sync every two minutes."""

    def _command(self) -> tuple[str, ...]:
        argv = super()._command()
        config = self.folder / "nats" / "nats.conf"
        shipped = config.read_text(encoding="utf-8")
        config.write_text(shipped.replace("sync_interval: always", ""), encoding="utf-8")
        assert config.read_text(encoding="utf-8") != shipped
        return argv


class TracedPostgres(PostgresServer):
    """The shipped server under strace."""

    def _command(self) -> tuple[str, ...]:
        return traced(super()._command(), self.folder)

    def stop(self) -> None:
        """A signal would end strace alone, and leave the server."""
        self.kill()


class UnsyncedPostgres(TracedPostgres):
    """Never syncs. (Without `synchronous_commit` alone, the WAL writer may still happen to sync before the reply.)"""

    SETTINGS: Mapping[str, str] = {**TracedPostgres.SETTINGS, "fsync": "off"}


async def test_both_servers_sync_an_event_before_they_acknowledge_it() -> None:
    nats, postgres = await _orders_of_one_event(TracedNats, TracedPostgres)
    assert None not in nats, f"NATS acknowledged what it had not written and synced: {nats}"
    assert None not in postgres, f"PostgreSQL acknowledged what it had not written and synced: {postgres}"


async def test_without_the_shipped_settings_neither_does_and_the_look_notices() -> None:
    nats, postgres = await _orders_of_one_event(UnsyncedNats, UnsyncedPostgres)
    assert nats.synced is None
    assert postgres.synced is None


async def _orders_of_one_event(nats: type[NatsServer], postgres: type[PostgresServer]) -> tuple[Order, Order]:
    spec = WorldSpec(name="traced", collectors={"tiktok": 1}, make_nats=nats, make_postgres=postgres)
    async with World(spec, seed=1) as world:
        event_id = f"ttk-{uuid.uuid4()}"
        await _store_one(world, event_id)
        nats_trace, postgres_trace = _trace(world.nats[0].folder), _trace(world.postgres.folder)
    return (
        order(nats_trace, data=event_id, folder="/streams/TIKTOK_EVENTS/", reply='\\"stream\\":\\"TIKTOK_EVENTS\\"'),
        order(postgres_trace, data=event_id, folder="/pg_wal/", reply="COMMIT"),
    )


async def _store_one(world: World, event_id: str) -> None:
    text = next(batches(Plan(total=1, sources=("tiktok",)))).events[0]
    correlation_id = f"power-{uuid.uuid4()}"
    headers = {"Content-Type": "application/json", "x-correlation-id": correlation_id}
    async with aiohttp.ClientSession() as session:
        body = orjson.dumps({**orjson.loads(text), "eventId": event_id})
        async with session.post(f"{world.direct_url}/webhook/events", data=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()

        async def is_stored() -> bool:
            async with session.get(f"{world.direct_url}/webhook/events/bulk/{correlation_id}") as receipt:
                return bool(receipt.status == 200 and (await receipt.json())["stored"] == 1)

        await until(is_stored, within_s=STORED_WITHIN_S)


def traced(argv: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """The launcher's command, its program under strace. The trace is open to the account that runs the program."""
    trace = folder / "trace"
    trace.touch()
    trace.chmod(0o666)
    start = argv.index("--") + 1
    strace = shutil.which("strace") or "strace"
    return (*argv[:start], strace, *TRACE_OPTIONS, f"--output={trace}", "--", *argv[start:])


def _trace(folder: Path) -> list[str]:
    return (folder / "trace").read_text(encoding="utf-8", errors="replace").splitlines()
