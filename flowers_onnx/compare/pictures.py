"""The photos of a page: what was given, what speaks for its name, and examples of a species."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from flowers_onnx.classifier import Classifier
from flowers_onnx.compare.subject import Subject, examples
from flowers_onnx.errors import ImageError, ModelError
from flowers_onnx.index.index import Index
from flowers_onnx.metadata import ModelInfo, Preprocess
from flowers_onnx.photos import PhotoReader, display_path
from flowers_onnx.sources import RegularFile
from flowers_onnx.web.heat import heated

#: Pixels a side of the square that is shown.
SIDE = 480


@dataclass(frozen=True, slots=True)
class Shown:
    """A photo, RGB ``SIDE`` x ``SIDE``; ``heat`` is the same with what speaks for its name."""

    name: str
    image: Image.Image
    heat: Image.Image | None = None


class Pictures:
    """Reads and draws. ``classifier`` is needed for photos that were given, ``index`` for others.

    A photo is shown as the network sees it: the square in its middle.
    """

    def __init__(
        self, info: ModelInfo, max_pixels: int, classifier: Classifier | None, index: Index | None
    ) -> None:
        crop = info.preprocess.crop_fraction
        self._reader = PhotoReader(Preprocess(SIDE, crop, "lanczos"), max_pixels)
        self._labels, self._classifier, self._index = info.labels, classifier, index

    @property
    def has_index(self) -> bool:
        """Whether there are examples to choose from."""
        return self._index is not None

    def of(self, side: Subject) -> Shown | None:
        """The photo that was given; None for a species, and for what can't be read again."""
        if side.source is None or side.prediction is None or self._classifier is None:
            return None
        photo = self._reader.read(side.source)
        if photo.decoded is None or photo.sha256 != side.prediction.sha256:
            return None
        heat = None
        try:
            explanation = self._classifier.explain(side.source)
            if explanation.prediction.sha256 == photo.sha256:
                heat = heated(photo.decoded.pixels, explanation.heat.cells)
        except (ImageError, ModelError):  # changed meanwhile; a network without a map
            pass
        return Shown(side.given, Image.fromarray(photo.decoded.pixels), heat)

    def examples(self, side: Subject) -> Iterator[Shown]:
        """Photos of the species that can still be read, the surest first."""
        if self._index is None or side.position is None:
            return
        for one in examples(self._index, self._labels[side.position], side):
            photo = self._reader.read(RegularFile(one.path))
            if photo.decoded is not None and photo.sha256 == one.sha256:
                yield Shown(display_path(one.path), Image.fromarray(photo.decoded.pixels))
