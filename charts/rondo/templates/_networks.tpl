{{/* Peers of a NetworkPolicy: the pods of a component of this release. List root, component. */}}
{{- define "rondo.component" -}}
- podSelector:
    matchLabels:
      {{- include "rondo.selector" (index . 0) | nindent 6 }}
      app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Where names are asked for. */}}
{{- define "rondo.dnsEgress" -}}
- to:
    {{- toYaml .Values.networkPolicies.dns | nindent 4 }}
  ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end -}}

{{/* What coordinators and workers reach alike: names, NATS, where bundles come from, and where traces go. */}}
{{- define "rondo.sharedEgress" -}}
{{ include "rondo.dnsEgress" . }}
- to:
    {{- if .Values.membership.urls }}
    {{- if not .Values.networkPolicies.nats }}{{ fail "networkPolicies.nats: say where the servers of membership.urls are" }}{{ end }}
    {{- toYaml .Values.networkPolicies.nats | nindent 4 }}
    {{- else }}
    - podSelector:
        matchLabels:
          app.kubernetes.io/name: nats
          app.kubernetes.io/instance: {{ .Release.Name | quote }}
  ports:
    - port: 4222
    {{- end }}
{{- with .Values.networkPolicies.bundles }}
- to:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- with .Values.networkPolicies.otlp }}
- to:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end -}}
