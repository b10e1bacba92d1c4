"""The order in which a fleet comes up, grows, shrinks and goes down.

Up: the cluster and PostgreSQL; streams and migrations; gateways and collectors; the balancer. A gateway is in front of
nobody until it is ready, and is asked to stop only when no request can come to it any more: so growing and shrinking
are nothing that a sender could see. Down: as the local stack, the balancer first.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from deploy.fleet.balancer import Balancer
from deploy.local import nats, ports, postgres, probes
from deploy.local.child import Child, ChildSpec
from deploy.local.console import Console
from deploy.local.identity import launch
from deploy.local.stack import COLLECTOR_GRACE_S, GATEWAY_GRACE_S, NATS_GRACE_S, POSTGRES_GRACE_S
from deploy.local.supervisor import Supervisor

NODES: Final = 3
FIRST_PORT: Final = 18_000
READY_WITHIN_S: Final = 120.0
"""On two cores, which a dozen programs that start have to share."""


class Fleet:
    """One fleet with its data in `folder`. `start` once, then `scale` at will, then `stop`."""

    def __init__(
        self, *, folder: Path, environment: Mapping[str, str], sources: Sequence[str], console: Console
    ) -> None:
        self._folder = folder
        self._sources = sources
        self._supervisor = Supervisor(console=console)
        self._ports: list[int] = []
        route_ports = [self._free_port() for _ in range(NODES)]
        self._nats = [
            nats.Nats(
                folder=folder / f"nats-{number}",
                port=self._free_port(),
                monitor_port=self._free_port(),
                place=nats.ClusterPlace(number=number, route_ports=route_ports),
            )
            for number in range(NODES)
        ]
        self._postgres = postgres.Postgres(folder=folder / "postgres", port=self._free_port())
        self._balancer = Balancer(
            folder / "nginx",
            public_port=self._free_port(),
            internal_port=self._free_port(),
            tls_port=self._free_port(),
        )
        # libpq's own variables are meant for somebody else's server, and would be taken for ours.
        self._environment = {name: value for name, value in environment.items() if not name.startswith("PG")}
        self._servers: dict[str, Child] = {}
        self._gateways: dict[int, Child] = {}
        self._collectors: dict[str, dict[int, Child]] = {source: {} for source in sources}
        self._nginx: Child | None = None

    def request_stop(self, reason: str) -> None:
        """Ask for the end; asked twice, for a quick one."""
        self._supervisor.request_stop(reason)

    async def unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` on the fleet until it is done. Raises StopRequestedError where somebody asked for the end before.

        Raises the StackError of a program that can't be started as well, whoever waits for it.
        """
        await self._supervisor.unless_stopped(work)

    async def start(self) -> None:
        """Servers, streams and tables. Raises StackError."""
        for number, server in enumerate(self._nats):
            self._servers[f"nats {number}"] = self._supervisor.start(
                ChildSpec(
                    name=f"nats {number}",
                    argv=launch(server.prepare(), death_signal=signal.SIGTERM),
                    environment=self._environment,
                    is_ready=server.is_ready,
                    grace_s=NATS_GRACE_S,
                    shows=nats.worth_showing,
                )
            )
        argv = await asyncio.to_thread(self._postgres.prepare)
        self._servers["postgres"] = self._supervisor.start(
            ChildSpec(
                name="postgres",
                argv=argv,
                environment=self._environment,
                is_ready=self._postgres.is_ready,
                stop_signal=signal.SIGINT,
                grace_s=POSTGRES_GRACE_S,
                shows=postgres.worth_showing,
            )
        )
        await self._supervisor.wait_ready(self._servers.values(), within_s=READY_WITHIN_S)
        self._environment |= {
            "LOG_FORMAT": "console",
            "HOST": ports.LOOPBACK,
            "NATS_URL": ",".join(server.url for server in self._nats),
            "DATABASE_URL": self._postgres.dsn,
            "STREAM_REPLICAS": str(NODES),
            "PROVISION_ON_START": "false",
            "MIGRATE_ON_START": "false",
        }
        await self._supervisor.run_to_end(self._once("streams", "apply"), self._once("collectors.migrate"))

    async def scale(self, *, gateways: int, collectors: int) -> dict[str, Any]:
        """So many gateways, and so many collectors of each source: returns when they, and no others, are at work.

        The answer says where everything is. Raises StackError.
        """
        starting = [self._start_gateway(number) for number in range(gateways) if number not in self._gateways]
        for source, running in self._collectors.items():
            starting += [self._start_collector(source, number) for number in range(collectors) if number not in running]
        await self._supervisor.wait_ready(starting, within_s=READY_WITHIN_S)
        wanted = [self._address(self._gateways[number]) for number in range(gateways)]
        if self._nginx is None:
            self._nginx = self._supervisor.start(self._balancer.spec(wanted, self._environment))
            await self._supervisor.wait_ready([self._nginx], within_s=READY_WITHIN_S)
        else:
            await self._balancer.send_to(wanted, self._nginx)
        leaving = [self._gateways.pop(number) for number in sorted(self._gateways) if number >= gateways]
        for running in self._collectors.values():
            leaving += [running.pop(number) for number in sorted(running) if number >= collectors]
        await asyncio.gather(*(child.stop() for child in leaving))
        return self._status()

    async def stop(self) -> None:
        """Stop all of it in order. Afterwards no process of it runs."""
        collectors = [child for group in self._collectors.values() for child in group.values()]
        front = [self._nginx] if self._nginx else []
        cluster = [child for name, child in self._servers.items() if name != "postgres"]
        await self._supervisor.stop((front, self._gateways.values(), collectors, cluster))

    def _start_gateway(self, number: int) -> Child:
        port = self._free_port()
        child = self._gateways[number] = self._supervisor.start(
            ChildSpec(
                name=f"gateway {number}",
                argv=_module("gateway"),
                environment={**self._environment, "PORT": str(port)},
                is_ready=lambda: probes.http_ok(f"http://127.0.0.1:{port}/health/ready"),
                grace_s=GATEWAY_GRACE_S,
            )
        )
        return child

    def _start_collector(self, source: str, number: int) -> Child:
        port = self._free_port()
        child = self._collectors[source][number] = self._supervisor.start(
            ChildSpec(
                name=f"{source} {number}",
                argv=_module("collectors", "--source", source),
                environment={**self._environment, "OPS_PORT": str(port)},
                is_ready=lambda: probes.http_ok(f"http://127.0.0.1:{port}/health/ready"),
                grace_s=COLLECTOR_GRACE_S,
            )
        )
        return child

    def _status(self) -> dict[str, Any]:
        children = [*self._servers.values(), *self._gateways.values()]
        children += [child for running in self._collectors.values() for child in running.values()]
        return {
            "url": self._balancer.url,
            "internalUrl": self._balancer.internal_url,
            "nats": [
                {"pid": self._servers[f"nats {number}"].pid, "url": server.url, "monitorUrl": server.monitor_url}
                for number, server in enumerate(self._nats)
            ],
            "postgres": {"pid": self._servers["postgres"].pid, "dsn": self._postgres.dsn},
            "nginx": {"pid": self._nginx.pid if self._nginx else None},
            "gateways": [
                {"pid": child.pid, "url": f"http://{self._address(child)}"} for child in self._gateways.values()
            ],
            "collectors": [
                {"source": source, "pid": child.pid, "opsUrl": f"http://127.0.0.1:{child.spec.environment['OPS_PORT']}"}
                for source, running in self._collectors.items()
                for child in running.values()
            ],
            "restarts": sum(child.restarts for child in children),
        }

    def _once(self, *words: str) -> ChildSpec:
        return ChildSpec(name=" ".join(words), argv=_module(*words), environment=self._environment)

    def _free_port(self) -> int:
        port = ports.next_free(FIRST_PORT, without=self._ports)
        self._ports.append(port)
        return port

    @staticmethod
    def _address(gateway: Child) -> str:
        return f"{ports.LOOPBACK}:{gateway.spec.environment['PORT']}"


def _module(*words: str) -> tuple[str, ...]:
    return launch((sys.executable, "-m", *words), death_signal=signal.SIGTERM)
