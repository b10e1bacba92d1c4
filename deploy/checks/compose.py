"""The compose files: by the schema of the Compose Specification, and by what they promise."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.checks.check import Check, complaints_of, tool
from shared.events import SOURCES
from streams.rights import API_PREFIX

COMPOSE: Final = "deploy/compose.yaml"
PROFILES: Final = {"core", "scale", "monitoring", "load"}
PUBLISHED: Final = {"nginx", "prometheus", "grafana"}
SERVERS: Final = ("nats", "postgres")
RESOURCES: Final = {
    "limits": {"cpus": "1.0", "memory": "2g"},
    "reservations": {"cpus": "0.5", "memory": "1g"},
}

Services = Mapping[str, Mapping[str, Any]]


def _schema(root: Path) -> Iterator[str]:
    check = tool("check-jsonschema", "it comes with requirements/deploy.txt, which `make check-deploy` installs")
    files = sorted((root / "deploy").glob("compose*.yaml"))
    if root / COMPOSE not in files:
        yield f"{COMPOSE} is missing"
    for file in files:
        yield from complaints_of(check, "--builtin-schema", "vendor.compose-spec", file)


def _promises(root: Path) -> Iterator[str]:
    try:
        project = _read(root)
    except (OSError, ValueError) as error:
        yield f"{COMPOSE}: {error}"
        return
    services: Services = project["services"]
    for name, service in services.items():
        yield from (f"{name}: {line}" for line in _loose(name, service))
    for source in SOURCES:
        if not any(service.get("command") == ["collectors", "--source", source] for service in services.values()):
            yield f"no collector for {source}"
    networks = project["networks"]
    for name in SERVERS:
        for network in services[name]["networks"]:
            if not (networks[network] or {}).get("internal"):
                yield f"{name}: the network {network} leads outside"


def _loose(name: str, service: Mapping[str, Any]) -> Iterator[str]:
    profiles = set(service.get("profiles", ()))
    if not profiles or profiles - PROFILES:
        yield f"is in the profiles {sorted(profiles)}: takes some of {', '.join(sorted(PROFILES))}"
    if service.get("read_only") is not True:
        yield "may write to its root file system"
    if service.get("cap_drop") != ["ALL"] or "no-new-privileges:true" not in service.get("security_opt", ()):
        yield "keeps capabilities, or may gain them"
    if "ports" in service and name not in PUBLISHED:
        yield "publishes a port"
    role = (service.get("command") or [None])[0]
    if role in {"gateway", "collectors"} and service.get("deploy", {}).get("resources") != RESOURCES:
        yield f"has other resources than {RESOURCES}"
    if role in {"gateway", "collectors"} and "healthcheck" not in service:
        yield "has no health check of its own"
    given = (service.get("environment") or {}).get("NATS_JETSTREAM_PREFIX")
    wanted = API_PREFIX if role in {"gateway", "collectors"} else None  # the admin is in the account of the streams
    if given != wanted:
        yield f"has NATS_JETSTREAM_PREFIX {given}: under nats/rights.conf it is {wanted}"


def _files(root: Path) -> Iterator[str]:
    """Whatever is mounted from the project is there; secrets are each user's own."""
    try:
        project = _read(root)
    except (OSError, ValueError) as error:
        yield f"{COMPOSE}: {error}"
        return
    binds = (
        volume.partition(":")[0]
        for service in project["services"].values()
        for volume in service.get("volumes", ())
        if volume.startswith("./")
    )
    configs = (config["file"] for config in project["configs"].values())
    for name in sorted({*binds, *configs}):
        if not (root / "deploy" / name).exists():
            yield f"{COMPOSE} mounts deploy/{name.removeprefix('./')}, which is not there"
    wanted = {name for one in project["services"].values() for name in map(_name, one.get("secrets", ()))}
    for name in sorted(wanted ^ set(project["secrets"])):
        yield f"the secret {name} is {'used and not defined' if name in wanted else 'defined and not used'}"


def _name(secret: str | Mapping[str, str]) -> str:
    return secret if isinstance(secret, str) else secret["source"]


def _read(root: Path) -> Mapping[str, Any]:
    """Raises ValueError where it is no YAML, or lacks what a project has."""
    try:
        project = yaml.safe_load((root / COMPOSE).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    missing = [key for key in ("services", "networks", "configs", "secrets") if key not in project]
    if missing or not set(SERVERS) <= set(project["services"]):
        raise ValueError(f"has no {', '.join(missing) or 'NATS or PostgreSQL'}")
    found: Mapping[str, Any] = project
    return found


CHECKS: Final = (
    Check("compose", "the compose files, by the Compose Specification's schema", _schema),
    Check("compose-promises", "limits, capabilities, networks and profiles of its services", _promises),
    Check("compose-files", "that what it mounts is there", _files),
)
