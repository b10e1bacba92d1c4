"""Charts as SVG text: bars and lines, drawn here so that the page needs no script and no other host.

Invariant: every mark has its number in words (a label or a title), and a colour is a CSS variable of the page, so a
chart is readable in light, in dark, in print and to a screen reader.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

_WIDTH: Final = 760
_LABELS: Final = 270
_ROW: Final = 30
_BAR: Final = 18
_NUMBERS: Final = 130
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 110, 14, 40
_HEIGHT: Final = 300
_TICKS: Final = 5


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its label, its length, what is written at its end, and the name of its colour (`--bar-<tone>`)."""

    label: str
    value: float
    text: str
    tone: str = "other"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its name, which stands at its end, its points in ascending x, and the name of its colour."""

    name: str
    points: Sequence[tuple[float, float]]
    tone: str


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Horizontal bars from zero, on one scale. "" of none."""
    if not rows:
        return ""
    longest = max(row.value for row in rows) or 1.0
    room = _WIDTH - _LABELS - _NUMBERS
    parts = []
    for at, row in enumerate(rows):
        y, length = at * _ROW + 6, max(1.0, row.value / longest * room)
        parts.append(
            f"<g><title>{escape(row.label)}: {escape(row.text)}</title>"
            f'<text x="{_LABELS - 10}" y="{y + 13}" text-anchor="end">{escape(row.label)}</text>'
            f'<rect x="{_LABELS}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="3" fill="var(--bar-{row.tone})"/>'
            f'<text x="{_LABELS + length + 8:.1f}" y="{y + 13}" class="number">{escape(row.text)}</text></g>'
        )
    return _figure(title, "".join(parts), height=len(rows) * _ROW + 8)


def lines(title: str, series: Sequence[Line], *, x_name: str, y_name: str) -> str:
    """Lines over a common ground that begins at zero. "" where no line has two points."""
    drawn = [line for line in series if len(line.points) > 1]
    if not drawn:
        return ""
    x_most = nice(max(x for line in drawn for x, _ in line.points))
    y_most = nice(max(y for line in drawn for _, y in line.points))
    across, down = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + x / x_most * across, _TOP + down - y / y_most * down

    parts = []
    for tick in range(_TICKS + 1):
        x, y = place(x_most * tick / _TICKS, y_most * tick / _TICKS)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_LEFT + across}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(y_most * tick / _TICKS)}</text>'
            f'<text x="{x:.1f}" y="{_TOP + down + 18}" text-anchor="middle">{short(x_most * tick / _TICKS)}</text>'
        )
    for line, label_y in zip(drawn, _apart([place(*line.points[-1])[1] for line in drawn]), strict=True):
        points = [place(x, y) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dots = "".join(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="var(--bar-{line.tone})">'
            f"<title>{escape(line.name)}: {short(raw_y)} at {short(raw_x)} {escape(x_name)}</title></circle>"
            for (x, y), (raw_x, raw_y) in zip(points, line.points, strict=True)
        )
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="var(--bar-{line.tone})" stroke-width="2"/>{dots}'
            f'<text x="{points[-1][0] + 8:.1f}" y="{label_y + 4:.1f}" class="number">{escape(line.name)}</text>'
        )
    parts.append(f'<text x="{_LEFT + across / 2:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(x_name)}</text>')
    return _figure(f"{title} ({y_name})", "".join(parts), height=_HEIGHT)


def short(value: float) -> str:
    """A number for an axis: 1,500,000 is 1.5M."""
    for least, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= least:
            return f"{value / least:.3g}{letter}"
    return f"{value:.3g}"


def nice(most: float) -> float:
    """The end of an axis that holds `most`: 1, 1.5, 2, 2.5, 3, 4, 5, 6 or 8 of a power of ten."""
    if most <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * power >= most * (1 - 1e-9))


def _apart(places: Sequence[float]) -> list[float]:
    """Labels' heights, moved up so that none lies on another, or on the axis below."""
    moved = list(places)
    order = sorted(range(len(moved)), key=lambda at: -moved[at])
    for below, above in pairwise(order):
        moved[above] = min(moved[above], moved[below] - 16)
    return moved


def _figure(title: str, content: str, *, height: int) -> str:
    name = escape(title)
    return (
        f'<figure><figcaption>{name}</figcaption><svg viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{name}">{content}</svg></figure>'
    )
