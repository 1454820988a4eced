#!/usr/bin/env bash
# Gets ready what tests in containers need, without a registry: a Docker engine (Debian's, when we are root and there is
# none), and two images made of what is at hand. Says in one line what is missing; those tests then skip.
set -eu -o pipefail
cd "$(dirname "$0")/../.."

missing() {
  echo "no containers: $1"
  exit 0
}

engine() { timeout 10 docker info >/dev/null 2>&1; }

mkdir -p .cache
if ! engine; then
  [ "$(id -u)" = 0 ] || missing 'no Docker engine answers, and only root could start one'
  if ! command -v dockerd >/dev/null; then
    command -v apt-get >/dev/null || missing 'there is no dockerd, nor apt-get to install it'
    export DEBIAN_FRONTEND=noninteractive
    (timeout 120 apt-get update && timeout 240 apt-get install -y --no-install-recommends docker.io iptables) \
      >.cache/docker-install.log 2>&1 || missing 'docker.io could not be installed'
  fi
  for options in '' '--storage-driver=vfs' '--storage-driver=vfs --iptables=false --ip6tables=false'; do
    # shellcheck disable=SC2086 # options are words
    nohup dockerd $options >.cache/dockerd.log 2>&1 &
    daemon=$!
    for _ in $(seq 40); do
      engine && break 2
      kill -0 "$daemon" 2>/dev/null || break
      sleep 0.5
    done
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  done
  engine || missing "dockerd does not start here: $(tail -n 1 .cache/dockerd.log)"
fi

[ -x .cache/bin/nats-server ] || missing 'there is no .cache/bin/nats-server (make nats-server)'
node=$(command -v ./.node/bin/node || command -v node)

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# An image of before would stay without a name.
docker rmi --force rondo-test/nats rondo-test/node >/dev/null 2>&1 || true

# NATS is one static file.
mkdir -p "$root/nats/tmp"
cp .cache/bin/nats-server "$root/nats/"
tar -C "$root/nats" -c . | docker import -c 'ENTRYPOINT ["/nats-server"]' - rondo-test/nats >/dev/null

# Rondo is this directory, mounted; its image is Node with the shared libraries of Node and of ONNX Runtime.
mkdir -p "$root/node/usr/bin" "$root/node/etc" "$root/node/tmp"
cp "$node" "$root/node/usr/bin/node"
libraries=$(ldd "$node" node_modules/onnxruntime-node/bin/napi-v*/linux/x64/libonnxruntime.so* 2>/dev/null |
  sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^\t\(\/[^ ]*\) (.*/\1/p' | sort -u)
for library in $libraries /lib/x86_64-linux-gnu/libnss_dns.so.2 /lib/x86_64-linux-gnu/libnss_files.so.2; do
  [ ! -f "$library" ] || cp -L --parents "$library" "$root/node/"
done
printf 'hosts: files dns\n' >"$root/node/etc/nsswitch.conf"
tar -C "$root/node" -c . | docker import -c 'ENTRYPOINT ["/usr/bin/node", "/rondo/services/cli/main.ts"]' \
  -c 'ENV NODE_COMPILE_CACHE=/tmp/compile' - rondo-test/node >/dev/null
echo 'containers: ready'
