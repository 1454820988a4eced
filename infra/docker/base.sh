#!/usr/bin/env bash
# Makes the images' bases without a registry: rondo-base/run holds what node needs, from the distribution's packages, and
# node itself; rondo-base/build has npm and this machine's certificate authorities beside it, rondo-base/gpu a Vulkan loader and
# no CUDA. No shell in any.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
NPM_VERSION=11.6.4
NOBODY=65532

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
run=$root/run build=$root/build gpu=$root/gpu
mkdir -p "$run" "$build" "$gpu"

# Unpacks the distribution's packages $2… into the root file system $1.
unpack() {
  into=$1
  shift
  packages=$(mktemp -d -p "$root")
  # apt fetches as a user of its own, who may not write here.
  chmod 777 "$packages"
  (cd "$packages" && apt-get download -q "$@" >/dev/null)
  # What is in it, where scanners of images without dpkg look.
  mkdir -p "$into/var/lib/dpkg/status.d"
  for package in "$packages"/*.deb; do
    dpkg-deb --extract "$package" "$into"
    dpkg-deb --field "$package" >"$into/var/lib/dpkg/status.d/$(dpkg-deb --field "$package" Package)"
  done
  rm -rf "$into"/usr/share/{doc,man,locale,bug,lintian}
}

unpack "$run" base-files libc6 libgcc-s1 libstdc++6 libatomic1 tzdata

mkdir -p "$run/usr/local/bin" "$run/etc" "$run/tmp"
chmod 1777 "$run/tmp"
cp -L "$(PATH=$PWD/.node/bin:$PATH command -v node)" "$run/usr/local/bin/node"
printf 'root:x:0:0:root:/root:/none\nnonroot:x:%s:%s:nonroot:/tmp:/none\n' $NOBODY $NOBODY >"$run/etc/passwd"
printf 'root:x:0:\nnonroot:x:%s:\n' $NOBODY >"$run/etc/group"
printf 'hosts: files dns\n' >"$run/etc/nsswitch.conf"

npm install --prefix "$build/usr/local/lib" --no-save --no-audit --no-fund --loglevel=error npm@$NPM_VERSION
authorities=${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}
mkdir -p "$build/etc/ssl/certs"
[ ! -f "$authorities" ] || cp -L "$authorities" "$build/etc/ssl/certs/ca-certificates.crt"

path='ENV PATH=/usr/local/bin:/usr/bin'
tar -C "$run" -c . | docker import --change "$path" - rondo-base/run >/dev/null

# As images of CUDA it has no node.
cp -a "$run/." "$gpu/"
rm "$gpu/usr/local/bin/node"
unpack "$gpu" libvulkan1 libx11-6 libxext6 libxcb1 libxau6 libxdmcp6 libbsd0 libmd0
tar -C "$gpu" -c . | docker import --change "$path" - rondo-base/gpu >/dev/null

cp -a "$run/." "$build/"
tar -C "$build" -c . |
  docker import --change "$path" --change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' - \
    rondo-base/build >/dev/null
