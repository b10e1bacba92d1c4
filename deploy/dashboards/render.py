"""`python -m deploy.dashboards.render overview --prometheus URL --out FILE.png`: a dashboard as one picture or page.

Not Grafana's rendering but our own, for where there is no Grafana: the panels of the dashboard's file, in its grid,
with what a Prometheus answers to the queries of each. FILE.html is one page that needs nothing else; FILE.png is that
page as Chromium shows it (Debian's package chromium, or CHROMIUM=path). For development: it needs playwright.
"""

import argparse
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

from playwright.sync_api import sync_playwright

from deploy.dashboards.catalog import DASHBOARDS, FOLDER
from deploy.dashboards.drawing import GROUND, Frame, Series, drawn
from deploy.dashboards.model import GRID_COLUMNS

WIDTH: Final = 1280
_GAP: Final = 8
_ROW: Final = 30
_COLUMN: Final = (WIDTH - 2 * _GAP - (GRID_COLUMNS - 1) * _GAP) / GRID_COLUMNS
_TITLE: Final = 28
_POINTS: Final = 150
_RATE_INTERVAL_S: Final = 20
"""As Grafana makes $__rate_interval of the shipped scrape interval: four of them."""
_ANSWER_WITHIN_S: Final = 10
_STYLE: Final = f"""
body{{margin:0;padding:{_GAP}px;width:{WIDTH - 2 * _GAP}px;background:#111217;color:#ccccdc;
font:12px system-ui,"DejaVu Sans",sans-serif}}
header{{padding:6px 4px 10px}}h1{{font-size:20px;margin:0 0 4px;color:#fff}}p{{margin:0}}
main{{display:grid;grid-template-columns:repeat({GRID_COLUMNS},1fr);grid-auto-rows:{_ROW}px;gap:{_GAP}px}}
section{{background:{GROUND};border:1px solid #25282f;border-radius:3px;box-sizing:border-box;overflow:hidden}}
h2{{font-size:15px;margin:0;align-self:end;color:#fff}}h3{{font-size:12px;white-space:nowrap;font-weight:600;margin:0;
height:{_TITLE}px;line-height:{_TITLE}px;padding:0 10px}}svg{{display:block}}
svg text{{fill:#9fa7b3}}svg text.name{{fill:#ccccdc}}svg .grid{{stroke:#2a2e36}}
"""
_FLAGS: Final = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
"""Without a sandbox, as root can't have one; and no request to another host."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A Prometheus, and the time that it is asked for."""

    url: str
    start_s: float
    end_s: float

    @property
    def step_s(self) -> float:
        """Whole seconds, as Grafana has it: the steps of all panels then lie on each other."""
        return max(1.0, round((self.end_s - self.start_s) / _POINTS))

    def series(self, target: Mapping[str, str]) -> list[Series]:
        """The answer to a panel's query, under the names that its legend gives. Raises OSError. Blocks."""
        expr = target["expr"].replace("$__rate_interval", f"{_RATE_INTERVAL_S}s")
        query = {
            "query": re.sub(r"\$(source|instance)\b", ".*", expr),
            "start": f"{self.start_s:.0f}",
            "end": f"{self.end_s:.0f}",
            "step": f"{self.step_s:.0f}",
        }
        address = f"{self.url}/api/v1/query_range?{urlencode(query)}"
        with urlopen(address, timeout=_ANSWER_WITHIN_S) as answer:  # noqa: S310 - the address is the caller's own
            found = json.load(answer)["data"]["result"]
        return [
            Series(
                _named(target["legendFormat"], one["metric"]),
                [(at, float(value)) for at, value in one["values"]],
            )
            for one in found
        ]


def page(dashboard: Mapping[str, Any], asked: Asked) -> str:
    """The dashboard, a cell a panel. Raises OSError where Prometheus does not answer. Blocks."""
    cells = "\n".join(_cell(panel, asked) for panel in dashboard["panels"])
    title = escape(dashboard["title"])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><header><h1>{title}</h1><p>{escape(dashboard['description'])}</p>"
        f"</header><main>\n{cells}\n</main></body></html>\n"
    )


def picture(html: str, out: Path) -> None:
    """The page as a PNG. Raises FileNotFoundError where there is no Chromium. Blocks."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise FileNotFoundError("there is no Chromium: install Debian's package chromium, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*_FLAGS])
        shown = browser.new_page(viewport={"width": WIDTH, "height": 900})
        shown.set_content(html)
        shown.screenshot(path=out, full_page=True)
        browser.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Render one dashboard, and return the exit code."""
    parser = argparse.ArgumentParser(prog="deploy.dashboards.render", description="Draws a dashboard without Grafana.")
    parser.add_argument("dashboard", choices=[one.name for one in DASHBOARDS])
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", metavar="URL", help="(default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=5, help="how far back (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="FILE.html or FILE.png")
    asked = parser.parse_args(arguments)
    now = time.time()
    try:
        dashboard = json.loads((FOLDER / f"{asked.dashboard}.json").read_text(encoding="utf-8"))
        html = page(dashboard, Asked(asked.prometheus.rstrip("/"), now - asked.minutes * 60, now))
        if asked.out.suffix == ".png":
            picture(html, asked.out)
        else:
            asked.out.write_text(html, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"deploy.dashboards.render: {asked.prometheus}, {asked.out}: {error}\n")
        return 1
    return 0


def _named(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda label: labels.get(label[1], ""), legend).strip()


def _cell(panel: Mapping[str, Any], asked: Asked) -> str:
    at = panel["gridPos"]
    place = f"grid-column:{at['x'] + 1}/span {at['w']};grid-row:{at['y'] + 1}/span {at['h']}"
    title = escape(panel["title"])
    if panel["type"] == "row":
        return f'<h2 style="{place}">{title}</h2>'
    frame = Frame(
        at["w"] * _COLUMN + (at["w"] - 1) * _GAP - 2,
        at["h"] * _ROW + (at["h"] - 1) * _GAP - 2 - _TITLE,
        asked.start_s,
        asked.end_s,
        asked.step_s,
    )
    series = [one for target in panel["targets"] for one in asked.series(target)]
    return f'<section style="{place}"><h3>{title}</h3>{drawn(panel, series, frame)}</section>'


if __name__ == "__main__":
    sys.exit(main())
