#!/usr/bin/env bash
# Gets ready what tests in containers need, without a registry: a Docker engine (Debian's, when we are root and there is
# none; its process id is left in .cache/dockerd.pid), and images made of what is at hand. Says in one line what is
# missing; those tests then skip.
set -eu -o pipefail
cd "$(dirname "$0")/../.."

missing() {
  echo "no containers: $1"
  exit 0
}

engine() { timeout 10 docker info >/dev/null 2>&1; }

present() { command -v dockerd >/dev/null && command -v docker >/dev/null; }

install_engine() {
  export DEBIAN_FRONTEND=noninteractive
  timeout 120 apt-get update || return
  # Newer releases have the client in a package of its own.
  client=$(apt-cache pkgnames docker-cli | grep -x docker-cli || true)
  # shellcheck disable=SC2086 # the client is a word or none
  timeout 240 apt-get install -y --no-install-recommends docker.io iptables $client
}

mkdir -p .cache
if ! engine; then
  [ "$(id -u)" = 0 ] || missing 'no Docker engine answers, and only root could start one'
  if ! present; then
    command -v apt-get >/dev/null || missing 'there is no Docker engine, nor apt-get to install one'
    install_engine >.cache/docker-install.log 2>&1 || missing 'docker.io could not be installed'
    present || missing 'docker.io was installed, but docker and dockerd are not on PATH'
  fi
  for options in '' '--storage-driver=vfs' '--storage-driver=vfs --iptables=false --ip6tables=false'; do
    # shellcheck disable=SC2086 # options are words
    nohup dockerd $options >.cache/dockerd.log 2>&1 &
    daemon=$!
    echo "$daemon" >.cache/dockerd.pid
    for _ in $(seq 40); do
      engine && break 2
      kill -0 "$daemon" 2>/dev/null || break
      sleep 0.5
    done
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
    rm -f .cache/dockerd.pid
  done
  engine || missing "dockerd does not start here: $(tail -n 1 .cache/dockerd.log)"
fi

node=$(command -v ./.node/bin/node || command -v node)
nats=$("$node" --eval "import('./integration-tests/nats-server.ts').then((found) => console.log(found.NATS_SERVER ?? ''))")
[ -n "$nats" ] || missing 'there is no nats-server from 2.11 on, nor Go to build one'
nats=$(command -v "$nats")

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# The shared libraries of binaries $2…, into the root file system $1.
add_libraries() {
  into=$1
  shift
  for binary in "$@"; do ldd "$binary" 2>/dev/null || true; done |
    sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^\t\(\/[^ ]*\) (.*/\1/p' | sort -u |
    while read -r library; do cp -L --parents "$library" "$into/"; done
}

# Makes the image $1 of the root file system $2, with instructions $3…; the one of before goes, unless it is in use.
import_image() {
  before=$(docker image inspect --format '{{.Id}}' "$1" 2>/dev/null || true)
  changes=()
  for change in "${@:3}"; do changes+=(--change "$change"); done
  tar -C "$2" -c . | docker import "${changes[@]}" - "$1" >/dev/null
  [ -z "$before" ] || docker rmi "$before" >/dev/null 2>&1 || true
}

# NATS is one file, static when we have built it.
mkdir -p "$root/nats/tmp"
cp -L "$nats" "$root/nats/nats-server"
add_libraries "$root/nats" "$nats"
import_image rondo-test/nats "$root/nats" 'ENTRYPOINT ["/nats-server"]'

# Rondo is this directory, mounted; its image is Node with the shared libraries of Node and of ONNX Runtime.
mkdir -p "$root/node/usr/bin" "$root/node/etc" "$root/node/tmp"
cp -L "$node" "$root/node/usr/bin/node"
add_libraries "$root/node" "$node" node_modules/onnxruntime-node/bin/napi-v*/linux/*/libonnxruntime.so*
libc=$(ldd "$node" | sed -n 's/.*libc\.so\.6 => \(\/[^ ]*\).*/\1/p')
for library in libnss_dns.so.2 libnss_files.so.2; do
  library=$(dirname "$libc")/$library
  [ ! -f "$library" ] || cp -L --parents "$library" "$root/node/"
done
printf 'hosts: files dns\n' >"$root/node/etc/nsswitch.conf"
import_image rondo-test/node "$root/node" 'ENTRYPOINT ["/usr/bin/node", "/rondo/services/cli/main.ts"]' \
  'ENV NODE_COMPILE_CACHE=/tmp/compile'

# Rondo's own images, of bases made of the distribution's packages.
if command -v apt-get >/dev/null && command -v npm >/dev/null; then
  images() {
    timeout 120 make image-bases && timeout 400 make images IMAGES='coordinator worker lab worker-gpu' \
      BUILD_IMAGE=rondo-base/build BASE_IMAGE=rondo-base/run BASE_GPU_IMAGE=rondo-base/gpu ONNXRUNTIME_NODE_INSTALL=skip
  }
  images >.cache/images.log 2>&1 || missing "Rondo's images could not be built: $(tail -n 1 .cache/images.log)"
else
  missing "Rondo's images need Debian's packages and npm to be built without a registry"
fi
echo 'containers: ready'
