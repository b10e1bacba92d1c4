"""Everything a scenario needs, as real processes on loopback: servers, links, programs, and the suite's own eyes.

Invariant: durability is as shipped (the servers' settings come from `deploy.local`). Only times are shorter than the
product's defaults, so that a fault and the recovery from it fit into seconds; `TIMES` lists them all.
"""

import asyncio
import os
import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from shared.events import REGISTRY
from tests.faults.broker import Broker
from tests.faults.cluster import make_cluster
from tests.faults.link import Link
from tests.faults.program import Program
from tests.faults.tables import Tables
from tests.servers import NatsServer, PostgresServer, free_port

ROOT: Final = Path(__file__).resolve().parents[2]

TIMES: Final = {
    "PUBLISH_TIMEOUT": "2000",
    "NATS_RECONNECT_WAIT": "200",
    "NATS_PING_INTERVAL": "1000",
    "CONSUMER_ACK_WAIT": "3000",
    "DB_CONNECT_TIMEOUT": "2000",
    "DB_QUERY_TIMEOUT": "4000",
    "BACKLOG_INTERVAL": "200",
    "SHUTDOWN_GRACE": "6000",
}
"""All in milliseconds."""

LINKS: Final = ("sender-gateway", "gateway-nats", "collector-nats", "collector-postgres", "gateway-postgres")


class CrampedPostgres(PostgresServer):
    """With fewer connections than shipped: too many of them are then soon reached."""

    SETTINGS: Mapping[str, str] = {**PostgresServer.SETTINGS, "max_connections": "40"}


@dataclass(frozen=True, kw_only=True)
class WorldSpec:
    """What a world is made of. `tree`: where the programs' code is, another one for a mutant; likewise the servers."""

    name: str
    nodes: int = 1
    collectors: Mapping[str, int] = field(default_factory=lambda: {"facebook": 2, "tiktok": 1})
    environment: Mapping[str, str] = field(default_factory=dict)
    tree: Path = ROOT
    make_nats: Callable[[], NatsServer] = NatsServer
    make_postgres: Callable[[], PostgresServer] = CrampedPostgres
    shifts_clock: bool = False


class World:
    """Use as an async context; inside, everything is up and ready.

    `is_brief`: faults that last for a while last less. `logs`: where the programs' output is kept, else nowhere.
    """

    def __init__(self, spec: WorldSpec, *, seed: int, is_brief: bool = False, logs: Path | None = None) -> None:
        self.spec = spec
        self.is_brief = is_brief
        self.random = random.Random(seed)
        self._folder = tempfile.TemporaryDirectory(prefix="floodgate-faults-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self._logs = self.folder if logs is None else logs / spec.name.replace(" ", "-")
        self.nats: list[NatsServer] = make_cluster(spec.nodes) if spec.nodes > 1 else [spec.make_nats()]
        self.postgres = spec.make_postgres()
        self.links: dict[str, Link] = {}
        self.programs: list[Program] = []
        self.tables = Tables(lambda: self.postgres.url)
        self.broker = Broker((), ())
        self.gateway_port = free_port()
        self.dead_letters_seen = 0

    @property
    def url(self) -> str:
        """Of the gateway, by way of the sender's link."""
        return f"http://127.0.0.1:{self.links['sender-gateway'].port}"

    @property
    def direct_url(self) -> str:
        """Of the gateway itself: for receipts and metrics."""
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def gateway(self) -> Program:
        """The gateway."""
        return self.programs[0]

    @property
    def collectors(self) -> list[Program]:
        """All collectors."""
        return self.programs[1:]

    @property
    def surprises(self) -> list[str]:
        """Ends of programs that nobody asked for."""
        return [surprise for program in self.programs for surprise in program.surprises]

    @property
    def clock_file(self) -> Path:
        """Where the seconds are that the programs' wall clocks are off by."""
        return self.folder / "clock-shift"

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def healthy(self, *, within_s: float) -> None:
        """Wait until every program says that it is ready. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            for program in self.programs:
                await program.ready(within_s=within_s)

    def said(self, text: str) -> int:
        """How often the collectors' logs have this text."""
        return sum(program.said(text) for program in self.collectors)

    async def close(self) -> None:
        """Stop everything, gateway first."""
        for program in self.programs:
            await program.close()
        await self.broker.close()
        for link in self.links.values():
            await link.close()
        await asyncio.gather(*(asyncio.to_thread(server.close) for server in (*self.nats, self.postgres)))
        self._folder.cleanup()

    async def _start(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in (*self.nats, self.postgres)))
        targets = {
            "sender-gateway": self.gateway_port,
            "gateway-nats": self.nats[0].port,
            "collector-nats": self.nats[0].port,
            "collector-postgres": self.postgres.port,
            "gateway-postgres": self.postgres.port,
        }
        for name in LINKS:
            self.links[name] = Link(name, targets[name])
            await self.links[name].open()
        self.broker = Broker([server.url for server in self.nats], REGISTRY.sources)
        self.clock_file.write_text("0", encoding="ascii")
        self._logs.mkdir(parents=True, exist_ok=True)
        self._make_programs()
        for program in self.programs:
            program.start()
        await self.healthy(within_s=90)

    def _make_programs(self) -> None:
        gateway = {
            "PORT": str(self.gateway_port),
            "NATS_URL": self._nats_url("gateway-nats"),
            "DATABASE_URL": self._dsn("gateway-postgres"),
        }
        self._add("gateway", ["gateway"], gateway, port=self.gateway_port)
        for source, replicas in self.spec.collectors.items():
            for replica in range(replicas):
                port = free_port()
                collector = {
                    "NATS_URL": self._nats_url("collector-nats"),
                    "DATABASE_URL": self._dsn("collector-postgres"),
                }
                words = ["collectors", "--source", source, "--ops-port", str(port)]
                self._add(f"collector-{source}-{replica}", words, collector, port=port)

    def _add(self, name: str, words: list[str], own: Mapping[str, str], *, port: int) -> None:
        argv = ["-m", *words]
        if self.spec.shifts_clock:
            argv = [str(ROOT / "tests/faults/shifted_clock.py"), str(self.clock_file), *words]
        inherited = {key: value for key, value in os.environ.items() if key in {"PATH", "HOME", "LANG", "TMPDIR"}}
        environment = {
            **inherited,
            "PYTHONPATH": str(self.spec.tree),
            "LOG_FORMAT": "json",
            "STREAM_REPLICAS": str(min(self.spec.nodes, 3)),
            **TIMES,
            **self.spec.environment,
            **own,
        }
        log = self._logs / f"{name}.log"
        self.programs.append(Program(name, argv, environment=environment, tree=self.spec.tree, log=log, port=port))

    def _nats_url(self, link: str) -> str:
        if self.spec.nodes > 1:  # its clients learn the other nodes' own addresses, past any link
            return ",".join(server.url for server in self.nats)
        return f"nats://127.0.0.1:{self.links[link].port}"

    def _dsn(self, link: str) -> str:
        return self.postgres.url.replace(f":{self.postgres.port}/", f":{self.links[link].port}/")
