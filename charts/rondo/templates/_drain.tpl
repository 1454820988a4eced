{{/*
How long a pod may take to end, in seconds. Kubernetes counts from the moment it decides, so the parts add up:
  preStop   the coordinator sleeps while Services and Ingresses stop sending to it; a worker, found through NATS, need not;
  drain     running answers end, or sequences move;
  stop      what the process closes after that, at most 10 s (LIMITS.stopMs), then it ends itself with an error;
  reserve   5 s for the kubelet and the runtime: the process is to end itself, never to be killed.
Takes a dict of preStop and drain.
*/}}
{{- define "rondo.gracePeriod" -}}
{{- add .preStop .drain 10 5 -}}
{{- end -}}

{{- define "rondo.preStopSeconds" -}}5{{- end -}}
