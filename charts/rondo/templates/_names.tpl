{{/* Names. A pool's name is added to the full one, and Kubernetes adds a hash of ten: 63 in all. */}}
{{- define "rondo.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 31 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 31 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 31 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "rondo.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "rondo.labels" -}}
{{ include "rondo.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: rondo
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image: list root, "coordinator", "worker" or "workerGpu". */}}
{{- define "rondo.image" -}}
{{- $root := index . 0 -}}
{{- $image := index $root.Values.images (index . 1) -}}
{{- with $root.Values.images.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.name -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $root.Values.images.tag | default $root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* What clients speak. */}}
{{- define "rondo.scheme" -}}
http{{ if .Values.tls.httpsSecret }}s{{ end }}
{{- end -}}
