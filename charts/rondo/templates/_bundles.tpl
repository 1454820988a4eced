{{/* How a bundle comes to /bundles/<name>. Each part renders nothing where the place does not need it. */}}
{{- define "rondo.bundleVolume" -}}
- name: bundle-{{ .name }}
{{- if .pvc }}
  persistentVolumeClaim:
    claimName: {{ .pvc.claim | quote }}
    readOnly: true
{{- else if .hostPath }}
  hostPath:
    path: {{ .hostPath | quote }}
    type: Directory
{{- else }}
  emptyDir:
    sizeLimit: {{ .sizeLimit | default "16Gi" }}
{{- end }}
{{- with .authorizationSecret }}
- name: authorization-{{ $.name }}
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- with .presignedSecret }}
- name: presigned-{{ $.name }}
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "rondo.bundleMount" -}}
- name: bundle-{{ .name }}
  mountPath: /bundles/{{ .name }}
  readOnly: true
{{- with .pvc }}
{{- with .path }}
  subPath: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Copies a bundle out of its image, or fetches it, and holds every byte to the digest before anything serves it. Coordinators read its text only.
What is fetched over a network may need the variables and volumes of who serves it: authorities of one's own, a proxy. List root, bundle, image key, and the
values of who serves. */}}
{{- define "rondo.bundleFetch" -}}
{{- $root := index . 0 -}}
{{- $bundle := index . 1 -}}
{{- $server := index . 3 -}}
{{- if or $bundle.image $bundle.url -}}
- name: fetch-{{ $bundle.name }}
  image: {{ $bundle.image | default (include "rondo.image" (list $root (index . 2))) }}
  imagePullPolicy: {{ $root.Values.images.pullPolicy }}
  args:
    - fetch
    - --from={{ $bundle.url | default "/bundle" }}
    - --digest={{ $bundle.digest }}
    - --out=/bundles/{{ $bundle.name }}
    {{- if eq (index . 2) "coordinator" }}
    - --text
    {{- end }}
    {{- if $bundle.authorizationSecret }}
    - --authorization-file=/secrets/authorization/authorization
    {{- end }}
    {{- if $bundle.presignedSecret }}
    - --presigned-file=/secrets/presigned/urls
    {{- end }}
  {{- if and $bundle.url $server.extraEnv }}
  env:
    {{- toYaml $server.extraEnv | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "rondo.containerSecurity" $root | nindent 4 }}
  resources:
    requests: &fetch
      cpu: 500m
      memory: 256Mi
    limits: *fetch
  volumeMounts:
    - name: bundle-{{ $bundle.name }}
      mountPath: /bundles/{{ $bundle.name }}
    {{- if $bundle.authorizationSecret }}
    - name: authorization-{{ $bundle.name }}
      mountPath: /secrets/authorization
      readOnly: true
    {{- end }}
    {{- if $bundle.presignedSecret }}
    - name: presigned-{{ $bundle.name }}
      mountPath: /secrets/presigned
      readOnly: true
    {{- end }}
    {{- if and $bundle.url $server.extraVolumeMounts }}
    {{- toYaml $server.extraVolumeMounts | nindent 4 }}
    {{- end }}
{{- end -}}
{{- end -}}
