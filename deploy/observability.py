"""Which metric is moved where, is on which panels, and raises which alerts: docs/observability.md.

Invariant: nothing of it is typed twice. Movers are found in the syntax trees of the packages, panels in the dashboards,
alerts in the rules; a test holds that no metric is without a mover and a panel, no panel without its metric, and no
alert without a section in the runbook.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client.metrics import MetricWrapperBase

from deploy.dashboards.catalog import DASHBOARDS
from shared.metrics import CollectorMetrics, GatewayMetrics, RoleMetrics

ROOT: Final = Path(__file__).resolve().parent.parent
RULES: Final = ROOT / "deploy" / "prometheus" / "rules"
PACKAGES: Final = ("gateway", "streams", "collectors", "shared")
METRICS_FILE: Final = "shared/metrics.py"

BUILD_INFO: Final = "floodgate_build_info"
_HISTOGRAM_SERIES: Final = ("_bucket", "_sum", "_count")
_KEYWORDS: Final = frozenset({"and", "or", "unless", "bool", "inf", "nan"})
_NO_METRICS: Final = re.compile(
    r"""
      "[^"]*" | '[^']*'                                       # label values
    | \{[^}]*\} | \[[^\]]*\]                                  # matchers, ranges
    | \b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)
    | \boffset\s+\w+
    """,
    re.VERBOSE,
)
_NAME: Final = re.compile(r"(?<![\w$:])[a-zA-Z_:][\w:]*(?!\w)(?!\s*\()")


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert or a recording rule: its name and its expression."""

    name: str
    expr: str
    severity: str | None
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Traced:
    """One of our metrics: the files that move it, the panels that show it, the alerts that it raises."""

    name: str
    files: tuple[str, ...]
    panels: tuple[str, ...]
    alerts: tuple[str, ...]


def names_in(expr: str) -> set[str]:
    """The metrics (and recorded series) that a PromQL expression asks for."""
    found = _NAME.findall(_NO_METRICS.sub(" ", expr))
    return {name for name in found if name.lower() not in _KEYWORDS}


@cache
def rules(kind: str) -> tuple[Rule, ...]:
    """All rules of a kind, `alert` or `record`, in the order of their file. Read once."""
    return tuple(
        Rule(rule[kind], rule["expr"], rule.get("labels", {}).get("severity"), rule.get("annotations", {}))
        for path in sorted(RULES.glob("*.yml"))
        for group in _loaded(path)["groups"]
        for rule in group["rules"]
        if kind in rule
    )


@cache
def metric_names() -> Mapping[str, str]:
    """Our metrics by their attribute in `shared.metrics`, under the names that are scraped."""
    return {attribute: name for role in (GatewayMetrics(), CollectorMetrics()) for attribute, name in _wrapped(role)}


def asked_for(expr: str) -> set[str]:
    """Our own and others' metrics behind an expression: through recording rules, a histogram by its base name."""
    recorded = {rule.name: rule.expr for rule in rules("record")}
    own = {*metric_names().values(), BUILD_INFO}
    found = set()
    for name in names_in(expr):
        if name in recorded:
            found |= asked_for(recorded[name])
        else:
            base = next((name.removesuffix(end) for end in _HISTOGRAM_SERIES if name.endswith(end)), name)
            found.add(base if base in own else name)
    return found


def traced() -> list[Traced]:
    """Each of our metrics, in the order of `shared.metrics`."""
    files, panels, alerts = _movers(), defaultdict(list), defaultdict(list)
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for name in set().union(*(asked_for(query.expr) for query in panel.queries)):
                panels[name].append(f"{dashboard.title}: {panel.title}")
    for alert in rules("alert"):
        for name in asked_for(alert.expr):
            alerts[name].append(alert.name)
    return [
        Traced(name, tuple(sorted(files[name])), tuple(panels[name]), tuple(alerts[name]))
        for name in (BUILD_INFO, *metric_names().values())
    ]


def page() -> str:
    """docs/observability.md."""
    parts = [
        "# Observability\n",
        "<!-- Written by `python -m deploy.reference`; a test fails where it is out of date. -->\n",
        "Where each metric comes from, where it is seen, and what it raises. What the metrics say is in "
        "[metrics.md](metrics.md), what to do about an alert in [runbook.md](runbook.md).\n",
        "- **Prometheus**: `deploy/prometheus/prometheus.yml` scrapes what stands in `targets/`, with the alerts of "
        "`rules/floodgate.yml`. Two things there are yours. **An alert reaches nobody until an Alertmanager is named** "
        "under `alerting`, which is commented out, in compose's `deploy/compose/prometheus.yml` as well. The external "
        "label `runbook` says where the alerts' links lead. In Kubernetes both stand in the Prometheus resource, as "
        "`alerting` and `externalLabels` ([kubernetes.md](kubernetes.md#monitoring)).\n"
        "- **Grafana**: `deploy/grafana/dashboards/` are written by `make reference` from `deploy/dashboards/`, and "
        "provisioned by `deploy/grafana/provisioning/`. Variables choose the source and the instance.\n"
        "![The dashboard Overview during a run](images/dashboard-overview.png)\n\n"
        "*The dashboard Overview: a minute of bulk tests and one unreadable message. Not a screenshot of Grafana, but "
        "our own drawing of the dashboard's file: its panels and queries, answered by a real Prometheus "
        "(`python -m deploy.dashboards.render`). `make dashboard-picture` makes it anew.*\n",
        "- `promtool test rules deploy/prometheus/tests/*.yml` has for each alert a case in which it fires and one in "
        "which it stays quiet. `make test-observability` runs a real Prometheus beside a real run, and asks it for "
        "every panel.\n",
        "## Metrics\n",
        _table(("Metric", "Moved in", "Panels", "Alerts"), map(_metric_row, traced())),
        "## Alerts\n",
        _table(("Alert", "Severity", "Asks for"), map(_alert_row, rules("alert"))),
        "## Dashboards\n",
        _table(
            ("Dashboard", "Panels", "What it is for"),
            ((one.title, str(len(one.panels)), one.about) for one in DASHBOARDS),
        ),
        "Panels over metrics of an exporter stay empty where it does not run:\n",
        _table(
            ("Exporter", "Panels"),
            (
                (exporter, "<br>".join(f"{one.title}: {panel.title}" for one, panel in shown))
                for exporter, shown in _by_exporter().items()
            ),
        ),
        "Of the alerts, StreamDiskFull needs prometheus-nats-exporter, and CertificateExpires blackbox_exporter and "
        "the job `certificates`, which is commented out in `prometheus.yml`: without these they can't fire.\n",
        "These may be empty as well:\n",
        _table(
            ("Panel", "Why"),
            (
                (f"{one.title}: {panel.title}", panel.may_be_empty)
                for one in DASHBOARDS
                for panel in one.panels
                if panel.may_be_empty
            ),
        ),
    ]
    return "\n".join(parts)


def _movers() -> dict[str, set[str]]:
    """The files that name each metric on something called `metrics`."""
    names = metric_names()
    files: dict[str, set[str]] = defaultdict(set, {BUILD_INFO: {METRICS_FILE}})
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            file = str(path.relative_to(ROOT))
            if file == METRICS_FILE:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and node.attr in names and _is_metrics(node.value):
                    files[names[node.attr]].add(file)
    return files


def _is_metrics(node: ast.expr) -> bool:
    called = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return called in {"metrics", "_metrics"}


def _wrapped(role: RoleMetrics) -> Iterator[tuple[str, str]]:
    for attribute, metric in vars(role).items():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            yield attribute, family.name + ("_total" if family.type == "counter" else "")


def _loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _by_exporter() -> dict[str, list[tuple[Any, Any]]]:
    found = defaultdict(list)
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            if panel.exporter:
                found[panel.exporter].append((dashboard, panel))
    return found


def _metric_row(metric: Traced) -> tuple[str, ...]:
    links = ", ".join(f"[{alert}](runbook.md#{alert.lower()})" for alert in metric.alerts)
    return f"`{metric.name}`", "<br>".join(metric.files), "<br>".join(metric.panels), links


def _alert_row(alert: Rule) -> tuple[str, ...]:
    asked = "<br>".join(f"`{name}`" for name in sorted(asked_for(alert.expr)))
    return f"[{alert.name}](runbook.md#{alert.name.lower()})", alert.severity or "", asked


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
