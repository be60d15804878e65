"""A TIFF of any tags, written here: of kinds that Pillow reads but doesn't write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL = 256, 257, 258, 259, 262, 266
STRIPS, SAMPLES, ROWS, SIZES, PLANAR, PREDICTOR, PALETTE = 273, 277, 278, 279, 284, 317, 320
TILE_WIDTH, TILE_LENGTH, TILES, TILE_SIZES = 322, 323, 324, 325
EXTRA, FORMAT, SUBSAMPLING, XMP, ORIENTATION = 338, 339, 530, 700, 274
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, INDEXED, MASK, CMYK, YCBCR, LAB = 0, 1, 2, 3, 4, 5, 6, 8
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
RAW, DEFLATE, PACKBITS = 1, 8, 32773

Order = Literal["<", ">"]


class Entry(NamedTuple):
    """One that is written as it is: ``field`` may be where its value isn't."""

    kind: int
    length: int
    field: int


Tags = Mapping[int, int | bytes | Sequence[int] | Entry]


def tiff(parts: Sequence[bytes], tags: Tags, *, order: Order = "<", big: bool = False) -> bytes:
    """A file of one page whose strips (or tiles) are ``parts``, as they are."""
    head, row, room = (16, "HHQ", 8) if big else (8, "HHI", 4)
    body = b"".join(parts)
    in_tiles = TILE_WIDTH in tags
    starts = [head + sum(map(len, parts[:number])) for number in range(len(parts))]
    entries = {
        **tags,
        TILES if in_tiles else STRIPS: starts,
        TILE_SIZES if in_tiles else SIZES: list(map(len, parts)),
    }
    rows, more, at = [], b"", head + len(body)
    for tag, value in sorted(entries.items(), key=lambda entry: entry[0]):
        if isinstance(value, Entry):
            kind, count, field = value
            rows.append(
                struct.pack(order + row + "Q" * big + "I" * (not big), tag, kind, count, field)
            )
            continue
        kind, count, content = _value(value, order)
        if len(content) > room:
            place = at + len(more)
            more += content + bytes(len(content) % 2)
            content = struct.pack(order + ("Q" if big else "I"), place)
        rows.append(struct.pack(order + row, tag, kind, count) + content.ljust(room, b"\0"))
    directory = struct.pack(order + ("Q" if big else "H"), len(rows)) + b"".join(rows)
    start = at + len(more)
    mark = b"II" if order == "<" else b"MM"
    if big:
        begin = mark + struct.pack(order + "HHHQ", 43, 8, 0, start)
    else:
        begin = mark + struct.pack(order + "HI", 42, start)
    return begin + body + more + directory + bytes(room)


def _value(value: int | bytes | Sequence[int], order: Order) -> tuple[int, int, bytes]:
    if isinstance(value, bytes):
        return 1, len(value), value
    numbers = [value] if isinstance(value, int) else list(value)
    kind, code = (3, "H") if max(numbers) < 1 << 16 else (4, "I")
    return kind, len(numbers), struct.pack(f"{order}{len(numbers)}{code}", *numbers)


def picture(
    array: npt.NDArray[Any],
    tags: Tags,
    *,
    order: Order = "<",
    big: bool = False,
    rows: int | None = None,
    tile: tuple[int, int] | None = None,
    compression: int = RAW,
) -> bytes:
    """``array`` ``[H, W]``, ``[H, W, samples]`` or (planar) ``[samples, H, W]`` as a file.

    Samples are written in ``order`` as they are; ``tags`` say what they mean. ``tile`` is width
    and height.
    """
    planes = list(array) if tags.get(PLANAR) == 2 else [array]
    height, width = planes[0].shape[:2]
    samples = len(planes) if len(planes) > 1 else (array.shape[2] if array.ndim == 3 else 1)
    parts = []
    for plane in planes:
        ordered = plane.astype(plane.dtype.newbyteorder(order))
        if tile:
            across, down = tile
            edges = ((0, -height % down), (0, -width % across), *[(0, 0)] * (plane.ndim - 2))
            padded = np.pad(ordered, edges)
            parts += [
                padded[y : y + down, x : x + across].tobytes()
                for y in range(0, height, down)
                for x in range(0, width, across)
            ]
        else:
            step = rows or height
            parts += [ordered[y : y + step].tobytes() for y in range(0, height, step)]
    layout = {TILE_WIDTH: tile[0], TILE_LENGTH: tile[1]} if tile else {ROWS: rows or height}
    return tiff(
        [compressed(part, compression) for part in parts],
        {
            WIDTH: width, LENGTH: height, BITS: [array.dtype.itemsize * 8] * samples,
            SAMPLES: samples, COMPRESSION: compression, **layout, **tags,
        },
        order=order,
        big=big,
    )  # fmt: skip


def compressed(data: bytes, compression: int) -> bytes:
    if compression == DEFLATE:
        return zlib.compress(data)
    if compression == PACKBITS:  # in literal runs
        runs = [data[at : at + 128] for at in range(0, len(data), 128)]
        return b"".join(bytes([len(run) - 1]) + run for run in runs)
    return data
