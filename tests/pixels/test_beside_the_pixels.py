"""What stands beside the pixels, or should end them, never fails a picture that is whole."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_images import encode
from PIL import Image, features
from support import Run

from flowers_onnx import ImageError
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import Decoded, decode

PREPROCESS = Preprocess(64, 0.875, "bilinear")
SIZE = (150, 90)
#: Turns by a quarter.
TURNED = Image.Exif()
TURNED[0x0112] = 6

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")


def decoded(data: bytes) -> Decoded:
    return decode(io.BytesIO(data), PREPROCESS)


def code_of(data: bytes) -> str:
    try:
        decoded(data)
    except ImageError as error:
        return error.code
    return "ok"


def picture() -> Image.Image:
    """Noise on a field of colours: no two places are alike."""
    rng = np.random.default_rng(3)
    field = np.linspace(40, 200, SIZE[0] * SIZE[1] * 3).reshape(SIZE[1], SIZE[0], 3)
    return Image.fromarray((field + rng.integers(-30, 30, field.shape)).astype(np.uint8))


def same(data: bytes, plain: bytes) -> bool:
    return bool((decoded(data).pixels == decoded(plain).pixels).all())


JPEG = encode(picture(), "JPEG", quality=90)
PROGRESSIVE = encode(picture(), "JPEG", quality=90, progressive=True)
RESTARTS = encode(picture(), "JPEG", quality=90, restart_marker_blocks=3)
PNG = encode(picture(), "PNG")
GIF = encode(picture().quantize(64), "GIF")
WEBP = encode(picture(), "WEBP")


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def with_segments(*segments: bytes, data: bytes = JPEG) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


EXIF_TURNED = segment(0xE1, b"Exif\0\0" + TURNED.tobytes().removeprefix(b"Exif\0\0"))
CUT_ICC = segment(0xE2, b"ICC_PROFILE\0")
BROKEN_SEGMENTS = {
    "ICC without a number": CUT_ICC,
    "ICC of one byte": segment(0xE2, b"ICC_PROFILE\0\1"),
    "ICC, the second of one": segment(0xE2, b"ICC_PROFILE\0\2\1abc"),
    "JFIF": segment(0xE0, b"JFIF"),
    "JFIF without a version": segment(0xE0, b"JFIF\0\1"),
    "Adobe": segment(0xEE, b"Adobe"),
    "Adobe without a transform": segment(0xEE, b"Adobe\0d\0"),
    "EXIF": segment(0xE1, b"Exif\0\0"),
    "EXIF in a loop": segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\x08"),
    "EXIF that points nowhere": segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    "EXIF of a wrong type": segment(
        0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x1a\xff\xff\xff\xff\xff\xff\0\0\0\0"
    ),
    "XMP": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0\xff\xfe<"),
    "IPTC": segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04"),
    "IPTC without a name": segment(0xED, b"Photoshop 3.0\x008BIM"),
    "MPF": segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\1"),
    "MPF without pictures": segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
    "MPF of rubbish": segment(0xE2, b"MPF\0rubbish"),
    "FlashPix": segment(0xE2, b"FPXR\0"),
    "comment": segment(0xFE, b""),
    "nothing": segment(0xEF, b""),
    "a length of none": b"\xff\xe3\0\0",
}


@pytest.mark.parametrize("name", BROKEN_SEGMENTS)
def test_broken_segments_of_a_jpeg(name: str) -> None:
    assert same(with_segments(BROKEN_SEGMENTS[name]), JPEG)
    turned = decoded(with_segments(EXIF_TURNED, CUT_ICC, BROKEN_SEGMENTS[name]))
    if name.startswith("EXIF"):
        return  # which of two is read is Pillow's choice
    assert (turned.width, turned.height) == SIZE[::-1]


_NAMES = [
    b"JFIF\0",
    b"JFXX\0",
    b"Exif\0\0",
    b"ICC_PROFILE\0",
    b"MPF\0",
    b"Photoshop 3.0\0",
    b"Adobe",
]


@settings(deadline=None, max_examples=100)
@given(
    marker=st.sampled_from([*range(0xE0, 0xF0), 0xFE]),
    name=st.sampled_from(_NAMES),
    content=st.binary(max_size=6),  # too short to be a whole one that says what colours are
)
def test_any_segment_of_a_jpeg(marker: int, name: bytes, content: bytes) -> None:
    assert same(with_segments(segment(marker, name + content)), JPEG)


@pytest.mark.parametrize("whole", [JPEG, PROGRESSIVE, RESTARTS], ids=["JPEG", "scans", "restarts"])
def test_a_jpeg_without_its_end(whole: bytes) -> None:
    for cut in (1, 2):
        assert same(whole[:-cut], whole)
    for behind in (bytes(5000), b"\xff", b"\xff" * 9, b"rubbish" * 99, JPEG):
        assert same(whole[:-2] + behind, whole)
    assert same(with_segments(CUT_ICC, data=whole[:-2]), whole)
    for cut in (3, 4, 5, 8, 12, 20, 100, 1000):
        for behind in (b"", b"\xff", b"\xff" * 9):
            assert code_of(whole[:-cut] + behind) == "truncated"


def test_a_jpeg_that_ends_at_a_marker_has_not_all_pixels() -> None:
    for whole, marker in (
        (PROGRESSIVE, b"\xff\xda"),
        (PROGRESSIVE, b"\xff\xc4"),
        (RESTARTS, b"\xff\xd3"),
    ):
        places = [at for at in range(len(whole)) if whole.startswith(marker, at)]
        for place in places[-3:]:
            assert code_of(whole[:place]) == "truncated"


def test_a_large_jpeg_is_looked_at_as_large_as_it_is() -> None:
    """Of a picture that the decoder reduces, the last blocks count too."""
    noise = np.random.default_rng(5).integers(0, 255, (1280, 1600, 3)).astype(np.uint8)
    whole = encode(Image.fromarray(noise), "JPEG", quality=30)
    assert same(whole[:-2], whole)
    for cut in (3, 4, 6, 10):
        assert code_of(whole[:-cut]) == "truncated"


def chunk(name: bytes, content: bytes, crc: int | None = None) -> bytes:
    body = name + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", crc or zlib.crc32(body))


def with_chunks(*chunks: bytes, at: bytes = b"IDAT", data: bytes = PNG) -> bytes:
    place = data.index(at) - 4
    return data[:place] + b"".join(chunks) + data[place:]


_LONG = zlib.compress(bytes(3 << 19))
BROKEN_CHUNKS = {
    "zTXt of 1.5 MB": chunk(b"zTXt", b"key\0\0" + _LONG),
    "iTXt of 1.5 MB": chunk(b"iTXt", b"key\0\1\0\0\0" + _LONG),
    "iCCP of 1.5 MB": chunk(b"iCCP", b"name\0\0" + _LONG),
    "iCCP cut": chunk(b"iCCP", b"name\0\0" + zlib.compress(b"profile")[:-6]),
    "iCCP without a method": chunk(b"iCCP", b"name"),
    "iCCP of another method": chunk(b"iCCP", b"name\0\7abc"),
    "wrong checksum of text": chunk(b"tEXt", b"key\0value", 1),
    "wrong checksum of transparency": chunk(b"tRNS", b"\0\1\0\1\0\1", 1),
    "wrong checksum of what is unknown": chunk(b"abCd", b"content", 1),
    "short gamma": chunk(b"gAMA", b""),
    "short density": chunk(b"pHYs", b"\0\0"),
    "short chromaticity": chunk(b"cHRM", b"\0\0"),
    "empty intent": chunk(b"sRGB", b""),
    "short transparency": chunk(b"tRNS", b"\0"),
    "broken EXIF": chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"),
    "short animation": chunk(b"acTL", b"\0"),
    "animation of a wrong number": chunk(b"acTL", b"\0\0\0\2\0\0\0\0")
    + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 7, *SIZE, 0, 0, 1, 1, 0, 0)),
    "animation beyond its canvas": chunk(b"acTL", b"\0\0\0\2\0\0\0\0")
    + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, *SIZE, 9, 9, 1, 1, 0, 0)),
    "short control": chunk(b"acTL", b"\0\0\0\2\0\0\0\0") + chunk(b"fcTL", b"\0\0\0\0"),
}


@pytest.mark.parametrize("name", BROKEN_CHUNKS)
def test_broken_chunks_of_a_png(name: str) -> None:
    assert same(with_chunks(BROKEN_CHUNKS[name]), PNG)
    assert same(with_chunks(BROKEN_CHUNKS[name], at=b"IEND"), PNG)
    exif = chunk(b"eXIf", TURNED.tobytes().removeprefix(b"Exif\0\0"))
    turned = decoded(with_chunks(exif, BROKEN_CHUNKS["short gamma"], BROKEN_CHUNKS[name]))
    if "EXIF" not in name:
        assert (turned.width, turned.height) == SIZE[::-1]


_CHUNKS = [
    *("tEXt", "zTXt", "iTXt", "iCCP", "gAMA", "cHRM", "sRGB", "pHYs", "tIME", "bKGD", "hIST"),
    *("sBIT", "sPLT", "eXIf", "acTL", "fcTL", "teSt"),
]


@settings(deadline=None, max_examples=100)
@given(
    name=st.sampled_from(_CHUNKS),
    content=st.binary(max_size=40),
    crc=st.sampled_from([None, 1]),
    at=st.sampled_from([b"IDAT", b"IEND"]),
)
def test_any_chunk_of_a_png(name: str, content: bytes, crc: int | None, at: bytes) -> None:
    assert same(with_chunks(chunk(name.encode(), content, crc), at=at), PNG)


def test_transparency_and_palette_of_a_png_are_kept() -> None:
    clear = picture().quantize(32)
    plain = encode(clear, "PNG", transparency=bytes(range(0, 256, 8)))
    assert same(with_chunks(BROKEN_CHUNKS["short gamma"], data=plain), plain)
    assert not same(plain, encode(clear, "PNG"))


def test_what_a_png_needs_must_be_right() -> None:
    header = PNG.index(b"IHDR")
    wrong = bytearray(PNG)
    wrong[header + 18] ^= 1
    assert code_of(bytes(wrong)) == "corrupt"
    assert code_of(PNG[: len(PNG) // 2]) == "truncated"
    assert (
        code_of(with_chunks(BROKEN_CHUNKS["short gamma"], data=PNG[: len(PNG) // 2])) == "truncated"
    )


def test_a_gif_with_broken_extensions() -> None:
    place = 13 + 3 * 64
    assert GIF[place] in b",!"
    for broken in (
        b"!\xf9\1\0\0",  # a control of one byte
        b"!\xf9\1\1\0",
        b"!\xff\x0bNETSCAPE2.0\2\1\0\0",
        b"!\xff\x0bNETSCAPE2.0\0",
        b"!\xff\x03ABC\0",
        b"!\xfe\0",
        b"!\xfe\3abc\0",
        b"!\1\0",
    ):
        assert same(GIF[:place] + broken + GIF[place:], GIF)


def test_a_gif_without_its_end() -> None:
    for cut in (1, 2):
        assert same(GIF[:-cut], GIF)
    assert code_of(GIF[:-300]) == "truncated"
    assert code_of(GIF[:-300] + b"\0;") == "truncated"


def webp_with(*chunks: tuple[bytes, bytes], flags: int = 0) -> bytes:
    """The picture in an extended container, with these behind."""
    size = b"".join((side - 1).to_bytes(3, "little") for side in SIZE)
    parts = [(b"VP8X", bytes([flags, 0, 0, 0]) + size), (b"VP8 ", WEBP[20:]), *chunks]
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
        for name, content in parts
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_a_webp_of_wrong_lengths() -> None:
    exif = (b"EXIF", TURNED.tobytes().removeprefix(b"Exif\0\0"))
    whole = webp_with(exif, flags=8)
    assert (decoded(whole).width, decoded(whole).height) == SIZE[::-1]
    for size in (0, 4, 100, len(whole), len(whole) + 1000, 2**32 - 1):
        assert same(whole[:4] + struct.pack("<I", size) + whole[8:], whole)
        assert same(WEBP[:4] + struct.pack("<I", size) + WEBP[8:], WEBP)
    for cut in range(1, len(exif[1]) + 8):
        assert same(whole[:-cut], WEBP)
    assert same(WEBP + b"rubbish", WEBP)
    picture_alone = webp_with()
    for cut in (10, 100, 400):
        assert code_of(picture_alone[:-cut]) == "truncated"
        assert code_of(WEBP[:-cut]) == "truncated"


def test_a_webp_of_broken_metadata() -> None:
    for name, flag in ((b"EXIF", 8), (b"XMP ", 4), (b"ICCP", 32)):
        for content in (b"", b"\xff", b"MM\0*\xff\xff\xff\xff"):
            assert same(webp_with((name, content), flags=flag), WEBP)
    assert same(webp_with(flags=8 | 4 | 32), WEBP)


@needs_avif
def test_an_avif_of_broken_exif() -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera's name"
    whole = encode(picture(), "AVIF", exif=exif, xmp=b"<x/>")
    block = whole.index(exif.tobytes().removeprefix(b"Exif\0\0")[:8])
    assert same(whole[:block] + bytes(8) + whole[block + 8 :], whole)


def test_the_command_names_such_photos(tmp_path: Path, flowers: Run, sample: Path) -> None:
    plain = sample.read_bytes()
    with Image.open(sample) as image:
        png = encode(image, "PNG")
    files = {
        "icc.jpg": with_segments(CUT_ICC, data=plain),
        "end.jpg": plain[:-2],
        "text.png": with_chunks(BROKEN_CHUNKS["zTXt of 1.5 MB"], data=png),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "cut.jpg").write_bytes(plain[:-12])
    done = flowers("classify", tmp_path, "--format", "jsonl")
    records = {Path(r["path"]).name: r for r in map(json.loads, done.stdout.splitlines())}
    assert records.pop("cut.jpg")["error"]["code"] == "truncated"
    assert {record["label"] for record in records.values()} == {"pink-yellow dahlia"}
    assert done.returncode == 1
