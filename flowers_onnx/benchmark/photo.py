"""The photos to measure with: those that are named, or one that is made up."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from flowers_onnx.benchmark import document
from flowers_onnx.classifier import Classifier
from flowers_onnx.errors import UsageError
from flowers_onnx.photos import display_path
from flowers_onnx.results import Failure
from flowers_onnx.scratch import scratch_folder
from flowers_onnx.sources import Stream, Unreadable, expand

WIDTH, HEIGHT, QUALITY = 500, 667, 90


@dataclass(frozen=True, slots=True)
class Photos:
    """Files that can be classified; ``source`` tells people where they are from."""

    paths: tuple[str, ...]
    source: str

    def describe(self, classifier: Classifier) -> document.Photos:
        """Facts for the result; classifies every photo and raises ``UsageError`` if one fails."""
        digest, size = hashlib.sha256(), 0
        for path, result in zip(self.paths, classifier.classify_many(self.paths), strict=True):
            if isinstance(result, Failure):
                raise UsageError(f"can't measure with {display_path(path)}: {result.message}")
            digest.update(bytes.fromhex(result.sha256 or ""))
            size += os.path.getsize(path)
        return {
            "source": self.source,
            "count": len(self.paths),
            "bytes": size,
            "sha256": digest.hexdigest(),
        }


@contextlib.contextmanager
def gather(words: Sequence[str]) -> Iterator[Photos]:
    """The photos that ``words`` name; without any, one made up for as long as it is needed."""
    if words:
        source = ", ".join(map(display_path, words[:3])) + ", ..." * (len(words) > 3)
        yield Photos(tuple(map(_path, expand(words, None))), source)
        return
    with scratch_folder() as folder:
        path = os.path.join(folder, "made-up.jpg")
        made_up().save(path, quality=QUALITY)
        yield Photos((path,), f"a made-up JPEG of {WIDTH} x {HEIGHT} pixels, quality {QUALITY}")


def _path(source: str | Stream | Unreadable) -> str:
    if isinstance(source, str):
        return source
    reason = f": {source.error}" if isinstance(source, Unreadable) else ""
    raise UsageError(f"can't measure with {source.path}{reason}")


def made_up() -> Image.Image:
    """An image as hard to decode as a photo: noise that gets weaker with each octave.

    Natural images have about that spectrum, so the JPEG is as large as a photo's (about
    90 KiB), and with it the work of Huffman decoding.
    """
    random = np.random.default_rng(0)
    pixels = np.full((HEIGHT, WIDTH, 3), 128.0)
    for octave in range(7):
        cells = (6 << octave) * HEIGHT // WIDTH, 6 << octave
        noise = random.integers(0, 256, (*cells, 3), dtype=np.uint8)
        layer = Image.fromarray(noise).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        pixels += (np.asarray(layer, float) - 127.5) / 1.6**octave
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
