{{/* What every pod of the chart has: no rights, no writable disk but /tmp, secrets as files. */}}

{{- define "floodgate.podBase" -}}
automountServiceAccountToken: false
enableServiceLinks: false  # a service's name must never become a variable that is read
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  fsGroup: 10001  # the image's own: it reads the secrets
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "floodgate.containerBase" -}}
image: {{ include "floodgate.image" (merge (dict "tag" (.Values.image.tag | default .Chart.AppVersion)) .Values.image) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Variables from a dict of them. */}}
{{- define "floodgate.env" -}}
{{- range $name, $value := . }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end }}

{{/* As JSON, the variables of a role: root, role (its values), own (its variables). What people set comes under them. */}}
{{- define "floodgate.variables" -}}
{{- $v := .root.Values }}
{{- $env := dict
  "LOG_FORMAT" "json"
  "NATS_URL" $v.nats.url
  "PROVISION_ON_START" "false"
  "STREAM_PREFIX" $v.streams.prefix
  "STREAM_REPLICAS" ($v.streams.replicas | toString)
  "PARTITIONS" ($v.streams.partitions | int | toString)
  "CONSUMER_MAX_ACK_PENDING" ($v.streams.maxAckPending | int | toString) }}
{{- if eq $v.nats.auth "creds" }}{{ $_ := set $env "NATS_CREDS_FILE" (printf "/etc/floodgate/nats/%s" $v.nats.secretKey) }}{{ end }}
{{- if eq $v.nats.auth "nkey" }}{{ $_ := set $env "NATS_NKEY_SEED_FILE" (printf "/etc/floodgate/nats/%s" $v.nats.secretKey) }}{{ end }}
{{- if $v.nats.ca.secret }}{{ $_ := set $env "NATS_CA_FILE" (printf "/etc/floodgate/nats-ca/%s" $v.nats.ca.key) }}{{ end }}
{{- if .role.databaseSecret }}{{ $_ := set $env "DATABASE_URL_FILE" (printf "/etc/floodgate/database/%s" $v.database.secretKey) }}{{ end }}
{{- mergeOverwrite (deepCopy $v.settings) (deepCopy (.role.settings | default dict)) $env .own | toJson }}
{{- end }}

{{/* Folder and secret of each credential that a role has, as JSON. */}}
{{- define "floodgate.secrets" -}}
{{- $v := .root.Values }}
{{- $found := dict }}
{{- if ne $v.nats.auth "none" }}{{ $_ := set $found "nats" (required "nats.auth needs a natsSecret for the gateway, for each of sources and for provision" .role.natsSecret) }}{{ end }}
{{- with $v.nats.ca.secret }}{{ $_ := set $found "nats-ca" . }}{{ end }}
{{- with .role.databaseSecret }}{{ $_ := set $found "database" . }}{{ end }}
{{- with .role.sendersSecret }}{{ $_ := set $found "senders" . }}{{ end }}
{{- $found | toJson }}
{{- end }}

{{/* Whole folders, not single files: a secret that is rotated then reaches the running pod. */}}
{{- define "floodgate.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- range $folder, $secret := include "floodgate.secrets" . | fromJson }}
- {name: {{ $folder }}, mountPath: /etc/floodgate/{{ $folder }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "floodgate.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- range $folder, $secret := include "floodgate.secrets" . | fromJson }}
- name: {{ $folder }}
  secret: {secretName: {{ $secret }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{/* Live: the event loop turns. A pod whose servers are away is alive, and not ready. */}}
{{- define "floodgate.probes" -}}
startupProbe:
  httpGet: {path: /health/live, port: {{ . }}}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /health/live, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /health/ready, port: {{ . }}}
  periodSeconds: 3
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}

{{/* root, selector (as YAML). A rollout's old pods don't count for the new ones, nor a zone whose nodes are unreachable. */}}
{{- define "floodgate.spread" -}}
{{- range $key, $how := dict "topology.kubernetes.io/zone" .root.Values.topologySpread.zone "kubernetes.io/hostname" .root.Values.topologySpread.host }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: {{ $how }}
  matchLabelKeys: [pod-template-hash]
  nodeTaintsPolicy: Honor
  labelSelector:
    matchLabels: {{ $.selector | nindent 6 }}
{{- end }}
{{- end }}
