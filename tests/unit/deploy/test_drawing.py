"""A panel's picture shows what Prometheus said: names, figures, thresholds, gaps."""

import json
import math
import re
from typing import Any

import pytest

from deploy.dashboards.catalog import FOLDER
from deploy.dashboards.drawing import THRESHOLD_COLOURS, Frame, Series, drawn, shown

FRAME = Frame(width=400, height=200, start_s=0, end_s=100, step_s=10)


def panel(title: str) -> dict[str, Any]:
    """Of the shipped dashboard Overview."""
    panels = json.loads((FOLDER / "overview.json").read_text())["panels"]
    return next(one for one in panels if one["title"] == title)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.25, "s", "250 ms"),
        (90, "s", "1.5 min"),
        (0, "s", "0 s"),
        (0.0512, "percentunit", "5.12 %"),
        (12_345, "cps", "12.3k c/s"),
        (3 * 2**20, "bytes", "3 MiB"),
        (7, "short", "7"),
    ],
)
def test_a_value_is_shown_in_its_unit(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_a_line_has_a_gap_where_there_was_no_value() -> None:
    points = [(at, 1.0 if at != 50 else math.nan) for at in range(0, 101, 10)]
    svg = drawn(panel("In and out"), [Series("facebook in", points)], FRAME)
    assert svg.count("<polyline") == 2
    assert "facebook in" in svg
    assert "1 c/s  (max 1 c/s)" in svg


def test_stacked_lines_lie_on_each_other() -> None:
    series = [Series(name, [(0, value), (10, value)]) for name, value in (("a", 3.0), ("b", 1.0))]
    svg = drawn(panel("Refused for good: events"), series, FRAME)
    top, bottom = re.findall(r'<polyline points="[\d.]+,([\d.]+) ', svg)
    grid = [float(y) for y in re.findall(r'class="grid"/><text x="\d+" y="([\d.]+)"', svg)]
    assert float(top) == pytest.approx(grid[-1] - 4, abs=0.2)  # 4 of 4
    assert float(bottom) == pytest.approx(grid[3] - 4, abs=0.2)  # 3 of 4


def test_more_lines_than_there_is_room_for_are_told_in_words() -> None:
    series = [Series(f"reason {at}", [(0, float(at > 8)), (10, 0.0)]) for at in range(10)]
    svg = drawn(panel("Refused whole: requests"), series, FRAME)
    assert "reason 9" in svg
    assert "and 6 more, all at zero" in svg


@pytest.mark.parametrize(("value", "colour"), [(0.001, "green"), (0.02, "orange"), (0.5, "red")])
def test_a_number_has_the_colour_of_its_threshold(value: float, colour: str) -> None:
    assert THRESHOLD_COLOURS[colour] in drawn(panel("Failed"), [Series("failed", [(0, value), (10, value)])], FRAME)


def test_a_panel_without_an_answer_says_so() -> None:
    assert "No data" in drawn(panel("In and out"), [], FRAME)
    assert "No data" in drawn(panel("Failed"), [Series("failed", [(0, math.nan)])], FRAME)
