{{/* The default PipelineRuntime, as YAML; empty settings are left out. */}}
{{- define "mayfly.defaultRuntime" -}}
{{- $runtime := .Values.runtime.default -}}
apiVersion: mayfly.dev/v1alpha1
kind: PipelineRuntime
metadata:
  name: {{ $runtime.name }}
spec:
  image: {{ $runtime.image | quote }}
  resources:
    {{- toYaml $runtime.resources | nindent 4 }}
  packages:
    {{- $own := trim (.Files.Get "files/packages.txt") | splitList "\n" }}
    {{- toYaml ($runtime.packages | default $own) | nindent 4 }}
  maxPods: {{ $runtime.maxPods | int }}
  {{- range $key := list "imagePullSecrets" "price" "warm" "nodeSelector" "tolerations" "runtimeClassName" "podLabels" "podAnnotations" }}
  {{- with get $runtime $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end }}
