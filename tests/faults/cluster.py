"""A JetStream cluster: the shipped configuration on three servers, and the routes between them."""

from typing import Final

from deploy.local.identity import launch
from tests.servers import NatsServer, free_port

CLUSTER: Final = """
cluster {{
  name: floodgate-faults
  listen: "127.0.0.1:{port}"
  routes: [{routes}]
}}
"""


class ClusterNode(NatsServer):
    """One node. It is ready when it has a leader and is up to date, so the first start takes a quorum of nodes."""

    def __init__(self, number: int, route_ports: list[int]) -> None:
        super().__init__()
        self.name = f"node-{number}"
        self._number = number
        self._route_ports = route_ports
        super()._choose_ports()

    def _choose_ports(self) -> None:
        """They were chosen before the others' configurations were written."""

    def _command(self) -> tuple[str, ...]:
        argv = self._nats.prepare()
        config = self._nats.folder / "nats.conf"
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self._route_ports)
        text = config.read_text(encoding="utf-8").replace("server_name: floodgate-local", f"server_name: {self.name}")
        if self.name not in text:
            raise ValueError(f"{config} has no server_name to replace: did deploy/local/nats.py change?")
        config.write_text(text + CLUSTER.format(port=self._route_ports[self._number], routes=routes), encoding="utf-8")
        return launch(argv, death_signal=9)


def make_cluster(nodes: int) -> list[NatsServer]:
    """Servers that know each other, not started yet: start them at the same time."""
    route_ports = [free_port() for _ in range(nodes)]
    return [ClusterNode(number, route_ports) for number in range(nodes)]
