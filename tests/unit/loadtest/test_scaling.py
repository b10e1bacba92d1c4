"""The scaling test without its fleet: who did how much, what a kind of process cost, and how it is shown."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from loadtest.__main__ import main
from loadtest.errors import CannotRun
from loadtest.plan import costs
from loadtest.plan.model import Point
from loadtest.scaling import page, shares
from loadtest.scaling.fleet import FleetProcess, running_fleet
from loadtest.scaling.options import BASE, GRID, QUICK
from loadtest.scaling.point import by_kind
from loadtest.scaling.run import noise
from loadtest.scaling.shares import Shares

GATEWAY = """\
# TYPE gateway_bulk_events_processed_total counter
gateway_bulk_events_processed_total{source="facebook"} 300.0
gateway_bulk_events_processed_total{source="tiktok"} 200.0
gateway_events_accepted_total{source="tiktok"} 900.0
"""
COLLECTOR = """\
collector_events_total{outcome="stored",source="facebook"} 40.0
collector_events_total{outcome="duplicate",source="facebook"} 2.0
"""


def test_what_a_process_did_is_read_from_its_own_counters() -> None:
    assert (shares.durable(GATEWAY), shares.stored(COLLECTOR)) == (500, 42)
    assert shares.done({"a": 10}, {"a": 30, "b": 5}) == {"a": 20, "b": 5}


def test_shares_are_of_the_whole_work() -> None:
    assert shares.shares([30, 10, 60]) == Shares(0.1, 0.6, 3)
    assert shares.shares([0, 5]) == Shares(0.0, 1.0, 2)
    assert shares.shares([0, 0]) is None
    assert shares.shares([]) is None


def test_collectors_share_with_those_of_their_source_and_the_least_even_source_is_told() -> None:
    counts = {
        "collectors facebook 0": 50,
        "collectors facebook 1": 50,
        "collectors tiktok 0": 2,
        "collectors tiktok 1": 8,
    }
    assert shares.collectors_shares(counts) == Shares(0.2, 0.8, 2)


def test_processes_of_a_kind_are_added_up() -> None:
    seconds = {"gateway 0": 1.0, "gateway 1": 2.0, "collectors tiktok 0": 4.0, "nats 2": 0.5, "fleet": 9.0}
    assert by_kind(seconds, 500_000) == {
        "gateway": 6.0, "collectors": 8.0, "nats": 1.0, "postgres": 0.0, "nginx": 0.0, "generator": 0.0
    }  # fmt: skip


def test_the_grid_has_what_the_prediction_begins_with() -> None:
    assert GRID[0] == QUICK.points[0] == BASE
    assert {Point(2, 1), Point(1, 2)} <= set(GRID)


def measured(point: Point, rate: float, *, others_s: float = 0.0) -> dict[str, Any]:
    account = {"accepted": 98_000, "stored": 97_000, "duplicates": 1_000}
    return asdict(point) | {
        "events": 98_000,
        "seconds": 2.0,
        "eventsPerSecond": rate,
        "acceptedPerSecond": rate * 1.5,
        "latency": {"p50": 0.25, "p99": 1.5},
        "cpuSecondsPerMillion": dict.fromkeys(("gateway", "collectors", "nats", "postgres"), 5.0)
        | {"nginx": 0.0, "generator": 0.1},
        "othersSeconds": others_s,
        "gatewayShares": asdict(Shares(1.0, 1.0, 1)),
        "collectorShares": asdict(Shares(0.2, 0.8, 2)),
        "account": account,
        "rows": 97_000,
    }


def results(*points: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "startedAt": "2026-01-02T03:04:05+00:00",
        "machine": {"CPU": "one of a kind", "cores": "2"},
        "events": 100_000,
        "requestEvents": 5_000,
        "connections": 8,
        "points": list(points),
        "failed": {},
    } | more


def test_each_rate_stands_beside_its_prediction_and_a_miss_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        costs,
        "load",
        lambda: costs.Costs(
            gateway_cpu_s=6.0,
            nats_cpu_s=1.2,
            collector_cpu_s=7.4,
            postgres_cpu_s=5.3,
            stream_events_per_s=900_000,
            measured_at="2026-01-01",
        ),
    )
    text = "\n".join(page.lines(results(measured(BASE, 80_000), measured(Point(2, 1), 40_000))))
    (row,) = [line for line in text.splitlines() if line.startswith("| 2x1") and "40,000" in line]
    # two cores at 20.1 s per million, of which one of each used 1.608
    assert [cell.strip() for cell in row.split("|")[1:5]] == ["2x1", "40,000", "80,000", "+100%"]
    assert "Missed by more than 20%: 2x1." in text
    assert "one of a kind" in text
    assert "20% to 80%, fair 50%" in text
    assert "measure again" not in text


def test_a_busy_machine_and_what_failed_are_told() -> None:
    busy = results(measured(BASE, 80_000, others_s=1.0), failed={"4x4": "no room"})
    text = "\n".join(page.lines(busy))
    assert "Other programs took up to 25% of the machine at 1x1: measure again on a quiet one." in text
    assert "Failed: 4x4: no room" in text


def test_noise_is_what_others_had_of_the_cpu_that_was_used() -> None:
    point = measured(BASE, 80_000, others_s=0.6566)  # beside 98,000 events at 20.1 s per million
    assert noise(point) == pytest.approx(0.25)


def test_only_the_section_between_the_markers_is_written() -> None:
    text = f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n"
    made = page.with_section(text, "new")
    assert made == f"before\n{page.BEGIN}\n\nnew\n\n{page.END}\nafter\n"
    assert page.with_section(made, "new") == made
    with pytest.raises(ValueError, match="takes a page with the lines"):
        page.with_section(f"{page.END}{page.BEGIN}", "new")


def test_the_page_of_the_docs_has_its_section() -> None:
    assert "new" in page.with_section(
        (Path(__file__).parents[3] / "docs/scaling.md").read_text(encoding="utf-8"), "new"
    )


async def test_a_fleet_that_can_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, where a folder is to be", encoding="utf-8")
    async with running_fleet(tmp_path / "taken", {}) as process:
        with pytest.raises(CannotRun, match=r"the fleet did not start or grow: .*did not answer"):
            await process.scale(BASE)


async def test_a_fleet_is_told_how_many_and_says_where_they_are(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("", encoding="utf-8")
    answer = {
        "url": "http://front",
        "internalUrl": "http://inside",
        "postgres": {"pid": 7, "dsn": "postgresql://"},
        "nginx": {"pid": 8},
        "nats": [{"pid": at, "url": f"nats://{at}", "monitorUrl": f"http://{at}"} for at in (1, 2)],
        "gateways": [{"pid": 3, "url": "http://g"}],
        "collectors": [
            {"source": source, "pid": pid, "opsUrl": f"http://{pid}"} for source, pid in (("x", 4), ("y", 5), ("x", 6))
        ],
        "restarts": 0,
    }
    process = Stub(json.dumps(answer).encode() + b"\n")
    fleet = await FleetProcess(process, log).scale(Point(1, 2))  # type: ignore[arg-type]  # what it uses of a process
    assert json.loads(process.said) == {"gateways": 1, "collectors": 2}
    assert fleet.nats_url == "nats://1,nats://2"
    assert fleet.bulk_url == "http://front/webhook/events/bulk"
    assert fleet.collectors == {
        "collectors x 0": "http://4",
        "collectors y 0": "http://5",
        "collectors x 1": "http://6",
    }
    assert fleet.roots["collectors x 1"] == 6
    assert (fleet.roots["nats 1"], fleet.roots["nginx"], fleet.roots["gateway 0"]) == (2, 8, 3)
    with pytest.raises(CannotRun, match="nginx is missing"):
        await FleetProcess(Stub(b'{"error": "nginx is missing: apt-get"}\n'), log).scale(BASE)  # type: ignore[arg-type]


class Stub:
    """What is used of a process: it has said one line, and keeps what is said to it."""

    pid = 99

    def __init__(self, line: bytes) -> None:
        self.said = b""
        self.stdin = self.stdout = self
        self._line = line

    def write(self, data: bytes) -> None:
        self.said += data

    async def drain(self) -> None:
        """Nothing waits here."""

    async def readline(self) -> bytes:
        return self._line


def test_a_wrong_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["scaling", "--quickly"], {})
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
