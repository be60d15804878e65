#!/usr/bin/env bash
# Builds the Dockerfile's image without Docker and without a registry, and runs it as the cloud
# would: read-only, without a network, without a capability, as any user, 256 MB, one CPU.
#
# Usage, as root: tests/container/build_and_run.sh [PYTHON]
# PYTHON's pip fetches the wheels by the machine's own settings (index, proxy, certificate), which
# so stay out of the build. What is missing is said, and then nothing is done.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${1:-python3}

skip() { echo "container: skipped, it needs $1" && exit 0; }
[ "$(id -u)" = 0 ] || skip root
for tool in mmdebstrap podman buildah runc; do
    command -v $tool >/dev/null || skip $tool
done

work=$(mktemp -d)
# A store of its own: the machine's images and containers are neither seen nor changed.
store=(--root "$work/store" --runroot "$work/runroot")
# Debian's crun wants more of a machine than CI has; systemd isn't there either.
podman=(podman "${store[@]}" --runtime "$(command -v runc)" --cgroup-manager cgroupfs)
cleanup() {
    "${podman[@]}" rm --all --force >/dev/null 2>&1 || true
    umount "$work/store/overlay" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
say() { printf 'container: %s (%ss)\n' "$1" "$SECONDS"; }

# Docker's official image can't be had everywhere: a Debian with the same Python stands in for it,
# under its name, so that the Dockerfile is built as it is.
base=$(sed -n 's/^FROM \(.*\) AS build$/\1/p' Dockerfile)
extras=$(sed -n 's/^ARG EXTRAS=//p' Dockerfile)
say "wheels, and a Debian in place of $base"
"$python" -m pip download --quiet --quiet --quiet --dest "$work/wheels" --python-version 3.11 \
    --only-binary :all: hatchling ".[$extras]" &
wheels=$!
mmdebstrap --quiet --variant=minbase \
    --include=python3,python3-venv,python-is-python3,ca-certificates \
    bookworm "$work/base.tar" 2>"$work/log" || { tail -3 "$work/log" && skip "a Debian mirror"; }
"${podman[@]}" import --quiet "$work/base.tar" "localhost/$base" >/dev/null 2>&1
wait $wheels

say "image"
printf '[global]\nno-index = true\nfind-links = /wheels\n' >"$work/pip.conf"
buildah "${store[@]}" bud --pull-never --isolation chroot --format docker \
    --volume "$work/wheels:/wheels:ro" --volume "$work/pip.conf:/etc/pip.conf:ro" \
    --tag localhost/flowers . >"$work/log" 2>&1 || { tail -30 "$work/log" && exit 1; }

say "runs"
"$python" tests/container/check.py localhost/flowers "${podman[@]}"
say "all passed"
