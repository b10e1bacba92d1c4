"""Panels as SVG, drawn from a dashboard's JSON and what Prometheus answered: for a picture without Grafana.

Invariant: a value that is not there is a gap in its line, and a panel without any says so; nothing is made up between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import cycle, groupby
from math import isfinite
from typing import Any, Final

from loadtest.bench.charts import nice, short

LINE_COLOURS: Final = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#fade2a")
THRESHOLD_COLOURS: Final = {"green": "#56a64b", "orange": "#ff9830", "red": "#e02f44"}
GROUND: Final = "#181b1f"
EMPTY: Final = "No data"

_RIGHT, _TOP, _AXIS = 10, 8, 20
_LEGEND_ROW: Final = 16
_MOST_NAMED: Final = 5
_TICKS: Final = 4
_TIME_EVERY: Final = 110
_LETTER: Final = 6.8
_WIDE: Final = 320
"""Pixels: between two times, of a letter, and of a panel whose legend has the largest value, too."""
_SECONDS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"))
_BYTES: Final = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_ENDINGS: Final = {"cps": " c/s", "reqps": " req/s", "short": ""}

Points = Sequence[tuple[float, float]]
"""Seconds since 1970, value; ascending. A value may be NaN or infinite."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name as the legend has it, and its points."""

    name: str
    points: Points

    @property
    def last(self) -> float | None:
        """The last value that is one."""
        return next((value for _, value in reversed(self.points) if isfinite(value)), None)

    @property
    def most(self) -> float:
        """The largest value; 0 without one."""
        return max((value for _, value in self.points if isfinite(value)), default=0.0)


@dataclass(frozen=True, slots=True)
class Frame:
    """The room for a panel's content in pixels, and the time that it spans; `step_s` apart is one line still."""

    width: float
    height: float
    start_s: float
    end_s: float
    step_s: float


def drawn(panel: Mapping[str, Any], series: Sequence[Series], frame: Frame) -> str:
    """The content of a panel, `stat` or `timeseries`, as an SVG. Pure."""
    seen = [one for one in series if one.last is not None]
    draw = _stat if panel["type"] == "stat" else _timeseries
    return (
        f'<svg width="{frame.width:.0f}" height="{frame.height:.0f}" role="img" aria-label="{escape(panel["title"])}">'
        f"{draw(panel, seen, frame) if seen else _middle(frame, EMPTY)}</svg>"
    )


def shown(value: float, unit: str) -> str:
    """A value in a Grafana unit, for people: 0.25 `s` is 250 ms."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    scales = {"s": _SECONDS, "bytes": _BYTES}.get(unit)
    if scales is None:
        return short(value) + _ENDINGS.get(unit, f" {unit}")
    for least, letters in scales:
        if abs(value) >= least:
            return f"{value / least:.3g} {letters}"
    return f"{value:.3g} {'B' if unit == 'bytes' else 's'}"


def colour_of(value: float, steps: Sequence[Mapping[str, Any]]) -> str:
    """Of the last threshold that the value has reached."""
    reached = [step for step in steps if step["value"] is None or value >= step["value"]]
    return THRESHOLD_COLOURS[reached[-1]["color"]]


def _stat(panel: Mapping[str, Any], series: Sequence[Series], frame: Frame) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    (first, *_) = series
    value = first.last or 0.0
    colour = colour_of(value, defaults["thresholds"]["steps"])
    filled = panel["options"]["colorMode"] == "background"
    ground = f'<rect width="100%" height="100%" rx="3" fill="{colour}" opacity="0.85"/>' if filled else ""
    ink = "#fff" if filled else colour
    top, room = frame.height * 0.55, frame.height * 0.45
    most = first.most or 1.0
    area = "".join(
        f'<polygon points="{points[0][0]:.1f},{frame.height:.1f} {_path(points)} '
        f'{points[-1][0]:.1f},{frame.height:.1f}" fill="{ink}" opacity="0.25"/>'
        for piece in _pieces(first.points, frame.step_s)
        if (points := [(_x(at, frame, 0, 0), top + room * (1 - value / most)) for at, value in piece])
    )
    return (
        f'{ground}{area}<text x="{frame.width / 2:.0f}" y="{frame.height * 0.5:.0f}" text-anchor="middle" '
        f'style="font-size:30px;font-weight:600;fill:{ink}">{escape(shown(value, defaults["unit"]))}</text>'
    )


def _timeseries(panel: Mapping[str, Any], series: Sequence[Series], frame: Frame) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    unit, custom = defaults["unit"], defaults["custom"]
    named = sorted(series, key=lambda one: -one.most)
    is_stacked = custom["stacking"]["mode"] == "normal"
    rows = min(len(named), _MOST_NAMED)
    lines = _stacked(named) if is_stacked else [one.points for one in named]
    most = nice(max((value for line in lines for _, value in line if isfinite(value)), default=0.0))
    labels = [shown(most * tick / _TICKS, unit) for tick in range(_TICKS + 1)]
    left = max(map(len, labels)) * _LETTER + 14
    down = frame.height - _TOP - _AXIS - rows * _LEGEND_ROW - 4

    def place(at: float, value: float) -> tuple[float, float]:
        return _x(at, frame, left, _RIGHT), _TOP + down * (1 - value / most)

    parts = [_grid(frame, left, down, labels)]
    if custom["thresholdsStyle"]["mode"] != "off":
        parts += [
            f'<line x1="{left:.0f}" x2="{frame.width - _RIGHT:.0f}" y1="{y:.1f}" y2="{y:.1f}" stroke-dasharray="6 4" '
            f'stroke="{THRESHOLD_COLOURS[step["color"]]}"/>'
            for step in defaults["thresholds"]["steps"]
            if step["value"] is not None and step["value"] <= most and (y := place(frame.start_s, step["value"])[1])
        ]
    # From the last to the first: of a stack, each covers what is on top of it, and what is at zero hides nothing.
    for line, colour in reversed(list(zip(lines, cycle(LINE_COLOURS), strict=False))):
        for piece in _pieces(line, frame.step_s):
            points = [place(at, value) for at, value in piece]
            path, floor = _path(points), _path([(points[-1][0], _TOP + down), (points[0][0], _TOP + down)])
            if is_stacked:
                fill = f"fill:color-mix(in srgb,{colour} 40%,{GROUND})"
                parts.append(f'<polygon points="{path} {floor}" style="{fill}"/>')
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    return "".join(parts) + _legend(named, rows, unit, frame)


def _legend(named: Sequence[Series], rows: int, unit: str, frame: Frame) -> str:
    """Name, last and largest value; where there are more than there is room for, the rest in words."""
    listed = named if len(named) == rows else named[: rows - 1]
    parts = []
    for row, (one, colour) in enumerate(zip(listed, cycle(LINE_COLOURS), strict=False)):
        y = frame.height - (rows - row) * _LEGEND_ROW + 10
        value = shown(one.last or 0.0, unit)
        if frame.width > _WIDE:
            value += f"  (max {shown(one.most, unit)})"
        room = int((frame.width - 28 - _RIGHT - len(value) * _LETTER) / _LETTER) - 1
        name = one.name if len(one.name) <= room else one.name[: room - 1] + "…"
        parts.append(
            f'<rect x="10" y="{y - 5}" width="12" height="3" fill="{colour}"/>'
            f'<text x="28" y="{y}" class="name">{escape(name)}</text>'
            f'<text x="{frame.width - _RIGHT:.0f}" y="{y}" text-anchor="end">{value}</text>'
        )
    if rest := len(named) - len(listed):
        largest = named[len(listed)].most
        about = "all at zero" if largest == 0 else f"none above {shown(largest, unit)}"
        parts.append(f'<text x="28" y="{frame.height - 6:.0f}">and {rest} more, {about}</text>')
    return "".join(parts)


def _grid(frame: Frame, left: float, down: float, labels: Sequence[str]) -> str:
    parts = []
    for tick, label in enumerate(labels):
        y = _TOP + down * (1 - tick / _TICKS)
        parts.append(
            f'<line x1="{left:.0f}" x2="{frame.width - _RIGHT:.0f}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
            f'<text x="{left - 6:.0f}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
        )
    times = max(1, int((frame.width - left - _RIGHT) / _TIME_EVERY))
    for tick in range(times + 1):
        at = frame.start_s + (frame.end_s - frame.start_s) * tick / times
        anchor = {0: "start", times: "end"}.get(tick, "middle")
        parts.append(
            f'<text x="{_x(at, frame, left, _RIGHT):.1f}" y="{_TOP + down + 15:.1f}" text-anchor="{anchor}">'
            f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}</text>"
        )
    return "".join(parts)


def _stacked(series: Sequence[Series]) -> list[Points]:
    """Each line on top of those before it."""
    below: dict[float, float] = {}
    lines: list[Points] = []
    for one in series:
        line = []
        for at, value in one.points:
            if isfinite(value):
                below[at] = below.get(at, 0.0) + value
                line.append((at, below[at]))
        lines.append(line)
    return lines


def _pieces(points: Points, step_s: float) -> list[list[tuple[float, float]]]:
    """The parts of a line between its gaps."""
    kept = [point for point in points if isfinite(point[1])]
    pieces = groupby(enumerate(kept), key=lambda item: round(item[1][0] / step_s) - item[0])
    return [[point for _, point in piece] for _, piece in pieces]


def _x(at: float, frame: Frame, left: float, right: float) -> float:
    return left + (at - frame.start_s) / (frame.end_s - frame.start_s) * (frame.width - left - right)


def _path(points: Points) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _middle(frame: Frame, text: str) -> str:
    return f'<text x="{frame.width / 2:.0f}" y="{frame.height / 2:.0f}" text-anchor="middle">{escape(text)}</text>'
