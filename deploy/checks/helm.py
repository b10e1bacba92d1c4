"""The Helm chart, without a cluster: linted, rendered, and looked at with each of its values files."""

import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from deploy.checks import pods, wiring
from deploy.checks.chart import (
    CHART,
    Values,
    Variant,
    in_every_variant,
    lint,
    load,
    package,
    render,
    texts,
    title,
    values_files,
)
from deploy.checks.check import TIMEOUT_S, Check, tool
from deploy.checks.schemas import open_objects, wrong_by_schema
from shared.events import SOURCES
from streams.definitions import DEAD_LETTERS_MAX_BYTES, RECEIPTS_MAX_BYTES
from streams.settings import StreamSettings

_DEPENDENCIES: Final = "deploy/helm/dependencies"
_OVERLAY: Final = "deploy/helm/overlay"
_OVERLAY_VALUES: Final = "values-three-zones.yaml"
_COMPONENT: Final = "app.kubernetes.io/component"
_UNITS: Final = {"Mi": 1024**2, "Gi": 1024**3}

REFUSED: Final[tuple[Values, ...]] = (
    {"gatway": {}},
    {"gateway": {"replcas": 3}},
    {"gateway": {"replicas": 0}},
    {"gateway": {"replicas": "two"}},
    {"gateway": {"autoscaling": {"cpu": "60%"}}},
    {"gateway": {"sendersSecret": ""}},
    {"gateway": {"settings": {"PORT": "80"}}},
    {"gateway": {"settings": {"BATCH_SIZE": 500}}},
    {"gateway": {"resources": {"limits": None}}},
    {"image": {"tag": "latest"}},
    {"image": {"digest": "sha256:12"}},
    {"nats": {"url": "http://nats:8222"}},
    {"nats": {"auth": "password"}},
    {"database": {"secretKey": "../uri"}},
    {"streams": {"replicas": 6}},
    {"streams": {"prefix": "staging-"}},
    {"streams": {"partitions": 0}},
    {"streams": {"partitions": 2}, "lag": {"from": "prometheus"}},
    {"gateway": {"settings": {"PARTITIONS": "2"}}},
    {"collector": {"autoscaling": {"minReplicas": 0}}},
    {"sources": {"facebook": {"autoscaling": {"lagEvents": 100}}}},
    {"sources": {"Facebook": {}}},
    {"lag": {"from": "guess"}},
    {"topologySpread": {"zone": "Maybe"}},
    {"ingress": {"enabled": True}},
    {"networkPolicy": {"nats": []}},  # which would let everybody in
    {"networkPolicy": {"internal": [{}]}},
    # These the templates refuse, as a schema can't.
    {"collector": {"autoscaling": {"maxReplicas": 11}}},
    {"sources": {"facebook": {"autoscaling": {"minReplicas": 9, "maxReplicas": 8}}}},
    {"sources": {"facebook": {"natsSecret": ""}}},
)
"""Values that must not pass: misspelt, of the wrong type, out of bounds, or at odds with each other."""


def _lint(root: Path) -> Iterator[str]:
    for name, values in values_files(root).items():
        yield from (f"{name}: {line}" for line in lint(root, values))


def _values(root: Path) -> Iterator[str]:
    schema: dict[str, Any] = json.loads((root / CHART / "values.schema.json").read_text(encoding="utf-8"))
    # Helm itself puts what it likes into `global`.
    yield from (f"{place} takes any key" for place in open_objects(schema) if place != "values.global")
    for values in REFUSED:
        try:
            render(root, values)
        except ValueError:
            continue
        yield f"these values pass: {json.dumps(values)}"


def _schemas(root: Path) -> Iterable[str]:
    seen: set[str] = set()

    def look(variant: Variant) -> Iterator[str]:
        titles = [title(manifest) for manifest in variant.manifests]
        yield from (f"{one} is there twice" for one in sorted({one for one in titles if titles.count(one) > 1}))
        for manifest in variant.manifests:
            # Most manifests are the same with each values file, and a look at the schema takes its time.
            text = json.dumps(manifest, sort_keys=True)
            if text not in seen:
                seen.add(text)
                yield from (f"{title(manifest)}: {line}" for line in wrong_by_schema(manifest))

    return in_every_variant(look)(root)


def _dependencies(root: Path) -> Iterator[str]:
    nats = load(root / _DEPENDENCIES / "nats-values.yaml")["config"]
    settings = StreamSettings.model_validate({})
    needed = settings.max_bytes * len(SOURCES) + DEAD_LETTERS_MAX_BYTES + RECEIPTS_MAX_BYTES
    files = nats["jetstream"]["fileStore"]
    if nats["jetstream"]["merge"].get("sync_interval") != "always":
        yield "nats-values.yaml: without sync_interval: always an acknowledged message may be lost"
    if _bytes(files["maxSize"]) < needed:
        yield f"nats-values.yaml: the streams may hold {needed} bytes, and maxSize is {files['maxSize']}"
    if _bytes(files["pvc"]["size"]) <= _bytes(files["maxSize"]):
        yield f"nats-values.yaml: a disk of {files['pvc']['size']} is full before maxSize, {files['maxSize']}"
    replicas = load(root / CHART / "values.yaml")["streams"]["replicas"]
    if not nats["cluster"]["enabled"] or nats["cluster"]["replicas"] < replicas:
        yield f"nats-values.yaml: streams.replicas {replicas} need as many servers"
    cluster = load(root / _DEPENDENCIES / "cnpg-cluster.yaml")
    database = cluster["spec"]
    if not 0 < database["postgresql"]["synchronous"]["number"] < database["instances"]:
        yield "cnpg-cluster.yaml: a commit has to be on some standby, and not on all of them"
    owners = {f"{cluster['metadata']['name']}-app"}
    others = {role["passwordSecret"]["name"] for role in database["managed"]["roles"]}
    values = load(root / CHART / "values.yaml")
    for role, secrets in {"provision": owners, "collector": others, "gateway": others}.items():
        if (used := values[role]["databaseSecret"]) not in secrets:
            yield f"values.yaml: {role}.databaseSecret is {used}, and the cluster has {', '.join(sorted(secrets))}"


def _overlay(root: Path) -> Iterator[str]:
    kubectl = tool("kubectl", "`make check-deploy` installs it")
    with tempfile.TemporaryDirectory(prefix="floodgate-overlay-") as name:
        folder = Path(name)
        for path in (root / _OVERLAY).iterdir():
            (folder / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
        try:
            rendered = texts(root, load(root / CHART / _OVERLAY_VALUES))
        except ValueError as error:
            yield f"the chart can't be rendered: {error}"
            return
        (folder / "floodgate.yaml").write_text("\n---\n".join(rendered), encoding="utf-8")
        built = subprocess.run(
            [kubectl, "kustomize", folder], capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    yield from (f"kubectl kustomize: {line}" for line in built.stderr.splitlines())
    collectors = [
        manifest
        for manifest in package("yaml").safe_load_all(built.stdout)
        if manifest["kind"] == "Deployment" and manifest["metadata"]["labels"][_COMPONENT] == "collector"
    ]
    if not collectors:
        yield "kubectl kustomize gives no collector"
    for manifest in collectors:
        if "priorityClassName" not in manifest["spec"]["template"]["spec"]:
            # A patch whose target is nowhere is no error to kubectl.
            yield f"the patch does not reach {title(manifest)}"


def _bytes(size: str) -> int:
    return int(size[:-2]) * _UNITS[size[-2:]]


CHECKS: Final = (
    Check("helm-lint", "the chart, by helm lint --strict", _lint),
    Check("helm-values", "wrong values are refused", _values),
    Check("helm-schemas", "manifests by the schemas of their APIs, strictly", _schemas),
    Check("helm-restricted", "pods by the restricted Pod Security Standard", in_every_variant(pods.unrestricted)),
    Check("helm-bounds", "requests, limits and image versions", in_every_variant(pods.unbounded)),
    Check("helm-grace", "pods have time to drain", in_every_variant(pods.hurried)),
    Check("helm-settings", "variables that the programs read", in_every_variant(pods.unknown_settings)),
    Check("helm-ingress", "what the gateway takes gets through", in_every_variant(pods.narrow_ingress)),
    Check("helm-selectors", "selectors and ports name what is there", in_every_variant(wiring.selects_nothing)),
    Check("helm-network", "no way in or out for anybody", in_every_variant(wiring.open_ways)),
    Check("helm-scaling", "scalers, their targets and what they ask for", in_every_variant(wiring.scales_nothing)),
    Check("helm-rights", "programs and scalers find the streams by the rights", in_every_variant(wiring.astray)),
    Check("helm-partitions", "every stream has its collectors", in_every_variant(wiring.unread_streams)),
    Check("helm-secrets", "files that variables name are mounted", in_every_variant(wiring.unmounted_files)),
    Check("helm-provision", "streams and tables come first", in_every_variant(wiring.unready_job)),
    Check("helm-complete", "platforms, rules and dashboards are in", wiring.left_out),
    Check("helm-dependencies", "the NATS and PostgreSQL that the chart counts on", _dependencies),
    Check("helm-overlay", "the example by kubectl kustomize", _overlay),
)
