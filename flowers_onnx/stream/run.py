"""Answers requests in order, several at work at a time, until nobody is left to answer."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from types import FrameType
from typing import Any

from flowers_onnx import __version__
from flowers_onnx.classifier import Classifier
from flowers_onnx.concurrency import Budget, Workers
from flowers_onnx.console import say
from flowers_onnx.errors import FlowersError, OutputError, StoppedError, UsageError
from flowers_onnx.record import RECORD_SCHEMA
from flowers_onnx.results import Failure, Query, Result
from flowers_onnx.signals import endings
from flowers_onnx.stream.framing import FRAMINGS, Frame
from flowers_onnx.stream.options import Options
from flowers_onnx.stream.requests import PARSERS, BadRequest

#: Version of the protocol; a new field is no new version.
PROTOCOL = 1
#: Bytes of requests that are held at a time, unless a single one has more.
_MAX_WAITING_BYTES = 128 << 20
#: How often the reader of our answers is looked after.
_WATCH_SECONDS = 0.4
#: Within this time, what has been read of standard input becomes requests.
_GRACE_SECONDS = 0.05

_STDIN, _STDOUT = 0, 1
_TERMINATED = 128 + signal.SIGTERM
_UNANSWERED = "requests were left without an answer"


def run(options: Options) -> int:
    """Say that we are ready, then answer standard input until its end, SIGTERM or SIGHUP.

    Returns 0, or that of SIGTERM if it left requests without an answer. Raises ``ModelError``
    before the first, ``OutputError`` if answers can't be written or their reader has left,
    ``BrokenPipeError`` if it has and wanted none, ``UsageError`` if standard input can't be
    read, ``StoppedError`` if the system refuses a thread.
    """
    classifier = Classifier(options.model, threads=options.threads, max_pixels=options.max_pixels)
    return _Stream(classifier, options.framing, options.query).run()


class _Stream:
    """A reader thread, worker threads, and the calling thread that writes.

    The reader takes a frame only when there is room: no more than two requests a worker
    are accepted and not yet written, so that memory stays flat when nobody reads.
    """

    def __init__(self, classifier: Classifier, framing: str, query: Query) -> None:
        self._classifier, self._query = classifier, query
        self._framing, self._parse = framing, PARSERS[framing]
        self._workers = Workers(classifier.threads, "flowers-worker")
        self._requests = Budget(2 * classifier.threads)
        self._bytes = Budget(_MAX_WAITING_BYTES)
        #: Answers in the order of their requests; None ends the stream. Not a `Queue`: a
        #: signal handler may put into this one whatever it interrupts.
        self._answers: SimpleQueue[tuple[int, Future[bytes]] | None] = SimpleQueue()
        self._read_error: Exception | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        #: Requests that were read, and those whose answers were written.
        self._asked = self._answered = 0
        self._stopping = False
        #: Held while an answer is written, and for good by who has found that nobody reads it.
        self._writing = threading.Lock()

    def run(self) -> int:
        for descriptor in (_STDIN, _STDOUT):
            with contextlib.suppress(OSError, AttributeError):  # Windows before Python 3.12
                os.set_blocking(descriptor, True)
        self._classifier.warm_up()
        with _on_endings(self.stop):
            self._give(_line(self._ready()))
            self._reader.start()
            threading.Thread(target=self._watch, daemon=True).start()
            while (item := self._answers.get()) is not None:
                size, answer = item
                self._give(answer.result(), answers=1)
                self._bytes.give_back(size)
                self._requests.give_back(1)
            if self._read_error:
                raise _reading_failed(self._read_error) from self._read_error
            if self._stopping and self._owes():
                say(f"flowers: terminated; {_UNANSWERED}")
                return _TERMINATED
        return 0

    def stop(self) -> None:
        """Finish what was accepted, and nothing else."""
        self._stopping = True
        self._answers.put(None)

    def _give(self, line: bytes, *, answers: int = 0) -> None:
        self._writing.acquire()  # kept if this fails: who watches must not leave before we say so
        try:
            _write(line)
        except ConnectionError as error:
            if answers or self._owes():
                raise _reader_left() from error
            raise
        self._answered += answers
        self._writing.release()

    def _owes(self) -> bool:
        """Whether a request has no answer yet: one that was read, or is still in the pipe."""
        self._stopping = True
        if self._reader.is_alive():
            self._reader.join(_GRACE_SECONDS)
        return self._asked > self._answered or _unread() > 0

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
                    self._asked += 1
                    self._requests.take(1)
                    self._bytes.take(len(frame.data))
                    if self._stopping:
                        return
                    answer = self._workers.begin(self._answer, frame)
                    self._answers.put((len(frame.data), answer))
        except Exception as error:  # told by the thread that writes
            self._read_error = error
        self._answers.put(None)

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
        """Leave when nobody reads the answers any more, even while all else is blocked.

        Who started us may have ended: the pipes say what is still wanted, and by whom.
        """
        if not hasattr(select, "poll"):
            return  # on Windows the end of standard input has to say it
        poller = select.poll()
        poller.register(_STDOUT, 0)
        while not any(
            event & (select.POLLERR | select.POLLHUP)
            for _, event in poller.poll(_WATCH_SECONDS * 1e3)
        ):
            pass
        self._writing.acquire()  # an answer that is being written fails by itself
        if not self._owes():
            os._exit(0)
        error = _reader_left()
        say(f"flowers: {error}")
        os._exit(error.exit_code)


def _reader_left() -> OutputError:
    return OutputError(f"the reader of the answers has left; {_UNANSWERED}")


def _reading_failed(error: Exception) -> FlowersError:
    if isinstance(error, OSError):
        return UsageError(f"can't read standard input: {error}")
    return StoppedError(f"the stream stopped: {error or type(error).__name__}; {_UNANSWERED}")


def _unread() -> int:
    """Bytes of standard input that can be read at once; 0 where the system doesn't say."""
    try:
        import fcntl  # not on Windows
        import termios

        found = fcntl.ioctl(_STDIN, termios.FIONREAD, bytes(4))
    except (ImportError, OSError):
        return 0
    return int.from_bytes(found, sys.byteorder, signed=True)


@contextlib.contextmanager
def _on_endings(stop: Any) -> Iterator[None]:
    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop()

    before = [(number, signal.signal(number, handle)) for number in endings()]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
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
