# ruff: noqa: E501 - a table reads best with a row a line
"""Ways to break the Helm chart, and the check that has to see each."""

from typing import Final, NamedTuple

GATEWAY, COLLECTORS, PODS = "templates/gateway.yaml", "templates/collectors.yaml", "templates/_pods.tpl"
JOB, POLICIES, MONITORING = "templates/provision.yaml", "templates/network-policies.yaml", "templates/monitoring.yaml"
NATS, POSTGRES = "../dependencies/nats-values.yaml", "../dependencies/cnpg-cluster.yaml"


class Break(NamedTuple):
    """What is replaced in a file of the chart, and what the check has to say then."""

    check: str
    file: str
    old: str
    new: str
    said: str


BREAKS: Final = (
    Break("helm-lint", "Chart.yaml", "\nversion: 0.1.0", "\nversion: one", "version"),
    Break("helm-lint", COLLECTORS, "revisionHistoryLimit: 5", "revisionHistoryLimit: {{ .nothing.there }}", "evaluate field nothing"),
    Break("helm-values", "values.schema.json", '"additionalProperties": false,', "", "values takes any key"),
    Break("helm-values", "values.schema.json", '"replicas": {"type": "integer", "minimum": 1,', '"replicas": {"type": "integer",', '{"gateway": {"replicas": 0}}'),
    Break("helm-values", COLLECTORS, "if lt $pending", "if lt 1000000", '"maxReplicas": 11'),
    Break("helm-schemas", GATEWAY, "revisionHistoryLimit", "revisionHistoryLimt", "'revisionHistoryLimt' was unexpected"),
    Break("helm-schemas", GATEWAY, "value: 25,", "value: few,", "'few' is not of type 'integer'"),
    Break("helm-schemas", COLLECTORS, "pollingInterval", "polingInterval", "spec.polingInterval: the API has no such key"),
    Break("helm-schemas", COLLECTORS, "minReplicaCount: {{ $c.autoscaling.minReplicas }}", "minReplicaCount: few", "should be a valid integer"),
    Break("helm-schemas", MONITORING, "path: /metrics", "pth: /metrics", "spec.endpoints.0.pth: the API has no such key"),
    Break("helm-schemas", MONITORING, "kind: ServiceMonitor", "kind: ServiceMonitors", "there is no ServiceMonitors"),
    Break("helm-schemas", JOB, "kind: Job", "kind: Jobs", "there is no Jobs in batch/v1"),
    Break("helm-schemas", GATEWAY, "  name: {{ $name }}-internal", "  name: {{ $name }}", "Service/floodgate-gateway is there twice"),
    Break("helm-restricted", PODS, "runAsNonRoot: true", "runAsNonRoot: false", "may run as root"),
    Break("helm-restricted", PODS, "runAsNonRoot: true", "runAsNonRoot: true\n  runAsUser: 0", "may run as root"),
    Break("helm-restricted", PODS, "RuntimeDefault", "Unconfined", "has no seccomp profile"),
    Break("helm-restricted", PODS, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "may gain privileges"),
    Break("helm-restricted", PODS, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "can write to its root"),
    Break("helm-restricted", PODS, "drop: [ALL]", "drop: [NET_RAW]", "keeps capabilities"),
    Break("helm-restricted", PODS, "drop: [ALL]", "drop: [ALL], add: [SYS_ADMIN]", "keeps capabilities"),
    Break("helm-restricted", PODS, "automountServiceAccountToken: false", "hostNetwork: true", "hostNetwork is on"),
    Break("helm-restricted", PODS, "automountServiceAccountToken: false", "hostIPC: false", "it gets a token"),
    Break("helm-restricted", PODS, "emptyDir: {sizeLimit: 64Mi}", "hostPath: {path: /tmp}", "volume tmp is of hostPath"),
    Break("helm-restricted", GATEWAY, "containerPort: 3000}", "containerPort: 3000, hostPort: 80}", "takes a port of the host"),
    Break("helm-bounds", GATEWAY, "toYaml $g.resources", 'toYaml (omit $g.resources "limits")', "has no resources.limits.memory"),
    Break("helm-bounds", PODS, "default .Chart.AppVersion)", 'default "latest")', "has no version in its image"),
    Break("helm-bounds", "templates/_names.tpl", ":{{ .tag }}", "", "has no version in its image"),
    Break("helm-grace", GATEWAY, "$g.preStopSeconds $g.shutdownGraceSeconds 10", "$g.shutdownGraceSeconds 10", "is killed after 40 s"),
    Break("helm-grace", COLLECTORS, "add $c.shutdownGraceSeconds 10", "add $c.shutdownGraceSeconds", "is killed after 20 s"),
    Break("helm-grace", COLLECTORS, '"SHUTDOWN_GRACE"', '"SHUTDOWN_GRACES"', "sets no SHUTDOWN_GRACE"),
    Break("helm-settings", COLLECTORS, '"OPS_PORT"', '"OPS_PROT"', "sets OPS_PROT, which nothing reads"),
    Break("helm-settings", COLLECTORS, '"OPS_PORT" "9100"', '"OPS_PORT" "91000"', "sets OPS_PORT='91000': takes"),
    Break("helm-settings", "values-largest.yaml", 'DB_POOL_SIZE: "4"', 'DB_POOL: "4"', "sets DB_POOL, which nothing reads"),
    Break("helm-ingress", "values.yaml", "timeoutSeconds: 120", "timeoutSeconds: 60", "waits 60 s to read"),
    Break("helm-ingress", GATEWAY, '/proxy-body-size" ($g.maxBodyBytes | int64 | toString)', '/proxy-body-size" "1m"', "takes bodies of 1m"),
    Break("helm-selectors", GATEWAY, '"component" "gateway")', '"component" "gate")', "Deployment/floodgate-gateway selects no pod"),
    Break("helm-selectors", GATEWAY, "targetPort: internal", "targetPort: metrics", "names the port metrics"),
    Break("helm-selectors", GATEWAY, "component: gateway-internal", "component: gateway", "asks the port internal"),
    Break("helm-selectors", COLLECTORS, '"floodgate.probes" "ops"', '"floodgate.probes" "http"', "probes a port that it has not"),
    Break("helm-selectors", COLLECTORS, "kind: PodDisruptionBudget", "kind: Budget", "has 0 disruption budgets"),
    Break("helm-selectors", POLICIES, "ports: [{port: ops}]", "ports: [{port: op}]", "names the port op,"),
    Break("helm-selectors", POLICIES, "policyTypes: [Ingress, Egress]", "policyTypes: [Ingress]", "under no policy that denies"),
    Break("helm-selectors", MONITORING, "port: ops\n", "port: http\n", "PodMonitor/floodgate-collector names the port http"),
    Break("helm-network", POLICIES, "- from: {{ toYaml $n.ingress | nindent 8 }}\n      ports: [{port: http}]", "- ports: [{port: http}]", "an ingress rule for anybody"),
    Break("helm-network", POLICIES, '"to" $n.database ', "", "an egress rule for anybody"),
    Break("helm-network", POLICIES, '"ports" (list (dict "port" ($n.natsPort | int)))', "", "an egress rule for anybody"),
    Break("helm-scaling", COLLECTORS, "kind: Deployment, name: {{ $name }}", "kind: Deployment, name: {{ $name }}s", "is to be scaled, is not there"),
    Break("helm-scaling", GATEWAY, "if not $g.autoscaling.enabled", "if true", "either replicas or a scaler"),
    Break("helm-scaling", COLLECTORS, "consumer: collector", "consumer: collectors", "its lag is that of FACEBOOK_EVENTS/collector"),
    Break("helm-scaling", COLLECTORS, "{{ $root.Values.streams.prefix }}", "OTHER_", "asks for OTHER_TIKTOK_EVENTS/collector"),
    Break("helm-scaling", COLLECTORS, "max(gateway_backlog_messages", "max(gateway_backlog", "metrics that there are not: gateway_backlog"),
    Break("helm-scaling", COLLECTORS, 'ignoreNullValues: "false"', 'ignoreNullValues: "true"', "takes no answer for no lag"),
    Break("helm-scaling", COLLECTORS, "{{ $c.autoscaling.minReplicas }}", "0", "may end the last collector"),
    Break("helm-scaling", COLLECTORS, "type: prometheus", "type: cron", "of a kind that nobody looked at: cron"),
    Break("helm-scaling", COLLECTORS, "_EVENTS{{ if $partition }}_{{ $partition }}{{ end }}", "_EVENTS", "its lag is that of FACEBOOK_EVENTS_0/collector"),
    Break("helm-rights", "values.yaml", "account: FLOODGATE", "account: $G", "asks the account $G, and the streams are in FLOODGATE"),
    Break("helm-rights", GATEWAY, '"NATS_JETSTREAM_PREFIX" .Values.nats.jetstreamPrefix', "", "floodgate-gateway: gateway asks $JS.API"),
    Break("helm-rights", COLLECTORS, '"NATS_JETSTREAM_PREFIX" $root', '"NATS_JETSTREAM" $root', "collector asks $JS.API"),
    Break("helm-rights", PODS, '"LOG_FORMAT" "json"', '"LOG_FORMAT" "json" "NATS_JETSTREAM_PREFIX" "JS.API"', "streams asks JS.API"),
    Break("helm-partitions", COLLECTORS, "until $partitions", "until 1", "FACEBOOK_EVENTS_1 is read by 0 Deployments"),
    Break("helm-partitions", COLLECTORS, '$own "PARTITION" $partition', '$own "PARTITION" "0"', "is of partition 1, and reads another one"),
    Break("helm-partitions", PODS, '"PARTITIONS" ($v.streams.partitions | int | toString)', "", "has PARTITIONS=1, others 2"),
    Break("helm-secrets", PODS, "mountPath: /etc/floodgate/{{ $folder }}", "mountPath: /etc/{{ $folder }}", "is in no secret that is mounted"),
    Break("helm-secrets", COLLECTORS, "automountServiceAccountToken: false", "automountServiceAccountToken: true", "gives out no token"),
    Break("helm-secrets", GATEWAY, "serviceAccountName: {{ $name }}", "serviceAccountName: default", "needs a service account"),
    Break("helm-provision", JOB, '    helm.sh/hook: pre-install,pre-upgrade\n    helm.sh/hook-weight: "0"', '    helm.sh/hook: pre-install\n    helm.sh/hook-weight: "0"', "before an install and before an upgrade"),
    Break("helm-provision", JOB, 'helm.sh/hook-weight: "-10"', 'helm.sh/hook-weight: "5"', "comes after Job/floodgate-provision"),
    Break("helm-provision", JOB, "streams, apply", "streams, status", "runs [['collectors.migrate'], ['streams', 'status']]"),
    Break("helm-provision", PODS, '"PROVISION_ON_START" "false"', '"PROVISION_ON_START" "true"', "PROVISION_ON_START"),
    Break("helm-provision", COLLECTORS, '"MIGRATE_ON_START" "false"', '"MIGRATE_ON_START" "true"', "MIGRATE_ON_START"),
    Break("helm-complete", "values.yaml", "  tiktok:\n", "  tiktak:\n", "tiktok has no collector"),
    Break("helm-complete", "values.yaml", "  tiktok:\n", "  tiktak:\n", "tiktak, which has a collector, is no platform"),
    Break("helm-complete", MONITORING, "files/rules/*.{yml,yaml}", "files/rules/*.yaml", "group placed-by-the-test is not in the chart"),
    Break("helm-complete", MONITORING, "$.Files.Get $path | toJson", "$.Files.Get $path | upper | toJson", "placed.json is not in the chart as it is"),
    Break("helm-complete", MONITORING, "{{- $groups := list }}", "{{- $groups := nothing }}", "the chart can't be rendered"),
    Break("helm-complete", MONITORING, "replacement: floodgate-gateway", "replacement: gateway", "ask for the job floodgate-gateway"),
    Break("helm-complete", MONITORING, "replacement: floodgate-collector", "replacement: collector", "ask for the job floodgate-collector"),
    Break("helm-dependencies", NATS, "sync_interval: always", "max_outstanding_catchup: 1", "without sync_interval: always"),
    Break("helm-dependencies", NATS, "maxSize: 32Gi", "maxSize: 20Gi", "maxSize is 20Gi"),
    Break("helm-dependencies", NATS, "size: 40Gi", "size: 32Gi", "a disk of 32Gi is full before"),
    Break("helm-dependencies", NATS, "replicas: 3", "replicas: 1", "need as many servers"),
    Break("helm-dependencies", POSTGRES, "number: 1", "number: 3", "on some standby"),
    Break("helm-dependencies", POSTGRES, "name: floodgate-db\n", "name: other-db\n", "the cluster has other-db-app"),
    Break("helm-dependencies", "values.yaml", "floodgate-db-collector", "floodgate-db-app", "collector.databaseSecret is floodgate-db-app"),
    Break("helm-overlay", "../overlay/kustomization.yaml", "path: /spec/template/spec/", "path: /spec/template/nowhere/", "nowhere"),
    Break("helm-overlay", "../overlay/kustomization.yaml", "component=collector", "component=collectors", "the patch does not reach"),
)  # fmt: skip
