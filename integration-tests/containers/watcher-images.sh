#!/usr/bin/env bash
# Makes images under the names that infra/compose.yaml asks for, of programs built from their source with Go, where no registry answers:
# NATS, Jaeger (without its pages: its API answers), Prometheus and a collector. What is there already stays. Grafana is not made: its
# source is not served as a module that may be used. Half an hour on two cores at first.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
export CGO_ENABLED=0 GOFLAGS='-mod=mod -trimpath' GOTOOLCHAIN=local GOWORK=off

root=$(mktemp -d)
trap 'chmod -R u+w "$root"; rm -rf "$root"' EXIT

# The image that infra/compose.yaml gives service $1.
image_of() { sed -n "/^  $1:/,/^  [a-z]/s/^    image: //p" infra/compose.yaml; }

# Builds command $2 of version $3 as .cache/bin/$1, unless it is there. Not by `go install`, which takes no module that replaces others.
build() {
  [ ! -x ".cache/bin/$1" ] || return 0
  echo "Building $2@$3"
  mkdir -p .cache/bin "$root/$1"
  (cd "$root/$1" && go mod init rondo/watchers && go get -tool "$2@$3" && go build -ldflags='-s -w' -o built "$2") 2>"$root/log" ||
    { cat "$root/log"; exit 1; }
  mv "$root/$1/built" ".cache/bin/$1"
}

# Makes the image of service $1 of the files below $2, started as $3.
import() {
  mkdir -p "$2/tmp"
  chmod 1777 "$2/tmp"
  tar -C "$2" -c . | docker import --change "ENTRYPOINT [\"$3\"]" - "$(image_of "$1")" >/dev/null
  echo "made $(image_of "$1")"
}

there() { docker image inspect "$(image_of "$1")" >/dev/null 2>&1; }

if ! there nats; then
  make nats-server
  # Its probe in infra/compose.yaml is a wget.
  (cd "$root" && apt-get download -q busybox-static >/dev/null)
  dpkg-deb --extract "$root"/busybox-static*.deb "$root/busybox"
  mkdir -p "$root/nats/usr/bin"
  cp .cache/bin/nats-server "$root/nats/"
  cp "$root/busybox/bin/busybox" "$root/nats/usr/bin/wget"
  import nats "$root/nats" /nats-server
fi
if ! there otel-collector; then
  make .cache/bin/otelcol
  mkdir -p "$root/collector"
  cp .cache/bin/otelcol "$root/collector/"
  import otel-collector "$root/collector" /otelcol
fi
if ! there jaeger; then
  # Version 2.13 under the number that its module has.
  build jaeger github.com/jaegertracing/jaeger/cmd/jaeger v1.76.0
  mkdir -p "$root/jaeger-image"
  cp .cache/bin/jaeger "$root/jaeger-image/"
  import jaeger "$root/jaeger-image" /jaeger
fi
if ! there prometheus; then
  # Version 3.5.0, likewise.
  build prometheus github.com/prometheus/prometheus/cmd/prometheus v0.305.0
  mkdir -p "$root/prometheus-image/prometheus"
  cp .cache/bin/prometheus "$root/prometheus-image/bin-prometheus"
  import prometheus "$root/prometheus-image" /bin-prometheus
fi
