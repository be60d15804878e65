"""Which parts of a photo speak for its name, from Python, and what files it can be had from."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import constant_model, field, head_model, number, varint
from PIL import Image, ImageDraw
from support import posix

from flowers_onnx import (
    Classifier,
    Embedding,
    Explanation,
    Failure,
    ImageError,
    ModelError,
    Query,
    UsageError,
)
from flowers_onnx.onnx_file import find_model
from flowers_onnx.onnx_graph import read_head, with_output
from flowers_onnx.runtime import OUTPUT


def drawings(count: int) -> list[Image.Image]:
    """Pictures of any size and content."""
    random = np.random.default_rng(13)
    made = []
    for shape in range(count):
        width, height = random.integers(60, 400, 2).tolist()
        image = Image.new("RGB", (width, height), tuple(random.integers(0, 256, 3).tolist()))
        draw = ImageDraw.Draw(image)
        for _ in range(shape % 7 + 1):
            left, top = random.integers(0, 200, 2).tolist()
            size, colour = int(random.integers(5, 150)), tuple(random.integers(0, 256, 3).tolist())
            draw.ellipse((left, top, left + size, top + size), fill=colour)
        made.append(image)
    return made


def test_the_answer_is_that_of_classify_to_the_bit(classifier: Classifier, sample: Path) -> None:
    pictures: list[Path | Image.Image] = [sample, *drawings(20)]
    explains = Classifier(explains=True)
    for picture in pictures:
        expected = classifier.classify(picture, top_k=102)
        assert classifier.explain(picture, top_k=102).prediction == expected
        assert explains.explain(picture, top_k=102).prediction == expected
        assert explains.classify(picture, top_k=102) == expected
        assert classifier.embed(picture, top_k=102).prediction == expected


def test_mean_and_bias_are_the_logit(classifier: Classifier, sample: Path) -> None:
    """The one that Gemm gives: the probabilities are a softmax of it, at some temperature."""
    pictures: list[Path | Image.Image] = [sample, *drawings(1)]
    for picture in pictures:
        every = [
            classifier.explain(picture, str(label.class_id)) for label in classifier.info.labels
        ]
        logits = np.array([one.heat.logit for one in every])
        found = np.log([one.candidate.confidence for one in every])
        temperature = np.ptp(logits) / np.ptp(found)
        assert 0.5 < temperature < 2
        shifts = found - logits / temperature
        assert np.ptp(shifts) < 1e-3
        best = classifier.explain(picture)
        assert best.candidate == best.prediction.top[0]
        assert best.heat.logit == logits.max()


def test_cells_are_where_the_flower_is(classifier: Classifier, sample: Path) -> None:
    """A dahlia in each corner of a grey photo, in turn."""
    flower = Image.open(sample).convert("RGB").resize((200, 200))
    for left, top in ((0, 0), (200, 0), (0, 200), (200, 200)):
        photo = Image.new("RGB", (400, 400), "grey")
        photo.paste(flower, (left, top))
        cells = classifier.explain(photo, "dahlia").heat.cells.clip(0)
        rows, columns = np.mgrid[0:7, 0:7]
        middle = (cells * rows).sum() / cells.sum(), (cells * columns).sum() / cells.sum()
        assert [place > 3 for place in middle] == [top > 0, left > 0]


@pytest.mark.parametrize(
    ("size", "area"),
    [
        ((280, 280), (17.5, 17.5, 262.5, 262.5)),
        ((400, 200), (112.5, 12.5, 287.5, 187.5)),
        ((200, 400), (12.5, 112.5, 187.5, 287.5)),
    ],
)
def test_the_area_is_the_square_in_the_middle(
    classifier: Classifier, size: tuple[int, int], area: tuple[float, ...]
) -> None:
    heat = classifier.explain(Image.new("RGB", size)).heat
    assert heat.area == area
    assert heat.cells.shape == (7, 7)
    assert heat.cells.dtype == np.float32


def test_a_turned_photo_has_its_map_turned(
    classifier: Classifier, sample: Path, tmp_path: Path
) -> None:
    """The area is one of the photo as it is displayed."""
    image = Image.open(sample).convert("RGB").crop((0, 0, 280, 200))
    exif = Image.Exif()
    exif[0x112] = 6  # a quarter to the right
    image.save(tmp_path / "turned.png", exif=exif)
    image.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "upright.png")
    turned, upright = (
        classifier.explain(tmp_path / name, "dahlia") for name in ("turned.png", "upright.png")
    )
    assert turned.heat.area == upright.heat.area == (12.5, 52.5, 187.5, 227.5)
    assert np.array_equal(turned.heat.cells, upright.heat.cells)


@pytest.mark.parametrize("label", ["60", "dahlia", "Dalia", "PINK  yellow dahlia", "Dahlia spp."])
def test_a_class_has_many_names(classifier: Classifier, sample: Path, label: str) -> None:
    assert classifier.explain(sample, label).candidate.class_id == 60


def test_a_class_that_is_none(classifier: Classifier, sample: Path) -> None:
    with pytest.raises(UsageError, match=r"no class 'dalhia': did you mean .*Dahlia"):
        classifier.explain(sample, "dalhia")
    with pytest.raises(UsageError, match="flowers labels lists all"):
        classifier.explanations([sample], "")


def test_names_of_several_classes_need_an_id(tmp_path: Path) -> None:
    labels = '[{"class_id": 7, "label": "Rose"}, {"class_id": 8, "label": "rose"}]'
    model = constant_model(tmp_path / "two.onnx", [0.5, 0.5], [1, 2], labels=labels)
    info = Classifier(model).info
    assert (info.find("Rose"), info.find("rose"), info.find("7")) == (0, 1, 0)
    with pytest.raises(UsageError, match=r"several classes; give an id: 7 \(Rose\), 8 \(rose\)"):
        info.find("ROSE")


def test_what_cannot_be_read_costs_the_others_nothing(
    classifier: Classifier, sample: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    sources = [sample, tmp_path / "broken.jpg", sample]
    found = list(classifier.explanations(sources, query=Query(1, "es")))
    assert [one.ok for one in found] == [True, False, True]
    assert isinstance(found[0], Explanation)
    assert found[0] == found[2]
    assert isinstance(found[1], Failure)
    assert [type(one) for one in classifier.embeddings(sources)] == [Embedding, Failure, Embedding]
    for method in (classifier.explain, classifier.embed):
        with pytest.raises(ImageError):
            method(tmp_path / "broken.jpg")


def test_several_threads_have_the_same_map(sample: Path) -> None:
    fresh = Classifier(threads=4)
    with ThreadPoolExecutor(4) as pool:
        maps = list(pool.map(lambda _: fresh.explain(sample).heat.cells, range(8)))
    assert all(np.array_equal(maps[0], one) for one in maps)


@pytest.mark.parametrize("explains", [True, False])
def test_a_copy_explains_too(sample: Path, explains: bool) -> None:
    classifier = Classifier(explains=explains)
    for twin in (copy.copy(classifier), pickle.loads(pickle.dumps(classifier))):
        assert twin.explain(sample) == classifier.explain(sample)


@posix
def test_after_a_fork(sample: Path) -> None:
    classifier = Classifier()
    expected = classifier.explain(sample)
    child = os.fork()
    if not child:
        os._exit(0 if classifier.explain(sample) == expected else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_features_are_the_mean_of_the_map(classifier: Classifier, sample: Path) -> None:
    content = Path(find_model()).read_bytes()
    head = read_head(content, OUTPUT)
    session = onnxruntime.InferenceSession(with_output(content, head.map))
    pixels = np.random.default_rng(3).integers(0, 256, (1, 208, 208, 3), np.uint8)
    last, features = session.run([head.map, "features"], {"image": pixels})
    assert np.allclose(last.mean((2, 3)), features, atol=1e-6)
    embedding = classifier.embed(sample)
    assert embedding.features.shape == (1280,)
    assert embedding.features.dtype == np.float32


def test_another_output_is_a_hundred_bytes() -> None:
    content = Path(find_model()).read_bytes()
    assert 0 < len(with_output(content, read_head(content, OUTPUT).map)) - len(content) < 100


def test_a_network_of_another_kind(tmp_path: Path, sample: Path) -> None:
    model = constant_model(tmp_path / "constant.onnx", [1 / 102] * 102, [1, 102])
    classifier = Classifier(model)
    with pytest.raises(ModelError, match=r"constant\.onnx can't be explained: it doesn't end in"):
        classifier.explain(sample)
    with pytest.raises(ModelError, match=r"constant\.onnx needs the output 'features'"):
        classifier.embed(sample)
    assert classifier.classify(sample).top


def alpha(value: float) -> bytes:
    return field(1, b"alpha") + varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, 1)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"gemms": 2}, "it doesn't end in GlobalAveragePool, Gemm and Softmax"),
        ({"gate": True}, "it doesn't end in GlobalAveragePool, Gemm and Softmax"),
        ({"factor": -1}, "it doesn't end in GlobalAveragePool, Gemm and Softmax"),
        ({"attributes": [alpha(-1)]}, "the Gemm is an odd one"),
        ({"attributes": [alpha(2)]}, "the Gemm is an odd one"),
    ],
)
def test_a_map_of_something_else_is_none(
    tmp_path: Path, sample: Path, options: dict[str, Any], why: str
) -> None:
    """A mean and a linear layer are in all of these, but do not end in the probabilities."""
    classifier = Classifier(head_model(tmp_path / "m.onnx", **options))
    assert classifier.classify(sample).top
    with pytest.raises(ModelError, match=why):
        classifier.explain(sample)


@pytest.mark.parametrize("options", [{}, {"factor": 0.3}, {"attributes": [alpha(1)]}])
def test_any_network_of_this_kind_is_explained(
    tmp_path: Path, sample: Path, options: dict[str, Any]
) -> None:
    classifier = Classifier(head_model(tmp_path / "m.onnx", **options))
    every = [classifier.explain(sample, str(label.class_id)) for label in classifier.info.labels]
    found = np.log([one.candidate.confidence for one in every])
    logits = np.array([one.heat.logit for one in every])
    assert np.ptp(found - logits * options.get("factor", 1)) < 1e-3


@given(st.binary(max_size=300))
def test_any_bytes_are_a_head_or_none(content: bytes) -> None:
    with contextlib.suppress(ValueError):  # and nothing else
        read_head(content, OUTPUT)
        pytest.fail("there is no head in it")


@given(st.integers(0, 40_000), st.integers(1, 255))
def test_a_damaged_file_is_a_head_or_none(damage: Callable[..., bytes], at: int, by: int) -> None:
    content = damage(at, by)
    try:
        head = read_head(content, OUTPUT)
    except ValueError:
        return
    assert head.weights.shape[1:] == head.bias.shape


@pytest.fixture(scope="module")
def damage() -> Callable[[int, int], bytes]:
    """The end of the shipped graph's bytes, where its head is, with one of them changed."""
    content = Path(find_model()).read_bytes()
    middle = len(content) // 2

    def changed(at: int, by: int) -> bytes:
        place = (middle + at * 53) % len(content)
        return content[:place] + bytes([content[place] ^ by]) + content[place + 1 :]

    return changed
