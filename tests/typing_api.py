"""The public names as a type checker sees them: mypy reads this file, and nothing runs it.

Each ``type: ignore`` stands on a wrong use. As mypy is strict, it complains of one that isn't
needed: what should be refused and isn't breaks the check as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, assert_type

import numpy as np
import numpy.typing as npt
from PIL import Image

import flowers_onnx
from flowers_onnx import (
    Candidate,
    Classifier,
    Embedding,
    Explanation,
    Failure,
    FlowersError,
    HeatMap,
    ImageError,
    ModelError,
    ModelInfo,
    OutputError,
    Prediction,
    Query,
    StoppedError,
    StorageError,
    Timing,
    UsageError,
)
from flowers_onnx.errors import ImageErrorCode
from flowers_onnx.index.photo import IndexedPhoto
from flowers_onnx.similar import Index

assert_type(flowers_onnx.__version__, str)


def a_classifier(path: Path) -> Classifier:
    classifier = Classifier()
    Classifier("model.onnx")
    Classifier(path, threads=2, max_pixels=1_000_000)
    Classifier(path, 2)  # type: ignore[call-arg]
    Classifier(threads="2")  # type: ignore[arg-type]
    assert_type(classifier.threads, int)
    assert_type(classifier.info, ModelInfo)
    return classifier


def a_model(info: ModelInfo) -> None:
    assert_type(info.id, str)
    assert_type(info.labels[0].name("la"), str)
    assert_type(info.labels[0].class_id, int | str)
    assert_type(info.preprocess.size, int)
    assert_type(info.metrics, dict[str, Any])
    info.version = "2"  # type: ignore[misc]


def one_photo(
    classifier: Classifier,
    file: BinaryIO,
    image: Image.Image,
    pixels: npt.NDArray[np.uint8],
    floats: npt.NDArray[np.float32],
) -> None:
    assert_type(classifier.classify("photo.jpg"), Prediction)
    assert_type(classifier.classify(Path("photo.jpg"), top_k=3, lang="es"), Prediction)
    for source in (b"...", file, image, pixels):
        assert_type(classifier.classify(source), Prediction)
    assert_type(classifier.classify("photo.jpg", min_confidence=0.5).known, bool | None)
    classifier.classify("photo.jpg", 3)  # type: ignore[call-arg]
    classifier.classify("photo.jpg", top_k="3")  # type: ignore[arg-type]
    classifier.classify(None)  # type: ignore[arg-type]
    classifier.classify(floats)  # type: ignore[arg-type]


def errors_as_values(classifier: Classifier, query: Query) -> None:
    assert_type(classifier.result("photo.jpg"), Prediction | Failure)
    assert_type(classifier.result(b"...", query), Prediction | Failure)
    str(classifier.result("photo.jpg").label)  # type: ignore[union-attr]
    classifier.result("photo.jpg", 3)  # type: ignore[arg-type]


def many_photos(classifier: Classifier, paths: Iterator[Path]) -> None:
    results = classifier.classify_many(paths, top_k=1, lang="la")
    assert_type(results, Iterator[Prediction | Failure])
    assert_type(classifier.results(paths, Query(1, "la")), Iterator[Prediction | Failure])
    assert_type(classifier.results(["a.jpg", b"..."]), Iterator[Prediction | Failure])
    classifier.classify_many(7)  # type: ignore[arg-type]
    for result in results:
        assert_type(result.ok, bool)
        assert_type(result.path, str | None)
        record: Mapping[str, object] = result.to_record()
        assert record
        if isinstance(result, Prediction):
            a_prediction(result)
        else:
            assert_type(result, Failure)
            assert_type(result.code, str)
            assert_type(result.message, str)


def why_and_alike(classifier: Classifier, paths: Iterator[Path]) -> None:
    explained = classifier.explain("photo.jpg", "rose", lang="es")
    assert_type(explained, Explanation)
    assert_type(explained.prediction, Prediction)
    assert_type(explained.candidate, Candidate)
    assert_type(explained.heat, HeatMap)
    assert_type(explained.heat.cells, npt.NDArray[np.float32])
    assert_type(explained.heat.logit, float)
    assert_type(classifier.explanations(paths), Iterator[Explanation | Failure])
    classifier.explain("photo.jpg", 3)  # type: ignore[arg-type]
    assert_type(classifier.embed("photo.jpg"), Embedding)
    assert_type(classifier.embed("photo.jpg").features, npt.NDArray[np.float32])
    assert_type(classifier.embeddings(paths), Iterator[Embedding | Failure])


def a_prediction(prediction: Prediction) -> None:
    assert_type(prediction.top, tuple[Candidate, ...])
    assert_type(prediction.label, str)
    assert_type(prediction.class_id, int | str)
    assert_type(prediction.confidence, float)
    assert_type(prediction.scientific_name, str | None)
    assert_type(prediction.sha256, str | None)
    assert_type((prediction.width, prediction.height), tuple[int, int])
    assert_type(prediction.known, bool | None)
    assert_type(prediction.prediction_set, tuple[Candidate, ...])
    assert_type(prediction.timing, Timing)
    assert_type(prediction.timing.total, float)
    assert_type(prediction.top[0].confidence, float)
    prediction.width = 1  # type: ignore[misc]
    prediction.top.append(Candidate("rose", 1, 0.5))  # type: ignore[attr-defined]


def a_query() -> None:
    assert_type(Query().top_k, int)
    assert_type(Query(top_k=3, lang="es").lang, str)
    assert_type(Query(3, "es", 0.5).min_confidence, float | None)
    Query("3")  # type: ignore[arg-type]
    Query(min_confidence="0.5")  # type: ignore[arg-type]
    Query().lang = "es"  # type: ignore[misc]


def an_index(classifier: Classifier, path: Path) -> None:
    index = Index.open(path, classifier.info)
    embedding = classifier.embed("photo.jpg")
    for found in index.search(embedding, 3):
        assert_type(found.likeness, float)
        assert_type(found.photo.path, str)
        assert_type(found.photo.known, bool | None)
        assert_type(found.mark, Literal["copy", "near-duplicate"] | None)
        found.likeness = 1.0  # type: ignore[misc]
    index.search(embedding.features, path="photo.jpg")
    index.search("photo.jpg")  # type: ignore[arg-type]
    assert_type(index.photos_of(60, 2), list[IndexedPhoto])
    assert_type(index.find("photo.jpg"), IndexedPhoto | None)
    assert_type(len(index), int)


def what_can_go_wrong(classifier: Classifier) -> None:
    try:
        classifier.classify("photo.jpg")
    except ImageError as error:
        assert_type(error.code, ImageErrorCode)
        assert_type(error.exit_code, int)
    except StorageError as error:
        assert_type(error.code, ImageErrorCode)
    except (UsageError, ModelError, OutputError, StoppedError) as error:
        assert_type(error.exit_code, int)
        str(error.code)  # type: ignore[union-attr]
    except FlowersError as error:
        str(error.code)  # type: ignore[attr-defined]
    ImageError("no_such_code", "...")  # type: ignore[arg-type]
