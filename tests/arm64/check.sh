#!/usr/bin/env bash
# Run the program and its tests on emulated arm64 processors and compare its answers with
# tests/answers.json.
#
#     tests/arm64/check.sh [DATA]
#
# DATA is the data set of the reference; without it the sample photo and the drawings are
# classified. Exit 1 when an answer differs or a test fails. Environment:
#
#     WORK     where the root file system is kept for the next time (~/.cache/flowers-arm64)
#     PYTHON   an interpreter with the program's packages: arm64 gets the same versions (python3)
#     CPUS     processors to emulate ("cortex-a72 cortex-a76": Raspberry Pi 4 and 5, Neon without
#              and with dot products)
#     TESTS    1 to run the main tests there as well (2 minutes a processor)
#
# Needs Linux 6.7 or later (binary formats in a user namespace) and, on Debian,
# apt install mmdebstrap qemu-user-static. Needs no root, and leaves the system as it was. The
# first run without DATA on one processor takes a minute of CPU time, a photo about a second.
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
data=${1:+$(realpath "$1")}
work=${WORK:-$HOME/.cache/flowers-arm64}
python=${PYTHON:-python3}
root=$work/root
packages=usr/local/lib/python3.11/dist-packages # where Debian 12's Python looks

fail() { echo "check.sh: $1" >&2 && exit 1; }

for tool in mmdebstrap qemu-aarch64-static unshare; do
    command -v "$tool" >/dev/null || fail "no $tool here (apt install mmdebstrap qemu-user-static util-linux)"
done
"$python" -c 'import flowers_onnx, onnxruntime' 2>/dev/null || fail "$python has no flowers-onnx (set PYTHON)"
versions=$("$python" -c 'from importlib.metadata import version
print(*(f"{n}=={version(n)}" for n in "onnxruntime numpy pillow fire pytest hypothesis".split()))')

make_root() {
    echo "root file system: Debian 12 arm64 in $root" >&2
    rm -rf "$root" "$work/ready"
    mkdir -p "$root"
    # Packages are unpacked, not configured: nothing has to run. tar sets the owner to whoever we are.
    mmdebstrap --quiet --mode=chrootless --variant=extract --architectures=arm64 --include=python3,libstdc++6,coreutils,dash \
        bookworm - http://deb.debian.org/debian | tar -x -C "$root" --no-same-owner --exclude='./dev/*'
    # shellcheck disable=SC2086  # several requirements
    "$python" -m pip install --quiet --no-compile --target "$root/$packages" --only-binary=:all: \
        --python-version 3.11 --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
        --platform manylinux_2_17_aarch64 $versions
    mkdir -p "$root"/{proc,sys,dev,repo,data}
    echo "$versions" >"$work/ready"
}

install_program() {
    rm -rf "$root/$packages"/flowers_onnx* "$work/wheel"
    "$python" -m pip wheel --quiet --no-deps --wheel-dir "$work/wheel" "$repo"
    "$python" -m pip install --quiet --no-deps --no-compile --upgrade --target "$root/$packages" "$work"/wheel/*.whl
    # pip wrote the path of its own interpreter; tests look for the command beside Python's.
    sed '1s|.*|#!/usr/bin/python3|' "$root/$packages/bin/flowers" >"$root/usr/bin/flowers"
    chmod +x "$root/usr/bin/flowers"
}

# What Linux says on such a processor; qemu-user shows this machine's, where onnxruntime's
# detection stumbles.
cpuinfo() {
    local features="fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid" part
    case $1 in
        cortex-a72) part=0xd08 ;;
        cortex-a76) part=0xd0b features+=" atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp" ;;
        *) fail "no /proc/cpuinfo for $1 in this script" ;;
    esac
    for processor in $(seq 0 $(($(nproc --all) - 1))); do
        printf '%s\t: %s\n' processor "$processor" Features "$features" 'CPU implementer' 0x41 \
            'CPU architecture' 8 'CPU variant' 0x1 'CPU part' "$part" 'CPU revision' 1
        echo
    done
}

# inside CPU COMMAND...: run a command of the root file system, the checkout in /repo.
inside() {
    cpuinfo "$1" >"$work/cpuinfo"
    # shellcheck disable=SC2016  # for the inner shell
    unshare --user --map-root-user --mount bash -euc '
        work=$1 repo=$2 data=$3 cpu=$4 root=$1/root formats=/proc/sys/fs/binfmt_misc
        shift 4
        # An instance of our own: nothing is registered on the system.
        mount -t binfmt_misc none $formats
        magic="\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
        mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
        echo ":aarch64:M::$magic:$mask:$(command -v qemu-aarch64-static):POCF" >$formats/register
        for folder in proc sys dev; do mount --rbind /$folder "$root/$folder"; done
        mount --bind "$work/cpuinfo" "$root/proc/cpuinfo"
        mount --bind "$repo" "$root/repo" && mount -o remount,bind,ro "$root/repo"
        [ -z "$data" ] || mount --bind "$data" "$root/data"
        cd "$root"
        exec env -i PATH=/usr/bin:/bin HOME=/tmp QEMU_CPU="$cpu" PYTHONDONTWRITEBYTECODE=1 \
            "$(command -v chroot)" "$root" "$@"
    ' enter "$work" "$repo" "$data" "$@"
}

[ "$(cat "$work/ready" 2>/dev/null)" = "$versions" ] || make_root
install_program
pictures=$root/tmp/pictures
rm -rf "$pictures"
"$python" "$repo/export/answers.py" pictures "$pictures" ${data:+"$data"}
failed=0
for cpu in ${CPUS:-cortex-a72 cortex-a76}; do
    echo "== $cpu: flowers classify, $(find "$pictures" -type f | wc -l) pictures"
    inside "$cpu" flowers --version
    inside "$cpu" flowers classify /tmp/pictures --top_k 1000 --format jsonl --threads 2 >"$work/$cpu.jsonl"
    "$python" "$repo/export/answers.py" check ${data:+"$data"} --records "$work/$cpu.jsonl" || failed=1
    echo "== $cpu: standard input and exit codes"
    inside "$cpu" flowers classify - <"$repo/docs/sample/dahlia.jpg"
    inside "$cpu" flowers classify /repo/README.md >/dev/null && fail "a text file is no photo"
    [ $? = 1 ] || failed=1
    if [ "${TESTS:-0}" = 1 ]; then
        inside "$cpu" python3 -m pytest -q -p no:cacheprovider --rootdir /repo -c /repo/pyproject.toml \
            /repo/tests/test_answers.py /repo/tests/test_api.py /repo/tests/test_metadata.py || failed=1
    fi
done
exit $failed
