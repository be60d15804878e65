"""What the fake storage servers share."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Fake:
    """A server that speaks the protocol of an object storage.

    ``env`` is what a child process needs in its environment to be sent there.
    """

    scheme: str
    url: str
    env: Mapping[str, str]

    def uri(self, bucket: str, name: str = "") -> str:
        return f"{self.scheme}://{bucket}/{name}"

    @property
    def headers(self) -> dict[str, str]:
        """What identifies us to the server."""
        return {}

    def create(self, bucket: str) -> None:
        raise NotImplementedError

    def path(self, bucket: str, name: str) -> str:
        """Where an object is in the server's URL."""
        raise NotImplementedError

    def put(self, bucket: str, name: str, content: bytes) -> None:
        raise NotImplementedError

    def load(self, bucket: str, folder: str | Path, prefix: str = "") -> int:
        """Put all files of a folder, under their relative names; returns how many."""
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        for path in files:
            self.put(bucket, prefix + path.relative_to(folder).as_posix(), path.read_bytes())
        return len(files)

    def delete(self, bucket: str, name: str) -> None:
        self.request("DELETE", self.path(bucket, name))

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Without any client library, so that tests don't check a library with itself."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, self.headers)
            response = connection.getresponse()
            content: bytes = response.read()
        assert response.status < 300, (method, path, response.status, content)
        return content


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextlib.contextmanager
def running(command: Sequence[str | Path], port: int, env: Mapping[str, str]) -> Iterator[None]:
    """A server process, from when it listens to when the block ends."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # a pipe that nobody reads would stop it
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{command[0]} doesn't listen"
            time.sleep(0.05)
        yield
    finally:
        process.kill()  # it has nothing to save, and might wait for its clients
        process.wait(10)
