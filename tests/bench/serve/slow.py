"""Clients that are too slow, or silent: how soon each is cut, and whether others are served.

    PYTHONPATH=tests python tests/bench/serve/slow.py [PHOTOS] [--connections 50] [--rate 10]
        [--limit 10] [--slowhttptest True] [--only drips] [--out FILE]

PHOTOS is a folder of JPEGs; without it, pictures are made. ``--connections`` of each kind are
opened at once, and each is watched until the server ends it; ``--limit`` is the seconds that it
may have. slowhttptest (header, body, read) does the same in its own way, where it is installed.
Photos come meanwhile at ``--rate`` a second, in an open loop. Then SIGTERM, with 20 half uploads
and some requests under way.
"""

from __future__ import annotations

import csv
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Literal

import fire
from figures import Report, line, milliseconds, percentiles, statuses
from pictures import photos, write_requests
from serving import Reply, Server, read_reply, request, serving
from traffic import Job, answers_of, start

_HALF_UPLOADS = 20
#: So that a busy moment refuses nobody: it is not what is asked for here.
_QUEUE = "64"
Reads = Literal["all", "none", "drips"]


def main(
    data: str = "",
    *,
    connections: int = 50,
    rate: float = 10,
    limit: float = 10,
    slowhttptest: bool = True,
    only: str = "",
    out: str = "",
) -> None:
    """Print when each kind was cut, and what the others got."""
    report = Report(out)
    bodies = photos(data)
    with tempfile.TemporaryDirectory() as name, serving("--queue", _QUEUE) as server:
        requests = write_requests(Path(name, "requests"), bodies)
        before = server.descriptors()
        for kind, (opening, drip, reads) in _kinds(bodies[0]).items():
            if only not in kind:
                continue
            with _others(report, kind, server, requests, rate):
                took = _watch(server, opening, drip, connections, limit, reads=reads)
            left = sum(seconds is None for seconds in took)
            longest = max((seconds for seconds in took if seconds is not None), default=0)
            report.say(kind, f"cut after {longest:.1f} s at most, {left} of {len(took)} left")
            report.bound(f"{kind}: seconds", 2 * limit if left else longest, limit)
        if slowhttptest and shutil.which("slowhttptest"):
            for mode in ("header", "body", "read"):
                with _others(report, f"slowhttptest {mode}", server, requests, rate):
                    _slowhttptest(report, mode, server, connections, limit)
        time.sleep(1)
        report.bound("descriptors more", server.descriptors() - before, 2)
        _terminate(report, server, bodies)
    report.finish()


def _kinds(photo: bytes) -> dict[str, tuple[bytes, bytes, Reads]]:
    """What is sent at once, what then once a second, and how answers are read."""
    whole = request(photo)
    half = whole[: len(whole) // 2]
    many = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 12
    chunks = whole.split(b"\r\n\r\n")[0].replace(
        f"content-length: {len(photo)}".encode(), b"transfer-encoding: chunked"
    )
    return {
        "silence": (b"", b"", "all"),
        "half a request line": (b"POST /v1/cl", b"", "all"),
        "half a header": (whole[:50], b"", "all"),
        "header by drips": (b"GET /livez HTTP/1.1\r\nHost: localhost\r\n", b"x: y\r\n", "all"),
        "empty lines by drips": (b"\r\n", b"\r\n", "all"),
        "no body": (whole.split(b"\r\n\r\n")[0] + b"\r\n\r\n", b"", "all"),
        "half a body": (half, b"", "all"),
        "body by drips": (half, b"x", "all"),
        "chunks by drips": (chunks + b"\r\n\r\n", b"1\r\nx\r\n", "all"),
        "kept alive": (b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", b"", "all"),
        "answers not read": (many, b"", "none"),
        "answers read by drips": (many, b"", "drips"),
    }


@contextmanager
def _others(
    report: Report, kind: str, server: Server, requests: str, rate: float
) -> Iterator[None]:
    """Photos come meanwhile, and all must be answered."""
    process = start(Job(server.port, requests, rate=rate, seconds=8))
    yield
    answers = answers_of(process)
    found = percentiles(milliseconds(answers))
    report.say(f"{kind}: others", f"{statuses(answers)}, {line(found)} ms", **statuses(answers))
    failed = sum(answer.status != 200 for answer in answers)
    report.bound(f"{kind}: others failed", failed, 0)


def _watch(
    server: Server, opening: bytes, drip: bytes, count: int, limit: float, *, reads: Reads
) -> list[float | None]:
    """After how many seconds each was ended; None for those that are there after the limit."""
    with ExitStack() as stack:
        waiting = dict[socket.socket, float]()
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            if reads != "all":
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect((server.host, server.port))
            one.setblocking(False)  # noqa: FBT003
            with suppress(BlockingIOError):
                one.send(opening)
            waiting[one] = time.monotonic()
        took, ends = list[float | None](), time.monotonic() + 2 * limit
        next_drip, seen = time.monotonic() + 1, set[int]()
        while waiting and time.monotonic() < ends:
            if reads == "all":
                ended = [one for one in select.select(list(waiting), [], [], 0.1)[0] if _ended(one)]
            else:
                time.sleep(0.1)
                held = _held(server.port)
                seen |= held  # not yet, as long as it isn't accepted
                ports = {one.getsockname()[1]: one for one in waiting}
                ended = [one for port, one in ports.items() if port in seen - held]
            took += [time.monotonic() - waiting.pop(one) for one in ended]
            if time.monotonic() >= next_drip:
                next_drip += 1
                for one in waiting:
                    with suppress(OSError):
                        one.send(drip)
                        if reads == "drips":
                            one.recv(100)
        return took + [None] * len(waiting)


def _lifetime(process: subprocess.Popen[bytes], server: Server) -> float:
    """The longest that the server has kept a connection of ``process``, in seconds."""
    first, last = dict[int, float](), dict[int, float]()
    while process.poll() is None:
        now, held = time.monotonic(), _held(server.port)
        for port in _ports_of(process.pid) & held:
            last[port] = now
            first.setdefault(port, now)
        time.sleep(0.1)
    return max((last[port] - first[port] for port in first), default=0)


def _ports_of(pid: int) -> set[int]:
    """Local ports of the sockets of a process."""
    inodes = set()
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                inodes.add(os.readlink(f"/proc/{pid}/fd/{name}"))
    return {local for local, _, inode in _tcp() if f"socket:[{inode}]" in inodes}


def _tcp() -> Iterator[tuple[int, int, str]]:
    """Local port, remote port and inode of each connection."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        for row in list(file)[1:]:
            cells = row.split()
            local, remote = (int(cell.split(":")[1], 16) for cell in cells[1:3])
            yield local, remote, cells[9]


def _held(port: int) -> set[int]:
    """Ports of the clients whose connections the server still has.

    What it has closed while there were bytes to read belongs to no process any more.
    """
    return {remote for local, remote, inode in _tcp() if local == port and inode != "0"}


def _ended(one: socket.socket) -> bool:
    try:
        return not one.recv(65536)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _slowhttptest(
    report: Report, mode: str, server: Server, connections: int, limit: float
) -> None:
    words = {
        "header": ["-H", "-u", f"{server.url}/livez"],
        "body": ["-B", "-s", "100000", "-f", "image/jpeg", "-u", f"{server.url}/v1/classify"],
        "read": ["-X", "-k", "10", "-w", "10", "-y", "20", "-n", "5", "-z", "32",
                 "-u", f"{server.url}/openapi.json"],
    }[mode]  # fmt: skip
    seconds = round(limit) + 5
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder, "out")
        command = ["slowhttptest", *words, "-c", str(connections), "-r", str(connections)]
        command += ["-i", "1", "-l", str(seconds), "-p", "5", "-g", "-o", str(prefix)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        longest = _lifetime(process, server)
        if not prefix.with_suffix(".csv").exists():
            raise SystemExit(f"slow.py: {' '.join(map(str, command))} failed")
        with prefix.with_suffix(".csv").open() as file:
            rows = [[int(cell) for cell in row] for row in csv.reader(file) if row[0].isdigit()]
    # Seconds, closed, pending, connected, service available: as the client sees it.
    unavailable = sum(not row[4] for row in rows)
    name = f"slowhttptest {mode}"
    report.say(name, f"the server kept none for more than {longest:.1f} s", rows=rows)
    report.bound(f"{name}: seconds", longest, limit)
    report.bound(f"{name}: unavailable", unavailable, 0)


def _terminate(report: Report, server: Server, bodies: list[bytes]) -> None:
    """SIGTERM with half uploads open: what is whole is answered, and the end is in time."""
    whole = [request(body) for body in bodies[:6]]
    replies = list[Reply | None]()
    with ExitStack() as stack:
        for _ in range(_HALF_UPLOADS):
            half = stack.enter_context(server.connect())
            half.sendall(whole[0][: len(whole[0]) // 2])
        time.sleep(0.3)
        under_way = [stack.enter_context(server.connect()) for _ in whole]
        for connection, data in zip(under_way, whole, strict=True):
            connection.sendall(data)
        readers = [
            threading.Thread(target=lambda c=connection: replies.append(read_reply(c)))
            for connection in under_way
        ]
        for reader in readers:
            reader.start()
        time.sleep(0.005)  # the last has arrived in the server's loop
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(60)
        took = time.monotonic() - began
        for reader in readers:
            reader.join(10)
    answered = sum(reply is not None for reply in replies)
    found = sorted(reply.status for reply in replies if reply is not None)
    report.say("SIGTERM", f"exit {code} after {took:.2f} s, answers {found}", seconds=took)
    report.bound("SIGTERM: exit code", abs(code), 0)
    report.bound("SIGTERM: seconds", took, 10)
    report.bound("SIGTERM: unanswered", len(whole) - answered, 0)


if __name__ == "__main__":
    fire.Fire(main)
