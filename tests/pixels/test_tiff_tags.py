"""Tags of a TIFF that say nothing of its pixels, broken in all ways, never cost the picture."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageCms
from tiffs import (
    BLACK_IS_ZERO,
    COMPRESSION,
    DEFLATE,
    EXTRA,
    FLOAT,
    FORMAT,
    ORIENTATION,
    PHOTOMETRIC,
    RAW,
    RGB,
    SAMPLES,
    STRIPS,
    TILE_SIZES,
    TILES,
    XMP,
    Entry,
    Order,
    Tags,
    picture,
)
from words import raw_text

from flowers_onnx import ImageError
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import Decoded, decode

PREPROCESS = Preprocess(48, 1.0, "nearest")
HEIGHT, WIDTH = 48, 52
_noise = np.random.default_rng(4)
COLOURS = _noise.integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
GREY = COLOURS[..., 0]
ICC, EXIF, GPS, PHOTOSHOP, SOFTWARE, SUBFILES = 34675, 34665, 34853, 34377, 305, 330
FAR = 0xFFFFFF
#: Each is wrong in its own way: of no type, of another one, nowhere, too long, empty.
BROKEN = {
    "nowhere": Entry(2, 50, FAR),
    "huge": Entry(1, 0xFFFFFFFF, 8),
    "no type": Entry(0, 4, 8),
    "an unknown type": Entry(99, 4, 8),
    "empty": Entry(2, 0, 0),
    "a number": Entry(4, 1, 7),
    "numbers": Entry(3, 400, 8),
    "a fraction": Entry(5, 1, 8),
    "a float": Entry(11, 1, 8),
    "doubles nowhere": Entry(12, 3, FAR),
    "a directory nowhere": Entry(13, 1, FAR),
    "itself": Entry(4, 1, 8),
}
PLACES = (270, SOFTWARE, SUBFILES, XMP, 33432, EXIF, ICC, GPS, PHOTOSHOP, 37724, 65000)
XMP_TURNED = b'<x tiff:Orientation="6"/>'
LAYOUTS: dict[str, tuple[Order, bool, int]] = {
    "II": ("<", False, RAW),
    "MM": (">", False, RAW),
    "big": ("<", True, RAW),
    "packed": ("<", False, DEFLATE),
    "MM packed": (">", False, DEFLATE),
}


def decoded(data: bytes) -> Decoded:
    return decode(io.BytesIO(data), PREPROCESS)


def same(data: bytes, plain: bytes) -> bool:
    return bool((decoded(data).pixels == decoded(plain).pixels).all())


def error_of(data: bytes) -> ImageError:
    with pytest.raises(ImageError) as raised:
        decoded(data)
    assert not raw_text(str(raised.value))
    return raised.value


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("broken", BROKEN)
def test_broken_tags(broken: str, layout: str) -> None:
    order, big, compression = LAYOUTS[layout]

    def drawn(array: Any, tags: Tags) -> bytes:
        return picture(array, tags, order=order, big=big, compression=compression)

    plain = drawn(COLOURS, {PHOTOMETRIC: RGB})
    for place in PLACES:
        assert same(drawn(COLOURS, {PHOTOMETRIC: RGB, place: BROKEN[broken]}), plain), place
    everywhere: Tags = dict.fromkeys(PLACES, BROKEN[broken])
    assert same(drawn(COLOURS, {PHOTOMETRIC: RGB, **everywhere}), plain)
    # What stands behind a broken one counts: that these are floats, that this is clear.
    floats = (GREY / 255).astype("f4")
    kind: Tags = {PHOTOMETRIC: BLACK_IS_ZERO, FORMAT: FLOAT}
    assert same(drawn(floats, {**kind, SOFTWARE: BROKEN[broken]}), drawn(floats, kind))
    clear: Tags = {PHOTOMETRIC: RGB, EXTRA: 2}
    with_alpha = np.dstack([COLOURS, 255 - GREY])
    assert same(drawn(with_alpha, {**clear, SUBFILES: BROKEN[broken]}), drawn(with_alpha, clear))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_how_it_is_turned_and_its_profile_survive(layout: str) -> None:
    order, big, compression = LAYOUTS[layout]

    def drawn(tags: Tags) -> bytes:
        return picture(
            COLOURS, {PHOTOMETRIC: RGB, **tags}, order=order, big=big, compression=compression
        )

    for telling in ({ORIENTATION: 6}, {XMP: XMP_TURNED}, {ICC: _swapped_profile()}):
        plain = drawn(telling)
        assert not same(plain, drawn({}))
        for broken in ({SOFTWARE: BROKEN["nowhere"]}, {EXIF: BROKEN["itself"]}):
            mended = decoded(drawn({**telling, **broken}))
            assert (mended.pixels == decoded(plain).pixels).all()
            assert (mended.width, mended.height) == (decoded(plain).width, decoded(plain).height)


def _swapped_profile() -> bytes:
    """Of sRGB with red for blue."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiles_whose_places_are_those_of_strips(order: Order) -> None:
    plain = picture(GREY, {PHOTOMETRIC: BLACK_IS_ZERO}, order=order, tile=(16, 32))
    old = plain
    for new, old_tag in ((TILES, STRIPS), (TILE_SIZES, 279)):
        for kind in (3, 4):
            old = old.replace(
                struct.pack(order + "HH", new, kind), struct.pack(order + "HH", old_tag, kind)
            )
    assert old != plain
    assert same(old, plain)


def test_one_number_where_there_are_several() -> None:
    plain = picture(COLOURS, {PHOTOMETRIC: RGB})
    for tags in ({COMPRESSION: [1, 1]}, {PHOTOMETRIC: [2, 9, 9]}, {SAMPLES: [3, 3]}):
        assert same(picture(COLOURS, {PHOTOMETRIC: RGB, **tags}), plain)


def test_pixels_that_are_nowhere() -> None:
    for place in (258, STRIPS, 257):
        data = picture(COLOURS, {PHOTOMETRIC: RGB}, rows=16)
        at = data.rindex(
            struct.pack("<HH", place, 3)[:2] + b"\3\0" if place != 257 else b"\1\1\3\0"
        )
        gone = data[:at] + struct.pack("<HHII", place, 4, 900, FAR) + data[at + 12 :]
        assert error_of(gone).code == "truncated"


@pytest.mark.parametrize(
    ("tags", "code", "words"),
    [
        ({PHOTOMETRIC: BLACK_IS_ZERO}, "unsupported", "this variant of TIFF"),
        ({FORMAT: [1, 2, 1]}, "unsupported", "TIFF"),
        ({SAMPLES: 200}, "unsupported", "200 channels"),
        ({SAMPLES: 34564}, "corrupt", "damaged"),
    ],
)
def test_what_it_is_not_is_not_said(
    tags: Tags, code: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = error_of(picture(COLOURS, {PHOTOMETRIC: RGB, **tags}))
    assert error.code == code
    assert words in str(error)
    assert "8-bit" not in str(error).removesuffix("(8-bit) JPEG or PNG")
    assert not caplog.messages


@pytest.mark.parametrize("compression", [RAW, DEFLATE])
def test_from_a_file_on_disk(tmp_path: Path, compression: int) -> None:
    """Which libtiff reads by itself, if it may."""
    for tags in ({}, {EXIF: BROKEN["nowhere"]}, {ICC: BROKEN["a number"]}):
        path = tmp_path / "photo.tif"
        path.write_bytes(picture(COLOURS, {PHOTOMETRIC: RGB, **tags}, compression=compression))
        found = decode(path.open("rb"), PREPROCESS).pixels
        assert (found == COLOURS[:, 2:50]).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_stands_in_for_pixels_that_are_missing(layout: str) -> None:
    """Where the directory comes first, the file ends with the pixels."""
    order, big, compression = LAYOUTS[layout]
    if big:
        return
    behind = picture(
        COLOURS,
        {PHOTOMETRIC: RGB, SOFTWARE: BROKEN["nowhere"], 258: 8},
        order=order,
        compression=compression,
    )
    start = int.from_bytes(behind[4:8], "little" if order == "<" else "big")
    pixels, directory = behind[8:start], behind[start:]
    begin = 8 + len(directory)
    at = directory.index(struct.pack(order + "HHI", STRIPS, 3, 1))
    directory = (
        directory[:at] + struct.pack(order + "HHII", STRIPS, 4, 1, begin) + directory[at + 12 :]
    )
    data = behind[:4] + struct.pack(order + "I", 8) + directory + pixels
    assert same(data, behind)
    for missing in (1, 2, 30, 200):
        assert error_of(data[:-missing]).code in ("truncated", "corrupt")
