"""The embedded NATS server: its configuration, its command, and when it is ready. Alone, or a node of a cluster.

The wheel has no Python interface; it puts the executable among the environment's scripts.
"""

import json
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local import probes
from deploy.local.errors import StackError

USUAL_PORT = 4222
USUAL_MONITOR_PORT = 8222
MAX_FILE_STORE_BYTES = 64 * 2**30

CONFIG = """\
# Written by every start from deploy/local/nats.py: changes here are lost.
server_name: {name}
# The server's own default is every address of the machine.
host: 127.0.0.1
port: {port}
http: "127.0.0.1:{monitor_port}"

jetstream {{
  store_dir: {store_dir}
  # A publish is acknowledged when it is on the disk, not in the page cache: power loss loses nothing.
  sync_interval: always
  # The default, three quarters of the free disk, refuses the streams' limits (10 GB each) on a small
  # disk, empty as they are. This is a limit and no reservation.
  max_file_store: {max_file_store_bytes}
}}

# `nats-server -sl ldm=PID` sends clients away over this time. The shortest that the server takes.
lame_duck_duration: "30s"
lame_duck_grace_period: "2s"
"""
CLUSTER = """
cluster {{
  name: floodgate-local
  listen: "127.0.0.1:{port}"
  routes: [{routes}]
}}
"""


@dataclass(frozen=True, kw_only=True)
class ClusterPlace:
    """A node's place in a cluster on this machine: the ports where all its nodes meet, and which of them is its own."""

    number: int
    route_ports: Sequence[int]

    @property
    def name(self) -> str:
        """Of the node: each needs one of its own."""
        return f"node-{self.number}"

    def configuration(self) -> str:
        """What makes a server a node."""
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self.route_ports)
        return CLUSTER.format(port=self.route_ports[self.number], routes=routes)


@dataclass(frozen=True, kw_only=True)
class Nats:
    """One nats-server with its data in `folder`, on fixed loopback ports.

    A node of a cluster is ready when there is a leader and it is up to date: the first start takes a quorum of nodes.
    """

    folder: Path
    port: int
    monitor_port: int
    place: ClusterPlace | None = None

    @property
    def url(self) -> str:
        """For clients."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitor_url(self) -> str:
        """Where `/varz`, `/jsz` and `/healthz` are."""
        return f"http://127.0.0.1:{self.monitor_port}"

    def prepare(self) -> tuple[str, ...]:
        """Write the configuration and return the command. Raises `StackError` where there is no server."""
        executable = Path(sysconfig.get_path("scripts")) / "nats-server"
        if not executable.is_file():
            raise StackError(f"{executable} is missing: install requirements/local.txt, which `make run` does")
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "nats.conf"
        config.write_text(
            CONFIG.format(
                name=self.place.name if self.place else "floodgate-local",
                port=self.port,
                monitor_port=self.monitor_port,
                store_dir=json.dumps(str(self.folder)),  # the server adds a folder "jetstream" of its own
                max_file_store_bytes=MAX_FILE_STORE_BYTES,
            )
            + (self.place.configuration() if self.place else ""),
            encoding="utf-8",
        )
        return (str(executable), "-c", str(config))

    async def is_ready(self) -> bool:
        """Whether clients are served and every stream is recovered."""
        return await probes.http_ok(f"{self.monitor_url}/healthz")


def worth_showing(line: str) -> bool:
    """Warnings and errors: nobody looks for the notices of a start, with a drawing among them."""
    return any(level in line for level in ("[WRN]", "[ERR]", "[FTL]", "nats-server:"))
