"""The plan: what it adds up, what it rests on, and how it is asked for."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from loadtest.__main__ import main
from loadtest.errors import CannotRun
from loadtest.plan.costs import Assumptions, Costs, load
from loadtest.plan.machine import Doubling, Measured, load_measured, one_machine, predictions
from loadtest.plan.model import Load, Node, Part, Plan, Point, plan

COSTS = Costs(
    gateway_cpu_s=5, nats_cpu_s=2, collector_cpu_s=8, postgres_cpu_s=5, stream_events_per_s=400_000, measured_at="never"
)
NODE = Node(
    cores=10,
    memory_gb=100,
    disk_mb_per_s=100,
    disk_tb=10,
    syncs_per_s=1_000,
    reads_per_s=100_000,
    network_gbit_per_s=10,
    utilisation=0.5,
)
LOAD = Load(events_per_s=100_000, event_bytes=400, sources=2, retention_days=1, table_days=1, replicas=3)
ASSUMED = Assumptions(
    follower_cpu_share=0.5, replicated_stream_share=0.5, postgres_growth=2, source_skew=1, message_events=100,
    flush_events=10_000, stream_extra_bytes=0, table_extra_bytes=100, index_bytes=100, wal_extra_bytes=400,
)  # fmt: skip


def part(made: Plan, name: str) -> Part:
    (found,) = [one for one in made.parts if one.name == name]
    return found


def needed(made: Plan, name: str) -> dict[str, object]:
    return {need.resource: pytest.approx(need.needed, rel=1e-4) for need in part(made, name).needs}


def test_each_need_is_the_rate_times_what_an_event_costs() -> None:
    made = plan(LOAD, NODE, COSTS, ASSUMED)
    assert needed(made, "gateway") == {"CPU": 0.5, "network": 0.64}
    assert needed(made, "NATS") == {
        "CPU": 0.4,  # a leader, and two followers for half as much each
        "disk writes": 120,
        "syncs": 3_000,
        "disk space": 10_368,  # a day of 100,000 events a second, 400 bytes each, three times
        "network": 1.92,
    }
    assert needed(made, "PostgreSQL") == {
        "CPU": 1.0,  # twice as dear once the tables have grown
        "disk writes": 140,
        "syncs": 12,  # 10 full flushes, and one a second of each collector
        "index reads": 188_426,  # two a new event, but for the 50 of 864 GB that are in memory
        "disk space": 5_184,
        "network": 0.48,
    }


def test_nodes_are_counted_by_the_resource_that_runs_out_first() -> None:
    made = plan(LOAD, NODE, COSTS, ASSUMED)
    assert {one.name: (one.tightest.resource, one.nodes) for one in made.parts} == {
        "gateway": ("network", 2),
        "NATS": ("syncs", 6),
        "collectors": ("CPU", 1),
        "PostgreSQL": ("index reads", 4),
    }
    roomy = plan(LOAD, replace(NODE, memory_gb=10_000), COSTS, ASSUMED)
    assert (part(roomy, "PostgreSQL").tightest.resource, part(roomy, "PostgreSQL").nodes) == ("disk writes", 3)


def test_processes_and_partitions_follow_from_what_one_of_them_bears() -> None:
    made = plan(replace(LOAD, events_per_s=1_000_000), NODE, COSTS, ASSUMED)
    # 500,000 a source; a replicated stream bears 200,000 and is planned with half of it
    assert made.partitions == 5
    assert made.gateway_processes == 10
    assert made.collectors_per_source == 8
    assert plan(replace(LOAD, replicas=1), NODE, COSTS, ASSUMED).partitions == 1
    skewed = plan(replace(LOAD, events_per_s=1_000_000), NODE, COSTS, replace(ASSUMED, source_skew=1.5))
    assert skewed.partitions == 8


def test_twice_the_load_is_twice_the_need() -> None:
    once, twice = (plan(replace(LOAD, events_per_s=rate), NODE, COSTS, ASSUMED) for rate in (200_000, 400_000))
    for name in ("gateway", "NATS", "collectors"):
        assert needed(twice, name) == {need.resource: pytest.approx(2 * need.needed) for need in part(once, name).needs}


def test_what_saturates_first_stands_first() -> None:
    limits = plan(LOAD, NODE, COSTS, ASSUMED).limits
    assert [limit.events_per_s for limit in limits] == sorted(limit.events_per_s for limit in limits)
    assert [(limit.name, round(limit.events_per_s)) for limit in limits[:3]] == [
        ("a PostgreSQL of this node, its disk", 71_429),
        ("a NATS node, its syncs", 100_000),
        ("a collector process", 125_000),
    ]


def test_on_one_machine_its_cores_or_the_processes_decide() -> None:
    alone = replace(LOAD, replicas=1)
    points = [Point(1, 1), Point(2, 1), Point(4, 4)]
    none = Doubling()
    assert one_machine(2, points, alone, COSTS, ASSUMED, doubling=none) == pytest.approx([100_000] * 3)
    assert one_machine(64, points, alone, COSTS, ASSUMED, doubling=none) == pytest.approx([200_000, 250_000, 800_000])
    assert one_machine(2, points[:1], LOAD, COSTS, ASSUMED, doubling=none) == pytest.approx([2_000_000 / 22])


def test_each_doubling_of_processes_costs_the_same() -> None:
    alone, doubling = replace(LOAD, replicas=1), Doubling(gateway_cpu_s=1, collector_cpu_s=4)
    points = [Point(1, 1), Point(2, 1), Point(1, 2), Point(4, 4)]
    assert one_machine(2, points, alone, COSTS, ASSUMED, doubling=doubling) == pytest.approx(
        [2_000_000 / cost for cost in (20, 21, 24, 30)]
    )


def at(point: Point, *, costs: float, rate: float, others: float = 0.0) -> Measured:
    return Measured(point=point, events_per_s=rate, cpu_s=costs, others_cores=others)


def test_a_point_is_predicted_from_others_and_never_from_itself() -> None:
    alone = replace(LOAD, replicas=1)
    measured = [
        at(Point(1, 1), costs=25, rate=72_000),  # 1.8 of two cores
        at(Point(2, 1), costs=26, rate=50_000),
        at(Point(1, 2), costs=30, rate=50_000),
        at(Point(2, 2), costs=33, rate=1),
        at(Point(4, 4), costs=99, rate=1, others=0.3),
    ]
    found = predictions(2, measured, alone, COSTS, ASSUMED)
    assert found == pytest.approx({
        Point(1, 1): 100_000,  # of the benchmark: both cores, at 20
        Point(2, 1): 1.8 / 28 * 1_000_000,  # 25 of one of each, and the 3 that 2x2 costs more than 1x2
        Point(1, 2): 1.8 / 32 * 1_000_000,  # 25, and the 7 that 2x2 costs more than 2x1
        Point(2, 2): 1.8 / 31 * 1_000_000,  # 25, and 1 and 5
        Point(4, 4): 1.5 / 41 * 1_000_000,  # 25, and twice 2 and 6, on average; others had 0.3 of the 1.8 cores
    })  # fmt: skip


def test_a_point_that_is_not_there_is_not_missed() -> None:
    alone = replace(LOAD, replicas=1)
    only = [at(Point(1, 1), costs=25, rate=72_000), at(Point(2, 2), costs=30, rate=50_000)]
    assert predictions(2, only, alone, COSTS, ASSUMED)[Point(2, 2)] == pytest.approx(72_000)
    assert predictions(2, only[1:], alone, COSTS, ASSUMED) == pytest.approx({Point(2, 2): 100_000})


def test_a_scaling_test_that_was_never_run_is_no_error_and_a_broken_one_is(tmp_path: Path) -> None:
    file = tmp_path / "scaling.json"
    assert load_measured(file) == []
    file.write_bytes(b'{"points": [{}]}')
    with pytest.raises(CannotRun, match="holds no scaling test"):
        load_measured(file)


def test_the_last_full_benchmark_is_what_it_rests_on() -> None:
    costs = load()
    assert 10 < costs.total_cpu_s < 60
    assert costs.stream_events_per_s > 50_000


@pytest.mark.parametrize("content", [b"{}", b"no json", b'{"endToEnd": null}'])
def test_results_without_a_full_run_are_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(content)
    with pytest.raises(CannotRun, match="holds no full benchmark"):
        load(file)
    with pytest.raises(CannotRun, match="can't be read: No such file"):
        load(tmp_path / "none.json")


def test_the_program_prints_the_plan_with_every_assumption(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--events-per-second", "1000000", "--retention-days", "2", "--replicas", "3"], {}) == 0
    out = capsys.readouterr().out
    assert out.startswith("1,000,000 events/s of 420 bytes, 2 sources, 2 days in the streams (3 replicas)")
    for words in ("PARTITIONS", "Which part saturates first", "follower cpu share", "PostgreSQL, tables new"):
        assert words in out


def test_as_json_it_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--events-per-second", "20000", "--json"], {}) == 0
    found = orjson.loads(capsys.readouterr().out)
    assert (found["load"]["events_per_s"], found["partitions"]) == (20_000, 1)
    assert set(found["parts"]) == {"gateway", "NATS", "collectors", "PostgreSQL"}


def test_what_one_machine_bears_is_a_line_a_point(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    unscaled = str(tmp_path / "none.json")
    shared = ["plan", "--events-per-second", "1", "--replicas", "1", "--one-machine", "2", "--scaling", unscaled]
    assert main([*shared, "--json"], {}) == 0
    found = orjson.loads(capsys.readouterr().out)
    assert len(found) == 9
    assert {round(point["eventsPerSecond"]) for point in found} == {round(2_000_000 / load().total_cpu_s)}
    assert main(shared, {}) == 0
    assert len(capsys.readouterr().out.splitlines()) == 10


@pytest.mark.parametrize(
    "arguments",
    [["--events-per-second", "0"], ["--events-per-second", "nan"], [], ["--events-per-second", "1", "--replicas", "x"],
     ["--events-per-second", "1", "--utilisation", "1.5"]],
)  # fmt: skip
def test_a_wrong_option_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = main(["plan", *arguments], {})
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1
