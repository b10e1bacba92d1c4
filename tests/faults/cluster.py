"""A JetStream cluster: the shipped configuration on three servers, and the routes between them."""

from deploy.local.nats import ClusterPlace, Nats
from tests.servers import NatsServer, free_port


class ClusterNode(NatsServer):
    """One node. It is ready when it has a leader and is up to date, so the first start takes a quorum of nodes."""

    def __init__(self, place: ClusterPlace) -> None:
        super().__init__()
        self.name = place.name
        self._place = place
        super()._choose_ports()

    @property
    def _nats(self) -> Nats:
        return Nats(folder=self.folder / "nats", port=self.port, monitor_port=self.monitor_port, place=self._place)

    def _choose_ports(self) -> None:
        """They were chosen before the others' configurations were written."""


def make_cluster(nodes: int) -> list[NatsServer]:
    """Servers that know each other, not started yet: start them at the same time."""
    route_ports = [free_port() for _ in range(nodes)]
    return [ClusterNode(ClusterPlace(number=number, route_ports=route_ports)) for number in range(nodes)]
