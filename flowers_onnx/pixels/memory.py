"""What decoding takes, and that all threads together take no more than was agreed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from PIL import Image

from flowers_onnx.concurrency import Budget
from flowers_onnx.errors import ImageError
from flowers_onnx.forks import after_fork
from flowers_onnx.machine import return_freed_memory

#: An ordinary pixel: RGB, as Pillow keeps it. As many times ``max_pixels`` is the most memory
#: for one image: 240 MB, and the process stays below 320.
PIXEL_BYTES = 4
#: What all threads decode at one time. A larger image is decoded alone.
_SHARED_BYTES = 160_000_000
#: From this on, memory is returned to the system after an image.
_LARGE = 16_000_000

#: Of a pixel in memory, with what ``square`` makes of all of them at once; elsewhere 4.
_MODE_BYTES, _DEEP = {"1": 1, "L": 1, "P": 1, "I": 8, "F": 8}, 6
_BITS, _COMPRESSION, _COLOURS, _ROWS, _STRIP_SIZES = 258, 259, 262, 278, 279
_TILE_WIDTH, _TILE_LENGTH, _TILE_SIZES = 322, 323, 325
_UNCOMPRESSED, _YCBCR = 1, 6

_memory = Budget(_SHARED_BYTES)
after_fork(_memory.renew)


class Need:
    """What an image takes.

    ``size`` is its own, ``pixels`` are those that its decoder makes, and ``bytes`` the most that is
    held for it at one time.
    """

    def __init__(self, size: tuple[int, int], pixels: int, bytes: int) -> None:
        self.size, self.pixels, self.bytes = size, pixels, bytes


@contextmanager
def reserved(need: Need, max_pixels: int) -> Iterator[None]:
    """Wait until the image may be decoded; raises ``ImageError`` for one that never may."""
    check(need, max_pixels)
    with _memory.reserve(need.bytes):
        try:
            yield
        finally:
            if need.bytes > _LARGE:
                return_freed_memory()


def check(need: Need, max_pixels: int) -> None:
    """Raise ``ImageError`` for an image without pixels, or with more than may be decoded."""
    if not (own := area(need.size)):
        raise ImageError("corrupt", "the image has no pixels")
    cost = max(need.pixels, -(-need.bytes // PIXEL_BYTES))
    if cost > max_pixels:
        # Those of this kind: a decoder may leave fewer pixels, or take more memory for each.
        limit = own * max_pixels // cost
        raise ImageError(
            "too_large",
            f"{need.size[0]} x {need.size[1]} pixels are too many to decode "
            f"(limit {limit:,}: it takes --max_pixels {cost})",
        )


def need_of(image: Image.Image, size: tuple[int, int]) -> Need:
    """What an image takes that is opened and not decoded yet; ``size`` is its own."""
    each = _DEEP if image.mode.startswith("I;16") else _MODE_BYTES.get(image.mode, PIXEL_BYTES)
    tile, buffers = _tiff_part(image)
    return Need(size, max(area(image.size), tile), area(image.size) * each + buffers)


def area(size: tuple[int, int]) -> int:
    """Pixels of an image of this width and height."""
    return size[0] * size[1]


def _tiff_part(image: Image.Image) -> tuple[int, int]:
    """A TIFF's tile in pixels, and what libtiff holds: a strip or tile, and the file.

    A strip may be as large as the image, and a tile larger.
    """
    tags = getattr(image, "tag_v2", None)
    if not isinstance(tags, Mapping):
        return 0, 0
    with suppress(TypeError, ValueError):
        width, length = int(tags.get(_TILE_WIDTH, 0)), int(tags.get(_TILE_LENGTH, 0))
        tile = width * length
        if tags.get(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED:
            return tile, 0
        rows = min(int(tags.get(_ROWS, image.height)), image.height)
        packed = tags.get(_TILE_SIZES if tile else _STRIP_SIZES, (0,))
        buffer = (tile or rows * image.width) * _sample_bytes(tags)
        return tile, buffer + (sum(packed) if isinstance(packed, tuple) else int(packed))
    return 0, 0


def _sample_bytes(tags: Mapping[int, Any]) -> int:
    """Of a pixel as libtiff hands it over, which makes RGBA of one kind of colours."""
    bits = tags.get(_BITS, (1,))
    whole = -(-sum(bits if isinstance(bits, tuple) else (bits,)) // 8)
    return max(4, whole) if tags.get(_COLOURS) == _YCBCR else whole
