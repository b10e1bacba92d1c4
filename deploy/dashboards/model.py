"""What a dashboard is made of, and its JSON as Grafana reads it from a file.

Invariant: a panel says what it shows and what to do about it (its description, and links to the runbook), its unit,
and from where on it is bad. A query over our own metrics that returns nothing after a run is an error, which
tests/observability finds; a panel that may be empty says why, here.

The JSON is made here and not with Grafana's own SDK, whose releases are versioned by the time they were built at: what
we use of the format is what these lines write.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

SCHEMA_VERSION: Final = 39  # Grafana 10 and newer read it, and bring older ones up by themselves
GRID_COLUMNS: Final = 24
RUNBOOK: Final = "docs/runbook.md"
"""Where links to the runbook lead, unless the variable `runbook` of a dashboard is given another value."""

GOOD, WARN, BAD = "green", "orange", "red"


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, which may use `$source`, `$instance` and `$__rate_interval`, and its series' name."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart (`timeseries`) or one number (`stat`).

    `warn_at`, `bad_at`: from where on it is coloured; where `bad_at` is the smaller one, below it.
    `runbook`: the alerts whose sections tell what to do.
    `exporter`: the program that its metrics come from, where they are not our own.
    `may_be_empty`: why there may be nothing to show, where that is so.
    """

    title: str
    about: str
    queries: Sequence[Query]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    warn_at: float | None = None
    bad_at: float | None = None
    stacked: bool = False
    runbook: Sequence[str] = ()
    exporter: str | None = None
    may_be_empty: str | None = None

    @property
    def description(self) -> str:
        """What a reader sees behind the panel's title."""
        foreign = f" From {self.exporter}; empty where it does not run." if self.exporter else ""
        return self.about + foreign


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a question."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page. Its file and its address are made of `name`."""

    name: str
    title: str
    about: str
    rows: Sequence[Row]
    tags: Sequence[str] = field(default=("floodgate",))

    @property
    def panels(self) -> list[Panel]:
        """Of all rows."""
        return [panel for row in self.rows for panel in row.panels]

    def text(self) -> str:
        """The file."""
        return json.dumps(self._as_object(), indent=2, ensure_ascii=False) + "\n"

    def _as_object(self) -> dict[str, Any]:
        return {
            "uid": f"floodgate-{self.name}",
            "title": f"Floodgate / {self.title}",
            "description": self.about,
            "tags": list(self.tags),
            "schemaVersion": SCHEMA_VERSION,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": {"from": "now-30m", "to": "now"},
            "timezone": "browser",
            "links": [
                {"type": "dashboards", "title": "Floodgate", "tags": ["floodgate"],
                 "keepTime": True, "includeVars": True},
                {"type": "link", "title": "Runbook", "url": "${runbook}", "targetBlank": True},
            ],
            "templating": {"list": _variables()},
            "annotations": {"list": []},
            "panels": self._laid_out(),
        }  # fmt: skip

    def _laid_out(self) -> list[dict[str, Any]]:
        """From left to right and downwards, as Grafana's grid of 24 columns wants it."""
        placed: list[dict[str, Any]] = []
        y = 0
        for row in self.rows:
            placed.append(
                {"id": len(placed) + 1, "type": "row", "title": row.title, "collapsed": False, "panels": [],
                 "gridPos": {"x": 0, "y": y, "w": GRID_COLUMNS, "h": 1}}
            )  # fmt: skip
            x, y, tallest = 0, y + 1, 0
            for panel in row.panels:
                if x + panel.width > GRID_COLUMNS:
                    x, y, tallest = 0, y + tallest, 0
                at = {"x": x, "y": y, "w": panel.width, "h": panel.height}
                placed.append({"id": len(placed) + 1, "gridPos": at, **_panel(panel)})
                x, tallest = x + panel.width, max(tallest, panel.height)
            y += tallest
        return placed


def _panel(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": _thresholds(panel)}
    if panel.kind == "timeseries":
        bounded = panel.warn_at is not None or panel.bad_at is not None
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 25 if panel.stacked else 5,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if bounded else "off"},
        }
        options: dict[str, Any] = {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    else:
        options = {
            "colorMode": "background" if panel.bad_at is not None else "value",
            "graphMode": "area",
            "reduceOptions": {"calcs": ["lastNotNull"], "values": False, "fields": ""},
        }
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "links": [
            {"title": f"What to do: {alert}", "url": f"${{runbook}}#{alert.lower()}", "targetBlank": True}
            for alert in panel.runbook
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": _DATASOURCE, "expr": query.expr, "legendFormat": query.legend}
            for at, query in enumerate(panel.queries)
        ],
    }


def _thresholds(panel: Panel) -> dict[str, Any]:
    warn, bad = panel.warn_at, panel.bad_at
    if bad is not None and warn is not None and bad < warn:  # the less, the worse
        marks = [(None, BAD), (bad, WARN), (warn, GOOD)]
    else:
        marks = [(None, GOOD)] + [(at, colour) for at, colour in ((warn, WARN), (bad, BAD)) if at is not None]
    return {"mode": "absolute", "steps": [{"value": at, "color": colour} for at, colour in marks]}


_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        _label_values("source", "Source", "label_values(gateway_backlog_messages, source)"),
        _label_values("instance", "Instance", 'label_values(up{job=~"floodgate-.*"}, instance)'),
        {"name": "runbook", "type": "constant", "hide": 2, "query": RUNBOOK},
    ]


def _label_values(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,  # at every change of the time range: replicas come and go
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
