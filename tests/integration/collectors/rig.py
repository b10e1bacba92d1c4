"""A collector's surroundings: streams of its own on a real nats-server, tables of its own in a real PostgreSQL."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

import asyncpg
import structlog
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from collectors.app import AllSettings, Collector
from collectors.migrate import migrate
from collectors.settings import CollectorSettings, DatabaseSettings
from gateway.receipts import LedgerRow, settle
from shared.errors import Retryable
from shared.events import REGISTRY
from shared.lifecycle import Shutdown
from shared.logs import Logger
from shared.metrics import CollectorMetrics, RoleMetrics
from shared.tracing import NO_TRACER, Tracer
from streams.backlog import read_backlog
from streams.connection import Connection
from streams.definitions import definitions
from streams.present import present
from streams.provision import provision
from streams.receipts import RequestRecord
from streams.settings import NatsSettings, PublishSettings, StreamSettings
from tests.unit.collectors.samples import encoded, headers

DEADLINE_S = 20.0
POLL_S = 0.01
SOURCE = "facebook"


def quiet() -> Logger:
    """A logger that says nothing."""
    log: Logger = structlog.wrap_logger(
        None, processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return log


def _drop(_logger: Any, _name: str, _entry: Any) -> Any:
    raise structlog.DropEvent


async def until(condition: Callable[[], Awaitable[Any]], *, within_s: float = DEADLINE_S) -> Any:
    """The condition's first true answer."""
    deadline = monotonic() + within_s
    while not (answer := await condition()):
        assert monotonic() < deadline, f"{condition} did not come true within {within_s:g} s"
        await asyncio.sleep(POLL_S)
    return answer


@dataclass
class Running:
    """A collector at work in this process."""

    collector: Collector
    shutdown: Shutdown
    metrics: CollectorMetrics
    task: "asyncio.Task[None]"

    async def stop(self) -> None:
        """Ask it to stop and wait for its end; raises what it ended with."""
        self.shutdown.soft.set()
        await self.ended()

    async def ended(self) -> None:
        """Wait for its end; raises what it ended with."""
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.shield(self.task)

    def trouble(self) -> str | None:
        """What it says is the matter."""
        return self.collector._worker.trouble

    def counted(self, name: str, **labels: str) -> float:
        """A metric's value; 0 where it was never moved."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def is_started(self) -> bool:
        """Whether its ready check says so."""
        return self.task.done() or self.collector._waiting_for is None


class Rig:
    """Streams, tables, and what is in them."""

    def __init__(
        self, nats_url: str, database_url: str, *, ack_wait_ms: int = 30_000, partitions: int | None = None
    ) -> None:
        self._stream_settings: dict[str, int] = {"ack_wait_ms": ack_wait_ms}
        if partitions is not None:  # as many streams as these share the server's room
            self._stream_settings |= {"partitions": partitions, "max_bytes": 16 * 1024**2}
        self.nats_url = nats_url
        self.database_url = database_url
        self.prefix = f"T{uuid.uuid4().hex[:12].upper()}_"
        self.names = self.streams().names
        self.stream = self.names.stream(SOURCE)
        self.connection = Connection(self.nats(), name="test", log=quiet(), metrics=RoleMetrics("test"))
        self._sent = 0

    async def open(self) -> None:
        """Make both."""
        await self.connection.open()
        await provision(self.connection, definitions(REGISTRY.sources, self.streams()))
        await migrate(self.database(), REGISTRY.sources)

    async def close(self) -> None:
        """Take the streams away again; the database goes with its fixture."""
        if self.connection.is_connected:
            names = {definition.name for definition in definitions(REGISTRY.sources, self.streams())}
            for source in REGISTRY.sources:
                names |= {partition.stream for partition in await present(self.connection, self.names, source)}
            for name in names:
                with suppress(NotFoundError):  # a test may have deleted it
                    await self.connection.jetstream.delete_stream(name)
        await self.connection.close()

    def nats(self) -> NatsSettings:
        return NatsSettings(url=self.nats_url, reconnect_wait_ms=50)

    def database(self, **values: Any) -> DatabaseSettings:
        return DatabaseSettings(url=self.database_url, **values)

    def streams(self, **values: Any) -> StreamSettings:
        return StreamSettings(prefix=self.prefix, **(self._stream_settings | values))

    async def repartition(self, partitions: int) -> None:
        """From now on each source has so many streams."""
        self._stream_settings["partitions"] = partitions
        self.names = self.streams().names
        await provision(self.connection, definitions(REGISTRY.sources, self.streams()))

    def settings(self, *, database: DatabaseSettings | None = None, **collector: Any) -> AllSettings:
        quick: dict[str, Any] = {"ops_port": 0, "flush_age_ms": 20, "retry_wait_ms": 20, "shutdown_grace_ms": 5_000}
        return AllSettings(
            collector=CollectorSettings(**(quick | collector)),
            database=database or self.database(),
            nats=self.nats(),
            streams=self.streams(),
            publish=PublishSettings(timeout_ms=2_000, retry_wait_ms=20),
        )

    def environment(self, **values: str) -> dict[str, str]:
        """What a collector that runs as a process needs."""
        return {
            "NATS_URL": self.nats_url, "DATABASE_URL": self.database_url, "STREAM_PREFIX": self.prefix,
            "CONSUMER_ACK_WAIT": str(self._stream_settings["ack_wait_ms"]), "OPS_PORT": "0",
            "FLUSH_AGE": "20", "STORE_RETRY_WAIT": "20", "NATS_RECONNECT_WAIT": "50", **values,
        }  # fmt: skip

    @asynccontextmanager
    async def collector(
        self,
        *,
        source: str = SOURCE,
        database: DatabaseSettings | None = None,
        tracer: Tracer = NO_TRACER,
        log: Logger | None = None,
        **settings: Any,
    ) -> AsyncIterator[Running]:
        """A collector at work, until the block ends."""
        shutdown, metrics = Shutdown(), CollectorMetrics()
        collector = self.make_collector(
            source, shutdown, metrics, database=database, tracer=tracer, log=log, **settings
        )
        running = Running(collector, shutdown, metrics, asyncio.create_task(collector.run()))
        try:
            yield running
        finally:
            shutdown.soft.set()
            await asyncio.wait({running.task}, timeout=DEADLINE_S)
            assert running.task.done(), "it did not stop"
        if not running.task.cancelled():
            running.task.exception()  # whoever expects one has looked at it

    def make_collector(
        self,
        source: str = SOURCE,
        shutdown: Shutdown | None = None,
        metrics: CollectorMetrics | None = None,
        *,
        database: DatabaseSettings | None = None,
        tracer: Tracer = NO_TRACER,
        log: Logger | None = None,
        **settings: Any,
    ) -> Collector:
        """A collector that is not at work yet."""
        return Collector(
            source, self.settings(database=database, **settings), registry=REGISTRY,
            shutdown=shutdown or Shutdown(), log=log or quiet(), metrics=metrics or CollectorMetrics(), tracer=tracer,
        )  # fmt: skip

    async def send(
        self,
        events: Sequence[dict[str, Any] | bytes],
        message_id: str | None = None,
        *,
        correlation_id: str = "c-1",
        to: str | None = None,
    ) -> str:
        """Publish a message of these events; its id."""
        self._sent += 1
        message_id = message_id or f"{correlation_id}-{self._sent}"
        about = headers(message_id, correlation_id=correlation_id, events=len(events))
        await self.send_raw(encoded(*events), about.encode(), to=to)
        return message_id

    async def send_raw(self, body: bytes, about: dict[str, str] | None, *, to: str | None = None) -> None:
        """Publish anything; to the source's one stream, or to a subject."""
        await self.connection.jetstream.publish(to or self.names.events(SOURCE), body, headers=about)

    async def unsettled(self) -> int:
        """Messages that are not acknowledged or terminated yet, in all streams of the source."""
        streams = await present(self.connection, self.names, SOURCE)
        return sum([(await read_backlog(self.connection, one.stream)).messages for one in streams])

    async def all_settled(self, *, within_s: float = DEADLINE_S) -> None:
        """Wait until every message is."""

        async def settled() -> bool:
            try:
                return await self.unsettled() == 0
            except Retryable:
                return False  # the server or the consumer is away, as some tests have it

        await until(settled, within_s=within_s)

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Rows of a query, on a connection of its own."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return [tuple(row) for row in await connection.fetch(statement, *arguments)]
        finally:
            await connection.close()

    async def execute(self, statements: str) -> None:
        """Change the database."""
        connection = await asyncpg.connect(self.database_url)
        try:
            await connection.execute(statements)
        finally:
            await connection.close()

    async def ids(self, table: str = "events", column: str = "event_id") -> list[str]:
        """The keys in a table, sorted."""
        return [row[0] for row in await self.fetch(f"SELECT {column} FROM {table} ORDER BY 1")]

    async def ledger(self) -> dict[str, tuple[int, int, int, int]]:
        """By message id: events, inserted, duplicates, dead_lettered."""
        rows = await self.fetch("SELECT message_id, events, inserted, duplicates, dead_lettered FROM batches")
        return {row[0]: tuple(row[1:]) for row in rows}

    async def receipt(self, accepted: int, correlation_id: str = "c-1") -> dict[str, Any]:
        """What the gateway would answer, had it accepted so many events."""
        found = await self.fetch(
            "SELECT message_id, source, events, inserted, duplicates, dead_lettered FROM batches "
            "WHERE correlation_id = $1", correlation_id,
        )  # fmt: skip
        ids = {row[0].split("-", 1)[0] for row in found}
        records = [
            RequestRecord(
                request_id=ids.pop() if ids else "none", correlation_id=correlation_id, received_at="",
                accepted={SOURCE: accepted}, failed=0,
            )
        ]  # fmt: skip
        answer = await settle(records, [LedgerRow(*row) for row in found])
        assert answer is not None
        return answer

    async def dead_letters(self) -> list[Msg]:
        """All of them, oldest first."""
        jetstream, stream = self.connection.jetstream, self.names.dead_letters_stream
        info = await jetstream.stream_info(stream)
        found = []
        for sequence in range(max(1, info.state.first_seq), info.state.last_seq + 1):
            try:
                found.append(await jetstream.get_msg(stream, sequence))
            except NotFoundError:
                continue
        return found  # type: ignore[return-value]  # RawStreamMsg has the fields that are read here


@asynccontextmanager
async def rig(
    nats_url: str, database_url: str, *, ack_wait_ms: int = 30_000, partitions: int | None = None
) -> AsyncIterator[Rig]:
    """A rig, made and taken away."""
    async with AsyncExitStack() as stack:
        made = Rig(nats_url, database_url, ack_wait_ms=ack_wait_ms, partitions=partitions)
        await made.open()
        stack.push_async_callback(made.close)
        yield made
