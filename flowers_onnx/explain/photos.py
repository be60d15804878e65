"""From what the command line names to photos that are explained, and the pixels to show of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from flowers_onnx.classifier import Classifier
from flowers_onnx.concurrency import map_ordered
from flowers_onnx.errors import ImageError, from_os_error
from flowers_onnx.explain.options import Options
from flowers_onnx.explanation import Explanation
from flowers_onnx.image_formats import MAX_BYTES
from flowers_onnx.metadata import Preprocess
from flowers_onnx.photos import PhotoReader, display_path
from flowers_onnx.pixels import Pixels
from flowers_onnx.results import Failure
from flowers_onnx.sources import Stream, Unreadable, expand, without_sidecars

#: How the name of a picture of ours ends, in a folder of them.
OURS = ".why.jpg"
#: Pixels a side of the square that is shown.
SIDE = 400


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A source that is read twice.

    ``name`` is its path in the folder that was given, if any; ``path`` is for people.
    """

    name: str
    path: str
    source: str | bytes | Unreadable


@dataclass(frozen=True, slots=True)
class Explained:
    """A photo, explained. ``pixels``, uint8 ``[SIDE, SIDE, 3]`` in RGB, are what is seen of it."""

    name: str
    explanation: Explanation
    pixels: Pixels


def named_sources(
    words: Sequence[str], stdin: BinaryIO | None, on_raw: Callable[[str], None]
) -> Iterator[NamedSource]:
    """The photos that ``words`` name, in order and one at a time.

    Pictures of ours among several are left out: they may lie beside their photos.
    """
    words = without_sidecars(words)
    several = len(words) > 1
    for word in words:
        for found in expand([word], stdin, on_raw):
            match found:
                case Stream(path, file):
                    yield NamedSource("photo", path, _content(path, file))
                case Unreadable(path):
                    yield NamedSource(path, display_path(path), found)
                case str() if found.endswith(OURS) and (several or found != word):
                    continue
                case str():
                    folder = word if os.path.isdir(word) else os.path.dirname(found)
                    if several and os.path.isdir(word):  # by its name, for there are others
                        folder = os.path.dirname(os.path.abspath(word))
                    name = os.path.relpath(found, folder or os.curdir)
                    yield NamedSource(name, display_path(found), found)


def explained(
    classifier: Classifier, sources: Iterable[NamedSource], options: Options
) -> Iterator[Explained | Failure]:
    """Each photo explained, in order; raises ``UsageError`` for a class that isn't there."""
    preprocess, query = classifier.info.preprocess, options.query
    if options.label is not None:
        classifier.info.find(options.label)  # before the first photo is read
    reader = PhotoReader(Preprocess(SIDE, preprocess.crop_fraction, "lanczos"), options.max_pixels)

    def work(photo: NamedSource) -> Explained | Failure:
        try:
            explanation = classifier.explain(
                photo.source,
                options.label,
                top_k=query.top_k,
                lang=query.lang,
                min_confidence=query.min_confidence,
            )
            shown = reader.read(photo.source)
            if shown.decoded is None or shown.sha256 != explanation.prediction.sha256:
                raise ImageError("read_error", "it changed while it was read")
        except ImageError as error:
            failure = classifier.result(photo.source, query)  # as classify tells it
            if isinstance(failure, Failure):
                return replace(failure, path=photo.path)
            return Failure(error.code, str(error), photo.path, failure.sha256, failure.model)
        return Explained(photo.name, explanation, shown.decoded.pixels)

    threads = classifier.threads
    return map_ordered(work, sources, threads=threads, ahead=2 * threads, name="flowers-worker")


def _content(path: str, file: BinaryIO) -> bytes | Unreadable:
    """What comes through a pipe; a byte more than a photo may have is enough to refuse it."""
    try:
        return file.read(MAX_BYTES + 1)
    except OSError as error:
        return Unreadable(path, from_os_error(error))
