{{/* Where NATS is: servers of one's own, or those of the dependency, named as its chart names them. */}}
{{- define "rondo.natsUrls" -}}
{{- if .Values.membership.urls -}}
{{- join "," .Values.membership.urls -}}
{{- else if .Values.nats.enabled -}}
{{- $name := contains "nats" .Release.Name | ternary .Release.Name (printf "%s-nats" .Release.Name) -}}
nats://{{ $name }}:4222
{{- else -}}
{{- fail "membership.urls: name NATS servers, or set nats.enabled" -}}
{{- end -}}
{{- end -}}

{{/* Arguments that coordinators and workers share. */}}
{{- define "rondo.sharedArgs" -}}
- --admin=0.0.0.0:9090
- --nats={{ include "rondo.natsUrls" . }}
- --nats-prefix={{ .Values.membership.prefix }}
- --nats-replicas={{ .Values.membership.copies }}
{{- if .Values.membership.credentialsSecret }}
- --nats-creds=/secrets/nats/nats.creds
{{- end }}
{{- if .Values.membership.caSecret }}
- --nats-ca=/secrets/nats-ca/ca.crt
{{- end }}
{{- if include "rondo.tlsSecret" . }}
- --tls-cert=/secrets/tls/tls.crt
- --tls-key=/secrets/tls/tls.key
- --tls-ca=/secrets/tls/ca.crt
{{- end }}
{{- end -}}

{{/* The Secret with the certificate for peers; empty without TLS. */}}
{{- define "rondo.tlsSecret" -}}
{{- if .Values.tls.certManager.enabled -}}
{{- include "rondo.fullname" . }}-peers
{{- else -}}
{{- .Values.tls.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "rondo.sharedMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .Values.membership.credentialsSecret }}
- name: nats-credentials
  mountPath: /secrets/nats
  readOnly: true
{{- end }}
{{- if .Values.membership.caSecret }}
- name: nats-ca
  mountPath: /secrets/nats-ca
  readOnly: true
{{- end }}
{{- if include "rondo.tlsSecret" . }}
- name: tls
  mountPath: /secrets/tls
  readOnly: true
{{- end }}
{{- end -}}

{{/* The compile cache is all that a process writes. */}}
{{- define "rondo.sharedVolumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
{{- with .Values.membership.credentialsSecret }}
- name: nats-credentials
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- with .Values.membership.caSecret }}
- name: nats-ca
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- with include "rondo.tlsSecret" . }}
- name: tls
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Environment that coordinators and workers share. */}}
{{- define "rondo.sharedEnv" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- with .Values.monitoring.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- end -}}
