"""Keep ``flowers stream`` as a child process: a client with the standard library only.

    python flowers_process.py PHOTO...

Copy this file into your program. Python 3.11 or later. ``docs/embedding.md`` has the protocol and
the policy of time-outs and restarts that this client follows.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Self

PROTOCOL = 1
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0

Record = dict[str, Any]


class CannotStartError(Exception):
    """The program isn't there, has no usable model or was given wrong flags: don't try again."""


class ChildDiedError(Exception):
    """The child ended before it had answered."""


class FlowersProcess:
    """A child process that names flowers; it is started again when it dies or hangs.

    Safe to share between threads, and several of them keep all its cores busy. Raises
    ``CannotStartError`` if the child can't be started.
    """

    def __init__(
        self, command: Sequence[str] = ("flowers", "stream"), *, start_timeout: float = 60
    ) -> None:
        self._command, self._start_timeout = command, start_timeout
        self._starting = threading.Lock()
        self._closing = threading.Event()
        self._delay = 0.0
        self._child = _Child(command, start_timeout)
        #: How many requests may be in flight: enough for all cores, and no more.
        self.in_flight: int = 2 * self.ready["workers"]
        self._slots = threading.BoundedSemaphore(self.in_flight)

    @property
    def ready(self) -> Record:
        """What the child said about itself: model, labels, pid, workers."""
        return self._child.ready

    def classify(
        self, photo: str | os.PathLike[str] | bytes, *, timeout: float = 10, **options: Any
    ) -> Record:
        """The answer for a path or for the bytes of a file; its ``status`` may be ``error``.

        ``options`` are fields of the request: ``top_k``, ``lang``, ``min_confidence``, ``id``.
        ``timeout`` is in seconds from the moment when the request is sent.

        Raises ``TimeoutError`` when there is no answer in time: the child is killed then.
        Raises ``ChildDiedError`` if two children died with this request in flight.
        """
        line = _request(photo, options)
        with self._slots:
            try:
                return self._ask(line, timeout)
            except ChildDiedError:
                return self._ask(line, timeout)

    def close(self, timeout: float = 10) -> None:
        """End the child, when all answers are in; kill it if that takes longer than ``timeout``."""
        self._closing.set()
        with self._starting:
            self._child.finish(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, line: bytes, timeout: float) -> Record:
        child = self._living_child()
        try:
            record = child.send(line).result(timeout)
        except TimeoutError:
            child.kill()
            raise
        self._delay = 0.0
        return record

    def _living_child(self) -> _Child:
        with self._starting:
            if self._child.dead.is_set():
                closing = self._closing.wait(self._delay)
                self._delay = min(max(FIRST_DELAY, 2 * self._delay), LONGEST_DELAY)
                if closing:
                    raise ChildDiedError("closed")
                self._child = _Child(self._command, self._start_timeout)
            return self._child


class _Child:
    """One process, a thread that writes to it and a thread that reads from it.

    Two threads, because a child that hangs lets a write block: the caller must be free to
    give up.
    """

    def __init__(self, command: Sequence[str], start_timeout: float) -> None:
        #: Set when no answer can come any more.
        self.dead = threading.Event()
        self._lock = threading.Lock()
        self._outgoing: SimpleQueue[bytes | None] = SimpleQueue()
        first: Future[Record] = Future()
        #: Who waits for the next lines, in order: answers come in the order of requests.
        self._waiting = deque([first])
        try:
            # Standard error is inherited: nobody has to drain it.
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            raise CannotStartError(f"can't run {command[0]}: {error.strerror}") from error
        for task in (self._write, self._read):
            threading.Thread(target=task, daemon=True).start()
        try:
            self.ready = first.result(start_timeout)
        except TimeoutError:
            self.kill()
            raise ChildDiedError(f"not ready after {start_timeout} seconds") from None
        except ChildDiedError as error:
            if self._process.wait() in {2, 3}:
                raise CannotStartError(str(error)) from error
            raise
        if self.ready.get("protocol") != PROTOCOL:
            self.kill()
            raise CannotStartError(f"not protocol {PROTOCOL}: {self.ready}")

    def send(self, line: bytes) -> Future[Record]:
        """The answer to come for one request; ``ChildDiedError`` if it can't come any more."""
        answer: Future[Record] = Future()
        with self._lock:
            if self.dead.is_set():
                answer.set_exception(ChildDiedError("the child is dead"))
            else:
                self._waiting.append(answer)
                self._outgoing.put(line)
        return answer

    def finish(self, timeout: float) -> None:
        self._outgoing.put(None)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self.dead.set()
        self._process.kill()

    def _write(self) -> None:
        assert self._process.stdin
        with contextlib.suppress(OSError), self._process.stdin as stdin:
            while (line := self._outgoing.get()) is not None:
                stdin.write(line)
                stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout
        try:
            with self._process.stdout as stdout:
                for line in stdout:
                    record = json.loads(line)
                    self._waiting.popleft().set_result(record)
        except (ValueError, IndexError):  # half a line, or one that nobody asked for
            self.kill()
        self.dead.set()
        code = self._process.wait()
        self._outgoing.put(None)
        with self._lock:
            for answer in self._waiting:
                answer.set_exception(ChildDiedError(f"the child ended with {code}"))


def _request(photo: str | os.PathLike[str] | bytes, options: Record) -> bytes:
    source = (
        {"bytes": base64.b64encode(photo).decode()}
        if isinstance(photo, bytes)
        else {"path": os.fspath(photo)}
    )
    return json.dumps(options | source).encode() + b"\n"


def main(paths: Sequence[str]) -> int:
    """Print a line for each photo; 1 if one couldn't be named, 3 if there is no child."""
    try:
        flowers = FlowersProcess()
    except (CannotStartError, ChildDiedError) as error:
        print(f"flowers_process: {error}", file=sys.stderr)
        return 3
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    failed = False
    with flowers, ThreadPoolExecutor(flowers.in_flight) as threads:
        answers = [threads.submit(flowers.classify, path) for path in paths]
        for path, answer in zip(paths, answers, strict=True):
            try:
                record = answer.result()
            except (TimeoutError, ChildDiedError) as error:
                record = {"status": "error", "error": {"message": repr(error)}}
            if record["status"] == "ok":
                print(f"{path}: {record['label']} {record['confidence']:.4f}")
            else:
                print(f"{path}: {record['error']['message']}", file=sys.stderr)
                failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
