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

    def podman(self, *words: object) -> str:
        """What podman prints; raises ``CalledProcessError``, with what went wrong shown."""
        command = [*self.command, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.stderr.write(done.stdout + done.stderr)
            done.check_returncode()
        return done.stdout.strip()

    def flowers(self, *words: object, mount: str) -> str:
        """What a command of the image prints."""
        return self.podman("run", "--rm", "--no-healthcheck", *LIMITS, "-v", mount, self.name, *words)

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


def check_commands(image: Image, folder: Path) -> None:
    """What else the image is for."""
    shared = f"{SAMPLE}:/photos:ro"
    print(image.flowers("--version", mount=shared))
    assert "dahlia" in image.flowers("classify", "/photos/dahlia.jpg", mount=shared)
    assert "gs://" in image.flowers("batch", "--help", mount=shared)


def check_serve(image: Image, folder: Path) -> None:
    """Start, answer, keep still, stop."""
    keys = folder / "keys"
    keys.mkdir()
    os.chown(keys, UID, UID)
    made = image.flowers("keys", "add", "ci", "--keys", "/etc/flowers/keys/keys.json",
                         mount=f"{keys}:/etc/flowers/keys")  # fmt: skip
    (key,) = re.findall(r"\bflw_\w+", made)

    start = time.monotonic()
    container = image.podman(
        "run", "--detach", *LIMITS, "-e", f"PORT={PORT}", "-v", f"{keys}:/etc/flowers/keys:ro", image.name
    )
    pid = int(image.inspect(container, ".State.Pid"))
    try:
        with network_of(pid):
            alive = wait_for("/livez", start)
            ready = wait_for("/readyz", start)
            photo = (SAMPLE / "dahlia.jpg").read_bytes()
            assert ask("POST", "/v1/classify", photo)[0] == 401
            for _ in range(20):
                status, answer = ask("POST", "/v1/classify", photo, Authorization=f"Bearer {key}")
                assert status == 200, answer
            assert "dahlia" in json.dumps(answer)
            # One that never sends its body's end must not hold up the stop.
            half = HTTPConnection("127.0.0.1", PORT, timeout=10)
            half.putrequest("POST", "/v1/classify")
            half.putheader("Authorization", f"Bearer {key}")
            half.putheader("Content-Length", str(len(photo)))
            half.endheaders(photo[:1000])
        image.podman("healthcheck", "run", container)
        memory = megabytes(pid, "VmHWM")
        written = image.podman("diff", container)
        stop = time.monotonic()
        image.podman("stop", "--time", 15, container)
        stopped = time.monotonic() - stop
        code = image.inspect(container, ".State.ExitCode")
        print(
            f"/livez after {alive:.2f} s, /readyz after {ready:.2f} s, "
            f"at most {memory:.0f} MB, stopped within {stopped:.1f} s"
        )
        assert alive < 2, "the image must answer within 2 s"
        assert code == "0", f"exit code {code}"
        assert stopped < 10
        assert not written, written
    finally:
        sys.stdout.flush()
        log = subprocess.run(
            [*image.command, "logs", container], capture_output=True, text=True, check=False
        )
        if sys.exc_info()[0]:
            sys.stderr.write(log.stdout + log.stderr)
        assert key not in log.stdout + log.stderr, "the key is in the log"


def main() -> None:
    image = Image(sys.argv[1], sys.argv[2:])
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        check_commands(image, Path(folder))
        check_serve(image, Path(folder))


if __name__ == "__main__":
    main()
