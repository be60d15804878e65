"""Camera raw files are told by their content, and no picture is taken for one."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from raw_files import (
    DNG,
    RAW_FILES,
    SENSOR,
    SUB_DIRECTORIES,
    picture,
    thumbnail,
    tiff,
)

from flowers_onnx import Classifier, ImageError
from flowers_onnx.camera_raw import kind_of_tiff
from flowers_onnx.image_formats import sniff
from flowers_onnx.results import Failure


@pytest.mark.parametrize("name", RAW_FILES)
def test_a_raw_file_is_unsupported_and_says_what_to_do(classifier: Classifier, name: str) -> None:
    with pytest.raises(ImageError, match=r"^camera raw: export a JPEG, or use the one") as raised:
        classifier.classify(RAW_FILES[name])
    assert raised.value.code == "unsupported"


def test_a_thumbnail_is_no_answer(classifier: Classifier) -> None:
    """Its size would be given as that of the photo."""
    for pages in ([thumbnail(), picture(800, 600)], [thumbnail(), thumbnail(), picture(800, 600)]):
        with pytest.raises(ImageError, match="thumbnail-first TIFF images are not supported"):
            classifier.classify(tiff(*pages))


def with_directories(data: bytes, *inner: bytes) -> bytes:
    """A little-endian TIFF of Pillow's with directories inside its first one."""
    at = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[at : at + 2], "little")
    entries = [data[at + 2 + 12 * n : at + 14 + 12 * n] for n in range(count)]
    places, tail = [], b""
    for directory in inner:
        places.append(len(data) + len(tail))
        tail += directory
    values = struct.pack(f"<{len(places)}I", *places)
    where = len(data) + len(tail)
    value = values if len(places) == 1 else struct.pack("<I", where)
    entries.append(struct.pack("<HHI4s", SUB_DIRECTORIES, 4, len(places), value))
    entries.sort(key=lambda entry: int.from_bytes(entry[:2], "little"))
    tail += values
    first = len(data) + len(tail)
    tail += struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return data[:4] + struct.pack("<I", first) + data[8:] + tail


def directory(width: int, length: int, kind: int) -> bytes:
    tags = {254: kind, 256: width, 257: length, 258: 8, 259: 1, 262: 2, 277: 3}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return struct.pack("<H", len(tags)) + entries + bytes(4)


def scanned(**options: object) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[271], tags[272], tags[305] = "NIKON CORPORATION", "NIKON D850", "Adobe Photoshop 25.0"
    file = io.BytesIO()
    Image.new("RGB", (640, 480), "orange").save(file, "TIFF", tiffinfo=tags, **options)
    return file.getvalue()


def test_a_camera_s_name_makes_no_raw_file(classifier: Classifier) -> None:
    """Scanners, Photoshop and Lightroom write it, with previews and pyramids inside."""
    plain = scanned()
    pyramid = [directory(320 >> level, 240 >> level, 1) for level in range(3)]
    documents = [Image.new("RGB", (100 * n, 900), "white") for n in range(1, 12)]
    made = {
        "plain": plain,
        "deflate": scanned(compression="tiff_adobe_deflate"),
        "preview": with_directories(plain, pyramid[0]),
        "pyramid": with_directories(plain, *pyramid),
        "mask": with_directories(plain, directory(640, 480, 4)),
        "broken directory": with_directories(plain, b"\xff\xff"),
        "pages": scanned(save_all=True, append_images=documents),
    }
    for name, data in made.items():
        found = classifier.classify(data)
        assert (name, found.width, found.height) == (name, 640, 480)


def test_a_circle_of_directories_ends() -> None:
    data = bytearray(tiff(picture(640, 480)))
    data[58:62] = struct.pack("<I", 8)  # behind four entries: the directory itself follows
    assert kind_of_tiff(io.BytesIO(data)) == "TIFF"
    assert kind_of_tiff(io.BytesIO(tiff(picture(640, 480), within=[picture(64, 48)]))) == "TIFF"


def test_no_directory_is_too_broken() -> None:
    """Every error is a value, whatever the bytes, and the file is left at its start."""
    draw = random.Random(5)
    for original in (DNG, RAW_FILES["big.dng"], RAW_FILES["motorola.nef"], tiff(SENSOR)):
        for _ in range(300):
            data = bytearray(original[: draw.randrange(4, 400)])
            for _ in range(draw.randrange(6)):
                data[draw.randrange(4, len(data)) if len(data) > 4 else 0] = draw.randrange(256)
            file = io.BytesIO(data)
            kind_of_tiff(file)
            assert file.tell() == 0


def test_a_renamed_raw_file_stays_one(classifier: Classifier, tmp_path: Path) -> None:
    for name in ("x.tif", "x.jpg", "x"):
        (tmp_path / name).write_bytes(DNG)
        result = classifier.result(tmp_path / name)
        assert isinstance(result, Failure)
        assert result.code == "unsupported"


def test_heif_is_told_by_all_of_its_brands(classifier: Classifier) -> None:
    """The first one may be general, and the list longer than a line."""

    def brands(*names: str, wide: bool = False) -> bytes:
        listed = b"".join(name.encode() for name in names[1:])
        size = 16 + len(listed) + 8 * wide
        head = (
            struct.pack(">I4sQ", 1, b"ftyp", size) if wide else struct.pack(">I4s", size, b"ftyp")
        )
        return head + names[0].encode() + bytes(4) + listed + b"\0\0\0\x08mdat" + bytes(100)

    fillers = [f"x{number:03}" for number in range(60)]
    for brand in ("heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "mif2",
                  "msf1", "miaf", "avci"):  # fmt: skip
        for data in (brands(brand), brands(brand, wide=True), brands("isom", *fillers, brand)):
            assert sniff(data) == "HEIC"
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "AVIF")
    avif = file.getvalue()
    size = int.from_bytes(avif[:4])
    general = struct.pack(">I4s", size, b"ftyp") + b"mif1" + avif[12:size] + avif[size:]
    assert classifier.classify(general).width == 64
    for brand in ("mp42", "isom", "qt  "):  # a film
        with pytest.raises(ImageError) as raised:
            classifier.classify(brands(brand, "iso2", "mp41"))
        assert raised.value.code == "not_an_image"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"%PDF-1.4\n", "PDF"), (b"8BPS\0\1" + bytes(40), "Photoshop"),
        (b"gimp xcf v011\0", "GIMP"), (b"<?xml version='1.0'?>\n<!-- x --><svg ", "SVG"),
        (b"<svg xmlns=", "SVG"), (b"\0\0\1\0\1\0", "ICO"), (b"icns\0\0\1\0", "ICNS"),
        (b"%!PS-Adobe-3.0 EPSF", "PostScript"), (b"\xd7\xcd\xc6\x9a", "WMF"),
        (b"\xff\x4f\xff\x51\0\x29", "JPEG 2000"), (b"II\xbc\x01", "JPEG XR"),
        (b"v/1\x01", "OpenEXR"), (b"qoif", "QOI"),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_called_by_its_name(
    classifier: Classifier, data: bytes, name: str
) -> None:
    with pytest.raises(ImageError, match=f"^{name} images are not supported") as raised:
        classifier.classify(data + bytes(100))
    assert raised.value.code == "unsupported"


@pytest.mark.parametrize("text", [b"BMW service book: oil changed", b"BM", b"BMX\n"])
def test_a_text_is_no_bitmap(classifier: Classifier, text: bytes) -> None:
    with pytest.raises(ImageError) as raised:
        classifier.classify(text)
    assert raised.value.code == "not_an_image"
