"""The Python API: what is public, what it accepts, what it promises."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import io
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from PIL import Image
from support import PATIENCE

import flowers_onnx
from flowers_onnx import (
    Classifier,
    Failure,
    FlowersError,
    ImageError,
    ModelError,
    Prediction,
    UsageError,
)
from flowers_onnx.pixels import Decoded


def test_public_names_are_the_exported_ones() -> None:
    assert sorted(flowers_onnx.__all__) == flowers_onnx.__all__ == dir(flowers_onnx)
    for name in flowers_onnx.__all__:
        assert getattr(flowers_onnx, name) is not None
    with pytest.raises(AttributeError):
        flowers_onnx.nothing  # noqa: B018


def test_a_type_checker_sees_every_public_name() -> None:
    seen = (Path(__file__).parent / "typing_api.py").read_text(encoding="utf-8")
    assert [name for name in flowers_onnx.__all__ if not re.search(rf"\b{name}\b", seen)] == []


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("cli.main", {"numpy", "PIL", "onnxruntime", "fire", "asyncio"}),
        ("__main__", {"typing", "dataclasses", "pathlib", "json", "flowers_onnx.cli.main"}),
    ],
)
def test_importing_the_package_is_free(module: str, heavy: set[str]) -> None:
    program = f"import sys, flowers_onnx.{module}; print({heavy} & sys.modules.keys() or 'none')"
    done = subprocess.run([sys.executable, "-c", program], stdout=-1, check=True)
    assert done.stdout == b"none\n"


def test_all_kinds_of_source_agree(classifier: Classifier, sample: Path) -> None:
    data = sample.read_bytes()
    with Image.open(sample) as image:
        pixels = np.asarray(image)
        expected = classifier.classify(sample)
        for source in (str(sample), data, io.BytesIO(data), image, pixels):
            prediction = classifier.classify(source)
            assert [c.class_id for c in prediction.top] == [c.class_id for c in expected.top]
            assert prediction.confidence == pytest.approx(expected.confidence, abs=0.01)
            assert (prediction.width, prediction.height) == image.size
    assert expected.sha256 == hashlib.sha256(data).hexdigest()
    assert expected.path == str(sample)


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])  # small, and too large to be held
@pytest.mark.parametrize("how", ["in place", "replaced", "cut", "grown"])
def test_hash_and_label_are_of_the_same_bytes(
    classifier: Classifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    how: str,
) -> None:
    path, other = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    Image.new("RGB", (1690, 1710), "red").save(path)
    Image.new("RGB", (1710, 1690), "blue").save(other)
    before, after = path.read_bytes(), other.read_bytes()
    after = {"cut": after[: len(after) // 2], "grown": after + bytes(1000)}.get(how, after)
    photos = importlib.import_module("flowers_onnx.photos")
    decode = photos.decode

    def changing(file: BinaryIO, *options: Any) -> Decoded:
        """The file changes between hash and picture."""
        if how == "replaced":
            other.replace(path)
        else:
            path.write_bytes(after)
        decoded: Decoded = decode(file, *options)
        return decoded

    monkeypatch.setattr(photos, "decode", changing)
    result = classifier.result(path)
    monkeypatch.undo()
    expected = before if suffix == ".jpg" or how == "replaced" else after
    assert result.sha256 == hashlib.sha256(expected).hexdigest()
    alone = classifier.result(expected)
    assert dataclasses.replace(result, path=None) == alone
    assert alone.ok == (expected == before or how != "cut")


def test_a_prediction_is_frozen_and_ordered(classifier: Classifier, sample: Path) -> None:
    prediction = classifier.classify(sample, top_k=102)
    confidences = [candidate.confidence for candidate in prediction.top]
    assert len(confidences) == 102
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(1, abs=1e-3)
    assert prediction.confidence == confidences[0]
    assert prediction.model == classifier.info.id
    with pytest.raises(dataclasses.FrozenInstanceError):
        prediction.width = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("missing.jpg", "not_found"),
        ("null\0byte.jpg", "not_found"),
        (".", "not_a_file"),
        (b"", "is_empty"),
        (b"text", "not_an_image"),
        (io.BytesIO(b"%PDF-1.7 and so on"), "unsupported"),
    ],
)
def test_image_errors(classifier: Classifier, source: str | bytes, code: str) -> None:
    with pytest.raises(ImageError) as caught:
        classifier.classify(source)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "source",
    [
        None,
        5,
        io.StringIO("text"),
        np.zeros((4, 4, 3)),
        np.zeros((4, 4), np.uint8),
        np.zeros((0, 4, 3), "u1"),
    ],
)
def test_things_that_are_no_photos(classifier: Classifier, source: object) -> None:
    with pytest.raises(UsageError):
        classifier.classify(source)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"top_k": 0}, {"lang": "fr"}])
def test_options_that_make_no_sense(
    classifier: Classifier, sample: Path, options: dict[str, object]
) -> None:
    with pytest.raises(UsageError):
        classifier.classify(sample, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        classifier.classify_many([sample], **options)  # type: ignore[arg-type]


def test_models_and_threads_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        Classifier(tmp_path / "missing.onnx")
    with pytest.raises(UsageError):
        Classifier(threads=0)


def test_many_keeps_order_and_goes_on_after_failures(classifier: Classifier, sample: Path) -> None:
    results = list(classifier.classify_many([sample, b"", "missing.jpg", sample]))
    assert [result.ok for result in results] == [True, False, False, True]
    assert isinstance(results[0], Prediction)
    assert isinstance(results[2], Failure)
    assert (results[2].path, results[2].code) == ("missing.jpg", "not_found")
    assert results[0] == results[3]


def test_many_is_lazy_and_bounded(sample: Path) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield sample

    results = Classifier(threads=2).classify_many(endless())
    for _ in range(3):
        next(results)
    assert taken < 12


class Stuck(io.BytesIO):
    """A photo that can't be read until the test says so."""

    def __init__(self, data: bytes, begun: list[Stuck], go_on: threading.Event) -> None:
        super().__init__(data)
        self._begun, self._go_on, self.waited_in_vain = begun, go_on, False

    def read(self, size: int | None = -1) -> bytes:
        if self not in self._begun:
            self._begun.append(self)
            self.waited_in_vain = not self._go_on.wait(30)
        return super().read(size)


def test_who_leaves_early_waits_for_nothing_and_no_more_is_decoded(sample: Path) -> None:
    data = sample.read_bytes()
    begun: list[Stuck] = []
    taken, go_on = threading.Event(), threading.Event()

    def sources() -> Iterator[Stuck]:
        yield Stuck(data, [], taken)  # is done when three more have been taken
        for number in range(100):
            if number == 3:
                taken.set()
            yield Stuck(data, begun, go_on)

    known = set(threading.enumerate())
    results = Classifier(threads=2).classify_many(sources())
    assert next(results).ok
    started = set(threading.enumerate()) - known
    assert len(started) == 2
    results.close()  # type: ignore[attr-defined]
    go_on.set()
    for thread in started:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert not any(each.waited_in_vain for each in begun), "close() waits for the workers"
    assert len(begun) <= 2, "what had not begun was decoded all the same"


def test_one_classifier_serves_many_threads(classifier: Classifier, sample: Path) -> None:
    found: list[Prediction] = []
    threads = [
        threading.Thread(target=lambda: found.append(classifier.classify(sample))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_errors_form_one_tree() -> None:
    errors = importlib.import_module("flowers_onnx.errors")
    classes = [
        c for c in vars(errors).values() if isinstance(c, type) and c.__module__ == errors.__name__
    ]
    assert all(issubclass(c, FlowersError) for c in classes)
    assert {c.__name__ for c in classes} <= set(flowers_onnx.__all__)
