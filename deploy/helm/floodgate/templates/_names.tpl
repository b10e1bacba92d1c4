{{/* Names and labels. A pod is told by its component, and a collector by its source as well. */}}

{{- define "floodgate.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "floodgate.instance" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "floodgate.labels" -}}
{{ include "floodgate.instance" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: floodgate
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What selects a pod, and never changes: root, component, and source and partition where it has them. */}}
{{- define "floodgate.selector" -}}
{{ include "floodgate.instance" .root }}
app.kubernetes.io/component: {{ .component }}
{{- include "floodgate.share" . }}
{{- end }}

{{/* What a collector reads: source, and partition as text where there are several. */}}
{{- define "floodgate.share" -}}
{{- with .source }}
floodgate/source: {{ . }}
{{- end }}
{{- with .partition }}
floodgate/partition: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "floodgate.image" -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag }}{{ end }}
{{- end }}
