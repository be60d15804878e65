"""Files to labels by any engine: ``workers`` threads, each decodes and runs a photo at a time.

python tests/bench/peers/folder_peer.py ENGINE WORKERS FOLDER PHOTOS [PHOTOS ...]

What a careful user of that runtime would write: Pillow with ``draft``, one resize, and a
single-thread interpreter a worker, so that no worker waits for another.
"""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import engines
import numpy as np
from PIL import Image

_local = threading.local()
_loading = threading.Lock()  # two threads that import OpenVINO at once wait for each other


def classify(path: Path, name: str, folder: Path) -> tuple[str, int, float]:
    """Path, class index, confidence."""
    if not hasattr(_local, "run"):
        with _loading:
            _local.run = engines.load(name, folder, 1)
    probabilities = _local.run(read(path))
    return str(path), int(probabilities.argmax()), float(probabilities.max())


def read(path: Path) -> np.ndarray:
    """The centred square, 7/8 of the short side, as uint8 ``[S, S, 3]``."""
    with Image.open(path) as image:
        image.draft("RGB", (2 * engines.SIZE * 8 // 7, 2 * engines.SIZE * 8 // 7))
        (width, height), side = image.size, min(image.size) * 7 / 8
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        shape = (engines.SIZE, engines.SIZE)
        resized = image.convert("RGB").resize(shape, Image.Resampling.BILINEAR, box=box)
        return np.asarray(resized)


def main(name: str, workers: str, folder: str, *photos: str) -> None:
    """One JSON line a photo, in order."""
    paths = [path for entry in photos for path in sorted(Path(entry).rglob("*.jpg"))]
    with ThreadPoolExecutor(int(workers)) as pool:
        results = pool.map(lambda path: classify(path, name, Path(folder)), paths)
        for path, index, confidence in results:
            print(json.dumps({"path": path, "class": index, "confidence": confidence}))


if __name__ == "__main__":
    main(*sys.argv[1:])
