"""What decoding takes, and that all threads together take no more than was agreed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from PIL import Image

from flowers_onnx.concurrency import Budget
from flowers_onnx.errors import ImageError
from flowers_onnx.forks import after_fork
from flowers_onnx.image_formats import MAX_PIXELS
from flowers_onnx.machine import return_freed_memory

#: What a pixel of these costs, in ordinary pixels: they decode into buffers of their own.
COSTLY_FORMATS = {"WEBP": 2, "AVIF": 2}
#: From this cost on, memory is returned to the system after an image.
_LARGE = 4_000_000
_TILE_WIDTH, _TILE_LENGTH = 322, 323

#: What all threads decode at one time is within what a single image may cost.
_memory = Budget(MAX_PIXELS)
after_fork(_memory.renew)


@contextmanager
def reserved(cost: int) -> Iterator[None]:
    """Wait until ``cost`` pixels may be decoded."""
    with _memory.reserve(cost):
        try:
            yield
        finally:
            if cost > _LARGE:
                return_freed_memory()


def cost_of(image: Image.Image, size: tuple[int, int], pixels: int, max_pixels: int) -> int:
    """What decoding takes, in ordinary pixels; ``pixels`` are those the decoder holds at once."""
    if not area(size):
        raise ImageError("corrupt", "the image has no pixels")
    cost = pixels * COSTLY_FORMATS.get(image.format or "", 1)
    if cost > max_pixels:
        raise ImageError("too_large", f"{size[0]} x {size[1]} pixels are too many to decode")
    return cost


def area(size: tuple[int, int]) -> int:
    """Pixels of an image of this width and height."""
    return size[0] * size[1]


def largest_area(image: Image.Image) -> int:
    """Pixels of the image, or of one of its tiles: a TIFF's may be larger than the image."""
    tile_size = (0, 0)
    if isinstance(tags := getattr(image, "tag_v2", None), Mapping):
        with suppress(TypeError, ValueError):
            tile_size = (int(tags.get(_TILE_WIDTH, 0)), int(tags.get(_TILE_LENGTH, 0)))
    return max(area(image.size), area(tile_size))
