"""Runs the image with as little as it may be given, and says what it took.

python tests/container/check.py IMAGE podman [podman's options ...]
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parents[2] / "docs" / "sample"
#: Nobody's, and not the image's own either.
UID = 54321
PORT = 8123
LIMITS = (
    "--network=none --read-only --read-only-tmpfs=false --cap-drop=all "
    f"--security-opt=no-new-privileges --memory=256m --cpus=1 --user={UID}:{UID} "
    "--ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024"  # podman asks for more than CI allows
).split()
CLONE_NEWNET = 0x40000000


class Image:
    """The image, and how podman is called here."""

    def __init__(self, name: str, podman: list[str]) -> None:
        self.name, self.command = name, podman

    def podman(self, *words: object, shown: bool = False) -> str:
        """What podman prints; raises ``CalledProcessError``, with what went wrong shown."""
        command = [*self.command, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if shown or done.returncode:
            sys.stderr.write(done.stdout + done.stderr)
        done.check_returncode()
        return (done.stdout + done.stderr if words[0] == "logs" else done.stdout).strip()

    def flowers(self, *words: object, mount: str) -> str:
        """What a command of the image prints."""
        return self.podman(
            "run", "--rm", "--no-healthcheck", *LIMITS, "-v", mount, self.name, *words
        )

    def inspect(self, container: str, field: str) -> str:
        return self.podman("inspect", "--format", f"{{{{{field}}}}}", container)


@contextmanager
def network_of(pid: int) -> Iterator[None]:
    """Sockets made meanwhile are the container's, which nothing outside can reach."""
    setns = ctypes.CDLL(None, use_errno=True).setns

    def enter(namespace: int) -> None:
        if setns(namespace, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    other = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        enter(other)
        yield
    finally:
        enter(own)
        os.close(own)
        os.close(other)


def ask(method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    """The status and the body of an answer."""
    connection = HTTPConnection("127.0.0.1", PORT, timeout=10)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, json.loads(data) if "json" in answer.headers["content-type"] else data


def wait_for(path: str, since: float) -> float:
    """Seconds since ``since`` until ``path`` answers 200."""
    while time.monotonic() < since + 30:
        try:
            if ask("GET", path)[0] == 200:
                return time.monotonic() - since
        except OSError:
            pass
        time.sleep(0.01)
    raise AssertionError(f"{path} never answered 200")


def megabytes(pid: int, field: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (kilobytes,) = re.findall(rf"{field}:\s+(\d+) kB", status)
    return int(kilobytes) / 1024


def seconds_without_cpu(pid: int) -> float:
    """How long the process could have run and had no CPU: a busy machine's fault."""
    _, nanoseconds, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(nanoseconds) / 1e9


def check_commands(image: Image) -> None:
    """What else the image is for."""
    photos = f"{SAMPLE}:/photos:ro"
    print(image.flowers("--version", mount=photos))
    assert "dahlia" in image.flowers("classify", "/photos/dahlia.jpg", mount=photos)
    assert "gs://" in image.flowers("batch", "--help", mount=photos)


def check_serve(image: Image, keys: Path, key: str) -> float:
    """Start, answer, keep still, stop.

    Returns after how many seconds it answered, without those in which others had the CPU.
    """
    # As the image does by itself: on all addresses, with the keys of its mount.
    start = time.monotonic()
    container = image.podman(
        *("run", "--detach", *LIMITS, "--env", f"PORT={PORT}"),
        *("--volume", f"{keys}:/etc/flowers/keys:ro", image.name),
    )
    try:
        pid = int(image.inspect(container, ".State.Pid"))
        with network_of(pid):
            alive = wait_for("/livez", start)
            waited = seconds_without_cpu(pid)
            ready = wait_for("/readyz", start)
            half = ask_for_answers(key)
        image.podman("healthcheck", "run", container)
        memory = megabytes(pid, "VmHWM")
        # Podman itself changes folders in which it mounts something.
        changes = image.podman("diff", container).splitlines()
        written = [line for line in changes if not line.startswith("C ")]
        written += os.listdir(f"/proc/{pid}/root/dev/shm")
        stop = time.monotonic()
        image.podman("stop", "--time", 15, container)
        stopped = time.monotonic() - stop
        half.close()
        code = image.inspect(container, ".State.ExitCode")
        print(f"/livez after {alive:.2f} s, {waited:.2f} of them without a CPU; ", end="")
        print(f"/readyz after {ready:.2f} s; at most {memory:.0f} MB; ", end="")
        print(f"stopped within {stopped:.1f} s with exit code {code}")
        assert code == "0"
        assert stopped < 10
        assert not written, written
    except BaseException:
        image.podman("logs", container, shown=True)
        raise
    assert key not in image.podman("logs", container), "the key is in the log"
    return alive - waited


def ask_for_answers(key: str) -> HTTPConnection:
    """Ask as a stranger and with a key; returns an upload that never ends."""
    photo = (SAMPLE / "dahlia.jpg").read_bytes()
    assert ask("POST", "/v1/classify", photo)[0] == 401
    for _ in range(20):
        status, answer = ask("POST", "/v1/classify", photo, Authorization=f"Bearer {key}")
        assert (status, answer["class_id"]) == (200, 60), answer
    half = HTTPConnection("127.0.0.1", PORT, timeout=10)
    half.putrequest("POST", "/v1/classify")
    half.putheader("Authorization", f"Bearer {key}")
    half.putheader("Content-Length", str(len(photo)))
    half.endheaders(photo[:1000])
    return half


def main() -> None:
    image = Image(sys.argv[1], sys.argv[2:])
    check_commands(image)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        keys = Path(folder, "keys")
        keys.mkdir()
        os.chown(keys, UID, UID)
        place = ("--keys", "/etc/flowers/keys/keys.json")
        made = image.flowers("keys", "add", "ci", *place, mount=f"{keys}:/etc/flowers/keys")
        (key,) = re.findall(r"\bflw_\w+", made)
        # Podman, too, may have to wait for a CPU once, not three times.
        assert any(check_serve(image, keys, key) < 2 for _ in range(3)), "it took 2 s to answer"


if __name__ == "__main__":
    main()
