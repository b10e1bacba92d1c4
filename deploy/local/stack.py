"""The order in which Floodgate comes up and goes down on one machine.

Up: NATS and PostgreSQL; then streams and migrations; then the gateway and a collector a source. Down: the
gateway first, so that what it has answered with 2xx is in the stream; then the collectors, who may leave
what is in the stream there; then NATS; then PostgreSQL. Each step starts when the one before it is done.
"""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from deploy.local import nats, ports, postgres, probes, status, vitals
from deploy.local.child import Child, ChildSpec
from deploy.local.console import Console
from deploy.local.data_dir import DataDir
from deploy.local.errors import StackError
from deploy.local.identity import launch
from deploy.local.settings import LocalSettings
from deploy.local.supervisor import StopRequestedError, Supervisor
from shared.settings import FROM_FILE

USUAL_OPS_PORT = 9101
SERVERS_READY_WITHIN_S = 60.0
"""A store with days of backlog, or a PostgreSQL that replays gigabytes of WAL, takes its time."""
PROGRAMS_READY_WITHIN_S = 60.0
GATEWAY_GRACE_S = 40.0
"""Three publish attempts of 10 s, their pauses, and the rest of a slow upload."""
COLLECTOR_GRACE_S = 20.0
NATS_GRACE_S = 20.0
POSTGRES_GRACE_S = 30.0
SCARCE_DISK_BYTES = 2 * 2**30

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Programs:
    """The commands of the product, without the parts that a run adds. Tests put stand-ins here."""

    gateway: Sequence[str] = (sys.executable, "-m", "gateway")
    collector: Sequence[str] = (sys.executable, "-m", "collectors")
    apply_streams: Sequence[str] = (sys.executable, "-m", "streams", "apply")
    migrate: Sequence[str] = (sys.executable, "-m", "collectors.migrate")


class Stack:
    """One run of the stack on one data folder. `run` may be called once."""

    def __init__(
        self,
        *,
        settings: LocalSettings,
        environment: Mapping[str, str],
        sources: Sequence[str],
        console: Console,
        programs: Programs,
    ) -> None:
        self._settings = settings
        self._environment = dict(environment)
        self._sources = sources
        self._console = console
        self._programs = programs
        self._supervisor = Supervisor(console=console, on_change=self._write_state)
        self._state_file: Path | None = None
        self._nats: nats.Nats | None = None
        self._postgres: postgres.Postgres | None = None
        self._internal_port: int | None = None
        self._ops_ports: dict[str, int] = {}
        self._children: dict[str, Child] = {}
        self._ready = False

    def request_stop(self, reason: str) -> None:
        """Ask for the end; asked twice, for a quick one."""
        self._supervisor.request_stop(reason)

    async def run(self) -> None:
        """Bring the stack up and keep it up until somebody asks for the end. Raises `StackError`.

        However it ends, afterwards no process of it runs and the data folder is free.
        """
        data_dir = DataDir.open(self._settings.data_dir)
        self._state_file = data_dir.state_file
        try:
            await self._supervisor.unless_stopped(self._bring_up(data_dir))
            self._ready = True
            self._write_state()
            self._console.plain(status.summary(self._addresses()))
            async with vitals.shown(self._console, self._addresses()):
                await self._supervisor.watch()
        except StopRequestedError:
            pass
        finally:
            self._ready = False
            await self._bring_down()
            data_dir.state_file.unlink(missing_ok=True)
            data_dir.close()
        self._console.say("stopped; the data stays in " + str(data_dir.path))

    async def _bring_up(self, data_dir: DataDir) -> None:
        await _in_thread(lambda: self._clear_leftovers(data_dir))
        self._check_gateway_port()
        if shutil.disk_usage(data_dir.path).free < SCARCE_DISK_BYTES:
            self._console.warn(f"less than 2 GB are free where {data_dir.path} lies: a long backlog will not fit")
        await self._start_servers(data_dir)
        if (usual := self._settings.internal_port) is not None:
            self._internal_port = self._free_port("the gateway's internal", usual)
        programs = self._program_environment()
        await self._supervisor.run_to_end(
            ChildSpec(name="streams apply", argv=_dying_with_us(self._programs.apply_streams), environment=programs),
            ChildSpec(name="migrations", argv=_dying_with_us(self._programs.migrate), environment=programs),
        )
        self._start_programs(programs)
        await self._supervisor.wait_ready(self._children.values(), within_s=PROGRAMS_READY_WITHIN_S)

    def _clear_leftovers(self, data_dir: DataDir) -> None:
        forgotten = []
        pid = postgres.Postgres(folder=data_dir.postgres, port=0).running_pid()
        if pid and (process := status.RunningProcess.of(name="postgres", pid=pid, stop_signal=signal.SIGINT)):
            forgotten.append(process)
        if names := status.stop_leftovers(data_dir.state_file, also=forgotten):
            self._console.warn(f"stopped what a run that was killed had left behind: {', '.join(names)}")

    def _check_gateway_port(self) -> None:
        port = self._settings.port
        if not ports.is_free(port, host=self._settings.host):
            other = ports.next_free(port + 1)
            raise StackError(
                f"port {port} is taken by {ports.holder(port)}: stop that one, or set another port: PORT={other}"
            )

    async def _start_servers(self, data_dir: DataDir) -> None:
        if self._settings.nats_url is None:
            port = self._free_port("NATS", nats.USUAL_PORT)
            monitor_port = self._free_port("the NATS monitor", nats.USUAL_MONITOR_PORT, without=(port,))
            self._nats = nats.Nats(folder=data_dir.nats, port=port, monitor_port=monitor_port)
            self._start(
                ChildSpec(
                    name="nats",
                    argv=launch(_prepared(self._nats), death_signal=signal.SIGTERM),
                    environment=self._environment,
                    is_ready=self._nats.is_ready,
                    grace_s=NATS_GRACE_S,
                    shows=nats.worth_showing,
                )
            )
        if self._settings.database_url is None:
            port = self._free_port("PostgreSQL", postgres.USUAL_PORT)
            own = postgres.Postgres(folder=data_dir.postgres, port=port)
            argv = await _in_thread(lambda: _prepared(own))
            self._postgres = own  # not earlier: before there is a cluster there is no password to show
            self._start(
                ChildSpec(
                    name="postgres",
                    argv=argv,
                    environment=_without_libpq_variables(self._environment),
                    is_ready=own.is_ready,
                    stop_signal=signal.SIGINT,  # "fast": roll back what is open, checkpoint, leave
                    grace_s=POSTGRES_GRACE_S,
                    shows=postgres.worth_showing,
                )
            )
        await self._supervisor.wait_ready(self._children.values(), within_s=SERVERS_READY_WITHIN_S)

    def _start_programs(self, environment: Mapping[str, str]) -> None:
        url = self._settings.gateway_url
        self._start(
            ChildSpec(
                name="gateway",
                argv=_dying_with_us(self._programs.gateway),
                environment=environment,
                is_ready=lambda: probes.http_ok(f"{url}/health/ready"),
                grace_s=GATEWAY_GRACE_S,
            )
        )
        for source, usual in zip(self._sources, range(USUAL_OPS_PORT, ports.HIGHEST_PORT), strict=False):
            taken = (*self._ops_ports.values(), self._internal_port or 0)
            port = self._free_port(f"the {source} collector's ops", usual, without=taken)
            self._ops_ports[source] = port
            command = (*self._programs.collector, "--source", source, "--ops-port", str(port))
            self._start(
                ChildSpec(
                    name=status.collector(source),
                    argv=_dying_with_us(command),
                    environment=environment,
                    is_ready=_ops_probe(port),
                    grace_s=COLLECTOR_GRACE_S,
                )
            )

    def _start(self, spec: ChildSpec) -> None:
        self._children[spec.name] = self._supervisor.start(spec)

    async def _bring_down(self) -> None:
        collectors = [status.collector(source) for source in self._sources]
        order = (["gateway"], collectors, ["nats"], ["postgres"])
        await self._supervisor.stop(
            [self._children[name] for name in group if name in self._children] for group in order
        )

    def _program_environment(self) -> dict[str, str]:
        inherited = self._environment
        return {
            "LOG_FORMAT": "console",  # for people, unless they ask for json
            **({"FORCE_COLOR": "1"} if self._console.colour else {}),  # their output goes through us to the terminal
            **(_without_libpq_variables(inherited) if self._postgres else inherited),
            "HOST": self._settings.host,
            "PORT": str(self._settings.port),
            **({"INTERNAL_PORT": str(self._internal_port)} if self._internal_port else {}),
            "NATS_URL": self._nats_url(),
            "DATABASE_URL": self._dsn(),
            f"NATS_URL{FROM_FILE}": "",  # read already, and an error beside the values above
            f"DATABASE_URL{FROM_FILE}": "",
            "PROVISION_ON_START": "false",  # both done once, before any of them starts
            "MIGRATE_ON_START": "false",
            "PYTHONUNBUFFERED": "1",  # a line is on the terminal when it is written
        }

    def _nats_url(self) -> str:
        return self._nats.url if self._nats else self._settings.nats_url or ""

    def _dsn(self) -> str:
        return self._postgres.dsn if self._postgres else self._settings.database_url or ""

    def _free_port(self, whose: str, usual: int, *, without: Sequence[int] = ()) -> int:
        port = ports.next_free(usual, without=(*without, self._settings.port))
        if port != usual and not ports.is_free(usual):
            self._console.say(f"port {usual} is taken by {ports.holder(usual)}: {whose} port is {port} in this run")
        return port

    def _write_state(self) -> None:
        if self._state_file is None:
            return
        running = [status.RunningProcess.of(name=status.SUPERVISOR, pid=os.getpid(), stop_signal=signal.SIGTERM)]
        pids = {name: child.pid for name, child in self._children.items() if child.pid is not None}
        for name, pid in pids.items():
            stop_signal = self._children[name].spec.stop_signal
            running.append(status.RunningProcess.of(name=name, pid=pid, stop_signal=stop_signal))
        status.write(
            self._state_file,
            status=status.as_object(self._addresses(), pids=pids, ready=self._ready),
            processes=[process for process in running if process is not None],
        )

    def _addresses(self) -> status.Addresses:
        return status.Addresses(
            gateway_url=self._settings.gateway_url,
            internal_url=(
                self._settings.internal_url(self._internal_port) if self._internal_port else self._settings.gateway_url
            ),
            nats_url=self._nats_url(),
            nats_monitor_url=self._nats.monitor_url if self._nats else None,
            dsn=self._dsn(),
            dsn_is_ours=self._postgres is not None,
            ops_urls={source: f"http://127.0.0.1:{port}" for source, port in self._ops_ports.items()},
            data_dir=self._settings.data_dir,
        )


def _dying_with_us(argv: Sequence[str]) -> tuple[str, ...]:
    return launch(argv, death_signal=signal.SIGTERM)


def _ops_probe(port: int) -> Callable[[], Awaitable[bool]]:
    return lambda: probes.http_ok(f"http://127.0.0.1:{port}/health/ready")


def _prepared(server: nats.Nats | postgres.Postgres) -> tuple[str, ...]:
    try:
        return server.prepare()
    except OSError as error:
        raise StackError(
            f"{error.filename or server.folder} cannot be used ({error.strerror}): "
            "run this as the user who made DATA_DIR, or set DATA_DIR to another folder"
        ) from error


async def _in_thread(work: Callable[[], T]) -> T:
    """`work` in a thread, waited for even when cancelled: no thread goes on making a cluster behind us."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _without_libpq_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """PGSSLMODE and its kind are meant for somebody else's server, and would be taken for ours."""
    return {name: value for name, value in environment.items() if not name.startswith("PG")}
