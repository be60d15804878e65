"""JPEGs of which a part was never written: told even where the file has an end, or its size."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from odd_images import encode, gradient
from PIL import Image

from flowers_onnx import ImageError
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import decode

END = b"\xff\xd9"
#: The decoder reduces the larger picture for the first of these.
SIZES = (32, 224)

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "fine": {"quality": 95, "subsampling": 0},
    "restarts": {"restart_marker_rows": 2},
    "grey": {"mode": "L"},
    "CMYK": {"mode": "CMYK"},
}


def picture(kind: str) -> bytes:
    options = dict(KINDS[kind])
    noise = np.random.default_rng(1).integers(0, 60, (300, 400, 3), np.uint8)
    image = Image.fromarray(np.asarray(gradient(400, 300).convert("RGB")) // 2 + noise)
    return encode(image.convert(options.pop("mode", "RGB")), "JPEG", **options)


def code_of(data: bytes, size: int) -> str:
    try:
        decode(io.BytesIO(data), Preprocess(size, 0.875, "bilinear"))
    except ImageError as error:
        return error.code
    return "ok"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_cut_picture_is_truncated_whatever_stands_behind(
    kind: str, part: float, size: int
) -> None:
    data = picture(kind)
    cut = data[: int(len(data) * part)].rstrip(b"\xff")
    assert code_of(cut + END, size) == "truncated"
    assert code_of(cut + bytes(len(data) - len(cut)), size) == "truncated"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_one_is_read_whatever_stands_behind(kind: str, size: int) -> None:
    data = picture(kind)
    for behind in (b"", bytes(5000), END, b"text", bytes(5000) + END):
        assert code_of(data + behind, size) == "ok"
        assert code_of(data.removesuffix(END) + behind, size) == "ok"


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("value", [126, 127, 128, 129])
def test_a_picture_may_be_grey(mode: str, value: int) -> None:
    grey = Image.new("L", (300, 200), value).convert(mode)
    whole = encode(grey, "JPEG")
    assert code_of(whole, 224) == "ok"
    assert code_of(whole + bytes(5000), 224) == "ok"


def test_grey_without_an_end_is_whole_where_the_next_picture_begins() -> None:
    grey = encode(Image.new("L", (300, 200), 128), "JPEG")
    assert code_of(grey.removesuffix(END) + picture("plain"), 224) == "ok"
    assert code_of(grey.removesuffix(END) + b"\xff\xd8 no picture", 224) == "ok"


def test_damaged_grey_is_an_answer_or_an_error_of_ours() -> None:
    data = encode(Image.new("RGB", (16, 16), (128,) * 3), "JPEG")
    scan = data.index(b"\xff\xda")
    for seed in range(400):
        draw = np.random.default_rng(seed)
        damaged = bytearray(data + bytes(draw.integers(0, 256, 40, np.uint8)))
        for at in draw.integers(scan + 2, len(damaged), 3):
            damaged[at] = draw.choice([0xFF, 0xD8, 0xD9, 0xDA, 0, int(draw.integers(0, 256))])
        if seed % 2:
            del damaged[int(draw.integers(scan, len(damaged))) :]
        assert code_of(bytes(damaged), 32) in {"ok", "truncated", "corrupt", "unsupported"}
