"""HEIC by an optional package: the same photo as from any other file, and the same limits."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import icc
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from flowers_onnx import Classifier, ImageError, Prediction
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import decode

pillow_heif = pytest.importorskip("pillow_heif")

FAST = {"preset": "ultrafast"}
PREPROCESS = Preprocess(64, 1.0, "bilinear")


@pytest.fixture
def photo(sample: Path) -> Image.Image:
    with Image.open(sample) as image:
        return image.convert("RGB").resize((400, 300))


def heic(*images: Image.Image, primary: int = 0, **options: object) -> bytes:
    file, container = io.BytesIO(), pillow_heif.from_pillow(images[0])
    for image in images[1:]:
        container.add_from_pillow(image)
    container.save(file, primary_index=primary, quality=90, enc_params=FAST, **options)
    return file.getvalue()


def pixels_of(data: bytes, max_pixels: int = 10**6) -> npt.NDArray[np.uint8]:
    return decode(io.BytesIO(data), PREPROCESS, max_pixels).pixels


def looks_like(data: bytes, image: Image.Image) -> bool:
    file = io.BytesIO()
    image.save(file, "PNG")
    expected = pixels_of(file.getvalue()).astype(int)
    return bool(np.abs(pixels_of(data) - expected).mean() < 4)


def code_of(data: bytes, max_pixels: int = 10**6) -> str:
    with pytest.raises(ImageError) as raised:
        pixels_of(data, max_pixels)
    assert "\n" not in str(raised.value)
    return raised.value.code


def test_the_answer_is_that_of_the_photo(sample: Path, tmp_path: Path) -> None:
    with Image.open(sample) as image:
        image.info.pop("exif", None)
        (tmp_path / "photo.heic").write_bytes(heic(image.convert("RGB")))
    plain, found = Classifier().classify_many([sample, tmp_path / "photo.heic"])
    assert isinstance(found, Prediction)
    assert isinstance(plain, Prediction)
    assert (found.label, found.width, found.height) == (plain.label, plain.width, plain.height)


def test_tiles_depths_and_modes(photo: Image.Image) -> None:
    assert looks_like(heic(photo), photo)
    assert looks_like(heic(photo, tile_size=128), photo)
    assert looks_like(heic(photo.convert("L")), photo.convert("L"))
    deep = np.asarray(photo).astype(np.uint16) * 257
    ten_bits = pillow_heif.from_bytes(mode="RGB;16", size=photo.size, data=deep.tobytes())
    file = io.BytesIO()
    ten_bits.save(file, quality=90, enc_params=FAST)
    assert looks_like(file.getvalue(), photo)


def test_transparency_is_white(photo: Image.Image) -> None:
    clear = photo.copy()
    alpha = Image.new("L", photo.size, 255)
    alpha.paste(0, (0, 150, 400, 300))
    clear.putalpha(alpha)
    expected = photo.copy()
    expected.paste("white", (0, 150, 400, 300))
    assert looks_like(heic(clear), expected)


def test_the_primary_image_and_never_its_thumbnail(photo: Image.Image) -> None:
    red = Image.new("RGB", (200, 100), "red")
    assert looks_like(heic(photo, red), photo)
    assert looks_like(heic(photo, red, primary=1), red)
    data = heic(photo, thumbnails=[200])
    decoded = decode(io.BytesIO(data), PREPROCESS)
    assert (decoded.width, decoded.height) == (400, 300)
    assert code_of(data, 400 * 300 // 2) == "too_large"


def test_a_colour_profile(photo: Image.Image) -> None:
    plain, wide = photo.copy(), photo.copy()
    wide.info["icc_profile"] = icc.PROPHOTO
    difference = pixels_of(heic(wide)).astype(int) - pixels_of(heic(plain))
    assert np.abs(difference).mean() > 10


def test_sizes_are_told_before_anything_is_decoded(photo: Image.Image) -> None:
    data = heic(photo)
    at = data.index(b"ispe") + 8
    bomb = data[:at] + struct.pack(">II", 30_000, 30_000) + data[at + 8 :]
    assert code_of(bomb) == "too_large"
    # One that says less than it holds.
    small = data[:at] + struct.pack(">II", 64, 64) + data[at + 8 :]
    assert code_of(small) == "too_large"


def test_one_that_is_cut_is_truncated(photo: Image.Image) -> None:
    for data in (heic(photo), heic(photo, tile_size=128)):
        for share in (0.02, 0.3, 0.9, 0.99):
            assert code_of(data[: int(len(data) * share)]) == "truncated"


def test_what_cannot_be_decoded(photo: Image.Image) -> None:
    data = heic(photo)
    assert code_of(data.replace(b"hvc1", b"vvc1")) == "unsupported"
    assert code_of(data[:28] + bytes(200)) in ("corrupt", "truncated")
    rubbish = bytearray(data)
    rubbish[60:300:7] = bytes(len(rubbish[60:300:7]))
    assert code_of(bytes(rubbish)) in ("corrupt", "truncated", "unsupported")


def test_others_learn_nothing_of_it(photo: Image.Image) -> None:
    """Not the program that imports us: its Pillow, its options of the package, its threads."""
    extensions, threads = dict(Image.registered_extensions()), threading.active_count()
    options = vars(pillow_heif.options).copy()
    pixels_of(heic(photo))
    assert Image.registered_extensions() == extensions
    assert "HEIF" not in Image.OPEN
    assert vars(pillow_heif.options) == options
    assert threading.active_count() == threads


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_no_thread_stays(photo: Image.Image) -> None:
    data = heic(photo, tile_size=128)
    pixels_of(data)
    before = len(os.listdir("/proc/self/task"))
    for _ in range(3):
        pixels_of(data)
    assert len(os.listdir("/proc/self/task")) <= before


def test_without_the_package_the_message_names_the_extra(tmp_path: Path) -> None:
    """Behind the command's back: Python finds no such package."""
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500))
    program = "import sys; sys.modules['pillow_heif'] = None; sys.argv[0] = 'flowers'\n"
    program += "from flowers_onnx.__main__ import entry\nsys.exit(entry())"
    command = [sys.executable, "-c", program, "classify", str(tmp_path / "photo.heic")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "(unsupported)" in done.stdout + done.stderr
    assert "[heic]" in done.stdout + done.stderr
