"""A running ``flowers serve`` and what it costs; for tests/serve and tests/bench/serve."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fakes.server import free_port

FLOWERS = Path(sys.executable).with_name("flowers")
#: In seconds; only what hangs takes longer, on any machine.
PATIENCE = 120
CLASSIFY = "/v1/classify"


class Memory(NamedTuple):
    """In MB; ``pss`` counts what processes share once."""

    pss: float
    rss: float


class Reply(NamedTuple):
    """An answer; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass
class Server:
    """A server process of this machine, and whatever it has started."""

    process: subprocess.Popen[bytes]
    port: int
    #: Its TMPDIR, and where its stdout and stderr go.
    folder: Path
    host: str = "127.0.0.1"
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = f"http://{self.host}:{self.port}"

    # What it says

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            return _reply(connection.getresponse())

    def classify(self, body: bytes, query: str = "", **headers: str) -> Reply:
        """``POST`` a photo; ``idempotency_key="x"`` is the header ``Idempotency-Key``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        path = f"{CLASSIFY}?{query}" if query else CLASSIFY
        return self.ask("POST", path, body, {"content-type": "image/jpeg", **named})

    def connect(self) -> socket.socket:
        """A connection for what no HTTP library would send."""
        return socket.create_connection((self.host, self.port), PATIENCE)

    def raw(self, data: bytes, method: str = "POST") -> Reply | None:
        """The first answer to these bytes; None if the connection ends, or is cut, without one."""
        with self.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)
            return read_reply(connection, method)

    @property
    def stdout(self) -> str:
        """What it has written so far."""
        return (self.folder / "stdout").read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What it has written so far."""
        return (self.folder / "stderr").read_text(errors="replace")

    # What it costs

    def cpu(self) -> float:
        """Seconds of CPU, of all threads of all processes, those that have ended included."""
        return sum(_cpu_seconds(pid) for pid in self.pids())

    def memory(self) -> Memory:
        """Of all processes together."""
        found = [_memory(pid) for pid in self.pids()]
        return Memory(sum(m.pss for m in found), sum(m.rss for m in found))

    def descriptors(self) -> int:
        """Open files and sockets of all processes."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids())

    def temporary_files(self) -> int:
        """Files in its TMPDIR, and those that are open and deleted."""
        named = sum(len(files) for _, _, files in os.walk(self.folder / "tmp"))
        return named + sum(_deleted(pid) for pid in self.pids())

    def pids(self) -> list[int]:
        """The process and its descendants."""
        found, unread = list[int](), [self.process.pid]
        while unread:
            pid = unread.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    children = Path(f"/proc/{pid}/task/{task}/children").read_text()
                    unread += map(int, children.split())
        return found

    # How it ends

    def running(self) -> bool:
        """Whether it is there."""
        return self.process.poll() is None

    def stop(self, patience: float = PATIENCE) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience)

    def kill(self) -> None:
        """At once, with all that it started."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


#: What the fixture ``start_server`` gives.
StartServer = Callable[..., Server]


@contextlib.contextmanager
def serving(
    *flags: str | Path,
    env: Mapping[str, str] | None = None,
    command: Sequence[str | Path] | None = None,
    ready: str = "/readyz",
    port: int | None = None,
) -> Iterator[Server]:
    """A server from when it is ready to the end of the block, where it is killed if still there.

    ``command`` is another program than ``flowers serve``; {port} in its words is the port.
    """
    port = port or free_port()
    own = [FLOWERS, "serve", "--port", str(port), *flags]
    words = [str(word).replace("{port}", str(port)) for word in (command or own)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tmp").mkdir()
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, "TMPDIR": str(folder / "tmp"), **(env or {})},
            )
        server = Server(process, port, folder)
        try:
            _wait(server, ready)
            yield server
        finally:
            if server.running():
                server.kill()


def _wait(server: Server, ready: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.ask("GET", ready).status == 200:
                return
        assert server.running(), f"ended with {server.process.returncode}: {server.stderr[-2000:]}"
        assert time.monotonic() < deadline, f"never ready: {server.stderr[-2000:]}"
        time.sleep(0.02)


def read_reply(connection: socket.socket, method: str = "POST") -> Reply | None:
    """The next answer; None if the connection ends without a whole one."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        return _reply(response)
    return None


def request(body: bytes, path: str = CLASSIFY, method: str = "POST", **headers: str) -> bytes:
    """A whole request as bytes; ``content_type`` and so on are headers."""
    named = {"host": "localhost", "content-type": "image/jpeg", "content-length": str(len(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def multipart(
    parts: Sequence[tuple[str, bytes]], boundary: str = "boundary", field: str = "file"
) -> bytes:
    """A body of files by their names, each written as it is given."""
    return b"".join(
        [
            *(
                (
                    f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; '
                    f'filename="{name}"\r\n\r\n'
                ).encode()
                + data
                + b"\r\n"
                for name, data in parts
            ),
            f"--{boundary}--\r\n".encode(),
        ]
    )


def _reply(response: http.client.HTTPResponse) -> Reply:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())


def _cpu_seconds(pid: int) -> float:
    # The clock that clock_getcpuclockid(3) gives for a process: nanoseconds, not ticks. Those of
    # children that have ended are in /proc alone.
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            ended = sum(map(int, file.read().rpartition(")")[2].split()[13:15]))
        return time.clock_gettime((~pid << 3) | 2) + ended / os.sysconf("SC_CLK_TCK")
    except OSError:  # it has just ended
        return 0


def _memory(pid: int) -> Memory:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            lines = dict(line.split(":", 1) for line in file if ":" in line)
    except OSError:
        return Memory(0, 0)
    pss, rss = (int(lines[name].split()[0]) / 1024 for name in ("Pss", "Rss"))
    return Memory(pss, rss)


def _deleted(pid: int) -> int:
    found = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(f"/proc/{pid}/fd/{name}").endswith("(deleted)")
    return found
