"""What Prometheus reads: its configurations, here and among containers, and the alert rules, by promtool."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deploy.checks.check import Check, complaints_of, tool

RULES: Final = "deploy/prometheus/rules"
CONFIGS: Final = ("deploy/prometheus/prometheus.yml", "deploy/compose/prometheus.yml")


def _configs(root: Path) -> Iterator[str]:
    promtool = tool("promtool", "apt-get install prometheus")
    for name in CONFIGS:
        if not (root / name).is_file():
            yield f"{name} is missing"
            continue
        with tempfile.TemporaryDirectory(prefix="floodgate-prometheus-") as folder:
            shutil.copytree((root / name).parent, folder, dirs_exist_ok=True)
            if (root / RULES).is_dir():  # mounted beside it
                shutil.copytree(root / RULES, Path(folder) / "rules", dirs_exist_ok=True)
            said = complaints_of(promtool, "check", "config", Path(folder) / Path(name).name)
            yield from (line.replace(f"{folder}/", f"{Path(name).parent}/") for line in said)


def _rules(root: Path) -> Iterator[str]:
    promtool = tool("promtool", "apt-get install prometheus")
    rules = sorted((root / RULES).glob("*.yml"))
    if not rules:
        yield f"{RULES} holds no rules"
    for path in rules:
        yield from complaints_of(promtool, "check", "rules", path)


CHECKS: Final = (
    Check("prometheus", "Prometheus' configurations, by promtool", _configs),
    Check("alert-rules", "the alert rules, by promtool", _rules),
)
