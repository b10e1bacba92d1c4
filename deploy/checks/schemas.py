"""Manifests against the schemas of their API: Kubernetes' own, KEDA's and the Prometheus operator's.

Strict: a key that the API does not know is wrong, where a cluster would drop it without a word.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from deploy.checks.chart import KUBERNETES, Manifest, package

_MODELS: Final = {
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
}


def wrong_by_schema(manifest: Manifest) -> Iterator[str]:
    """What its schema says against a manifest: where, and what."""
    if (module := _MODELS.get(manifest["apiVersion"])) is not None:
        yield from _wrong_by_model(manifest, module)
        return
    validate = package("kubernetes_validate")
    try:
        validate.validate(dict(manifest), KUBERNETES, strict=True)
    except validate.SchemaNotFoundError:
        yield f"there is no {manifest['kind']} in {manifest['apiVersion']} of Kubernetes {KUBERNETES}"
    except validate.ValidationError as error:
        yield f"{'.'.join(map(str, error.absolute_path)) or 'the manifest'}: {error.message}"


def _wrong_by_model(manifest: Manifest, module: str) -> Iterator[str]:
    models, pydantic = package(module), package("pydantic")
    model = getattr(models, manifest["kind"], None)
    if model is None:
        yield f"there is no {manifest['kind']} in {manifest['apiVersion']}"
        return
    try:
        read = model.model_validate(manifest)
    except pydantic.ValidationError as error:
        for problem in error.errors():
            yield f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        return
    # These models let unknown keys pass, and drop them.
    yield from _dropped(manifest, read.model_dump(by_alias=True, exclude_unset=True, mode="json"), "")


def _dropped(given: object, kept: object, where: str) -> Iterator[str]:
    if isinstance(given, Mapping) and isinstance(kept, Mapping):
        for key, value in given.items():
            if key in kept:
                yield from _dropped(value, kept[key], f"{where}{key}.")
            else:
                yield f"{where}{key}: the API has no such key"
    elif isinstance(given, list) and isinstance(kept, list):
        for at, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from _dropped(one, other, f"{where}{at}.")


def open_objects(schema: Mapping[str, Any], where: str = "values") -> Iterator[str]:
    """Places of a JSON schema where an object takes keys that nobody named."""
    if schema.get("type") == "object" and schema.get("additionalProperties", True) is True:
        yield where
    for key in ("properties", "$defs"):
        for name, inner in schema.get(key, {}).items():
            yield from open_objects(inner, f"{where}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(inner := schema.get(key), Mapping):
            yield from open_objects(inner, f"{where}.*")
