{{/* The pools as JSON, each with what `worker` says for all. Unknown bundles and doubled names end the rendering. */}}
{{- define "rondo.pools" -}}
{{- $names := list -}}
{{- $bundles := list -}}
{{- range .Values.bundles }}{{ $bundles = append $bundles .name }}{{ end -}}
{{- $pools := list -}}
{{- range .Values.pools -}}
{{- $pool := mustMergeOverwrite (mustDeepCopy $.Values.worker) (mustDeepCopy .) -}}
{{- if not (has $pool.bundle $bundles) }}{{ fail (printf "pools: %s holds the bundle %q, which is not in bundles" $pool.name $pool.bundle) }}{{ end -}}
{{- if has $pool.name $names }}{{ fail (printf "pools: %s is there twice" $pool.name) }}{{ end -}}
{{- $names = append $names $pool.name -}}
{{- $pool = set $pool "fullname" (printf "%s-%s" (include "rondo.fullname" $) $pool.name) -}}
{{- $pools = append $pools $pool -}}
{{- end -}}
{{- if not $pools }}{{ fail "pools: at least one pool of workers is needed" }}{{ end -}}
{{- $pools | toJson -}}
{{- end -}}

{{/* Threads of a worker's engine: the whole processors of its limit, at least one. */}}
{{- define "rondo.threads" -}}
{{- $cpu := toString . -}}
{{- if hasSuffix "m" $cpu -}}
{{- max 1 (div (trimSuffix "m" $cpu | int) 1000) -}}
{{- else -}}
{{- max 1 (floor (float64 $cpu)) | int -}}
{{- end -}}
{{- end -}}
