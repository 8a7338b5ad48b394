{{/* What the pods of both Deployments have in common. */}}

{{/* Passes Pod Security "restricted"; fsGroup makes mounted Secrets and the volume readable to us. */}}
{{- define "mayfly.podSecurityContext" -}}
runAsNonRoot: true
{{- if .Values.podSecurity.setIDs }}
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
{{- end }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Of Secrets that only our own process reads. Without fsGroup they are root's, in a pod of one user. */}}
{{- define "mayfly.secretMode" -}}
{{ ternary "0440" "0444" .Values.podSecurity.setIDs }}
{{- end }}

{{- define "mayfly.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Environment of one part: call with (dict "root" $ "part" "gateway"). */}}
{{- define "mayfly.env" -}}
- name: MAYFLY_CONFIG
  value: /etc/mayfly/config/{{ .part }}.json
- name: MAYFLY_LOG_LEVEL
  value: {{ (index .root.Values .part).logLevel }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- end }}

{{/* Placement of one part's pods: call with its values. */}}
{{- define "mayfly.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
