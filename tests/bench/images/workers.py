"""Decoding in processes of their own, which may hang, crash or want all memory."""

from __future__ import annotations

import io
import multiprocessing
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from bench.images.independent import damage, decoders
from bench.images.squares import Pixels, square

#: A file that takes longer has failed, in seconds.
PATIENCE = 60
_ADDRESSES = 6 << 30


@dataclass(frozen=True)
class Seen:
    """What one decoder makes of one file.

    ``state`` is ``ok``, ``damaged`` (a picture, with complaints of its data), ``error``, or
    ``died`` (a crash, a hang, no memory). ``square`` is what the network would take.
    """

    state: str
    text: str = ""
    width: int = 0
    height: int = 0
    square: Pixels | None = None


@dataclass(frozen=True)
class Answer:
    """What the program makes of one file; ``doors`` names those with another answer."""

    status: str
    text: str = ""
    width: int = 0
    height: int = 0
    label: str = ""
    square: Pixels | None = None
    seconds: float = 0
    megabytes: float = 0
    doors: str = ""


class Worker:
    """A process that calls ``make(*args)`` once, and what that gives with each request."""

    def __init__(self, make: Callable[..., Callable[..., Any]], *args: Any) -> None:
        self._make, self._args = make, args
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, self._make, self._args), daemon=True
        )
        self._process.start()
        other.close()

    def ask(self, *request: Any) -> Any:
        """The answer, or why there is none, as text."""
        try:
            self._pipe.send(request)
            if self._pipe.poll(PATIENCE):
                return self._pipe.recv()
            reason = f"no answer in {PATIENCE} s"
        except (EOFError, OSError):
            self._process.join(5)
            reason = f"crashed: exit code {self._process.exitcode}"
        self.close()
        self._start()
        return reason

    def close(self) -> None:
        """End it, whatever it does."""
        self._pipe.close()
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection, make: Callable[..., Callable[..., Any]], args: tuple[Any]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    os.nice(5)
    work = make(*args)
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        pipe.send(work(*request))


def independent(name: str) -> Callable[[str, str], Seen]:
    """One of the independent decoders."""
    from flowers_onnx.metadata import read_info
    from flowers_onnx.onnx_file import find_model

    for variable in ("VIPS_CONCURRENCY", "OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ[variable] = "1"
    preprocess = read_info(find_model()).preprocess
    decoder = decoders()[name]

    def look(path: str, format: str) -> Seen:
        try:
            pixels, complaints = decoder.read(path, format)
            height, width = pixels.shape[:2]
            text = damage(complaints)
            state = "damaged" if text else "ok"
            return Seen(state, text[:500], width, height, square(pixels, preprocess))
        except MemoryError:
            return Seen("died", "no memory")
        except Exception as error:
            return Seen("error", f"{type(error).__name__}: {error}"[:500])

    return look


def program() -> Callable[[str], Answer]:
    """The API: a path, a file's bytes, a stream; and its pixels."""
    import flowers_onnx
    from flowers_onnx.errors import IMAGE_ERROR_CODES
    from flowers_onnx.pixels import decode

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff's own words
    classifier = flowers_onnx.Classifier()
    preprocess = classifier.info.preprocess

    def look(path: str) -> Answer:
        try:
            reset_peak()
            before, started = memory("VmRSS"), time.perf_counter()
            first = classifier.result(path)
            seconds, megabytes = time.perf_counter() - started, memory("VmHWM") - before
            with open(path, "rb") as file:
                data = file.read()
            others = {
                "bytes": classifier.result(data),
                "stream": classifier.result(io.BytesIO(data)),
            }
            doors = ", ".join(
                name for name, other in others.items() if _essence(other) != _essence(first)
            )
            if isinstance(first, flowers_onnx.Failure):
                status = first.code
                if status not in IMAGE_ERROR_CODES or "\n" in first.message:
                    status = f"traceback: {status} is no known code"
                return Answer(
                    status, first.message, seconds=seconds, megabytes=megabytes, doors=doors
                )
            decoded = decode(io.BytesIO(data), preprocess)
            return Answer(
                "ok", f"{first.top[0].confidence:.3f}", first.width, first.height, first.label,
                decoded.pixels, round(seconds, 3), round(megabytes, 1), doors,
            )  # fmt: skip
        except BaseException:
            return Answer("traceback", traceback.format_exc(limit=-3)[-1000:])

    return look


def _essence(result: Any) -> tuple[Any, ...]:
    failed = getattr(result, "code", None)
    if failed:
        return failed, result.message, result.sha256
    return result.top, result.width, result.height, result.sha256


def reset_peak() -> None:
    """``VmHWM`` counts from here."""
    if sys.platform == "linux":
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")


def memory(field: str) -> float:
    """A field of this process's status, in MB."""
    if sys.platform != "linux":
        return 0
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))
