"""From a load and what an event costs to processes, nodes, disks and networks. Pure.

Invariant: a part's need is what an event costs it times the rate, over what one of it can do at the target
utilisation; whole processes and nodes are rounded up, and nothing else is.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final

from loadtest.plan.costs import Assumptions, Costs

MILLION: Final = 1_000_000
DAY_S: Final = 86_400
MB: Final = 1_000_000
GB: Final = 1_000_000_000
BITS_PER_BYTE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is to be borne, sustained. `event_bytes`: of its JSON."""

    events_per_s: float
    event_bytes: float = 420
    sources: int = 2
    retention_days: float = 7
    table_days: float = 30
    replicas: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine, and how much of it is planned with (`utilisation`, of 1): the rest is for peaks and failures."""

    cores: int = 32
    memory_gb: float = 256
    disk_mb_per_s: float = 1_000
    disk_tb: float = 7.5
    syncs_per_s: float = 20_000
    reads_per_s: float = 200_000
    network_gbit_per_s: float = 25
    utilisation: float = 0.6


@dataclass(frozen=True, slots=True)
class Need:
    """What one resource of a part needs in all, and what one node (or process) of it gives at the utilisation."""

    resource: str
    needed: float
    of_one: float
    unit: str

    @property
    def nodes(self) -> float:
        """How many of one it takes; not rounded."""
        return self.needed / self.of_one


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the installation. `least` nodes are needed whatever the load is."""

    name: str
    needs: tuple[Need, ...]
    least: int = 1

    @property
    def tightest(self) -> Need:
        """The resource that runs out first."""
        return max(self.needs, key=lambda need: need.nodes)

    @property
    def nodes(self) -> int:
        """How many are needed."""
        return max(self.least, ceil(self.tightest.nodes - 1e-9))


@dataclass(frozen=True, slots=True)
class Limit:
    """How many events a second one of a kind bears when nothing else holds it back, all of it used."""

    name: str
    events_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole. `limits` are of one of each kind, the smallest first: in that order parts saturate as load grows."""

    parts: tuple[Part, ...]
    partitions: int
    gateway_processes: int
    collectors_per_source: int
    limits: tuple[Limit, ...]
    stream_bytes_per_stream: float
    table_bytes_per_day: float


def plan(load: Load, node: Node, costs: Costs, assumed: Assumptions) -> Plan:
    """How large an installation has to be."""
    rate, used = load.events_per_s, node.utilisation
    nats_cpu_s = costs.nats_cpu_s * (1 + assumed.follower_cpu_share * (load.replicas - 1))
    postgres_cpu_s = costs.postgres_cpu_s * assumed.postgres_growth
    stream_bytes = load.event_bytes + assumed.stream_extra_bytes
    wal_bytes, row_bytes = wal_and_row_bytes(load.event_bytes, assumed)
    stream_rate = costs.stream_events_per_s * (assumed.replicated_stream_share if load.replicas > 1 else 1)
    busiest_source = rate / load.sources * assumed.source_skew
    partitions = max(1, ceil(busiest_source / (stream_rate * used)))
    collectors = max(partitions, ceil(busiest_source * costs.collector_cpu_s / MILLION / used))
    messages = rate / assumed.message_events

    def cores(cpu_s: float) -> Need:
        return Need("CPU", rate * cpu_s / MILLION, node.cores * used, "cores")

    def disk(bytes_per_event: float) -> Need:
        return Need("disk writes", rate * bytes_per_event / MB, node.disk_mb_per_s * used, "MB/s")

    def syncs(per_s: float) -> Need:
        return Need("syncs", per_s, node.syncs_per_s * used, "a second")

    def index_reads(indexes_bytes: float) -> Need:
        # A new key falls anywhere in a unique index: a page that is not in memory is read for it.
        missing = max(0.0, 1 - node.memory_gb * GB * used / indexes_bytes)
        return Need("index reads", rate * assumed.index_pages * missing, node.reads_per_s * used, "a second")

    def space(held_bytes: float) -> Need:
        return Need("disk space", held_bytes / GB, node.disk_tb * 1_000 * used, "GB")

    def network(bytes_per_event: float) -> Need:
        needed = rate * bytes_per_event * BITS_PER_BYTE / GB
        return Need("network", needed, node.network_gbit_per_s * used, "Gbit/s")

    held = rate * DAY_S * load.retention_days * stream_bytes
    rows = rate * DAY_S * row_bytes
    parts = (
        Part("gateway", (cores(costs.gateway_cpu_s), network(2 * load.event_bytes)), least=2),
        Part(
            "NATS",
            (
                cores(nats_cpu_s),
                disk(stream_bytes * load.replicas),
                syncs(messages * load.replicas),
                space(held * load.replicas),
                # In once from a gateway, to each follower and out of the leader, to a collector.
                network(stream_bytes * (2 + 2 * (load.replicas - 1))),
            ),
            least=load.replicas,
        ),
        Part("collectors", (cores(costs.collector_cpu_s), network(load.event_bytes + row_bytes))),
        Part(
            "PostgreSQL",
            (
                cores(postgres_cpu_s),
                disk(wal_bytes + row_bytes),
                syncs(rate / assumed.flush_events + load.sources * collectors),
                index_reads(rate * DAY_S * load.table_days * assumed.index_bytes),
                space(rows * load.table_days),
                network(row_bytes),
            ),
        ),
    )
    limits = [
        Limit("a gateway process", MILLION / costs.gateway_cpu_s),
        Limit(f"a stream, of {_copies(load.replicas)}", stream_rate),
        Limit("a collector process", MILLION / costs.collector_cpu_s),
        Limit("a PostgreSQL of this node, its CPU", node.cores * MILLION / postgres_cpu_s),
        Limit("a PostgreSQL of this node, its disk", node.disk_mb_per_s * MB / (wal_bytes + row_bytes)),
        Limit("a NATS node, its CPU", node.cores * MILLION / costs.nats_cpu_s),
        Limit("a NATS node, its disk", node.disk_mb_per_s * MB / stream_bytes),
        Limit("a NATS node, its syncs", node.syncs_per_s * assumed.message_events),
    ]
    return Plan(
        parts=parts,
        partitions=partitions,
        gateway_processes=max(2, ceil(rate * costs.gateway_cpu_s / MILLION / used)),
        collectors_per_source=collectors,
        limits=tuple(sorted(limits, key=lambda limit: limit.events_per_s)),
        stream_bytes_per_stream=held / load.sources * assumed.source_skew / partitions,
        table_bytes_per_day=rows,
    )


@dataclass(frozen=True, slots=True)
class Point:
    """A point of one machine: how many processes share its cores."""

    gateways: int
    collectors_per_source: int

    def __str__(self) -> str:
        return f"{self.gateways}x{self.collectors_per_source}"


def wal_and_row_bytes(event_bytes: float, assumed: Assumptions) -> tuple[float, float]:
    """What PostgreSQL writes of an event ahead, and what it holds of it in tables and indexes."""
    return event_bytes + assumed.wal_extra_bytes, event_bytes + assumed.table_extra_bytes + assumed.index_bytes


def _copies(replicas: int) -> str:
    return "one copy" if replicas == 1 else f"{replicas} copies"
