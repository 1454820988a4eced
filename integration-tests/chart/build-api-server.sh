#!/usr/bin/env bash
# Builds kube-apiserver $1 and the etcd of its own module list with Go, into .cache/bin. Kubernetes' modules refer to each other by
# paths of one repository; here they are taken as they are published, under v0.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
version=$1

mkdir -p .cache/bin
building=$(mktemp -d -p "$PWD/.cache/bin")
trap 'rm -rf "$building"' EXIT
out=$PWD/.cache/bin
cd "$building"
export CGO_ENABLED=0 GOFLAGS='-mod=mod -trimpath' GOTOOLCHAIN=local GOWORK=off
list=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
sed -e 's#^module .*#module rondo/kube-apiserver#' \
  -e "s#=> \./staging/src/\(k8s\.io/[a-z-]*\)#=> \1 v0.${version#1.}#" "$list" >go.mod
echo "require k8s.io/kubernetes v$version" >>go.mod
flags='-s -w'
go build -ldflags="$flags -X k8s.io/component-base/version.gitVersion=v$version" -o . k8s.io/kubernetes/cmd/kube-apiserver
go build -ldflags="$flags" -o etcd go.etcd.io/etcd/server/v3
mv kube-apiserver etcd "$out/"
