#!/usr/bin/env bash
# Fetches the JSON schemas of the Kubernetes versions that the chart supports into .cache/kubernetes/$1: data of the Python
# package kubernetes-validate, pinned by digest. Nothing of it is run.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
WHEEL='kubernetes-validate==1.37.0 --hash=sha256:85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9'

mkdir -p .cache/kubernetes
scratch=$(mktemp -d -p .cache/kubernetes)
trap 'rm -rf "$scratch"' EXIT
echo "$WHEEL" >"$scratch/requirements.txt"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
  --dest "$scratch" --requirement "$scratch/requirements.txt"
python3 - "$scratch" <<'PYTHON'
import glob, sys, zipfile

scratch = sys.argv[1]
[wheel] = glob.glob(f"{scratch}/*.whl")
with zipfile.ZipFile(wheel) as package:
    for version in ["1.31", "1.32", "1.33", "1.34"]:
        path = f"kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict/_definitions.json"
        with open(f"{scratch}/{version}.json", "wb") as out:
            out.write(package.read(path))
PYTHON
rm "$scratch"/*.whl "$scratch/requirements.txt"
rm -rf ".cache/kubernetes/$1"
mv "$scratch" ".cache/kubernetes/$1"
chmod 755 ".cache/kubernetes/$1"
