"""What ``flowers stream`` costs beside the work itself, and whether its memory stays flat.

    python tests/bench/stream.py FOLDER [--rounds 20] [--block 25] [--photos 10000]

FOLDER holds photos. Round trips of one photo take turns with the bare work, decoding and
``session.run`` in this process; then ``--photos`` photos go through
one child, eight in flight, while its resident memory is watched.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import fire

from flowers_onnx import Classifier
from flowers_onnx.machine import allowed_cpus
from flowers_onnx.network import PHOTOS
from flowers_onnx.pixels import decode
from flowers_onnx.runtime import Session
from flowers_onnx.sources import expand

_IN_FLIGHT = 8


def main(folder: str, *, rounds: int = 20, block: int = 25, photos: int = 10_000) -> None:
    """Print the overhead a photo and the growth of memory; one line each."""
    paths = [path for path in expand([folder], None) if isinstance(path, str)]
    with _Stream() as stream:
        _overhead(stream, paths, rounds, block)
        _growth(stream, paths, photos)


def _overhead(stream: _Stream, paths: list[str], rounds: int, block: int) -> None:
    classifier = Classifier()
    preprocess = classifier.info.preprocess
    session = Session(classifier.info, cores=allowed_cpus())

    def bare(path: str) -> None:
        with PHOTOS, open(path, "rb") as file:  # alone, as the stream's
            session.answer(decode(file, preprocess).pixels)

    turns = itertools.cycle(paths)
    bare_ms, stream_ms, overheads = [], [], []
    for _ in range(rounds + 1):
        chosen = list(itertools.islice(turns, block))
        bare_ms.append(_milliseconds(chosen, bare))
        stream_ms.append(_milliseconds(chosen, stream.ask))
        overheads.append(stream_ms[-1] - bare_ms[-1])
    print(f"decode + session.run  {statistics.median(bare_ms[1:]):6.2f} ms a photo")
    print(f"stream, round trip    {statistics.median(stream_ms[1:]):6.2f} ms a photo")
    print(f"overhead              {statistics.median(overheads[1:]):6.2f} ms a photo")


def _milliseconds(paths: list[str], work: Callable[[str], None]) -> float:
    started = time.perf_counter()
    for path in paths:
        work(path)
    return (time.perf_counter() - started) * 1e3 / len(paths)


def _growth(stream: _Stream, paths: list[str], photos: int) -> None:
    turns = itertools.cycle(paths)
    warm_up = min(500, photos // 10)
    stream.ask_many(itertools.islice(turns, warm_up))
    before, started = stream.resident_megabytes(), time.perf_counter()
    stream.ask_many(itertools.islice(turns, photos))
    seconds = time.perf_counter() - started
    growth = stream.resident_megabytes() - before
    print(f"{photos} photos, {_IN_FLIGHT} in flight: {photos / seconds:.0f} photos/s")
    print(f"resident memory {before:.1f} MB after {warm_up}, {growth:+.1f} MB after {photos} more")


class _Stream:
    """A child process that answers."""

    def __enter__(self) -> Self:
        command = [str(Path(sys.executable).with_name("flowers")), "stream"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._receive()  # ready
        return self

    def __exit__(self, *_: object) -> None:
        self._stdin.close()
        self._process.wait()

    def ask(self, path: str) -> None:
        self._send(path)
        self._receive()

    def ask_many(self, paths: Iterator[str]) -> None:
        waiting = 0
        for path in paths:
            self._send(path)
            waiting += 1
            if waiting == _IN_FLIGHT:
                self._receive()
                waiting -= 1
        for _ in range(waiting):
            self._receive()

    def resident_megabytes(self) -> float:
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def _send(self, path: str) -> None:
        self._stdin.write(json.dumps({"path": path}).encode() + b"\n")
        self._stdin.flush()

    def _receive(self) -> None:
        answer = json.loads(self._stdout.readline())
        if answer.get("status") == "error":
            raise SystemExit(f"stream.py: {answer['path']}: {answer['error']['message']}")


if __name__ == "__main__":
    fire.Fire(main)
