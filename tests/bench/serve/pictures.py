"""The photos that the drills send, as the bytes of whole requests."""

from __future__ import annotations

import io
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from serving import request

from flowers_onnx.sources import expand


def photos(data: str, count: int = 200) -> list[bytes]:
    """JPEGs of the folder ``data``, every n-th of them; pictures made here if it is empty."""
    if not data:
        return list(_made(min(count, 48)))
    found = [path for path in expand([data], None) if isinstance(path, str)]
    found = [path for path in found if path.lower().endswith((".jpg", ".jpeg"))]
    if not found:
        raise SystemExit(f"no JPEG in {data}")
    chosen = [found[i * len(found) // count] for i in range(min(count, len(found)))]
    return [Path(path).read_bytes() for path in chosen]


def write_requests(folder: Path, bodies: list[bytes], path: str = "/v1/classify") -> str:
    """A file a request, for ``Job.requests``; returns the folder's name."""
    folder.mkdir()
    for number, body in enumerate(bodies):
        (folder / f"{number:05}").write_bytes(request(body, path))
    return str(folder)


def write_probe(folder: Path, path: str = "/livez") -> str:
    """The same for one GET."""
    folder.mkdir()
    (folder / "0").write_bytes(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    return str(folder)


def distinct(bodies: list[bytes]) -> Iterator[bytes]:
    """The photos for ever, no two files alike: a number hangs behind the end of each JPEG."""
    for number, body in enumerate(itertools.cycle(bodies)):
        yield body + b"\n%d" % number


def _made(count: int) -> Iterator[bytes]:
    # As large, and as hard to decode, as the data set's: 500 x 667 pixels, about 40 kB.
    draw = random.Random(0)
    for number in range(count):
        rng = np.random.default_rng(number)
        width, height = draw.choice([(500, 667), (667, 500), (500, 500), (752, 500)])
        coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
        grain = rng.integers(-5, 6, (height, width, 1), np.int16)
        picture = Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=85)
        yield buffer.getvalue()
