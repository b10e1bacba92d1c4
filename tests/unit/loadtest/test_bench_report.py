"""The page and the tables, made from results as a run leaves them."""

import io
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.console import Console

from loadtest.bench import charts, html, table
from loadtest.bench.figures import figures


def _cost(**seconds: float) -> dict[str, Any]:
    million = {name: value * 10 for name, value in seconds.items()}
    return {
        "events": 100_000,
        "seconds": seconds,
        "secondsPerMillion": million,
        "stackSecondsPerMillion": 25.0,
        "othersSeconds": 0.1,
    }


def _ceiling(rate: float) -> dict[str, Any]:
    return {"events": 1000, "seconds": 1.0, "eventsPerSecond": rate, "cpu": _cost(postgres=0.8, nats=0.1)}


SPREAD = {"p50": 0.01, "p90": 0.02, "p99": 0.03, "p999": 0.04, "worst": 0.05}


@pytest.fixture
def results() -> dict[str, Any]:
    """A run of every phase, with one that failed."""
    made: dict[str, Any] = {
        "format": 1,
        "startedAt": "2026-01-01T00:00:00+00:00",
        "quick": False,
        "seed": 1,
        "machine": {"CPU": "A <fast> & small one", "cores": "2"},
        "durability": {"NATS sync_interval": "always"},
        "failed": {"freshness": "no <row> came"},
        "ceilings": {key: _ceiling(100_000.0 + at) for at, key in enumerate(("postgresLoader", "jetstream"))},
        "accept": {
            "one": {"requests": 1, "latency": SPREAD, "eventsPerSecond": 90_000.0},
            "together": {"requests": 4, "latency": SPREAD, "eventsPerSecond": 95_000.0},
            "peakRssBytes": {"gateway": 200_000_000},
            "cpu": _cost(gateway=1.0),
        },
        "endToEnd": {
            "events": 98_000,
            "seconds": 1.5,
            "eventsPerSecond": 65_333.0,
            "timeline": {
                "stored": [[0.0, 0], [0.5, 30_000], [1.5, 98_000]],
                "accepted": [[0.0, 0], [0.4, 50_000], [0.9, 98_000]],
            },
            "cpu": _cost(gateway=1.0, postgres=1.5, generator=0.2),
            "generator": {"cpuSeconds": 0.2, "peakRssBytes": 50_000_000},
            "peakRssBytes": {"gateway": 200_000_000, "postgres": 300_000_000},
            "account": {"accepted": 98_000, "stored": 97_000, "duplicates": 1_000},
        },
        "growth": {
            "rows": 2_000,
            "lastToFirst": 0.9,
            "lastToEmpty": 0.75,
            "steps": [
                {"rowsBefore": 0, "rows": 1_000, "eventsPerSecond": 50_000.0, "cpu": _cost(postgres=1.0)},
                {"rowsBefore": 1_000, "rows": 2_000, "eventsPerSecond": 45_000.0, "cpu": _cost(postgres=1.0)},
            ],
        },
    }
    return made | {"figures": [figure.as_json() for figure in figures(made)]}


class _Balanced(HTMLParser):
    """Counts what is open, and keeps every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_but_itself(results: dict[str, Any]) -> None:
    page = html.page(results)
    parser = _Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    assert parser.addresses == []
    for outside in ("http://", "https://", "url(", "@import", "<script"):
        assert outside not in page


def test_the_page_shows_figures_charts_and_failures(results: dict[str, Any]) -> None:
    page = html.page(results)
    assert "A &lt;fast&gt; &amp; small one" in page
    assert "freshness failed: no &lt;row&gt; came" in page
    assert "65,333" in page
    assert "ambition met" in page
    svgs = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(svgs) == 5  # throughput, timeline, CPU, memory, growth
    for svg in svgs:
        ET.fromstring(svg)  # noqa: S314 - our own text


def test_a_run_of_one_phase_has_a_page_and_tables_too(results: dict[str, Any]) -> None:
    few = {name: results[name] for name in ("startedAt", "quick", "machine", "durability", "failed", "accept")}
    few["figures"] = [figure.as_json() for figure in figures(few)]
    assert "accept, one" in html.page(few)
    assert "accept, one" in _printed(few)


def test_the_table_has_each_figure_beside_ceiling_ratio_and_target(results: dict[str, Any]) -> None:
    [line] = [line for line in _printed(results).splitlines() if "end to end over PostgreSQL" in line]
    assert re.search(r"0\.65 of 1.*100,000 events/s.*0\.60.*0\.80.*met", line)
    assert "generator (not counted)" in _printed(results)
    assert "freshness failed: no <row> came" in _printed(results)


def test_bars_are_as_long_as_their_values() -> None:
    drawn = charts.bars("t", [charts.Bar("a", 100, "100"), charts.Bar("b", 50, "50")])
    first, second = (float(width) for width in re.findall(r'rect[^>]* width="([0-9.]+)"', drawn))
    assert first == pytest.approx(2 * second, rel=1e-3)
    assert charts.bars("t", []) == ""


def test_a_line_of_one_point_is_no_line() -> None:
    one = charts.Line("a", [(1, 1)], "ours")
    two = charts.Line("b", [(0, 0), (10, 1_500_000)], "ours")
    assert charts.lines("t", [one], x_name="x", y_name="y") == ""
    drawn = charts.lines("t", [one, two], x_name="x", y_name="y")
    assert drawn.count("<polyline") == 1
    assert "2M" in drawn


def _printed(results: dict[str, Any]) -> str:
    out = io.StringIO()
    table.show(results, Console(file=out, width=200, color_system=None))
    return out.getvalue()
