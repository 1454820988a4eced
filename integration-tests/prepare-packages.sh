#!/usr/bin/env bash
# Gets the distribution's Prometheus (with promtool) and Chromium, which some tests run when they are there. Says in one line
# what is missing; those tests then skip.
set -eu -o pipefail
cd "$(dirname "$0")/.."

missing() {
  echo "no $wanted: $1"
  exit 0
}

wanted=
command -v promtool >/dev/null && command -v prometheus >/dev/null || wanted=prometheus
command -v chromium >/dev/null || wanted="$wanted chromium"
# Chromium brings a Vulkan device in software, which needs the loader.
ldconfig -p | grep -q libvulkan.so.1 || wanted="$wanted libvulkan1"
[ -n "$wanted" ] || exit 0
[ "$(id -u)" = 0 ] || missing 'only root could install it'
command -v apt-get >/dev/null || missing 'there is no apt-get to install it'

install() {
  export DEBIAN_FRONTEND=noninteractive
  timeout 120 apt-get update || return
  # One at a time: a browser that cannot be had is no reason to go without Prometheus.
  for package in $wanted; do
    timeout 240 apt-get install -y --no-install-recommends "$package" || true
  done
}

# Prometheus' package would start a server of its own.
mkdir -p .cache
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
install >.cache/packages-install.log 2>&1 || missing 'apt-get update fails'
for package in $wanted; do
  dpkg -s "$package" >/dev/null 2>&1 || { wanted=$package; missing "apt-get cannot install it: see .cache/packages-install.log"; }
done
