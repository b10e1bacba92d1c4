"""The Helm chart as a cluster would get it: rendered by Helm itself, once for each of its values files.

Invariant: nothing is asked over the network, and the chart's folder is not changed. What this leans on is
installed by `make check-deploy` alone, so it is imported when it is needed.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from deploy.checks.check import MissingTool

CHART: Final = "deploy/helm/floodgate"
RELEASE: Final = "floodgate"
NAMESPACE: Final = "events"
KUBERNETES: Final = "1.37"
"""Whose schemas the manifests are held against."""

Manifest = Mapping[str, Any]
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Variant:
    """The chart with one values file: `values` as they are merged, and what they render to."""

    name: str
    values: Values
    manifests: tuple[Manifest, ...]

    def of_kind(self, *kinds: str) -> Iterator[Manifest]:
        """The manifests of these kinds."""
        return (manifest for manifest in self.manifests if manifest["kind"] in kinds)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that the chart makes, by what makes it."""

    owner: Manifest
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        """All of them, those that run first included."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]


def package(name: str) -> Any:
    """A module of requirements/deploy.txt. Raises MissingTool where it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingTool(f"the Python package with {name} is missing: `make check-deploy` installs it") from error


def values_files(root: Path) -> dict[str, Values]:
    """Values by the name of their file; the chart's own come first, as nothing on top of them."""
    chart = root / CHART
    paths = [*sorted(chart.glob("values-*.yaml")), *sorted(chart.glob("ci/*-values.yaml"))]
    return {"values.yaml": {}} | {path.name: load(path) for path in paths}


def load(path: Path) -> Values:
    """A YAML file with one mapping."""
    values: Values = package("yaml").safe_load(path.read_text(encoding="utf-8")) or {}
    return values


def render(root: Path, values: Values) -> tuple[Manifest, ...]:
    """Everything but the notes. Raises ValueError, in Helm's words, where it can't be rendered."""
    return tuple(
        document for text in texts(root, values) for document in package("yaml").safe_load_all(text) if document
    )


def texts(root: Path, values: Values) -> list[str]:
    """The rendered templates as text. Raises ValueError as `render` does."""
    helm = package("helm_python")
    try:
        with _folder(root) as folder, helm.Chart.load(folder) as chart:
            rendered = chart.render(values, name=RELEASE, namespace=NAMESPACE)
    except helm.HelmError as error:
        raise ValueError(str(error)) from error
    return [text for path, text in sorted(rendered.items()) if path.endswith(".yaml")]


def lint(root: Path, values: Values) -> list[str]:
    """What `helm lint --strict` says, warnings included."""
    with _folder(root) as folder:
        report = package("helm_python").lint(folder, values, strict=True, kube_version=f"v{KUBERNETES}.0")
    return [f"{message['path']}: {message['error']}" for message in report["messages"]]


def variants(root: Path) -> Iterator[Variant]:
    """The chart with each values file. Raises ValueError where one can't be rendered."""
    with _folder(root) as folder, package("helm_python").Chart.load(folder) as chart:
        merged = {name: chart.merge_values(values) for name, values in values_files(root).items()}
    for name, values in values_files(root).items():
        yield Variant(name, merged[name], render(root, values))


def in_every_variant(look: Callable[[Variant], Iterable[str]]) -> Callable[[Path], Iterable[str]]:
    """A check that looks at one variant, made into one of all of them."""

    def find_wrong(root: Path) -> Iterable[str]:
        try:
            for variant in variants(root):
                yield from (f"{variant.name}: {line}" for line in look(variant))
        except ValueError as error:
            yield f"the chart can't be rendered: {error}"

    return find_wrong


def pods(variant: Variant) -> Iterator[Pod]:
    """Every pod of Deployments and Jobs."""
    for owner in variant.of_kind("Deployment", "Job"):
        template = owner["spec"]["template"]
        yield Pod(owner, template["metadata"]["labels"], template["spec"])


def title(manifest: Manifest) -> str:
    """`Deployment/floodgate-gateway`."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    """A container's variables."""
    return {entry["name"]: entry["value"] for entry in container.get("env", ())}


@contextmanager
def _folder(root: Path) -> Iterator[Path]:
    """A copy of the chart without links: Helm follows links, and says so on standard error at every one."""
    with tempfile.TemporaryDirectory(prefix="floodgate-chart-") as name:
        yield shutil.copytree(root / CHART, Path(name) / RELEASE)
