"""TIFF: what Pillow reads wrongly is read rightly or refused, and what it can't read is named."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, BinaryIO

from PIL import Image, ImagePalette, TiffImagePlugin

from flowers_onnx.concurrency import Budget
from flowers_onnx.errors import ImageError
from flowers_onnx.forks import after_fork
from flowers_onnx.pixels.errors import DAMAGED, unsupported
from flowers_onnx.pixels.memory import Need
from flowers_onnx.pixels.reader import Mended, Reader
from flowers_onnx.pixels.reduction import PLAIN, Told
from flowers_onnx.pixels.tiff_mending import first_of, mended_tiff

_BITS, _COMPRESSION, _PHOTOMETRIC = 258, 259, 262
_FILL, _SAMPLES, _PLANAR, _PALETTE, _EXTRA, _FORMAT = 266, 277, 284, 320, 338, 339
_RAW, _WHITE_IS_ZERO, _YCBCR = 1, 0, 6
_KINDS = {2: "signed ", 3: "floating-point ", 5: "complex ", 6: "complex "}

#: Compressions by number, for people: what the standard has, and what programs write.
_COMPRESSIONS = {
    6: "old-style JPEG", 9: "JBIG", 10: "JBIG", 32766: "NeXT's method", 32771: "aligned CCITT",
    32809: "ThunderScan", 32908: "Pixar's method", 32909: "Pixar's method", 33003: "JPEG 2000",
    33004: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG", 34676: "LogLuv", 34677: "LogLuv",
    34712: "JPEG 2000", 34887: "LERC", 34892: "lossy JPEG", 34925: "LZMA", 34933: "PNG",
    34934: "JPEG XR", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
#: libtiff may have been built without these.
_MAY_BE_MISSING = {6, 32809, 34676, 34677, 50001}
_MODELS = {
    0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab", 9: "Lab",
    10: "Lab", 32844: "LogLuv", 32845: "LogLuv",
}  # fmt: skip

_ORDINARY = {0, 1, 2, 3, 5, 6, 8}
#: Of satellites' pictures.
_MOST_CHANNELS = 1000

#: libtiff gives numbers in the machine's order, which Pillow heeds for some of its modes only.
_NATIVE = {
    "F;32F": "F;32NF", "F;32BF": "F;32NF", "I;32S": "I;32NS", "I;32BS": "I;32NS",
}  # fmt: skip
#: Pillow takes numbers without sign for such with one.
_UNSIGNED = "I;32N"

_turn = Budget(1)
_their_own = TiffImagePlugin.READ_LIBTIFF  # of the program that we are in


def _renew() -> None:
    _turn.renew()
    TiffImagePlugin.READ_LIBTIFF = _their_own


after_fork(_renew)


class _Tiff(TiffImagePlugin.TiffImageFile):
    """As Pillow reads it, with errors for people."""

    def load(self) -> Any:
        """Decode it; raises ``ImageError`` for a compression that can't be."""
        try:
            return super().load()
        except Exception as error:
            number = _one(self.tag_v2, _COMPRESSION)
            if number in _MAY_BE_MISSING:
                raise _of_compression(number) from error
            raise


class FormatReader(Reader):
    """Pillow's, once it is known that Pillow reads this kind rightly."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        super().__init__(name, file)
        header = file.read(4)
        if header == b"MM\0+":
            raise unsupported("a big-endian BigTIFF")
        self._first = first_of(file)
        self._held = 0

    def open(self, file: BinaryIO) -> Image.Image:
        """The image, not decoded yet; raises ``ImageError`` for a kind that can't be."""
        if self._first is None:
            raise ImageError("corrupt", DAMAGED)
        if file is self.file and self._first.is_misread:
            file = mended_tiff(file, self._first)
        if file is not self.file:
            self._held = file.seek(0, io.SEEK_END)
        return _opened(file, self._first.tags)

    def need(self, image: Image.Image, size: tuple[int, int]) -> Need:
        """With the file, where Pillow has libtiff read one that isn't ours."""
        need = super().need(image, size)
        held = self._held if getattr(image, "use_load_libtiff", False) else 0
        return Need(need.size, need.pixels, need.bytes + held)

    def mended(self, max_pixels: int) -> Mended | None:  # noqa: ARG002
        """The first picture with the tags that it needs; none if that was tried already."""
        if self._first is None or self._first.is_misread:
            return None
        return Mended(mended_tiff(self.file, self._first), {})


def _opened(file: BinaryIO, tags: Mapping[int, Any]) -> TiffImagePlugin.TiffImageFile:
    file.seek(0)
    if (channels := _one(tags, _SAMPLES)) > TiffImagePlugin.MAX_SAMPLESPERPIXEL:
        if channels > _MOST_CHANNELS:
            raise ImageError("corrupt", DAMAGED)
        raise unsupported(f"a TIFF of {channels} channels")
    try:
        with _libtiff_alone() if _confuses_pillow(tags) else nullcontext():
            return _Tiff(file, "")
    except Exception as error:
        if "pixel mode" in str(error) or not _is_known(tags):
            raise _named(tags) from error
        raise


def _confuses_pillow(tags: Mapping[int, Any]) -> bool:
    """Whether Pillow's own reader would confuse bits, planes or subsampling."""
    return _is_raw(tags) and (
        _one(tags, _PLANAR) == 2 or _one(tags, _FILL) == 2 or _one(tags, _PHOTOMETRIC) == _YCBCR
    )


@contextmanager
def _libtiff_alone() -> Iterator[None]:
    """Have Pillow read uncompressed files by libtiff, too."""
    with _turn.reserve(1):
        TiffImagePlugin.READ_LIBTIFF = True
        try:
            yield
        finally:
            TiffImagePlugin.READ_LIBTIFF = _their_own


def told_by_tiff(image: Image.Image) -> Told:
    """What its tags tell; raises ``ImageError`` for what Pillow would read wrongly.

    An image that isn't loaded yet is made to be read rightly, where that is possible.
    """
    tags = _tags(image)
    bits, kind = _one(tags, _BITS), _one(tags, _FORMAT)
    planes = _one(tags, _PLANAR) == 2
    if kind == 2 and bits < 32:
        raise _named(tags)
    tiles = getattr(image, "tile", [])
    is_garbage = bits > 8 and tiles and tiles[0][0] == "raw"
    if planes and (is_garbage or image.mode in ("LA", "La", "PA")):
        raise unsupported("a TIFF of this kind in separate planes")
    if _one(tags, _COMPRESSION) == 32771:
        raise _of_compression(32771)
    is_unsigned = kind == 1 and bits == 32
    for at, tile in enumerate(tiles):
        name, *rest = tile[3]
        if is_unsigned and name == _UNSIGNED:
            image._mode, name = "F", "F;32N"  # noqa: SLF001  as Pillow's own plugins do
        elif tile[0] == "libtiff":
            name = _NATIVE.get(name, name)
        tiles[at] = tile._replace(args=(name, *rest))
    _widen_palette(image, tags)
    if image.mode.startswith("I") or image.mode == "F":
        return Told(
            white=4095.0 if bits == 12 else None,
            largest=None if kind == 3 else 2.0 ** (32 if is_unsigned else 31) - 1,
            is_negative=_one(tags, _PHOTOMETRIC) == _WHITE_IS_ZERO,
        )
    return PLAIN


def _widen_palette(image: Image.Image, tags: Mapping[int, Any]) -> None:
    """Colours are 16 bits wide; some programs write them as 8, which would be black."""
    palette = tags.get(_PALETTE, ())
    if image.mode in ("P", "PA") and palette and max(palette) < 256:
        image.palette = ImagePalette.raw("RGB;L", bytes(palette))


def _named(tags: Mapping[int, Any]) -> ImageError:
    """The error that says what a TIFF holds."""
    if not _is_known(tags):
        return _of_compression(_one(tags, _COMPRESSION))
    if _is_ordinary(tags):
        return unsupported("this variant of TIFF")
    model = _MODELS.get(_one(tags, _PHOTOMETRIC), "data")
    kind = _KINDS.get(_one(tags, _FORMAT), "")
    extra = " with more channels" if _EXTRA in tags else ""
    return unsupported(f"a TIFF of {_one(tags, _BITS)}-bit {kind}{model}{extra}")


def _is_ordinary(tags: Mapping[int, Any]) -> bool:
    """Whether it is like those that are read, in all that people have words for."""
    model, bits = _one(tags, _PHOTOMETRIC), set(tags.get(_BITS, (1,)))
    is_plain = bits == {8} or (bits == {1} and model in (0, 1))
    return is_plain and _one(tags, _FORMAT) == 1 and model in _ORDINARY and _EXTRA not in tags


def _of_compression(number: int) -> ImageError:
    return unsupported(f"a TIFF compressed with {_COMPRESSIONS.get(number, f'method {number}')}")


def _tags(image: Image.Image) -> Mapping[int, Any]:
    tags = getattr(image, "tag_v2", None)
    return tags if isinstance(tags, Mapping) else {}


_DEFAULTS = {
    _BITS: 1, _COMPRESSION: _RAW, _PHOTOMETRIC: 0, _FILL: 1, _SAMPLES: 1, _PLANAR: 1, _FORMAT: 1,
}  # fmt: skip


def _one(tags: Mapping[int, Any], tag: int) -> int:
    """The number of a tag, or its first; 0 for one that is no number."""
    value = tags.get(tag, _DEFAULTS[tag])
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, int) else 0


def _is_known(tags: Mapping[int, Any]) -> bool:
    return _one(tags, _COMPRESSION) in TiffImagePlugin.COMPRESSION_INFO


def _is_raw(tags: Mapping[int, Any]) -> bool:
    return _one(tags, _COMPRESSION) == _RAW
