"""Load on a server: an open loop, whose arrivals are fixed beforehand, and a closed one.

python tests/bench/serve/traffic.py < JOB

An open loop sends when its time has come, whatever the server does, and counts latency from that
time: what waits for a connection, or for this program, waits in the figures too. A closed loop
sends when its last answer is there, and so finds how much a server can do. Requests are bytes
that were made beforehand; one costs this program about a tenth of a millisecond.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple, cast

#: The client gave up, or the connection ended before the answer.
UNANSWERED = 0


class Answer(NamedTuple):
    """Times are seconds of ``time.monotonic``; ``body`` is kept only on demand."""

    number: int
    due: float
    sent: float
    done: float
    status: int
    retry_after: bool
    body: bytes = b""


@dataclass
class Job:
    """What a process of this program shall do: ``rate`` a second, or ``connections`` at a time.

    ``requests`` is a folder of files, each a whole request as it is sent, taken in turns.
    ``gaps`` are "poisson" or "even". A closed loop ends after ``count`` requests, or ``seconds``.
    """

    port: int
    requests: str
    rate: float = 0
    seconds: float = 0
    count: int = 0
    connections: int = 4
    gaps: str = "poisson"
    seed: int = 0
    patience: float = 30
    cpus: list[int] = field(default_factory=list)


class Traffic:
    """Sends requests to a port of this machine over connections that are kept alive.

    ``bodies`` keeps those of the answers. ``resend`` is what clients do when a kept connection
    ends just as they send: they try another.
    """

    def __init__(
        self,
        port: int,
        requests: Iterator[bytes],
        *,
        limit: int = 4000,
        patience: float = 30,
        bodies: bool = False,
        resend: bool = True,
    ) -> None:
        self.port, self.requests, self.limit = port, requests, limit
        self.patience, self.bodies, self.resend = patience, bodies, resend
        self.answers: list[Answer] = []
        self.stopped = False
        self.open = 0  # connections, those included that are about to be
        self.connections: set[_Connection] = set()
        self._idle: list[_Connection] = []
        self._waiting: list[tuple[int, float, bytes]] = []
        self._under_way = 0
        self._number = 0
        self._count: int | None = None
        self._closed = False  # a closed loop: an answer is followed by the next request
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()

    async def open_loop(self, arrivals: Sequence[float]) -> list[Answer]:
        """Send at these seconds from now; ends with the last answer, or when none comes."""
        loop = asyncio.get_running_loop()
        start = loop.time() + 0.05
        coming = iter(arrivals)
        due = start + next(coming)
        while not self.stopped:
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            self._send(due, next(self.requests))
            following = next(coming, None)
            if following is None:
                break
            due = start + following
        await self._end()
        return self.answers

    async def closed_loop(
        self, connections: int, *, seconds: float | None = None, count: int | None = None
    ) -> list[Answer]:
        """``connections`` requests at a time, for ``seconds``, or ``count`` of them."""
        loop = asyncio.get_running_loop()
        self._closed, self._count = True, count
        for _ in range(connections):
            self._next()
        if seconds is not None:
            loop.call_later(seconds, self.stop)
        await self._end()
        return self.answers

    def stop(self) -> None:
        """Send nothing more."""
        self.stopped = True
        if not self._under_way:
            self._quiet.set()

    async def _end(self) -> None:
        """Until all is answered, or nothing has come for as long as ``patience``."""
        known = -1
        while self._under_way and known != len(self.answers):
            known = len(self.answers)
            self._quiet.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), self.patience)
        self.stopped, self.resend = True, False
        for task in self._tasks:
            task.cancel()
        for connection in list(self.connections):
            connection.abandon()
        await asyncio.sleep(0.01)  # each says that it is lost
        for number, due, _ in self._waiting:
            self.answers.append(Answer(number, due, due, due, UNANSWERED, retry_after=False))

    def _next(self) -> None:
        """The next request of a closed loop, if there is one."""
        if self.stopped or (self._count is not None and self._number >= self._count):
            return
        self._send(asyncio.get_running_loop().time(), next(self.requests))

    def _send(self, due: float, data: bytes) -> None:
        number, self._number = self._number, self._number + 1
        self._under_way += 1
        self._dispatch(number, due, data)

    def _dispatch(self, number: int, due: float, data: bytes) -> None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable():
                connection.send(number, due, data)
                return
        if self.open >= self.limit:
            self._waiting.append((number, due, data))
            return
        self.open += 1
        task = asyncio.get_running_loop().create_task(self._connect(number, due, data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, number: int, due: float, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", self.port
            )
        except OSError:
            self.open -= 1
            if self._closed:  # where nobody listens, a closed loop would spin
                await asyncio.sleep(0.05)
            now = loop.time()
            self.finished(Answer(number, due, now, now, UNANSWERED, retry_after=False))
        else:
            connection.send(number, due, data)

    def finished(self, answer: Answer) -> None:
        """An answer is there, or will never be."""
        self.answers.append(answer)
        self._under_way -= 1
        if self._closed:
            self._next()
        if not self._under_way:
            self._quiet.set()

    def free(self, connection: _Connection) -> None:
        """A connection may be used again."""
        if self._waiting:
            connection.send(*self._waiting.pop(0))
        else:
            self._idle.append(connection)

    def again(self, number: int, due: float, data: bytes) -> None:
        """A kept connection was closed by the server while this was on its way."""
        self._dispatch(number, due, data)


class _Connection(asyncio.Protocol):
    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._job: tuple[int, float, bytes] | None = None
        self._sent = 0.0
        self._used = 0  # answers so far
        self._body_at = -1
        self._length = 0
        self._status = UNANSWERED
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._traffic.connections.add(self)

    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, number: int, due: float, data: bytes) -> None:
        assert self._transport
        self._job, self._sent = (number, due, data), self._loop.time()
        self._transport.write(data)

    def abandon(self) -> None:
        """Give up whatever is under way."""
        if self._transport:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._body_at < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._head = bytes(self._buffer[:end]).lower()
            self._status = int(self._head[9:12])
            if self._status < 200:
                del self._buffer[: end + 4]
                continue
            self._body_at = end + 4
            at = self._head.find(b"\r\ncontent-length:")
            self._length = int(self._head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else -1
        if self._length >= 0:
            whole = len(self._buffer) >= self._body_at + self._length
        else:
            chunked = b"transfer-encoding: chunked" in self._head
            whole = chunked and self._buffer.endswith(b"\r\n0\r\n\r\n")
        if whole:
            self._answered()

    def _answered(self) -> None:
        if self._job is None:  # an answer to no request, such as a 408 before the end
            return
        number, due, _ = self._job
        body = bytes(self._buffer[self._body_at :]) if self._traffic.bodies else b""
        answer = Answer(
            number, due, self._sent, self._loop.time(), self._status,
            b"\r\nretry-after:" in self._head, body,
        )  # fmt: skip
        self._job, self._body_at, self._status = None, -1, UNANSWERED
        self._used += 1
        self._buffer.clear()
        assert self._transport
        if b"\r\nconnection: close" in self._head:
            self._transport.close()
        elif not self._transport.is_closing():
            self._traffic.free(self)
        self._traffic.finished(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._traffic.connections.discard(self)
        self._traffic.open -= 1
        if self._job is None:
            return
        if self._body_at >= 0 and self._length < 0:  # a body that ends with the connection
            self._answered()
            return
        number, due, data = self._job
        self._job = None
        if self._used and not self._buffer and self._traffic.resend:
            self._traffic.again(number, due, data)
            return
        done = self._loop.time()
        self._traffic.finished(Answer(number, due, self._sent, done, UNANSWERED, retry_after=False))


def arrivals(rate: float, seconds: float, gaps: str = "poisson", seed: int = 0) -> list[float]:
    """When to send, in seconds from the start."""
    draw = random.Random(seed)
    times, now = list[float](), 0.0
    while True:
        now += draw.expovariate(rate) if gaps == "poisson" else 1 / rate
        if now >= seconds and times:
            return times
        times.append(now)


def start(job: Job) -> subprocess.Popen[bytes]:
    """A process that does ``job``; ``answers_of`` waits for it."""
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin
    process.stdin.write(json.dumps(asdict(job)).encode())
    process.stdin.close()
    process.stdin = None  # communicate() would flush it
    return process


def answers_of(process: subprocess.Popen[bytes]) -> list[Answer]:
    """What came of it."""
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit("the client failed")
    return [Answer(*row) for row in json.loads(out)]


def run(job: Job) -> list[Answer]:
    """Do ``job`` in a process of its own."""
    return answers_of(start(job))


def _main(words: dict[str, Any]) -> None:
    job = Job(**words)
    if job.cpus:
        os.sched_setaffinity(0, job.cpus)
    files = sorted(Path(job.requests).iterdir())
    data = [path.read_bytes() for path in files]
    random.Random(job.seed).shuffle(data)

    async def work() -> list[Answer]:
        traffic = Traffic(job.port, cycle(data), patience=job.patience)
        if job.rate:
            return await traffic.open_loop(arrivals(job.rate, job.seconds, job.gaps, job.seed))
        return await traffic.closed_loop(
            job.connections, seconds=job.seconds or None, count=job.count or None
        )

    json.dump([answer[:6] for answer in asyncio.run(work())], sys.stdout)


if __name__ == "__main__":
    _main(json.load(sys.stdin))
