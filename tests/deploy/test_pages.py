"""What the pages show of compose and Kubernetes fits the files that it is to be used with."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.checks import chart
from deploy.checks.check import ROOT, complaints_of, tool
from deploy.checks.compose import COMPOSE
from deploy.checks.schemas import wrong_by_schema
from deploy.reference import SECTIONS
from tests.contract.pages import Page

for _module in ("helm_python", "kubernetes_validate"):
    pytest.importorskip(_module, reason="requirements/deploy.txt is not installed: `make check-deploy` installs it")


def page(name: str) -> Page:
    path = ROOT / "docs" / name
    return Page(path, path.read_text(encoding="utf-8"))


def test_the_override_of_compose_changes_services_and_settings_that_are_there(tmp_path: Path) -> None:
    (text,) = (block for block in page("deployment.md").blocks if "services:" in block)
    shown, project = yaml.safe_load(text), yaml.safe_load((ROOT / COMPOSE).read_text(encoding="utf-8"))
    known = {str(field.alias) for section in SECTIONS for field in section.settings.model_fields.values()}
    talkers = {name for name, one in project["services"].items() if "NATS_URL" in (one.get("environment") or {})}
    assert set(shown["services"]) == talkers  # all that have to agree on the streams
    for service in shown["services"].values():
        assert set(service["environment"]) <= known
        assert set(service.get("secrets", ())) <= set(shown["secrets"])
    (tmp_path / "compose.yaml").write_text(text, encoding="utf-8")
    check = tool("check-jsonschema", "`make check-deploy` installs it")
    assert complaints_of(check, "--builtin-schema", "vendor.compose-spec", tmp_path / "compose.yaml") == []


def test_every_service_that_a_page_names_to_compose_is_there() -> None:
    services = yaml.safe_load((ROOT / COMPOSE).read_text(encoding="utf-8"))["services"]
    run = [
        words
        for name in ("deployment.md", "operations.md")
        for block in page(name).blocks
        for words in re.findall(r"docker compose .* run --rm(?: -\S(?: [A-Z_]+=\S+)?)* ([a-z-]+)", block)
    ]
    assert len(run) > 3
    assert set(run) <= set(services)


def test_the_operators_pod_is_the_jobs_and_nothing_of_it_runs_by_itself() -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed: apt-get install jq")
    (written,) = re.findall(r"jq '(.*?)' \|", page("operations.md").text, re.DOTALL)
    manifests = chart.render(ROOT, {})
    job = next(one for one in manifests if one["kind"] == "Job")
    labels = job["spec"]["template"]["metadata"]["labels"] | {
        "batch.kubernetes.io/controller-uid": "given-by-the-cluster"
    }
    job = {**job, "spec": {**job["spec"], "template": {**job["spec"]["template"], "metadata": {"labels": labels}}}}
    made = subprocess.run(["jq", written], input=json.dumps(job), capture_output=True, text=True, check=True)
    pod: dict[str, Any] = json.loads(made.stdout)
    assert list(wrong_by_schema(pod)) == []
    (theirs,), (mine,) = job["spec"]["template"]["spec"]["containers"], pod["spec"]["containers"]
    assert "initContainers" not in pod["spec"]
    assert mine == {**theirs, "command": ["sleep", "8h"]}
    (policy,) = (
        one
        for one in manifests
        if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == job["metadata"]["name"]
    )
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert "batch.kubernetes.io/controller-uid" not in pod["metadata"]["labels"]  # or the Job takes it for its own
