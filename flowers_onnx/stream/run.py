"""Answers requests in order, several at work at a time, until nobody is left to answer."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from types import FrameType
from typing import Any

import numpy as np

from flowers_onnx import __version__
from flowers_onnx.classifier import Classifier
from flowers_onnx.concurrency import Budget
from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.record import RECORD_SCHEMA
from flowers_onnx.results import Failure, Query, Result
from flowers_onnx.stream.framing import FRAMINGS, Frame
from flowers_onnx.stream.options import Options
from flowers_onnx.stream.requests import PARSERS, BadRequest

#: Version of the protocol; a new field is no new version.
PROTOCOL = 1
#: Bytes of requests that are held at a time, unless a single one has more.
_MAX_WAITING_BYTES = 128 << 20
#: How often the reader of our answers is looked after, and how long a last answer may take.
_WATCH_SECONDS = 0.4


_STDIN, _STDOUT = 0, 1


def run(options: Options) -> int:
    """Say that we are ready, then answer standard input until its end, or SIGTERM; returns 0.

    Raises ``ModelError`` before that, ``BrokenPipeError`` when the reader of the answers has
    left, ``OutputError`` if they can't be written, ``UsageError`` if standard input can't be
    read.
    """
    classifier = Classifier(options.model, threads=options.threads, max_pixels=options.max_pixels)
    _Stream(classifier, options.framing, options.query).run()
    return 0


class _Stream:
    """A reader thread, worker threads, and the calling thread that writes.

    The reader takes a frame only when there is room: no more than two requests a worker
    are accepted and not yet written, so that memory stays flat when nobody reads.
    """

    def __init__(self, classifier: Classifier, framing: str, query: Query) -> None:
        self._classifier, self._query = classifier, query
        self._framing, self._parse = framing, PARSERS[framing]
        self._workers = ThreadPoolExecutor(classifier.threads, thread_name_prefix="flowers-worker")
        self._requests = Budget(2 * classifier.threads)
        self._bytes = Budget(_MAX_WAITING_BYTES)
        #: Answers in the order of their requests; None ends the stream. Not a `Queue`: a
        #: signal handler may put into this one whatever it interrupts.
        self._answers: SimpleQueue[tuple[int, Future[bytes]] | None] = SimpleQueue()
        self._read_error: Exception | None = None
        self._parent = os.getppid()  # now: once we are ready it may die

    def run(self) -> None:
        for descriptor in (_STDIN, _STDOUT):
            with contextlib.suppress(OSError, AttributeError):  # Windows before Python 3.12
                os.set_blocking(descriptor, True)
        size = self._classifier.info.preprocess.size
        self._classifier.classify(np.zeros((size, size, 3), np.uint8))  # the first one is slow
        with _on_sigterm(self.stop):
            _write(_line(self._ready()))
            for task in (self._read, self._watch):
                threading.Thread(target=task, daemon=True).start()
            while (item := self._answers.get()) is not None:
                size, answer = item
                _write(answer.result())
                self._bytes.give_back(size)
                self._requests.give_back(1)
        if self._read_error:
            raise UsageError(f"can't read standard input: {self._read_error}")

    def stop(self) -> None:
        """Finish what was accepted, and nothing else."""
        self._answers.put(None)

    def _ready(self) -> dict[str, Any]:
        return {
            "ready": True,
            "protocol": PROTOCOL,
            "schema": RECORD_SCHEMA,
            "program": __version__,
            "model": self._classifier.info.id,
            "labels": len(self._classifier.info.labels),
            "pid": os.getpid(),
            "framing": self._framing,
            "workers": self._classifier.threads,
        }

    def _read(self) -> None:
        try:
            # Not `sys.stdin.buffer`: its lock, held by this thread, would block the exit.
            with open(_STDIN, "rb", closefd=False) as stdin:
                for frame in FRAMINGS[self._framing](stdin):
                    self._requests.take(1)
                    self._bytes.take(len(frame.data))
                    answer = self._workers.submit(self._answer, frame)
                    self._answers.put((len(frame.data), answer))
        except Exception as error:  # told by the thread that writes
            self._read_error = error
        self.stop()

    def _answer(self, frame: Frame) -> bytes:
        started = time.perf_counter()
        request_id, result = self._classify(frame)
        milliseconds = round((time.perf_counter() - started) * 1e3, 3)
        return _line({"id": request_id, "ms": milliseconds, **result.to_record()})

    def _classify(self, frame: Frame) -> tuple[Any, Result]:
        request_id = None
        try:
            request = self._parse(frame, self._query)
            request_id = request.id
            result = self._classifier.result(request.source, request.query)
        except BadRequest as bad:
            return bad.id, self._failure(bad.error.code, str(bad))
        except Exception as error:  # whatever it is, it must not cost the others their answer
            return request_id, self._failure("internal_error", f"{type(error).__name__}: {error}")
        return request_id, result

    def _failure(self, code: str, message: str) -> Failure:
        return Failure(code, message, None, None, self._classifier.info.id)

    def _watch(self) -> None:
        """Leave when nobody can want an answer any more, even while all else is blocked."""
        if not hasattr(select, "poll"):
            return  # on Windows the end of standard input has to say it
        # Who reads a file to its end, or types, can do without the process that started us.
        mode = os.fstat(_STDIN).st_mode
        belongs_to_parent = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        poller = select.poll()
        poller.register(_STDOUT, 0)
        while True:
            for _, event in poller.poll(_WATCH_SECONDS * 1e3):
                if event & (select.POLLERR | select.POLLHUP):
                    os._exit(0)
            if belongs_to_parent and os.getppid() != self._parent:
                self.stop()
                time.sleep(_WATCH_SECONDS)
                os._exit(0)


@contextlib.contextmanager
def _on_sigterm(stop: Any) -> Iterator[None]:
    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop()

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _write(line: bytes) -> None:
    # Below the text layer: the same bytes on every system.
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    try:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except ConnectionError:
        raise
    except OSError as error:
        raise OutputError(f"can't write to standard output: {error.strerror}") from error
