"""Whether the chart's parts name each other rightly: what selects, scales, mounts, asks or waits finds something."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from deploy.checks.chart import Manifest, Pod, Variant, environment, load, pods, title, variants
from shared.events import SOURCES
from shared.metrics import CollectorMetrics, GatewayMetrics
from streams.rights import API_PREFIX, HOME
from streams.settings import NatsSettings
from streams.subjects import COLLECTOR, Names

_METRIC: Final = re.compile(r"\b([a-z_]+)\{")
_JOB: Final = re.compile(r'\bjob="(floodgate-[a-z-]+)"')
_DNS: Final = 53
_HOOK: Final = "helm.sh/hook"
_WEIGHT: Final = "helm.sh/hook-weight"
_SOURCE: Final = "floodgate/source"
_PARTITION: Final = "floodgate/partition"
_API_PREFIX: Final = "NATS_JETSTREAM_PREFIX"

RULES: Final = "deploy/prometheus/rules"
DASHBOARDS: Final = "deploy/grafana/dashboards"


def selects_nothing(variant: Variant) -> Iterator[str]:
    """Selectors without a pod, ports without a name, pods without a budget or out of the default deny."""
    all_pods = list(pods(variant))
    for manifest in variant.of_kind("Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor", "Deployment"):
        spec = manifest["spec"]
        selected = _selected(spec.get("selector", spec.get("podSelector", {})), all_pods)
        if not selected:
            yield f"{title(manifest)} selects no pod"
        names = {port["name"] for pod in selected for one in pod.containers for port in one.get("ports", ())}
        for port in _named_ports(manifest):
            if port not in names:
                yield f"{title(manifest)} names the port {port}, and its pods have {', '.join(sorted(names)) or 'none'}"
    for monitor in variant.of_kind("ServiceMonitor"):
        services = [
            one
            for one in variant.of_kind("Service")
            if _matches(monitor["spec"]["selector"], one["metadata"]["labels"])
        ]
        ports = {port["name"] for service in services for port in service["spec"]["ports"]}
        if missing := {end["port"] for end in monitor["spec"]["endpoints"]} - ports:
            yield f"{title(monitor)} asks the port {', '.join(missing)}, which no service that it selects has"
    for pod in all_pods:
        probes = [
            one[key]
            for one in pod.containers
            for key in ("startupProbe", "livenessProbe", "readinessProbe")
            if key in one
        ]
        names = {port["name"] for one in pod.containers for port in one.get("ports", ())}
        if any(probe["httpGet"]["port"] not in names for probe in probes):
            yield f"{title(pod.owner)} probes a port that it has not"
        budgets = sum(_matches(one["spec"]["selector"], pod.labels) for one in variant.of_kind("PodDisruptionBudget"))
        if budgets != (pod.owner["kind"] == "Deployment"):
            yield f"{title(pod.owner)} has {budgets} disruption budgets"
        if not any(_denies(policy, pod) for policy in variant.of_kind("NetworkPolicy")):
            yield f"{title(pod.owner)} is under no policy that denies the rest"


def open_ways(variant: Variant) -> Iterator[str]:
    """Policies that let anybody in, or a pod go anywhere but to the cluster's names: what no peer bounds."""
    for policy in variant.of_kind("NetworkPolicy"):
        for way, peers in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(way, ()):
                ports = [port["port"] for port in rule.get("ports", ())]
                if not ports or (not rule.get(peers) and (way, ports) != ("egress", [_DNS, _DNS])):
                    yield f"{title(policy)} has an {way} rule for anybody: {rule}"


def scales_nothing(variant: Variant) -> Iterator[str]:
    """Scalers without a target, targets with a count of their own, triggers that ask for what is not there."""
    scaled = {
        one["spec"]["scaleTargetRef"]["name"] for one in variant.of_kind("HorizontalPodAutoscaler", "ScaledObject")
    }
    deployments = {one["metadata"]["name"]: one for one in variant.of_kind("Deployment")}
    yield from (f"Deployment/{name}, which is to be scaled, is not there" for name in scaled - set(deployments))
    for name, deployment in deployments.items():
        if ("replicas" in deployment["spec"]) == (name in scaled):
            yield f"{title(deployment)} has to have either replicas or a scaler"
    names, metrics = _names(variant), _metric_names()
    for one in variant.of_kind("ScaledObject"):
        if one["spec"].get("minReplicaCount", 0) < 1:
            yield f"{title(one)} may end the last collector"
        stream = _stream(names, one["metadata"]["labels"])
        for trigger in one["spec"]["triggers"]:
            yield from (f"{title(one)} {line}" for line in _wrong_trigger(trigger, stream, metrics))


def astray(variant: Variant) -> Iterator[str]:
    """What looks for the streams elsewhere than the rights of deploy/nats have them: with keys, these hold."""
    if variant.values["nats"]["auth"] != "nkey":
        return
    own = str(NatsSettings.model_fields["jetstream_prefix"].default)
    for pod in pods(variant):
        wanted = API_PREFIX if pod.owner["kind"] == "Deployment" else own  # the Job is in the account of the streams
        for container in pod.containers:
            if (given := environment(container).get(_API_PREFIX, own)) != wanted:
                yield f"{title(pod.owner)}: {container['name']} asks {given}, and its account has {wanted}"
    for one in variant.of_kind("ScaledObject"):
        for trigger in one["spec"]["triggers"]:
            if (account := trigger["metadata"].get("account", HOME)) != HOME:
                yield f"{title(one)} asks the account {account}, and the streams are in {HOME}"


def unread_streams(variant: Variant) -> Iterator[str]:
    """Streams that no collectors read, or that two Deployments do; pods that count other streams than the rest."""
    names = _names(variant)
    read: list[str] = []
    for pod in pods(variant):
        for container in pod.containers:
            given = environment(container)
            if given.get("PARTITIONS", "1") != str(names.partitions):
                yield f"{title(pod.owner)} has PARTITIONS={given.get('PARTITIONS', '1')}, others {names.partitions}"
            if pod.labels.get(_PARTITION) != given.get("PARTITION"):
                yield f"{title(pod.owner)} is of partition {pod.labels.get(_PARTITION)}, and reads another one"
        if _SOURCE in pod.labels:
            read.append(_stream(names, pod.labels))
    for stream in (partition.stream for source in variant.values["sources"] for partition in names.of(source)):
        if (times := read.count(stream)) != 1:
            yield f"{stream} is read by {times} Deployments"


def unmounted_files(variant: Variant) -> Iterator[str]:
    """Variables that name a file where no secret is mounted, and service accounts that are not there."""
    accounts = {one["metadata"]["name"]: one for one in variant.of_kind("ServiceAccount")}
    for pod in pods(variant):
        volumes = {volume["name"] for volume in pod.spec["volumes"] if "secret" in volume}
        for container in pod.containers:
            folders = {mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] in volumes}
            for variable, value in environment(container).items():
                if variable.endswith("_FILE") and str(Path(value).parent) not in folders:
                    yield f"{title(pod.owner)}: {variable}={value} is in no secret that is mounted"
        account = accounts.get(pod.spec["serviceAccountName"])
        if account is None or account.get("automountServiceAccountToken") is not False:
            yield f"{title(pod.owner)} needs a service account that gives out no token"


def unready_job(variant: Variant) -> Iterator[str]:
    """A provisioning Job that does not come first, or does so before what it needs."""
    jobs = [one for one in variant.of_kind("Job") if one["metadata"].get("annotations", {}).get(_HOOK)]
    if len(jobs) != 1 or set(jobs[0]["metadata"]["annotations"][_HOOK].split(",")) != {"pre-install", "pre-upgrade"}:
        yield "there has to be one Job, which runs before an install and before an upgrade"
        return
    commands = [
        container["command"][2:] for container in Pod(jobs[0], {}, jobs[0]["spec"]["template"]["spec"]).containers
    ]
    if sorted(commands) != [["collectors.migrate"], ["streams", "apply"]]:
        yield f"{title(jobs[0])} runs {commands}"
    for one in variant.of_kind("ServiceAccount", "NetworkPolicy"):
        if one["metadata"]["name"] == jobs[0]["metadata"]["name"]:
            annotations = one["metadata"].get("annotations", {})
            if not annotations.get(_HOOK) or int(annotations[_WEIGHT]) >= int(
                jobs[0]["metadata"]["annotations"][_WEIGHT]
            ):
                yield f"{title(one)} comes after {title(jobs[0])}, which needs it"
    for pod in pods(variant):
        for variable in ("PROVISION_ON_START", "MIGRATE_ON_START"):
            for container in pod.containers:
                if environment(container).get(variable, "false") != "false" or (
                    pod.owner["kind"] == "Deployment" and variable == "PROVISION_ON_START" not in environment(container)
                ):
                    yield f"{title(pod.owner)} does the Job's work itself: {variable}"


def left_out(root: Path) -> Iterator[str]:
    """Platforms without a collector, rules and dashboards without a manifest or a job; by the chart's own values."""
    try:
        variant = next(variants(root))
    except ValueError as error:
        yield f"the chart can't be rendered: {error}"
        return
    asked = {
        job for path in _watching(root) for job in _JOB.findall(path.read_text(encoding="utf-8").replace('\\"', '"'))
    }
    if missing := asked - set(_jobs(variant)):
        yield f"rules or dashboards ask for the job {', '.join(sorted(missing))}, which no monitor makes"
    sources = {pod.labels.get("floodgate/source") for pod in pods(variant)} - {None}
    yield from (f"{source} has no collector" for source in set(SOURCES) - sources)
    yield from (f"{source}, which has a collector, is no platform" for source in sources - set(SOURCES))
    groups = {group["name"] for one in variant.of_kind("PrometheusRule") for group in one["spec"]["groups"]}
    for path in (path for path in _watching(root) if path.suffix != ".json"):
        yield from (
            f"{path.name}: group {one['name']} is not in the chart"
            for one in load(path).get("groups", ())
            if one["name"] not in groups
        )
    dashboards = {name: text for one in variant.of_kind("ConfigMap") for name, text in one["data"].items()}
    for path in (path for path in _watching(root) if path.suffix == ".json"):
        if dashboards.get(path.name) != path.read_text(encoding="utf-8"):
            yield f"{path.name} is not in the chart as it is"


def _names(variant: Variant) -> Names:
    streams = variant.values["streams"]
    return Names(streams["prefix"], streams["partitions"])


def _stream(names: Names, labels: Mapping[str, str]) -> str:
    """That the collectors with these labels read."""
    return names.of(labels[_SOURCE])[int(labels.get(_PARTITION, "0"))].stream


def _watching(root: Path) -> list[Path]:
    return [*sorted((root / RULES).glob("*.y*ml")), *sorted((root / DASHBOARDS).glob("*.json"))]


def _jobs(variant: Variant) -> Iterator[str]:
    for monitor in variant.of_kind("ServiceMonitor", "PodMonitor"):
        for end in monitor["spec"].get("endpoints", monitor["spec"].get("podMetricsEndpoints", ())):
            yield from (one["replacement"] for one in end.get("relabelings", ()) if one.get("targetLabel") == "job")


def _wrong_trigger(trigger: Mapping[str, Any], stream: str, metrics: set[str]) -> Iterator[str]:
    asked = trigger["metadata"]
    if trigger["type"] == "nats-jetstream":
        if (asked["stream"], asked["consumer"]) != (stream, COLLECTOR):
            yield f"asks for {asked['stream']}/{asked['consumer']}, and its lag is that of {stream}/{COLLECTOR}"
    elif trigger["type"] == "prometheus":
        if unknown := set(_METRIC.findall(asked["query"])) - metrics:
            yield f"asks for metrics that there are not: {', '.join(sorted(unknown))}"
        if asked.get("ignoreNullValues") != "false":
            yield "takes no answer for no lag"
    else:
        yield f"has a trigger of a kind that nobody looked at: {trigger['type']}"


def _metric_names() -> set[str]:
    return {family.name for role in (GatewayMetrics(), CollectorMetrics()) for family in role.registry.collect()}


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    wanted: Mapping[str, str] = selector.get("matchLabels", selector)
    return wanted.items() <= labels.items()


def _selected(selector: Mapping[str, Any], among: list[Pod]) -> list[Pod]:
    return [pod for pod in among if _matches(selector, pod.labels)]


def _named_ports(manifest: Manifest) -> Iterator[str]:
    spec = manifest["spec"]
    if manifest["kind"] == "Service":
        yield from (port["targetPort"] for port in spec["ports"])
    elif manifest["kind"] == "NetworkPolicy":
        yield from (port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"])
    elif manifest["kind"] == "PodMonitor":
        yield from (end["port"] for end in spec["podMetricsEndpoints"])


def _denies(policy: Manifest, pod: Pod) -> bool:
    spec = policy["spec"]
    is_closed = not spec.get("ingress") and not spec.get("egress") and set(spec["policyTypes"]) == {"Ingress", "Egress"}
    return is_closed and _matches(spec["podSelector"], pod.labels)
