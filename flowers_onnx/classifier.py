"""The one place where photos become predictions; every door of the program calls it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from flowers_onnx.concurrency import map_ordered
from flowers_onnx.errors import ImageError, ModelError, UsageError
from flowers_onnx.image_formats import MAX_PIXELS
from flowers_onnx.machine import MAX_THREADS, allowed_cpus
from flowers_onnx.metadata import ModelInfo, read_info
from flowers_onnx.network import PHOTOS
from flowers_onnx.onnx_file import find_model, shipped_model
from flowers_onnx.photos import Photo, PhotoReader, Source
from flowers_onnx.pixels import Pixels
from flowers_onnx.results import Candidate, Failure, Prediction, Query, Result, Timing
from flowers_onnx.runtime import FEATURES, Answer, Session

if TYPE_CHECKING:  # seldom needed
    from flowers_onnx.explanation import Embedding, Explainer, Explanation

T = TypeVar("T")

DEFAULT_QUERY = Query()


class Classifier:
    """A model, loaded once, that names the flower in photos. Safe to share between threads.

    ``model`` is an ONNX file made by ``export/convert.py`` (default: the environment's
    ``FLOWERS_ONNX_MODEL``, else the model that ships). ``threads`` is the number of photos
    that ``classify_many`` has in work at a time (default: the CPUs that affinity and the
    container's quota allow); from 2 on, a photo that is alone in the process takes two of these
    CPUs, once some have come one by one. ``max_pixels`` is the most that is decoded for one image.
    ``explains`` spares the first ``explain`` the loading of a network of its own.

    It may be used after a fork. Pickled, it is its arguments, the model's path in full unless it
    is the one that ships: another process loads it again, and raises ``ModelError`` if it finds
    another model there.

    Raises ``ModelError`` if the model can't be loaded.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        threads: int | None = None,
        max_pixels: int = MAX_PIXELS,
        explains: bool = False,
    ) -> None:
        self._threads = threads
        cpus = allowed_cpus()
        self.threads = cpus if threads is None else threads
        if not 1 <= self.threads <= MAX_THREADS:
            raise UsageError(f"threads must be between 1 and {MAX_THREADS}, not {threads}")
        self.info: ModelInfo = read_info(find_model(model))
        self._reader = PhotoReader(self.info.preprocess, max_pixels)
        self._cores, self._explains = min(self.threads, cpus), explains
        self._session = (
            self._explainer.session if explains else Session(self.info, cores=self._cores)
        )

    def __getstate__(self) -> dict[str, Any]:
        path = self.info.path
        return {
            # Where the package is may differ between machines.
            "model": None if path == shipped_model() else os.path.abspath(path),
            "threads": self._threads,
            "max_pixels": self._reader.max_pixels,
            "explains": self._explains,
            "id": self.info.id,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        expected = state.pop("id")
        Classifier.__init__(self, **state)
        if self.info.id != expected:
            raise ModelError(f"{self.info.path} is {self.info.id}; {expected} is needed")

    def warm_up(self) -> None:
        """Classify a blank picture, for the first one is slow.

        Raises ``ModelError`` if that gives no answer: no photo would get one.
        """
        size = self.info.preprocess.size
        try:
            # Not among the photos in work: it may be asked for while one is.
            blank = self._reader.read(np.zeros((size, size, 3), np.uint8))
            self._look(blank, DEFAULT_QUERY, self._session.answer, _prediction)
        except ImageError as error:
            raise ModelError(f"{self.info.path}: {error}") from error

    def classify(
        self,
        source: Source,
        *,
        top_k: int = 5,
        lang: str = "en",
        min_confidence: float | None = None,
    ) -> Prediction:
        """Name the flower in one photo.

        ``source`` is a path, a file's bytes, a binary file object, a Pillow image, or RGB
        pixels as a uint8 array ``[H, W, 3]``; ``top_k`` is the number of candidates to
        give, at most the number of classes; ``lang`` is ``en``, ``es`` or ``la``;
        ``min_confidence``, 0 to 1, is from where on the answer is ``known``, in place of the
        model's own rule. Raises ``ImageError`` if the photo can't be read, ``UsageError`` if
        an argument makes no sense.
        """
        query = Query(top_k, lang, min_confidence)
        return self._one(source, query, self._session.answer, _prediction)

    def result(self, source: Source, query: Query = DEFAULT_QUERY) -> Result:
        """The same with errors as values: a ``Failure`` for a photo that can't be read."""
        return self._one_or_failure(source, query, self._session.answer, _prediction)

    def classify_many(
        self,
        sources: Iterable[Source],
        *,
        top_k: int = 5,
        lang: str = "en",
        min_confidence: float | None = None,
    ) -> Iterator[Result]:
        """Name the flowers in many photos: one result a source, in order.

        A photo that can't be read gives a ``Failure`` and costs the others nothing.
        ``threads`` photos are in work at a time, each from its file to its answer: up to
        ``2 * threads`` sources are taken ahead of the result that is given, never more, so
        that ``sources`` may be endless. The caller's thread takes them, so that a result may
        wait for the next source to come.
        """
        return self.results(sources, Query(top_k, lang, min_confidence))

    def results(self, sources: Iterable[Source], query: Query = DEFAULT_QUERY) -> Iterator[Result]:
        """``classify_many`` for who has a ``Query``."""
        return self._in_order(sources, lambda source: self.result(source, query))

    def explain(
        self,
        source: Source,
        label: str | None = None,
        *,
        top_k: int = 5,
        lang: str = "en",
        min_confidence: float | None = None,
    ) -> Explanation:
        """The answer of ``classify``, and how much each part of the photo speaks for it.

        ``label``, a class's id or its name in any language, asks for another class than the
        best. The first call loads the network once more, with an output that the file keeps to
        itself. Raises ``ModelError`` for a network without such a map, else as ``classify``.
        """
        query = Query(top_k, lang, min_confidence)
        return self._one(source, query, self._explainer.answer, self._explainer.of(label, lang))

    def explanations(
        self, sources: Iterable[Source], label: str | None = None, query: Query = DEFAULT_QUERY
    ) -> Iterator[Explanation | Failure]:
        """``explain`` for many photos: one a source, in order, as ``results`` gives them."""
        explainer = self._explainer
        make = explainer.of(label, query.lang)
        return self._in_order(
            sources, lambda source: self._one_or_failure(source, query, explainer.answer, make)
        )

    def embed(
        self,
        source: Source,
        *,
        top_k: int = 5,
        lang: str = "en",
        min_confidence: float | None = None,
    ) -> Embedding:
        """The answer of ``classify``, and the numbers that the network made it of.

        Photos that are alike to it have features in about the same direction. Raises
        ``ModelError`` for a file without the output ``features``, else as ``classify``.
        """
        return self._one(source, Query(top_k, lang, min_confidence), self._features, _embedding)

    def embeddings(
        self, sources: Iterable[Source], query: Query = DEFAULT_QUERY
    ) -> Iterator[Embedding | Failure]:
        """``embed`` for many photos: one a source, in order, as ``results`` gives them."""
        return self._in_order(
            sources, lambda source: self._one_or_failure(source, query, self._features, _embedding)
        )

    @cached_property
    def _explainer(self) -> Explainer:
        from flowers_onnx.explanation import Explainer

        return Explainer(self.info, self._cores)

    def _features(self, pixels: Pixels) -> Answer:
        return self._session.answer(pixels, FEATURES)

    def _in_order(self, sources: Iterable[Source], work: Callable[[Source], T]) -> Iterator[T]:
        if isinstance(sources, str | bytes):
            raise UsageError("sources must be several; classify() takes a single one")
        return map_ordered(
            work, sources, threads=self.threads, ahead=2 * self.threads, name="flowers-worker"
        )

    def _one(
        self, source: Source, query: Query, run: _Run, make: Callable[[Prediction, Answer], T]
    ) -> T:
        """What ``make`` makes of the answer that ``run`` gives for the pixels of ``source``."""
        with PHOTOS:
            return self._look(self._reader.read(source), query, run, make)

    def _one_or_failure(
        self, source: Source, query: Query, run: _Run, make: Callable[[Prediction, Answer], T]
    ) -> T | Failure:
        with PHOTOS:
            photo = self._reader.read(source)
            try:
                return self._look(photo, query, run, make)
            except ImageError as error:
                return Failure(error.code, str(error), photo.path, photo.sha256, self.info.id)

    def _look(
        self, photo: Photo, query: Query, run: _Run, make: Callable[[Prediction, Answer], T]
    ) -> T:
        decoded = photo.decoded
        if decoded is None:
            raise photo.error or ImageError("read_error", "can't be read")
        started = time.perf_counter()
        answer = run(decoded.pixels)
        ended = time.perf_counter()
        probabilities, score, _ = answer
        ranking = np.argsort(-probabilities, kind="stable")  # ties in label order
        top = self._candidates(probabilities, ranking[: query.top_k], query.lang)
        known = self._is_known(top[0].confidence, score, query.min_confidence)
        fewest: tuple[Candidate, ...] = ()
        if known and (rule := self.info.prediction_set):
            sure = int(np.count_nonzero(probabilities.astype(np.float64) >= rule.threshold))
            fewest = self._candidates(probabilities, ranking[: max(1, sure)], query.lang)
        timing = Timing(
            read=photo.read_ms,
            decode=decoded.decode_ms,
            preprocess=decoded.preprocess_ms,
            inference=(ended - started) * 1e3,
            postprocess=(time.perf_counter() - ended) * 1e3,
        )
        prediction = Prediction(
            top=top,
            scientific_name=self.info.labels[ranking[0]].scientific_name,
            path=photo.path,
            sha256=photo.sha256,
            width=decoded.width,
            height=decoded.height,
            model=self.info.id,
            timing=timing,
            known=known,
            prediction_set=fewest,
        )
        return make(prediction, answer)

    def _candidates(
        self, probabilities: npt.NDArray[np.float32], indices: npt.NDArray[np.intp], lang: str
    ) -> tuple[Candidate, ...]:
        labels = self.info.labels
        return tuple(
            Candidate(labels[i].name(lang), labels[i].class_id, float(probabilities[i]))
            for i in indices.tolist()
        )

    def _is_known(
        self, confidence: float, score: float | None, min_confidence: float | None
    ) -> bool | None:
        if min_confidence is not None:
            return bool(confidence >= min_confidence)
        rule = self.info.rejection
        return None if rule is None or score is None else score >= rule.threshold


_Run = Callable[[Pixels], Answer]


def _prediction(prediction: Prediction, _answer: Answer) -> Prediction:
    return prediction


def _embedding(prediction: Prediction, answer: Answer) -> Embedding:
    from flowers_onnx.explanation import Embedding

    return Embedding(prediction, answer.more[0])
