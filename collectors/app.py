"""The wiring of a collector, and its life: ops port, connect, provision, migrate, work, drain."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from collectors import vitals
from collectors.exhausted import Exhausted
from collectors.rows import RowBuilder
from collectors.settings import CollectorSettings, DatabaseSettings
from collectors.store import Store
from collectors.worker import Worker
from shared.errors import Fatal, Pressure, Retryable, SettingsError
from shared.events import Registry
from shared.http import Site, hardened
from shared.lifecycle import Shutdown, first_of, repeat, settle_memory
from shared.logs import Logger
from shared.loop_lag import watch
from shared.metrics import CollectorMetrics
from shared.ops import Check, add_routes
from shared.tracing import NO_TRACER, Tracer
from streams.advisories import ExhaustedDeliveries
from streams.backlog import read_backlog
from streams.connection import Connection
from streams.dead_letter import DeadLetters
from streams.definitions import Definition, definition, definitions
from streams.fan_in import FanIn
from streams.partitions import Partition
from streams.present import pool_of, present
from streams.provision import provision_until_done
from streams.publisher import Publisher
from streams.rights import collector
from streams.settings import NatsSettings, PublishSettings, StreamSettings
from streams.usage import StreamUsage
from streams.vitals import EVERY_S, STOPPED, Pulse

LAG_INTERVAL_S: Final = 5.0
START_RETRY_WAIT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class AllSettings:
    """The sections that a collector is made from."""

    collector: CollectorSettings
    database: DatabaseSettings
    nats: NatsSettings
    streams: StreamSettings
    publish: PublishSettings


class Collector:
    """One collector process of one source. `listening` is set, and `ops_url` known, once the ops port is open."""

    def __init__(
        self,
        source: str,
        settings: AllSettings,
        *,
        registry: Registry,
        shutdown: Shutdown,
        log: Logger,
        metrics: CollectorMetrics,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._source = source
        self._settings = settings
        self._registry = registry
        self._shutdown = shutdown
        self._log = log
        self._metrics = metrics
        metrics.start_at_zero(source)
        self._waiting_for: str | None = "NATS"
        self.listening = asyncio.Event()
        self.ops_url = ""
        names = settings.streams.names
        streams = [partition.stream for partition in self._mine(names.of(source))]
        if not streams:
            raise SettingsError(
                f"PARTITION={settings.collector.partition}: takes a whole number from 0 to {names.partitions - 1}, "
                f"as PARTITIONS is {names.partitions}"
            )
        self._connection = Connection(settings.nats, name=collector(source), log=log, metrics=metrics)
        self._usage = StreamUsage(
            self._connection, [*streams, names.dead_letters_stream, names.receipts_stream], log=log, metrics=metrics
        )
        self._store = Store(source, settings.database, metrics=metrics)
        publisher = Publisher(self._connection, settings.publish, metrics=None)
        builder, dead_letters = RowBuilder(registry[source]), DeadLetters(publisher, names)
        self._deliveries = FanIn(self._connection, streams)
        self._exhausted_deliveries = [ExhaustedDeliveries(self._connection, stream, log=log) for stream in streams]
        self._exhausted = Exhausted(
            source, builder=builder, dead_letters=dead_letters, store=self._store, metrics=metrics
        )
        self._worker = Worker(
            source=source,
            settings=settings.collector,
            message_events=settings.publish.batch_events,
            ack_wait_s=settings.streams.ack_wait_ms / 1_000,
            deliveries=self._deliveries,
            builder=builder,
            store=self._store,
            dead_letters=dead_letters,
            restore_consumer=self._restore,
            shutdown=shutdown,
            log=log,
            metrics=metrics,
            tracer=tracer,
        )
        self._pulse = Pulse(self._connection, names, role="collector", source=source, read=self._vitals)
        self._has_ended = False

    async def run(self) -> None:
        """Store until asked to stop, then finish what is in hand. Raises Fatal where a person must act."""
        app = web.Application()
        app.on_response_prepare.append(hardened)
        add_routes(app, checks=self._checks, registry=self._metrics.registry)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        try:
            await self._listen(runner)
            await first_of(self._start_and_work(), self._shutdown_in_start(), self._insist(), watch(self._metrics))
        finally:
            await runner.cleanup()
            await self._store.close()
            await self._connection.close()

    async def _listen(self, runner: web.AppRunner) -> None:
        host, port = self._settings.collector.ops_host, self._settings.collector.ops_port
        try:
            await Site(runner, host, port).start()
        except OSError as error:
            raise Fatal(
                f"can't listen on {host}:{port}: {error.strerror or error}. Set OPS_PORT to a free port, or 0"
            ) from error
        bound = runner.addresses[0]
        self.ops_url = f"http://{bound[0]}:{bound[1]}"
        self._log.info("ops_listening", url=self.ops_url)
        self.listening.set()

    async def _start_and_work(self) -> None:
        await self._connection.open()
        await first_of(self._provision_and_work(), repeat(self._pulse.keep_beating, every_s=EVERY_S))
        self._has_ended = True
        await self._pulse.beat()  # its last, so that nobody waits for the next

    async def _provision_and_work(self) -> None:
        self._waiting_for = "the streams"
        if self._settings.streams.provision:
            await self._provision()
        self._waiting_for = "PostgreSQL"
        await self._open_database()
        self._waiting_for = None
        self._log.info("collector_started", streams=self._deliveries.streams)
        settle_memory()
        await first_of(
            self._worker.run(),
            self._connection.watch(),
            *(exhausted.watch(self._exhausted.park) for exhausted in self._exhausted_deliveries),
            repeat(self._measure_lag, every_s=LAG_INTERVAL_S),
            repeat(self._usage.look, every_s=LAG_INTERVAL_S),
        )
        self._log.info("collector_drained")

    async def _shutdown_in_start(self) -> None:
        """A signal to stop ends the wait for servers at once; the worker takes it from there by itself."""
        await self._shutdown.soft.wait()
        if self._waiting_for is None:
            await asyncio.Event().wait()

    async def _insist(self) -> None:
        await self._shutdown.insist_after(self._settings.collector.shutdown_grace_ms / 1_000)
        await asyncio.Event().wait()  # the worker ends by itself now, releasing what it holds

    async def _restore(self) -> None:
        """Bring the consumers back. Where others provision it may have no rights to, and waits until they have."""
        if self._settings.streams.provision:
            await self._provision()
        else:
            mine = self._mine(self._settings.streams.names.of(self._source))
            await self._apply([definition(partition, self._settings.streams) for partition in mine])

    async def _provision(self) -> None:
        await self._apply(definitions(self._registry.sources, self._settings.streams))
        try:
            old = await self._find_streams()
        except Retryable as error:
            self._log.warning("streams_unreadable", error=str(error))  # looked for again with the lag
        else:
            settings = self._settings.streams
            await self._apply([definition(partition, settings, is_retired=True) for partition in old])

    async def _apply(self, wanted: Sequence[Definition]) -> None:
        for applied in await provision_until_done(self._connection, wanted, log=self._log):
            self._log.info("stream_provisioned", name=applied.name, change=applied.change)

    async def _open_database(self) -> None:
        """Wait for PostgreSQL, bring the tables up to date, open the pool."""
        while True:
            try:
                if self._settings.collector.migrate:
                    # Only here: with alembic come 29 MB, and where many collectors run, others migrate.
                    from collectors.migrate import migrate  # noqa: PLC0415

                    await migrate(self._settings.database, self._registry.sources)
                return await self._store.open()
            except (Retryable, Pressure) as error:
                self._log.warning("database_unreachable", error=str(error))
                await asyncio.sleep(START_RETRY_WAIT_S)

    async def _measure_lag(self) -> None:
        try:
            await self._find_streams()
            streams = self._deliveries.streams
            backlogs = await asyncio.gather(*(read_backlog(self._connection, stream) for stream in streams))
        except Retryable as error:
            self._log.warning("lag_unreadable", error=str(error))
            return
        self._metrics.lag_messages.labels(self._source).set(sum(backlog.messages for backlog in backlogs))
        self._metrics.lag_seconds.labels(self._source).set(max(backlog.oldest_s for backlog in backlogs))

    async def _find_streams(self) -> list[Partition]:
        """Have the retired streams that are this collector's read too; which they are. Raises Retryable."""
        names = self._settings.streams.names
        wanted = self._mine(names.of(self._source))
        found = self._mine(await present(self._connection, names, self._source))
        old = [partition for partition in found if partition not in wanted]
        streams = [partition.stream for partition in (*wanted, *old)]
        if set(streams) != set(self._deliveries.streams):
            self._log.info("streams_changed", streams=streams)
            await self._deliveries.use(streams)
        return old

    def _mine(self, partitions: Iterable[Partition]) -> list[Partition]:
        """Those that this collector reads."""
        mine = self._settings.collector.partition
        return [one for one in partitions if mine is None or pool_of(one, self._settings.streams.partitions) == mine]

    def _vitals(self) -> dict[str, Any]:
        said = vitals.read(
            self._worker,
            self._metrics,
            pool_most=self._settings.database.pool_size,
            waiting_for=self._waiting_for,
        )
        return said | {"state": STOPPED} if self._has_ended else said

    def _checks(self) -> Mapping[str, Check]:
        draining = self._shutdown.soft.is_set()
        waiting, trouble = self._waiting_for, self._worker.trouble
        return {
            "serving": Check(not draining, "draining" if draining else "storing"),
            "nats": Check(self._connection.is_connected, self._connection.detail),
            "started": Check(waiting is None, f"waiting for {waiting}" if waiting else "started"),
            "flow": Check(trouble is None, trouble or "no trouble"),
        }
