"""An answer doesn't depend on what the caller's program makes of warnings, nor changes that."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from odd_images import encode, gradient
from PIL import Image, TiffImagePlugin
from tiffs import FLOAT, FORMAT, PHOTOMETRIC, RGB, Entry, picture

from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import Decoded, decode, prepare

PREPROCESS = Preprocess(32, 1.0, "bilinear")
FILTERS = ("error", "ignore", "always", "once")
#: Turned to the right; behind that, a value that is nowhere.
_ENTRIES = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHII", 0x010E, 2, 9, 1 << 20)
BROKEN_EXIF = b"II*\0" + struct.pack("<IH", 8, 2) + _ENTRIES + bytes(4)


def _png_chunk_twice() -> bytes:
    """An animation that begins twice, which Pillow warns of."""
    data = encode(gradient(80, 60), "PNG", save_all=True, append_images=[gradient(80, 60)] * 2)
    at = data.index(b"acTL") - 4
    return data[:at] + data[at : at + 20] + data[at:]


def _colours() -> np.ndarray:
    return np.asarray(gradient(80, 60))


WARNED_OF = {
    "JPEG": encode(gradient(80, 60), "JPEG", exif=b"Exif\0\0" + BROKEN_EXIF),
    "PNG": encode(gradient(80, 60), "PNG", exif=BROKEN_EXIF),
    "WEBP": encode(gradient(80, 60), "WEBP", exif=b"Exif\0\0" + BROKEN_EXIF),
    "APNG": _png_chunk_twice(),
    "TIFF, EXIF": picture(_colours(), {PHOTOMETRIC: RGB, 34665: Entry(4, 1, 8)}),
    "TIFF, nowhere": picture(_colours(), {PHOTOMETRIC: RGB, 305: Entry(2, 900, 1 << 20)}),
    "TIFF, two": picture(_colours(), {PHOTOMETRIC: RGB, 282: [1, 2, 3]}),
    "TIFF, no number": picture(np.full((60, 80), np.nan, "f4"), {PHOTOMETRIC: 1, FORMAT: FLOAT}),
}
TURNED = {"JPEG", "PNG", "WEBP"}


@contextmanager
def filtered(action: str) -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter(action)  # type: ignore[arg-type]
        yield told


def answer(data: bytes) -> tuple[bytes, int, int]:
    found = decode(io.BytesIO(data), PREPROCESS)
    return found.pixels.tobytes(), found.width, found.height


@pytest.mark.parametrize("name", WARNED_OF)
def test_each_filter_gives_the_same_answer(name: str) -> None:
    found = set()
    for action in FILTERS:
        with filtered(action):
            found.add(answer(WARNED_OF[name]))
    assert len(found) == 1
    assert found.pop()[1:] == ((60, 80) if name in TURNED else (80, 60))


def test_a_picture_in_memory() -> None:
    found = set()
    for action in FILTERS:
        with filtered("ignore"):
            image = Image.open(io.BytesIO(WARNED_OF["WEBP"]))
            image.load()
        with filtered(action):
            done = prepare(image, PREPROCESS)
        found.add((done.pixels.tobytes(), done.width, done.height))
    assert len(found) == 1
    assert found.pop()[1:] == (60, 80)


def test_other_threads_are_warned_as_before() -> None:
    """While photos are decoded, and by Pillow itself, which says where it is in its code."""
    stop = threading.Event()

    def photos() -> list[Decoded]:
        done = []
        while not stop.is_set():
            done += [decode(io.BytesIO(data), PREPROCESS) for data in WARNED_OF.values()]
        return done

    with filtered("error"), ThreadPoolExecutor(2) as pool:
        decoding = [pool.submit(photos) for _ in range(2)]
        try:
            for _ in range(200):
                with pytest.raises(UserWarning):
                    Image.Exif().load(b"Exif\0\0" + BROKEN_EXIF)
        finally:
            stop.set()
        assert all(future.result() for future in decoding)
    with filtered("always") as told:
        Image.Exif().load(b"Exif\0\0" + BROKEN_EXIF)
    assert {warning.filename for warning in told} == {TiffImagePlugin.__file__}


def test_a_program_that_makes_errors_of_warnings() -> None:
    program = (
        "import io, sys;"
        "from flowers_onnx.metadata import Preprocess;"
        "from flowers_onnx.pixels import decode;"
        "done = decode(io.BytesIO(sys.stdin.buffer.read()), Preprocess(32, 1.0, 'bilinear'));"
        "print(done.width, done.height)"
    )
    for name in ("JPEG", "TIFF, EXIF"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            input=WARNED_OF[name],
            capture_output=True,
            check=True,
        )
        assert done.stdout.split() == ([b"60", b"80"] if name in TURNED else [b"80", b"60"])
        assert done.stderr == b""
