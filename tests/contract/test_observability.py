"""Metrics, dashboards, alerts and the runbook belong together: nothing of one is without its others."""

import json
import re
import shutil
import subprocess
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import observability
from deploy.dashboards.catalog import DASHBOARDS, FOLDER
from deploy.dashboards.model import GRID_COLUMNS, Dashboard

PROMETHEUS = observability.ROOT / "deploy" / "prometheus"
RUNBOOK = observability.ROOT / "docs" / "runbook.md"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed: it comes with Debian's package prometheus"
)

OTHERS = re.compile(r"up|ALERTS|process_\w+|pg_\w+|gnatsd_varz_\w+|jetstream_\w+|probe_ssl_earliest_cert_expiry")
"""Series of Prometheus itself, the Python client and the exporters."""

ALERTS = [rule.name for rule in observability.rules("alert")]


def promtool(*arguments: str | Path) -> None:
    assert PROMTOOL is not None
    said = subprocess.run([PROMTOOL, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def sections() -> list[str]:
    return re.findall(r"^### (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)


def rule_tests() -> list[list[dict[str, Any]]]:
    """The looks of each case."""
    return [
        case["alert_rule_test"]
        for path in sorted((PROMETHEUS / "tests").glob("*.yml"))
        for case in yaml.safe_load(path.read_text())["tests"]
    ]


def test_every_metric_is_moved_somewhere() -> None:
    assert [metric.name for metric in observability.traced() if not metric.files] == []


def test_every_metric_is_on_a_panel() -> None:
    assert [metric.name for metric in observability.traced() if not metric.panels] == []


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_every_panel_asks_for_metrics_that_there_are_and_links_to_alerts_that_there_are(dashboard: Dashboard) -> None:
    own = {metric.name for metric in observability.traced()}
    for panel in dashboard.panels:
        asked = set().union(*(observability.asked_for(query.expr) for query in panel.queries))
        assert asked, panel.title
        assert {name for name in asked - own if not OTHERS.fullmatch(name)} == set(), panel.title
        assert (panel.exporter is None) == any(
            name in own or name.startswith(("up", "ALERTS", "process_")) for name in asked
        )
        assert set(panel.runbook) <= set(ALERTS), panel.title
        assert panel.about.endswith("."), panel.title


def test_every_alert_asks_for_metrics_that_there_are() -> None:
    own = {metric.name for metric in observability.traced()}
    for rule in [*observability.rules("alert"), *observability.rules("record")]:
        asked = observability.asked_for(rule.expr)
        assert asked
        assert {name for name in asked - own if not OTHERS.fullmatch(name)} == set(), rule.name


def test_every_alert_says_what_is_the_matter_and_leads_to_its_section_of_the_runbook() -> None:
    assert [name for name, count in Counter(ALERTS).items() if count > 1] == []
    assert sorted(sections()) == sorted(ALERTS)
    for rule in observability.rules("alert"):
        assert rule.severity in {"critical", "warning"}
        assert set(rule.annotations) == {"summary", "description", "runbook_url"}
        assert rule.annotations["runbook_url"] == "{{ $externalLabels.runbook }}#" + rule.name.lower()


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_stays_quiet() -> None:
    fires = {look["alertname"] for looks in rule_tests() for look in looks if look["exp_alerts"]}
    quiet = {looks[0]["alertname"] for looks in rule_tests() if not any(look["exp_alerts"] for look in looks)}
    assert fires == quiet == set(ALERTS)


@needs_promtool
def test_the_alerts_do_what_their_cases_say() -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yml")
    promtool("test", "rules", *sorted((PROMETHEUS / "tests").glob("*.yml")))


@needs_promtool
def test_every_query_of_a_panel_is_promql(tmp_path: Path) -> None:
    """Those of exporters too, which are asked for nowhere else."""
    queries = [query.expr for dashboard in DASHBOARDS for panel in dashboard.panels for query in panel.queries]
    rules = [{"record": f"panel:{at}", "expr": as_asked(expr)} for at, expr in enumerate(queries)]
    written = tmp_path / "queries.yml"
    written.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", written)


def as_asked(expr: str) -> str:
    """A query as Grafana sends it, with all sources and instances chosen."""
    for variable, value in (("$__rate_interval", "1m"), ("$source", ".*"), ("$instance", ".*")):
        expr = expr.replace(variable, value)
    assert "$" not in expr
    return expr


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_the_file_of_a_dashboard_is_up_to_date(dashboard: Dashboard) -> None:
    written = (FOLDER / f"{dashboard.name}.json").read_text(encoding="utf-8")
    assert written == dashboard.text(), "run `make reference`"


def test_there_is_no_other_dashboard() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(dashboard.name for dashboard in DASHBOARDS)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_panels_lie_side_by_side(dashboard: Dashboard) -> None:
    panels = json.loads(dashboard.text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(at["x"] + at["w"] <= GRID_COLUMNS for at in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_grafana_is_told_of_the_dashboards_and_the_datasource() -> None:
    provisioning = observability.ROOT / "deploy" / "grafana" / "provisioning"
    [provider] = yaml.safe_load((provisioning / "dashboards" / "floodgate.yml").read_text())["providers"]
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    scraped_every = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert provider["options"]["path"].endswith(FOLDER.name)
    assert (source["type"], source["jsonData"]["timeInterval"]) == ("prometheus", scraped_every)


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ('sum by (source) (rate(a_total{b="c", d=~"$e"}[$__rate_interval]))', {"a_total"}),
        ("max(a) / on (b) group_left (c) max by (d) (e:f:g5m > 0.5) and h offset 1d", {"a", "e:f:g5m", "h"}),
        ("time() - min(a) < 14 * 86400 or b unless on (c) d", {"a", "b", "d"}),
    ],
)
def test_names_are_found_in_promql(expr: str, names: set[str]) -> None:
    assert observability.names_in(expr) == names
