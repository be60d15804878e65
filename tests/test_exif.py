"""When and where photos were taken: `--exif`, off unless it is asked for."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from exif_photos import PLACE, Tags, exif, photo
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational
from support import SAMPLE, Run, needs, result_sink
from tiffs import tiff

from flowers_onnx.exif import Taken, taken
from flowers_onnx.tables import SUFFIXES

NOTHING = Taken()
WHOLE = Taken("2024-05-17T14:03:22+02:00", 41.40338888888889, 2.174027777777778)
SMALL = Image.new("RGB", (8, 8))
BLOCK = exif().tobytes()

ORIGINAL, DIGITIZED = ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized
OFFSET, OFFSET_DIGITIZED = ExifTags.Base.OffsetTimeOriginal, ExifTags.Base.OffsetTimeDigitized
LATITUDE, LATITUDE_REF = ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef
LONGITUDE, LONGITUDE_REF = ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef


def heif(block: bytes) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 64))).save(buffer, exif=block)
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(name + content)
    return len(content).to_bytes(4, "big") + name + content + crc.to_bytes(4, "big")


def png_with_behind(extra: bytes) -> bytes:
    buffer = io.BytesIO()
    SMALL.save(buffer, "PNG")
    return buffer.getvalue()[:-12] + extra + chunk(b"IEND", b"")


# Reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "MPO"])
def test_every_format(format: str) -> None:
    assert taken(photo(SMALL, format)) == WHOLE


def test_more_formats() -> None:
    assert taken(heif(BLOCK)) == WHOLE
    assert taken(BLOCK.removeprefix(b"Exif\0\0")) == WHOLE  # what a TIFF is, too
    assert taken(png_with_behind(chunk(b"eXIf", BLOCK[6:]))) == WHOLE
    raw = b"Raw profile type exif\0\0" + zlib.compress(
        f"\nexif\n{len(BLOCK):8}\n{BLOCK.hex()}\n".encode()
    )
    assert taken(png_with_behind(chunk(b"zTXt", raw))) == WHOLE


def test_what_has_no_exif() -> None:
    for content in (b"", b"x", b"\xff\xd8\xff", SAMPLE.read_bytes(), b"GIF89a", b"BM" * 40):
        assert taken(content) == NOTHING


def test_a_broken_photo_may_tell_all_the_same() -> None:
    whole = photo(Image.open(SAMPLE))
    assert taken(whole[: len(whole) // 2]) == WHOLE
    assert taken(whole[:-2000] + bytes(2000)) == WHOLE


def test_exif_in_two_segments_of_a_jpeg() -> None:
    parts = (b"Exif\0\0" + BLOCK[6:90], b"Exif\0\0" + BLOCK[90:])
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(p) + 2) + p for p in parts)
    plain = io.BytesIO()
    SMALL.save(plain, "JPEG")
    assert taken(plain.getvalue()[:2] + segments + plain.getvalue()[2:]) == WHOLE


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_byte_orders_and_large_tiffs(order: Any, big: bool) -> None:
    """All of it in the first directory, as some programs write it."""
    tags: dict[int, int | bytes] = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: -1, 279: 1}
    tags[ORIGINAL] = b"2020:01:02 03:04:05\0"
    content = tiff([b"\0"], tags, order=order, big=big)
    assert taken(content) == NOTHING._replace(taken_at="2020-01-02T03:04:05")


def time_of(**tags: str | bytes) -> str | None:
    given = {getattr(ExifTags.Base, name): value for name, value in tags.items()}
    return taken(photo(SMALL, time=given, place={})).taken_at


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"DateTimeOriginal": "2024:05:17 14:03:22"}, "2024-05-17T14:03:22"),
        ({"DateTimeOriginal": "2024-05-17T14:03:22"}, "2024-05-17T14:03:22"),
        ({"DateTimeOriginal": "2024:05:17 14:03:22.75"}, "2024-05-17T14:03:22"),
        ({"DateTimeOriginal": "2024:05:17 14:03:22-0330"}, "2024-05-17T14:03:22-03:30"),
        ({"DateTimeOriginal": "2024:02:29 00:00:00"}, "2024-02-29T00:00:00"),
        ({"DateTimeOriginal": "0000:00:00 00:00:00"}, None),
        ({"DateTimeOriginal": "0001:01:01 00:00:00"}, None),
        ({"DateTimeOriginal": "2024:02:31 10:00:00"}, None),
        ({"DateTimeOriginal": "2023:02:29 10:00:00"}, None),
        ({"DateTimeOriginal": "2024:13:01 10:00:00"}, None),
        ({"DateTimeOriginal": "2024:05:17 24:00:00"}, None),
        ({"DateTimeOriginal": "2024:05:17 10:60:00"}, None),
        ({"DateTimeOriginal": "    :  :     :  :  "}, None),
        ({"DateTimeOriginal": ""}, None),
        ({"DateTimeOriginal": "yesterday"}, None),
        ({"DateTimeOriginal": "2024:05:17 14:03:22 PM"}, None),
        ({"DateTimeOriginal": "\u0662024:05:17 14:03:22".encode()}, None),
        ({"DateTime": "2024:05:17 14:03:22"}, None),  # when the file was changed
        ({"DateTimeDigitized": "2024:05:17 14:03:22"}, "2024-05-17T14:03:22"),
        (
            {"DateTimeOriginal": "0000:00:00 00:00:00", "DateTimeDigitized": "2024:05:17 14:03:22",
             "OffsetTimeOriginal": "+02:00", "OffsetTimeDigitized": "-07:00"},
            "2024-05-17T14:03:22-07:00",
        ),
        (
            {"DateTimeOriginal": "2020:01:01 00:00:00", "DateTimeDigitized": "2024:05:17 14:03:22"},
            "2020-01-01T00:00:00",
        ),
    ],
)  # fmt: skip
def test_times(tags: dict[str, Any], expected: str | None) -> None:
    assert time_of(**tags) == expected


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ("+02:00", "+02:00"), ("-03:30", "-03:30"), ("+0545", "+05:45"), ("Z", "+00:00"),
        ("-00:00", "+00:00"), ("+14:00", "+14:00"), ("   :  ", ""), ("", ""), ("+25:00", ""),
        ("+02:99", ""), ("CEST", ""), ("02:00", ""),
    ],
)  # fmt: skip
def test_offsets(offset: str, expected: str) -> None:
    found = time_of(DateTimeOriginal="2024:05:17 14:03:22", OffsetTimeOriginal=offset)
    assert found == f"2024-05-17T14:03:22{expected}"


def place_of(**changes: Any) -> tuple[float | None, float | None]:
    tags: dict[int, Any] = {**PLACE}
    for name, value in changes.items():
        tags[getattr(ExifTags.GPS, name)] = value
    given = {tag: value for tag, value in tags.items() if value is not None}
    return taken(photo(SMALL, time={}, place=given))[1:]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"GPSLatitudeRef": "S", "GPSLongitudeRef": "W"}, (-WHOLE[1], -WHOLE[2])),  # type: ignore[operator]
        ({"GPSLatitudeRef": "n", "GPSLongitudeRef": "e\0"}, WHOLE[1:]),
        ({"GPSLatitude": (41.5, 0.0, 0.0), "GPSLongitude": (2.0, 30.0, 0.0)}, (41.5, 2.5)),
        ({"GPSLatitude": (41.5,), "GPSLongitude": (2.0, 30.0)}, (41.5, 2.5)),
        ({"GPSLatitude": (90.0, 0.0, 0.0), "GPSLongitude": (180.0, 0.0, 0.0)}, (90, 180)),
        ({"GPSLatitude": (0.0, 0.0, 0.0), "GPSLatitudeRef": "S"}, (0, WHOLE[2])),
        ({"GPSMapDatum": "WGS-84"}, WHOLE[1:]),
        ({"GPSMapDatum": "\0\0"}, WHOLE[1:]),
        ({"GPSMapDatum": "TOKYO"}, (None, None)),  # 400 metres away
        ({"GPSLatitudeRef": None}, (None, None)),
        ({"GPSLongitudeRef": None}, (None, None)),
        ({"GPSLatitudeRef": "X"}, (None, None)),
        ({"GPSLatitudeRef": ""}, (None, None)),
        ({"GPSLatitude": None}, (None, None)),
        ({"GPSLongitude": None}, (None, None)),
        ({"GPSLatitude": (90.0, 0.0, 0.5)}, (None, None)),
        ({"GPSLongitude": (180.0, 0.1, 0.0)}, (None, None)),
        ({"GPSLatitude": (41.0, 61.0, 0.0)}, (None, None)),
        ({"GPSLatitude": (41.0, 0.0, 99.0)}, (None, None)),
        ({"GPSLatitude": (IFDRational(0, 0),) * 3}, (None, None)),
        ({"GPSLatitude": (41.0, 24.0, IFDRational(1, 0))}, (None, None)),
        ({"GPSLatitude": (0.0,) * 3, "GPSLongitude": (0.0,) * 3}, (None, None)),
        (
            {"GPSLatitude": (0.0,) * 3, "GPSLongitude": (0.0,) * 3,
             "GPSLatitudeRef": None, "GPSLongitudeRef": None},
            (None, None),
        ),
    ],
)  # fmt: skip
def test_places(changes: dict[str, Any], expected: tuple[float | None, float | None]) -> None:
    found = place_of(**changes)
    assert (
        found == pytest.approx(expected, abs=1e-9)
        if expected[0] is not None
        else (found == expected)
    )
    assert str(found[0]) != "-0.0"


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 99])
@pytest.mark.parametrize("count", [0, 1, 3, 2**32 - 1])
def test_values_of_odd_types(kind: int, count: int) -> None:
    """Of any type and length, and what they point at isn't there."""
    entries = b"".join(
        struct.pack("<HHI", tag, kind, count) + b"\xff\xff\xff\x7f" for tag in (1, 2, 3, 4, 18)
    )
    gps = struct.pack("<H", 5) + entries + bytes(4)
    first = struct.pack("<HHHII", 1, 0x8825, 4, 1, 26) + bytes(4)
    assert taken(b"II*\0\x08\0\0\0" + first + gps)[1:] == (None, None)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1.0, 1e300])
def test_numbers_that_are_none(value: float) -> None:
    entries = b"".join(
        struct.pack("<HHI4s", *each)
        for each in [
            (1, 2, 2, b"N\0\0\0"),
            (2, 12, 1, struct.pack("<I", 90)),
            (3, 2, 2, b"E\0\0\0"),
            (4, 12, 1, struct.pack("<I", 98)),
        ]
    )
    gps = struct.pack("<H", 4) + entries + bytes(4)
    first = struct.pack("<HHHII", 1, 0x8825, 4, 1, 26) + bytes(4)
    block = (b"II*\0\x08\0\0\0" + first + gps).ljust(90, b"\0")
    assert taken(block + struct.pack("<dd", value, 2.5))[1:] == (None, None)
    assert taken(block + struct.pack("<dd", 41.5, 2.5))[1:] == (41.5, 2.5)


def test_directories_that_go_in_circles() -> None:
    for target in (8, 0, 2**32 - 1):
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, target) for tag in (0x8769, 0x8825))
        assert taken(b"II*\0\x08\0\0\0\x02\0" + entries + struct.pack("<I", 8)) == NOTHING


def test_entries_that_all_point_at_the_same_megabyte_take_no_memory() -> None:
    count = 1000
    entries = b"".join(struct.pack("<HHII", 0x100 + n, 7, 1 << 20, 0) for n in range(count))
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", count) + entries + bytes(1 << 20)
    content = png_with_behind(chunk(b"eXIf", block))
    tracemalloc.start()
    try:
        assert taken(content) == NOTHING
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@settings(max_examples=100)
@given(st.data())
def test_anything_may_be_broken(data: st.DataObject) -> None:
    made = bytearray(data.draw(st.sampled_from(_SOUND)))
    for _ in range(data.draw(st.integers(1, 8))):
        made[data.draw(st.integers(0, min(len(made), 400) - 1))] = data.draw(st.integers(0, 255))
    found = taken(bytes(made[: data.draw(st.integers(1, len(made)))]))
    assert (found.latitude is None) == (found.longitude is None)
    assert found.latitude is None or abs(found.latitude) <= 90
    assert found.longitude is None or abs(found.longitude) <= 180


_SOUND = [BLOCK[6:], *(photo(SMALL, format) for format in ("JPEG", "PNG", "WEBP", "AVIF"))]


@needs("exiftool")
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif"])
def test_exiftool_agrees(name: str, tmp_path: Path) -> None:
    """It writes, and reads what Pillow has written."""
    path = tmp_path / name
    Image.new("RGB", (16, 16)).save(path)
    words = ["exiftool", "-q", "-n", "-overwrite_original", "-DateTimeOriginal=1999:12:31 23:59:58",
             "-OffsetTimeOriginal=-08:00", "-GPSLatitude=33.8688197", "-GPSLatitudeRef=S",
             "-GPSLongitude=151.2092955", "-GPSLongitudeRef=E", str(path)]  # fmt: skip
    subprocess.run(words, check=True)
    found = taken(path.read_bytes())
    assert found.taken_at == "1999-12-31T23:59:58-08:00"
    assert found[1:] == pytest.approx((-33.8688197, 151.2092955), abs=1e-6)
    if name != "a.tif":
        path.write_bytes(photo(SMALL, {"jpg": "JPEG"}.get(name[2:], name[2:].upper())))
    read = subprocess.run(
        ["exiftool", "-n", "-j", "-DateTimeOriginal", "-GPSLatitude", "-GPSLongitude", path],
        check=True,
        capture_output=True,
    )
    (theirs,) = json.loads(read.stdout)
    ours = taken(path.read_bytes())
    assert ours.taken_at
    assert theirs["DateTimeOriginal"].replace(":", "-", 2).replace(" ", "T") == ours.taken_at[:19]
    assert (theirs["GPSLatitude"], theirs["GPSLongitude"]) == pytest.approx(ours[1:], abs=1e-9)


# The command -----------------------------------------------------------------------------------


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A photo that tells, one that tells and is broken, and one whose EXIF is hostile."""
    folder = tmp_path / "album"
    folder.mkdir()
    whole = photo(Image.open(SAMPLE))
    (folder / "a,b.jpg").write_bytes(whole)
    (folder / "cut.jpg").write_bytes(whole[:900])
    hostile: Tags = {ORIGINAL: "x" * 60_000, OFFSET: "\xff"}
    (folder / "hostile.jpg").write_bytes(photo(Image.open(SAMPLE), time=hostile, place={1: "N"}))
    return folder


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_columns_of_every_table(flowers: Run, album: Path, tmp_path: Path, suffix: str) -> None:
    done = flowers("batch", album, "--exif", "--out", f"r{suffix}")
    assert done.returncode == 1  # for the one that is cut
    assert len(done.stderr.splitlines()) == 2, done.stderr
    found = list(result_sink(tmp_path / f"r{suffix}").existing())
    rows = {row["source_uri"].rpartition("/")[2]: row for row in found}
    told = {name: Taken(*(row[key] for key in Taken._fields)) for name, row in rows.items()}
    assert told == {"a%2Cb.jpg": WHOLE, "cut.jpg": WHOLE, "hostile.jpg": NOTHING}
    assert rows["hostile.jpg"]["label"] == rows["a%2Cb.jpg"]["label"] == "pink-yellow dahlia"


def test_nothing_is_told_unless_asked_for_and_a_result_is_made_in_one_way(
    flowers: Run, album: Path, tmp_path: Path
) -> None:
    flowers("batch", album, "--out", "r.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [row[name] for row in rows for name in Taken._fields] == [None] * 9
    refused = flowers("batch", album, "--exif", "--out", "r.jsonl")
    assert refused.returncode == 2
    assert refused.stderr.decode() == (
        "flowers: r.jsonl was made with no --exif, this run has --exif; nothing was done: give "
        "no --exif, another --out, or --mix_settings\n"
    )
    (album / "new.jpg").write_bytes((album / "a,b.jpg").read_bytes())
    assert flowers("batch", album, "--exif", "--mix_settings", "--out", "r.jsonl").returncode == 0
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [row["taken_at"] is None for row in rows] == [True, True, True, False]
    # A journal tells it as well.
    stopped = flowers("batch", album, "--exif", "--out", "s.jsonl", "--max_errors", "0")
    assert stopped.returncode == 5
    assert (
        b"s.jsonl.journal was made with --exif"
        in flowers("batch", album, "--out", "s.jsonl").stderr
    )
