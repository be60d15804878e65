"""What is kept of a photo: the same picture, and nothing else."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_images import encode, gradient
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo
from support import needs

from flowers_onnx.errors import ImageError
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import decode
from flowers_onnx.serve.keep.metadata import CannotCleanError, clean, kind_of

#: Stands in all that a photo says beside its picture.
SECRET = "Ada-of-12-Vine-Street"
RAW = SECRET.encode()
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
TURNED = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
MP4 = b"\0\0\0\x18ftypmp42" + RAW + bytes(100)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
BASE = gradient(60, 40)


def exif(orientation: int = 1) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    made[0x010E] = made[0x013B] = made[0x8298] = SECRET  # description, artist, copyright
    gps = made.get_ifd(0x8825)
    gps[1], gps[2] = "N", (40.0, 26.0, 46.0)
    gps[29] = SECRET  # its date
    details = made.get_ifd(0x8769)
    details[0x927C] = RAW * 3  # the maker's note
    details[0x9286] = RAW  # comment
    return made


def xmp(orientation: int | None = None) -> bytes:
    turn = f' tiff:Orientation="{orientation}"' if orientation else ""
    return (
        '<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.'
        'w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/'
        f'1.0/"{turn} author="{SECRET}"/></rdf:RDF></x:xmpmeta>'
    ).encode()


def talkative(format: str, orientation: int = 1) -> bytes:
    """A photo that says all that its format, and Pillow, can say."""
    options: dict[str, Any] = {"icc_profile": ICC}
    if format in TURNED:
        options |= {"exif": exif(orientation), "xmp": xmp()}
    if format == "TIFF":
        options["tiffinfo"] = {274: orientation, 305: SECRET, 700: xmp(), 33723: RAW, 34377: RAW}
        del options["xmp"]
    if format in ("JPEG", "GIF"):
        options["comment"] = SECRET
    image = BASE.convert("P") if format == "GIF" else BASE
    return encode(image, format, **options) + MP4


def seen(data: bytes) -> tuple[bytes, int, int] | str:
    """What the network sees, and the size that the record has."""
    try:
        decoded = decode(io.BytesIO(data), Preprocess(32, 0.875, "bilinear"))
    except ImageError as error:
        return error.code
    return decoded.pixels.tobytes(), decoded.width, decoded.height


def shown(data: bytes) -> tuple[str, tuple[int, int], bytes]:
    """The whole picture as others display it."""
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image)
    return upright.mode, upright.size, upright.tobytes()


def check(data: bytes) -> bytes:
    """The photo as it is kept: same picture, nothing said, and nothing left to do."""
    assert not isinstance(seen(data), str)
    kept = clean(data).data
    assert seen(kept) == seen(data)
    assert shown(kept) == shown(data)
    assert RAW not in kept
    assert clean(kept).data == kept
    return kept


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("format", FORMATS)
def test_the_same_picture_says_nothing(format: str, orientation: int) -> None:
    if orientation > 1 and format not in TURNED:
        return
    data = talkative(format, orientation)
    kept = check(data)
    with Image.open(io.BytesIO(kept)) as image:
        assert image.getexif().get(0x0112, 1) == orientation
        assert image.info.get("icc_profile") in (ICC, None if format in ("GIF", "BMP") else ICC)
    kind = kind_of(data)
    assert kind is not None
    assert (kind, clean(data)[1:]) == (kind, tuple(kind))


@pytest.mark.parametrize("format", FORMATS)
def test_what_says_nothing_stays_to_the_byte(format: str) -> None:
    data = encode(BASE.convert("P") if format == "GIF" else BASE, format)
    kept = check(data)
    if format != "TIFF":  # Pillow leaves room behind a tag
        assert kept == data


#: What may be said of a kept photo, by exiftool's groups of names.
INNOCENT = ("SourceFile", "ExifTool", "System", "File", "JFIF", "ICC", "Composite", "Adobe")
#: Tags of the picture itself, by the same.
PICTURE = {
    *("Orientation", "ExifByteOrder", "ImageWidth", "ImageHeight", "BitsPerSample", "Compression"),
    *("PhotometricInterpretation", "StripOffsets", "SamplesPerPixel", "RowsPerStrip"),
    *("StripByteCounts", "PlanarConfiguration", "SampleFormat", "BitDepth", "ColorType", "Filter"),
    *("Interlace", "ProfileName", "WebP_Flags", "VP8Version", "HorizontalScale", "VerticalScale"),
    *("GIFVersion", "HasColorMap", "ColorResolutionDepth", "BackgroundColor", "BitsPerPixel"),
    *("MajorBrand", "MinorVersion", "CompatibleBrands", "HandlerType", "PrimaryItemReference"),
    *("AV1ConfigurationVersion", "ChromaFormat", "ChromaSamplePosition", "ImageSpatialExtent"),
    *("ImagePixelDepth", "MediaDataSize", "MediaDataOffset", "ColorProfiles", "PixelAspectRatio"),
    *("SeqProfile", "SeqLevelIdx0", "SeqTier0", "HighBitDepth", "TwelveBit", "InitialDelaySamples"),
    *("Rotation", "MediaData"),
    *("ColorPrimaries", "TransferCharacteristics", "MatrixCoefficients", "VideoFullRangeFlag"),
}  # fmt: skip


#: An AVIF is turned by a property of the picture.
TURNED_BY_EXIF = {"photo.jpg", "photo.png", "photo.webp", "photo.tif"}


@needs("exiftool")
def test_exiftool_finds_nothing_in_a_kept_photo(tmp_path: Path) -> None:
    paths = []
    for format in FORMATS:
        path = tmp_path / f"photo.{format.lower().replace('jpeg', 'jpg').replace('tiff', 'tif')}"
        path.write_bytes(talkative(format, 6).removesuffix(MP4))
        paths.append(path)
    two = [BASE, gradient(30, 20)]
    pair = encode(two[0], "MPO", save_all=True, append_images=two[1:])  # MPF: a second image
    (tmp_path / "pair.jpg").write_bytes(pair)
    paths.append(tmp_path / "pair.jpg")
    words = [f"-{tag}={SECRET}" for tag in (
        "Artist", "IPTC:By-line", "IPTC:City", "XMP:Creator", "XMP:Location", "Comment",
        "OwnerName", "SerialNumber", "Photoshop:URL", "XMP-GPano:CaptureSoftware",
    )]  # fmt: skip
    thumbnail = tmp_path / "thumbnail"
    thumbnail.write_bytes(encode(gradient(16, 16), "JPEG"))
    words += ["-GPSLatitude=40.44", "-GPSLongitude=-79.98", "-XMP:GPSLatitude=40.44"]
    words += [f"-ThumbnailImage<={thumbnail}", f"-PhotoshopThumbnail<={thumbnail}"]
    exiftool("-overwrite_original", "-m", *words, *paths, check=False)  # BMP takes none of them

    before = exiftool("-j", "-a", "-u", "-G1", "-ee", *paths).stdout
    assert before.count(RAW) > 20
    for path in paths:
        data = path.read_bytes()
        path.write_bytes(check(data))
        assert (data != path.read_bytes()) == (path.suffix != ".bmp")
    after = json.loads(exiftool("-j", "-a", "-u", "-G1", "-ee", *paths).stdout)
    assert len(after) == len(paths)
    for found in after:
        said = {
            name: value
            for name, value in found.items()
            if not name.startswith(INNOCENT) and name.partition(":")[2] not in PICTURE
        }
        assert not said, found["SourceFile"]
        for word in (SECRET, "GPS", "Warning"):
            assert word not in str(found)
        turn = [value for name, value in found.items() if name.endswith(":Orientation")]
        is_turned = Path(found["SourceFile"]).name in TURNED_BY_EXIF
        assert turn == (["Rotate 90 CW"] if is_turned else [])


def exiftool(*words: str | Path, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["exiftool", *words], capture_output=True, check=check)


# JPEG, segment by segment.


def segment(marker: int, payload: bytes) -> bytes:
    return b"\xff%c" % marker + struct.pack(">H", len(payload) + 2) + payload


TIFF_BLOCK = exif(6).tobytes()[6:]
SAYING = [
    segment(0xFE, RAW),
    segment(0xE1, b"Exif\0\0" + TIFF_BLOCK),
    segment(0xE1, b"Exif\0\0"),
    segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(8)),
    segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + RAW),
    segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x15" + RAW),
    segment(0xE2, b"FPXR\0" + RAW),
    segment(0xE0, b"JFXX\0\x13\x01\x01" + RAW),
    segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\7\1" + RAW),
    segment(0xEB, b"JP" + RAW),
    segment(0xEE, b"Adobe\0d\0\0\0\0\1" + RAW),
    segment(0xEF, RAW),
    segment(0xEC, b""),
    b"\xff\xff\xff",
]
JPEGS = [
    encode(BASE, "JPEG", quality=90),
    encode(BASE, "JPEG", progressive=True),
    encode(BASE, "JPEG", restart_marker_blocks=1),
    encode(BASE.convert("CMYK"), "JPEG"),
    encode(BASE.convert("L"), "JPEG"),
    encode(BASE, "JPEG", subsampling=0, keep_rgb=True),
]


def split_jpeg(data: bytes) -> tuple[list[bytes], bytes]:
    """The segments up to the first scan, and the rest."""
    parts, position = [], 2
    while data[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        parts.append(data[position:end])
        position = end
    return parts, data[position:]


@settings(max_examples=80)
@given(
    data=st.sampled_from(JPEGS),
    said=st.lists(st.tuples(st.integers(0, 20), st.sampled_from(SAYING)), max_size=6),
    behind=st.sampled_from([b"", MP4, JPEGS[0], b"\xff\xd9", RAW]),
    cut=st.sampled_from([0, 0, 2, 1]),
)
def test_a_jpeg_of_any_order(
    data: bytes, said: list[tuple[int, bytes]], behind: bytes, cut: int
) -> None:
    parts, rest = split_jpeg(data)
    for place, part in said:
        parts.insert(min(place, len(parts)), part)
    made = b"\xff\xd8" + b"".join(parts) + (rest[: len(rest) - cut] if cut else rest + behind)
    if isinstance(seen(made), str):
        return
    if not cut:
        check(made)
        return
    # It has no end, which other programs mind.
    kept = clean(made).data
    assert kept.endswith(b"\xff\xd9")
    assert seen(kept) == seen(made)
    assert RAW not in kept


def test_jpeg_segments_behind_the_first_scan() -> None:
    data = JPEGS[1]
    scans = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 3
    for at in scans[1:]:
        check(data[:at] + SAYING[0] + SAYING[1] + b"\0junk" + data[at:])


def test_exif_in_two_segments_turns_the_picture() -> None:
    parts, rest = split_jpeg(JPEGS[0])
    cut = len(TIFF_BLOCK) // 2
    halves = [segment(0xE1, b"Exif\0\0" + half) for half in (TIFF_BLOCK[:cut], TIFF_BLOCK[cut:])]
    data = b"\xff\xd8" + b"".join(halves + parts) + rest
    kept = check(data)
    assert Image.open(io.BytesIO(kept)).getexif()[0x0112] == 6


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_alone_turns_the_picture(format: str) -> None:
    options: dict[str, Any] = {"tiffinfo": {700: xmp(6)}} if format == "TIFF" else {"xmp": xmp(6)}
    if format == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp(6).decode())
        options = {"pnginfo": info}
    data = encode(BASE, format, **options)
    assert seen(data) != seen(encode(BASE, format))
    check(data)


# PNG, chunk by chunk.


def chunk(name: bytes, content: bytes) -> bytes:
    body = name + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def legacy_exif() -> bytes:
    """EXIF as ImageMagick used to write it into a PNG."""
    block = b"Exif\0\0" + TIFF_BLOCK
    text = f"\nexif\n{len(block):8}\n{block.hex()}\n"
    return chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text.encode()))


PNG_SAYING = [
    chunk(b"tEXt", b"Author\0" + RAW),
    chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(3)),
    chunk(b"eXIf", TIFF_BLOCK),
    legacy_exif(),
    chunk(b"tIME", b"\7\xe8\1\1\1\1\1"),
    chunk(b"caBX", RAW),
    chunk(b"prVt", RAW),
    chunk(b"zTXt", b"Comment\0\0" + zlib.compress(RAW)),
]
PNGS = [
    encode(BASE, "PNG"),
    encode(BASE.convert("P"), "PNG", transparency=3),
    encode(BASE, "PNG", save_all=True, append_images=[gradient(60, 40).rotate(180)]),
    encode(Image.fromarray(np.asarray(BASE.convert("L"), np.uint16) * 257), "PNG"),
]


@settings(max_examples=60)
@given(
    data=st.sampled_from(PNGS),
    said=st.lists(st.tuples(st.integers(1, 8), st.sampled_from(PNG_SAYING)), max_size=5),
    behind=st.sampled_from([b"", MP4]),
    cut=st.sampled_from([0, 0, 4, 12]),
)
def test_a_png_of_any_order(
    data: bytes, said: list[tuple[int, bytes]], behind: bytes, cut: int
) -> None:
    parts, position = [], 8
    while position < len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        parts.append(data[position:end])
        position = end
    for place, part in said:
        parts.insert(min(place, len(parts) - 1), part)
    made = data[:8] + b"".join(parts)
    made = made[: len(made) - cut] if cut else made + behind
    if isinstance(seen(made), str):
        return
    check(made)


# The others.


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_keeps_its_frames(format: str) -> None:
    frames = [gradient(60, 60), Image.new("RGB", (60, 60), "red"), gradient(60, 60).rotate(90)]
    data = encode(frames[0], format, save_all=True, append_images=frames[1:], duration=70, loop=3)
    with Image.open(io.BytesIO(check(data))) as image:
        # Pages of a TIFF are pictures of their own.
        assert getattr(image, "n_frames", 1) == (1 if format == "TIFF" else 3)
        assert image.info.get("loop") == (None if format == "TIFF" else 3)


def test_a_webp_frame_with_a_chunk_of_its_own() -> None:
    data = encode(BASE, "WEBP", save_all=True, append_images=[BASE.rotate(180)])
    at = data.index(b"ANMF")
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    inner = b"junk" + struct.pack("<I", len(RAW)) + RAW + b"\0" * (len(RAW) % 2)
    frame = b"ANMF" + struct.pack("<I", size + len(inner)) + data[at + 8 : at + 8 + size] + inner
    content = data[8:at] + frame + data[at + 8 + size :]
    check(b"RIFF" + struct.pack("<I", len(content)) + content)


def test_gif_extensions() -> None:
    data = encode(BASE.convert("P"), "GIF", transparency=2)
    at = 13 + (3 << (data[10] & 7) + 1)
    block = bytes([len(RAW)]) + RAW + b"\0"
    said = b"\x21\xff\x0bXMP DataXMP" + block + b"\x21\x01\x0c" + bytes(12) + block
    check(data[:at] + said + b"\x21\xfe" + block + data[at:])
    check(data[:-1] + b"\x21\xfe" + block + b";" + RAW)
    assert clean(data[:-1]).data == data[:-1]  # no trailer


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_bmp_gaps_and_what_follows(mode: str) -> None:
    data = bytearray(encode(BASE.convert(mode), "BMP"))
    data[6:10] = b"Ada!"  # reserved
    (offset,) = struct.unpack_from("<I", data, 10)
    struct.pack_into("<I", data, 10, offset + len(RAW))
    made = bytes(data[:offset]) + RAW + bytes(data[offset:]) + RAW
    kept = check(made)
    assert b"Ada!" not in kept
    assert len(kept) == int.from_bytes(kept[2:6], "little") == len(made) - len(RAW)


TIFFS: dict[str, Callable[[], bytes]] = {
    "raw": lambda: encode(BASE, "TIFF"),
    "lzw": lambda: encode(BASE, "TIFF", compression="tiff_lzw"),
    "deflate": lambda: encode(BASE, "TIFF", compression="tiff_adobe_deflate"),
    "jpeg": lambda: encode(BASE, "TIFF", compression="jpeg"),
    "packbits": lambda: encode(BASE, "TIFF", compression="packbits"),
    "fax": lambda: encode(BASE.convert("1"), "TIFF", compression="group4"),
    "palette": lambda: encode(BASE.convert("P"), "TIFF"),
    "cmyk": lambda: encode(BASE.convert("CMYK"), "TIFF"),
    "float": lambda: encode(BASE.convert("F"), "TIFF"),
    "big": lambda: encode(BASE, "TIFF", big_tiff=True),
    "strips": lambda: encode(BASE, "TIFF", compression="tiff_lzw", strip_size=200),
    "other order": lambda: encode(Image.new("I;16B", (60, 40), 999), "TIFF"),
}


@pytest.mark.parametrize("name", TIFFS)
def test_tiff_by_its_compression(name: str) -> None:
    data = TIFFS[name]()
    check(data)
    with Image.open(io.BytesIO(data)) as image:
        info = {270: SECRET, 700: xmp(), 34377: RAW}
        options: dict[str, Any] = {"tiffinfo": info, "exif": None}
        if name not in ("raw", "palette", "cmyk", "float", "big", "other order"):
            options["compression"] = image.info["compression"]
        said = encode(image, "TIFF", **{key: each for key, each in options.items() if each})
    assert RAW in said
    check(said)


def tiled_tiff() -> bytes:
    """32 x 32 grey in four raw tiles, with something between them."""
    tags = [(256, 32), (257, 32), (258, 8), (259, 1), (262, 1), (277, 1), (322, 16), (323, 16)]
    first = 8 + 2 + 12 * 10 + 4
    places = [first + 32 + number * (256 + len(RAW)) for number in range(4)]
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    rows += struct.pack("<HHII", 324, 4, 4, first) + struct.pack("<HHII", 325, 4, 4, first + 16)
    head = b"II*\0" + struct.pack("<IH", 8, 10) + rows + bytes(4)
    tiles = b"".join(bytes([50 * number]) * 256 + RAW for number in range(4))
    return head + struct.pack("<8I", *places, *[256] * 4) + tiles


def test_a_tiff_in_tiles() -> None:
    data = tiled_tiff()
    assert len(check(data)) == len(data) - len(RAW)


def test_a_tiff_whose_strips_have_no_sizes_is_not_kept() -> None:
    data = bytearray(encode(BASE, "TIFF", compression="tiff_lzw"))
    at = data.index(struct.pack("<HH", 279, 4))
    struct.pack_into("<H", data, at, 280)
    with pytest.raises(CannotCleanError):
        clean(bytes(data))


def test_a_sequence_of_avif_is_not_kept() -> None:
    data = encode(BASE, "AVIF", save_all=True, append_images=[BASE.rotate(180)])
    assert not isinstance(seen(data), str)
    with pytest.raises(CannotCleanError):
        clean(data)


def test_a_heic_is_not_kept() -> None:
    """Depth, gain maps and films stand in it like the picture itself."""
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + RAW
    assert kind_of(data) == (".heic", "image/heic")
    with pytest.raises(CannotCleanError):
        clean(data)


def test_avif_boxes_and_transparency() -> None:
    box = struct.pack(">I4s", 8 + 16 + len(RAW), b"uuid") + bytes(16) + RAW
    data = encode(BASE.convert("RGBA").rotate(45), "AVIF", exif=exif(6), xmp=xmp(3))
    for made in (data + box, data + RAW, data + b"\0\0\0\0free" + RAW):
        check(made)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"<html>", b"\0\0\0\x18ftypheic" + bytes(9)]
)
def test_what_is_no_photo_is_not_kept(data: bytes) -> None:
    with pytest.raises(CannotCleanError):
        clean(data)


# Any file that has an answer.

_SOUND = [*(talkative(format, 6) for format in FORMATS), *JPEGS[:3], PNGS[2], tiled_tiff()]


@settings(max_examples=200)
@given(
    data=st.sampled_from(_SOUND),
    cut=st.one_of(st.just(1.0), st.floats(0.5, 1)),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=3),
)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_photo_is_kept_as_it_is_seen_or_not_at_all(
    data: bytes, cut: float, flips: list[tuple[float, int]]
) -> None:
    made = bytearray(data[: int(len(data) * cut)])
    for place, value in flips:
        made[int(len(made) * place)] = value
    before = seen(bytes(made))
    try:
        kept = clean(bytes(made)).data
    except CannotCleanError:
        return
    if not isinstance(before, str):
        assert seen(kept) == before
        assert MP4 not in kept
