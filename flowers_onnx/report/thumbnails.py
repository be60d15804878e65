"""Photos as small squares inside the page."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from PIL import Image

from flowers_onnx.concurrency import map_ordered
from flowers_onnx.image_formats import MAX_PIXELS
from flowers_onnx.metadata import Preprocess
from flowers_onnx.photos import PhotoReader
from flowers_onnx.pixels import Pixels
from flowers_onnx.results import Prediction
from flowers_onnx.sources import RegularFile, Unreadable
from flowers_onnx.storage.images import read_image
from flowers_onnx.storage.item import Item
from flowers_onnx.storage.uris import path_in_text, scheme_of, split
from flowers_onnx.web.images import url_of, webp

if TYPE_CHECKING:  # a model is loaded only where somebody wants to know
    from flowers_onnx.report.maps import Map, Maps

#: Side in pixels.
SIZE = 160
#: Most bytes of one: a thousand of them, in base64 and with their text, stay below 15 MB
#: whatever they show. A photo takes about half of it.
_MOST_BYTES = 10_000
#: Tried in this order until one is small enough.
_QUALITIES = (75, 60, 45, 30, 15)
#: Enough to hide how long a bucket takes to answer; what is decoded at a time is limited by
#: its pixels.
_WORKERS = 8
#: A bucket that has failed this often is not asked again: each may take a minute of retries.
_PATIENCE = 10


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A ``data:`` URL, or why there is none: the photo is gone, or no longer the same.

    ``map`` lies over it, where there is one.
    """

    url: str | None = None
    lack: Literal["gone", "changed"] | None = None
    map: Map | None = None


def thumbnails(photos: Iterable[Prediction], maps: Maps | None = None) -> Iterator[Thumbnail]:
    """One for each of ``photos``, in their order, made ahead by threads; never fails."""
    return map_ordered(
        _Maker(maps).make, photos, threads=_WORKERS, ahead=4 * _WORKERS, name="flowers-thumbnail"
    )


class _Maker:
    def __init__(self, maps: Maps | None) -> None:
        self._maps = maps
        # The square in the middle is what the network looked at, nearly.
        self._reader = PhotoReader(Preprocess(SIZE, 1.0, "lanczos"), MAX_PIXELS)
        self._failures: Counter[str] = Counter()

    def make(self, result: Prediction) -> Thumbnail:
        source = self._source(result.path or "")
        photo = None if source is None else self._reader.read(source)
        if photo is None or photo.decoded is None:
            return Thumbnail(lack="gone")
        if result.sha256 not in (None, photo.sha256):
            return Thumbnail(lack="changed")
        url = url_of(_encoded(photo.decoded.pixels))
        found = source and self._maps and self._maps.of(source, result, photo.sha256)
        return Thumbnail(url, map=found or None)

    def _source(self, name: str) -> str | bytes | None:
        """A path, or the bytes of an object in a bucket; None if there is nothing to read."""
        path = path_in_text(name)
        if path is not None:
            return RegularFile(path) if os.path.isfile(path) else None  # a pipe would never end
        bucket = name
        try:
            bucket = f"{scheme_of(name)}://{split(name)[0]}"
            if self._failures[bucket] >= _PATIENCE:
                return None
            content, _ = read_image(Item(name))
        except Exception:  # whatever a client raises costs this photo, not the page
            self._failures[bucket] += 1
            return None
        if isinstance(content, Unreadable):
            self._failures[bucket] += content.error.code not in ("not_found", "too_large")
            return None
        return content


def _encoded(pixels: Pixels) -> bytes:
    """WebP of at most ``_MOST_BYTES``, unless even the lowest quality takes more."""
    image = Image.fromarray(pixels)
    for quality in _QUALITIES:
        content = webp(image, quality=quality)
        if len(content) <= _MOST_BYTES:
            break
    return content
