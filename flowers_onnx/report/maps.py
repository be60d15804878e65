"""Heat maps as tiny pictures inside the page, to be laid over the thumbnails."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import NamedTuple

from PIL import Image

from flowers_onnx.classifier import Classifier
from flowers_onnx.errors import FlowersError
from flowers_onnx.explanation import is_explainable
from flowers_onnx.photos import Source
from flowers_onnx.results import Prediction
from flowers_onnx.web.heat import heat_rgba, hottest
from flowers_onnx.web.images import data_url

#: Side in pixels. The browser makes it as large as the photo; more than cells, so that it looks
#: smooth, and as few as that, for a thousand photos have a thousand.
_SIDE = 9


class Map(NamedTuple):
    """A ``data:`` URL, and which of nine places of the photo has most of it, row by row."""

    url: str
    place: int


class Maps:
    """Makes the maps of photos that this model has named; safe to share between threads.

    Raises ``ModelError`` if the model can't be loaded.
    """

    def __init__(self, model: str | None) -> None:
        self._classifier = Classifier(model)
        self._id = self._classifier.info.id

    @cached_property
    def _is_explainable(self) -> bool:
        return is_explainable(self._classifier.info)

    @property
    def edge(self) -> float:
        """What of a photo's middle square isn't seen at each side, as a share of its side."""
        return (1 - self._classifier.info.preprocess.crop_fraction) / 2

    def can_explain(self, models: Counter[str]) -> bool:
        """Whether there can be maps for any of the results of these models."""
        return self._id in models and self._is_explainable

    def trouble(self, models: Counter[str]) -> str | None:
        """Why there will be no maps, or not for all, in a line."""
        if not self._is_explainable:
            return f"no maps: {self._id} has none that would tell why"
        if others := sorted(models.keys() - {self._id}):
            count = sum(models[name] for name in others)
            return f"no maps for {count} results of {', '.join(others)}: the model is {self._id}"
        return None

    def of(self, source: Source, result: Prediction, sha256: str | None) -> Map | None:
        """The map of a photo's name, if it has one of this model and the file is still this."""
        if result.known is False or result.model != self._id:
            return None
        try:
            found = self._classifier.explain(source, str(result.top[0].class_id), top_k=1)
        except FlowersError:
            return None
        if found.prediction.sha256 != sha256:
            return None
        cells = found.heat.cells
        picture = Image.fromarray(heat_rgba(cells, (_SIDE, _SIDE)))
        url = data_url(picture, lossless=True, quality=100, method=6)
        return Map(url, hottest(cells))
