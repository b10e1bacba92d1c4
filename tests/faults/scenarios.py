"""What is broken, in which world, and how often. The table of the run has a line for each."""

from collections.abc import Iterator
from signal import SIGKILL, SIGSTOP, SIGTERM
from typing import Final

from tests.faults import broker_faults, database_faults, link_faults, process_faults
from tests.faults.fault import Fault
from tests.faults.phase import Scenario
from tests.faults.process_faults import backend, node, outage, program, server
from tests.faults.world import LINKS, WorldSpec

OUTAGE_S: Final = 60.0
SHORT_OUTAGE_S: Final = 2.0
LINK_TIMES: Final = {"cut": 4, "reset": 4, "slow": 2, "half-open": 3}
SIGNALS: Final = (SIGKILL, SIGTERM, SIGSTOP)

ONE, SMALL, CLOCKS, REFUSED, CLUSTER = "one node", "small streams", "jumping clocks", "refused rows", "three nodes"
WORLDS: Final = {
    ONE: WorldSpec(name=ONE),
    SMALL: WorldSpec(name=SMALL, environment={"STREAM_MAX_MESSAGES": "600", "NATS_BATCH_SIZE": "10"}),
    CLOCKS: WorldSpec(name=CLOCKS, shifts_clock=True),
    REFUSED: WorldSpec(name=REFUSED),
    CLUSTER: WorldSpec(name=CLUSTER, nodes=3, collectors={"facebook": 1, "tiktok": 1}),
}

_DATABASE: Final[tuple[tuple[str, Fault, int], ...]] = (
    ("statement timeout", database_faults.statement_timeout, 4),
    ("lock timeout", database_faults.lock_timeout, 3),
    ("deadlock", database_faults.deadlock, 4),
    ("serialization failure", database_faults.serialization_failure, 3),
    ("too many connections", database_faults.too_many_connections, 4),
    ("tables locked", database_faults.tables_held, 3),
)
_ALIKE: Final = frozenset({"lock timeout"})
"""Takes the same way through the product as another one: left out of the short form."""


def full() -> list[Scenario]:
    """Every fault by itself, again and again, with a line of its own."""
    return [*_processes(), *_links(), *_database(), *_others(), *_other_worlds()]


def short() -> list[Scenario]:
    """Every kind of fault once, in groups that are settled together: for each change."""
    links = zip(LINKS, ("half-open", "cut", "reset", "slow", "reset"), strict=True)
    groups: list[tuple[str, tuple[Fault, ...], str]] = [
        ("gateway killed, ended, stopped", tuple(program("gateway", number) for number in SIGNALS), ONE),
        ("collector killed, ended, stopped", tuple(program("collector", number) for number in SIGNALS), ONE),
        ("nats-server killed, ended, stopped", tuple(server("nats", number) for number in SIGNALS), ONE),
        (
            "PostgreSQL killed, ended, stopped",
            (server("postgres", SIGKILL), process_faults.postmaster_smart_stop, backend(SIGKILL), backend(SIGTERM)),
            ONE,
        ),
        ("two at once", (process_faults.pair,), ONE),
        ("links half-open, cut, reset, slow", tuple(link_faults.KINDS[kind](name) for name, kind in links), ONE),
        ("PostgreSQL's errors", tuple(fault for name, fault, _ in _DATABASE if name not in _ALIKE), ONE),
        (
            "senders hang up, purge, disk full",
            (broker_faults.senders_hang_up, broker_faults.stored_part_purged, process_faults.disk_full),
            ONE,
        ),
        ("servers down", (outage("postgres", SHORT_OUTAGE_S), outage("nats", SHORT_OUTAGE_S)), ONE),
        ("stream full, consumer deleted", (broker_faults.collectors_away, broker_faults.consumer_deleted), SMALL),
        ("cluster: nodes killed, stopped", (node(SIGKILL), node(SIGSTOP)), CLUSTER),
        (
            "cluster: leaders moved",
            (broker_faults.stream_leader_moved, broker_faults.consumer_leader_moved),
            CLUSTER,
        ),
        ("clock jump, rows refused", (broker_faults.clock_jumped, database_faults.refused_rows), CLOCKS),
    ]
    return [Scenario(name=name, faults=faults, times=1, world=world) for name, faults, world in groups]


def _one(name: str, fault: Fault, times: int, world: str = ONE) -> Scenario:
    return Scenario(name=name, faults=(fault,), times=times, world=world)


def _processes() -> Iterator[Scenario]:
    for role in ("gateway", "collector"):
        for number, times in zip(SIGNALS, (8, 6, 4), strict=True):
            yield _one(f"{role} {number.name}", program(role, number), times)
    yield _one("collectors killed while storing", process_faults.killed_while_storing, 4)
    for number, times in zip(SIGNALS, (8, 5, 4), strict=True):
        yield _one(f"nats-server {number.name}", server("nats", number), times)
    for number, times in ((SIGKILL, 5), (SIGSTOP, 4)):
        yield _one(f"PostgreSQL {number.name}", server("postgres", number), times)
    yield _one("postmaster SIGKILL", process_faults.postmaster_killed, 4)
    yield _one("postmaster SIGTERM, SIGINT", process_faults.postmaster_smart_stop, 4)
    for number, times in zip(SIGNALS, (4, 5, 4), strict=True):
        yield _one(f"backend {number.name}", backend(number), times)
    yield _one("two at once", process_faults.pair, 12)


def _links() -> Iterator[Scenario]:
    for name in LINKS:
        for kind, fault in link_faults.KINDS.items():
            yield _one(f"{name} {kind}", fault(name), LINK_TIMES[kind])


def _database() -> Iterator[Scenario]:
    for name, fault, times in _DATABASE:
        yield _one(name, fault, times)


def _others() -> Iterator[Scenario]:
    yield _one("senders hang up", broker_faults.senders_hang_up, 10)
    yield _one("stored part of a stream purged", broker_faults.stored_part_purged, 4)
    yield _one("broker's disk full", process_faults.disk_full, 3)
    yield _one(f"PostgreSQL down {OUTAGE_S:g} s", outage("postgres", OUTAGE_S), 1)
    yield _one(f"NATS down {OUTAGE_S:g} s", outage("nats", OUTAGE_S), 1)


def _other_worlds() -> Iterator[Scenario]:
    yield _one("stream full", broker_faults.collectors_away, 4, SMALL)
    yield _one("consumer deleted", broker_faults.consumer_deleted, 5, SMALL)
    yield _one("clock jump", broker_faults.clock_jumped, 8, CLOCKS)
    yield _one("rows refused, collector SIGKILL", database_faults.refused_rows, 5, REFUSED)
    for number, times in zip(SIGNALS, (6, 4, 4), strict=True):
        yield _one(f"cluster: node {number.name}", node(number), times, CLUSTER)
    yield _one("cluster: stream leader moved", broker_faults.stream_leader_moved, 6, CLUSTER)
    yield _one("cluster: consumer leader moved", broker_faults.consumer_leader_moved, 6, CLUSTER)
