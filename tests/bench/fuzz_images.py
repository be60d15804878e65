"""Edited images by the thousand: what the tests draw a few of, for as long as a reader likes.

    PYTHONPATH=tests python tests/bench/fuzz_images.py 20000

Of each kind of picture one file after the other is edited: harmlessly (the answer must be the
plain file's), with pixels missing (``truncated`` or ``corrupt``) or anyhow (an answer, or an error
in words). A process of its own decodes them, which may not take more than ``--seconds`` or
``--megabytes`` for one. Each fault is printed with the file's name, as the tests' faults are, which
makes it again: ``--only "harmless:png L:17" --save file.png``.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import damage
import fire
from bench.images.workers import Worker, memory, reset_peak
from words import raw_text

from flowers_onnx import ImageError
from flowers_onnx.errors import IMAGE_ERROR_CODES
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import Pixels, decode

_PREPROCESS = Preprocess(224, 0.875, "bilinear")


class Outcome(NamedTuple):
    """``code`` is ``ok``, an error's, or ``raised``."""

    code: str
    text: str
    pixels: Pixels | None
    seconds: float
    megabytes: float


def main(
    count: int = 2000, *, seed: int = 0, only: str = "", save: str = "", seconds: float = 5,
    megabytes: float = 320,
) -> None:  # fmt: skip
    """Decode COUNT files, from SEED on.

    ONLY is one of the printed names, to look at that one again; SAVE writes its file. A file that
    takes longer than SECONDS or more than MEGABYTES is a fault.
    """
    pictures = damage.pictures()
    worker = Worker(_decoder)
    plain = {name: worker.ask(picture.data) for name, picture in pictures.items()}
    faults: Counter[str] = Counter()
    names = [only] if only else _names(count, seed)
    for number, name in enumerate(names):
        way, kind, _ = name.split(":")
        data = damage.edited(name)
        if save:
            with open(save, "wb") as file:
                file.write(data)
        found = worker.ask(data)
        fault = _fault(way, found, plain[kind], seconds, megabytes)
        if only:
            print(found)
        if fault:
            faults[f"{way}:{kind}: {fault}"] += 1
            print(f"{name}: {fault}", flush=True)
        if number % 1000 == 999:
            print(f"{number + 1} files, {sum(faults.values())} faults", flush=True)
    worker.close()
    print()
    for fault, times in faults.most_common():
        print(f"{times:6} {fault}")
    print(f"{len(names)} files, {sum(faults.values())} faults")
    sys.exit(1 if faults else 0)


def _names(count: int, seed: int) -> list[str]:
    kinds = [(way, kind) for way in damage.WAYS for kind in damage.pictures()]
    places = ((*kinds[number % len(kinds)], seed + number) for number in range(count))
    return [f"{way}:{kind}:{number}" for way, kind, number in places]


def _fault(way: str, found: Outcome | str, plain: Outcome, seconds: float, megabytes: float) -> str:
    """What is wrong with an outcome; empty for nothing."""
    if isinstance(found, str):
        return found
    if found.seconds > seconds or found.megabytes > megabytes:
        return "too slow" if found.seconds > seconds else "too much memory"
    if found.code == "ok":
        changed = way == "harmless" and not damage.same(found.pixels, plain.pixels)  # type: ignore[arg-type]
        return {"cut": "an answer without all pixels"}.get(way, "other pixels" if changed else "")
    if found.code not in IMAGE_ERROR_CODES or raw_text(found.text):
        return f"not for people: {found.code}: {found.text}"
    allowed = {"harmless": (), "cut": ("truncated", "corrupt"), "anyhow": IMAGE_ERROR_CODES}
    return "" if found.code in allowed[way] else f"{found.code}: {found.text}"


def _decoder() -> Callable[[bytes], Outcome]:
    import time

    sys.stderr = io.StringIO()

    def look(data: bytes) -> Outcome:
        reset_peak()
        before, started = memory("VmRSS"), time.perf_counter()
        code, text, pixels = "ok", "", None
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            try:
                pixels = decode(file, _PREPROCESS).pixels
            except ImageError as error:
                code, text = error.code, str(error)
            except BaseException as error:
                code, text = "raised", f"{type(error).__name__}: {error}"
        taken = time.perf_counter() - started
        return Outcome(code, text, pixels, taken, memory("VmHWM") - before)

    return look


if __name__ == "__main__":
    fire.Fire(main)
