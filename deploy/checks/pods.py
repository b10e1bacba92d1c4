"""What every pod of the chart must be: restricted, bounded, given time to end, set by settings that there are."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from deploy.checks.chart import Pod, Variant, environment, pods, title
from deploy.reference import SECTIONS
from gateway.settings import GatewaySettings
from shared.errors import SettingsError
from shared.settings import is_secret

_VOLUMES: Final = frozenset(
    ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret")
)
"""What the restricted Pod Security Standard lets a pod mount."""

_FROM_FILE: Final = "_FILE"
"""Behind a secret's variable: the file that holds it."""


def unrestricted(variant: Variant) -> Iterator[str]:
    """What the restricted Pod Security Standard forbids, and a little more: no token, no writable disk."""
    for pod in pods(variant):
        for line in (*_loose_pod(pod.spec), *(line for one in pod.containers for line in _loose_container(pod, one))):
            yield f"{title(pod.owner)}: {line}"


def unbounded(variant: Variant) -> Iterator[str]:
    """Containers without requests or limits, or with an image that is another one tomorrow."""
    for pod in pods(variant):
        for container in pod.containers:
            name, resources = f"{title(pod.owner)}: {container['name']}", container.get("resources", {})
            for bound in ("requests", "limits"):
                for what in ("cpu", "memory"):
                    if what not in resources.get(bound, {}):
                        yield f"{name} has no resources.{bound}.{what}"
            version = container["image"].rpartition("/")[2].partition("@")[2] or container["image"].rpartition(":")[2]
            if version in {"", "latest", container["image"]}:
                yield f"{name} has no version in its image, {container['image']}"


def hurried(variant: Variant) -> Iterator[str]:
    """Pods that are killed before SHUTDOWN_GRACE, which begins after preStop, is over."""
    for pod in pods(variant):
        if pod.owner["kind"] == "Job":
            continue
        for container in pod.spec["containers"]:
            grace_ms = int(environment(container).get("SHUTDOWN_GRACE", 0))
            before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            given = pod.spec.get("terminationGracePeriodSeconds", 30)
            if not grace_ms:
                yield f"{title(pod.owner)} sets no SHUTDOWN_GRACE for terminationGracePeriodSeconds to fit"
            elif given <= before + grace_ms / 1_000:
                yield (
                    f"{title(pod.owner)} is killed after {given} s: preStop takes {before} s, and SHUTDOWN_GRACE "
                    f"{grace_ms / 1_000:g} s"
                )


def unknown_settings(variant: Variant) -> Iterator[str]:
    """Variables that no program reads, and values that none takes."""
    known = {
        str(field.alias) + behind
        for section in SECTIONS
        for field in section.settings.model_fields.values()
        for behind in (("", _FROM_FILE) if is_secret(field) else ("",))
    }
    for pod in pods(variant):
        for container in pod.containers:
            given = environment(container)
            name = f"{title(pod.owner)}: {container['name']}"
            yield from (f"{name} sets {variable}, which nothing reads" for variable in given if variable not in known)
            yield from (f"{name} sets {line}" for line in _refused(given))


def narrow_ingress(variant: Variant) -> Iterator[str]:
    """Ingresses that refuse a body which the gateway takes, or give up on one that it is still taking."""
    for ingress in variant.of_kind("Ingress"):
        (gateway,) = (pod for pod in pods(variant) if pod.labels["app.kubernetes.io/component"] == "gateway")
        given = environment(gateway.containers[0])
        annotations = ingress["metadata"]["annotations"]
        allowed = annotations.get("nginx.ingress.kubernetes.io/proxy-body-size")
        if allowed != given["MAX_BODY_BYTES"]:
            yield f"{title(ingress)} takes bodies of {allowed}, and the gateway of {given['MAX_BODY_BYTES']} bytes"
        slowest_s = int(given.get("BODY_TIMEOUT", GatewaySettings.model_fields["body_timeout_ms"].default)) / 1_000
        for way in ("read", "send"):
            waits_s = int(annotations.get(f"nginx.ingress.kubernetes.io/proxy-{way}-timeout", 60))
            if waits_s <= slowest_s:
                yield f"{title(ingress)} waits {waits_s} s to {way}; a slow body alone may take {slowest_s:g} s"


def _loose_pod(spec: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{key} is on" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))
    if spec.get("automountServiceAccountToken") is not False:
        yield "it gets a token of its service account"
    for volume in spec.get("volumes", ()):
        if kinds := set(volume) - {"name"} - _VOLUMES:
            yield f"volume {volume['name']} is of {', '.join(kinds)}"


def _loose_container(pod: Pod, container: Mapping[str, Any]) -> Iterator[str]:
    name, outer, own = container["name"], pod.spec.get("securityContext", {}), container.get("securityContext", {})
    both = {**outer, **own}
    if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
        yield f"{name} may run as root"
    if both.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield f"{name} has no seccomp profile"
    if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
        yield f"{name} may gain privileges"
    capabilities = own.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
        yield f"{name} keeps capabilities"
    if own.get("readOnlyRootFilesystem") is not True:
        yield f"{name} can write to its root file system"
    if any("hostPort" in port for port in container.get("ports", ())):
        yield f"{name} takes a port of the host"


def _refused(given: Mapping[str, str]) -> Iterator[str]:
    """Lines on values that a settings class does not take. Paths of secrets are left out: they are not here."""
    for section in SECTIONS:
        aliases = {str(field.alias) for field in section.settings.model_fields.values()}
        chosen = {name: value for name, value in given.items() if name in aliases and not name.endswith(_FROM_FILE)}
        try:
            section.settings.load(**{name: value for name, value in chosen.items() if value})
        except SettingsError as error:
            yield from str(error).splitlines()
