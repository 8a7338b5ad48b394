{{/* Names, labels and addresses that more than one template needs. */}}

{{- define "mayfly.controller" -}}{{ .Values.fullnameOverride }}-controller{{- end }}
{{- define "mayfly.gateway" -}}{{ .Values.fullnameOverride }}-gateway{{- end }}

{{/* Usernames by which the API server knows the two parts; admission policies compare them. */}}
{{- define "mayfly.controller.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "mayfly.controller" . }}
{{- end }}
{{- define "mayfly.gateway.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "mayfly.gateway" . }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "mayfly.labels" -}}
app.kubernetes.io/name: mayfly
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Labels that select one part's pods: call with (dict "root" $ "part" "gateway"). They never change. */}}
{{- define "mayfly.selector" -}}
app.kubernetes.io/name: mayfly
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "mayfly.scheme" -}}
{{ ternary "http" "https" (eq .Values.tls.mode "none") }}
{{- end }}

{{/* The Service's port: 443, or 80 without TLS, unless it is named. */}}
{{- define "mayfly.port" -}}
{{ .Values.gateway.service.port | default (ternary 80 443 (eq .Values.tls.mode "none")) | int }}
{{- end }}

{{/* Which IP families a Service has; nothing where the cluster's default holds. */}}
{{- define "mayfly.ipFamilies" -}}
{{- with .Values.services.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.services.ipFamilies }}
ipFamilies:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The gateway as run pods reach it. */}}
{{- define "mayfly.internalURL" -}}
{{- $scheme := include "mayfly.scheme" . -}}
{{- $port := include "mayfly.port" . -}}
{{- $usual := ternary "443" "80" (eq $scheme "https") -}}
{{ $scheme }}://{{ include "mayfly.gateway" . }}.{{ .Release.Namespace }}.svc{{ if ne $port $usual }}:{{ $port }}{{ end }}
{{- end }}

{{/* SQLite lives on the gateway's volume; anything else is elsewhere. */}}
{{- define "mayfly.sqlite" -}}
{{- if not (or .Values.gateway.database.url .Values.gateway.database.existingSecret.name) }}true{{ end }}
{{- end }}

{{- define "mayfly.signingSecret" -}}
{{ .Values.gateway.signing.existingSecret | default (printf "%s-signing" .Values.fullnameOverride) }}
{{- end }}
