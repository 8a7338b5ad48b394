{{/* The gateway's names, as a YAML list. localhost and its addresses serve `kubectl port-forward`. */}}
{{- define "mayfly.tls.dnsNames" -}}
{{- $service := include "mayfly.gateway" . -}}
{{- $inNamespace := printf "%s.%s" $service .Release.Namespace -}}
{{- concat
  (list $service $inNamespace (printf "%s.svc" $inNamespace) (printf "%s.svc.cluster.local" $inNamespace) "localhost")
  .Values.tls.extraNames | uniq | toYaml }}
{{- end }}

{{- define "mayfly.tls.ips" -}}
{{- concat (list "127.0.0.1" "::1") .Values.tls.extraIPs | uniq | toYaml }}
{{- end }}

{{- define "mayfly.tls.names" -}}
{{- concat (include "mayfly.tls.dnsNames" . | fromYamlArray) (include "mayfly.tls.ips" . | fromYamlArray) | join "," }}
{{- end }}

{{/*
The Secret's data with tls.mode selfSigned, as YAML. What the cluster has is kept while the names are
the same; with other names the kept CA signs a new certificate, so run pods trust it as before.

It is made once a rendering and remembered in .Values, since the Secret and the checksums on the
Deployments must speak of the same certificate and each call would make another.
*/}}
{{- define "mayfly.tls.material" -}}
{{- if not (hasKey .Values "tlsMaterial") }}
  {{- $secret := lookup "v1" "Secret" .Release.Namespace (printf "%s-tls" .Values.fullnameOverride) }}
  {{- $kept := $secret.data | default dict }}
  {{- $keptNames := dig "metadata" "annotations" "mayfly.dev/tls-names" "" $secret }}
  {{- if and (hasKey $kept "ca.key") (eq $keptNames (include "mayfly.tls.names" .)) }}
    {{- $_ := set .Values "tlsMaterial" $kept }}
  {{- else }}
    {{- $days := 3650 }}
    {{- $ca := "" }}
    {{- if hasKey $kept "ca.key" }}
      {{- $ca = buildCustomCert (get $kept "ca.crt") (get $kept "ca.key") }}
    {{- else }}
      {{- $ca = genCA (printf "%s-ca" .Values.fullnameOverride) $days }}
    {{- end }}
    {{- $dnsNames := include "mayfly.tls.dnsNames" . | fromYamlArray }}
    {{- $ips := include "mayfly.tls.ips" . | fromYamlArray }}
    {{- $leaf := genSignedCert (include "mayfly.gateway" .) $ips $dnsNames $days $ca }}
    {{- $_ := set .Values "tlsMaterial" (dict
          "ca.crt" (b64enc $ca.Cert) "ca.key" (b64enc $ca.Key)
          "tls.crt" (b64enc $leaf.Cert) "tls.key" (b64enc $leaf.Key)) }}
  {{- end }}
{{- end }}
{{- toYaml .Values.tlsMaterial }}
{{- end }}

{{/*
A pod annotation that restarts a Deployment when the named file of the TLS Secret changes: call with
(dict "root" $ "file" "ca.crt"). cert-manager renews by itself, so there nothing can be summed here.
*/}}
{{- define "mayfly.tls.checksum" -}}
{{- if eq .root.Values.tls.mode "selfSigned" }}
{{- get (include "mayfly.tls.material" .root | fromYaml) .file | sha256sum }}
{{- else }}
{{- .root.Values.tls.mode }}
{{- end }}
{{- end }}
