"""The index as programs use it, and its file: what was written is read, or refused."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import field, number, onnx_file

from flowers_onnx import Classifier, UsageError
from flowers_onnx.index import file
from flowers_onnx.index.adding import add_photos
from flowers_onnx.index.file import layout, quantised, read
from flowers_onnx.index.maker import Maker, maker_of
from flowers_onnx.index.photo import Row
from flowers_onnx.index.writing import Writer
from flowers_onnx.metadata import ModelInfo, read_info
from flowers_onnx.onnx_file import find_model, read_properties
from flowers_onnx.similar import Index

MAKER = Maker("model/1", "ab" * 32)
Floats = npt.NDArray[np.float32]


def row_at(number: int, class_id: int | str = 1, confidence: float = 0.5, **more: Any) -> Row:
    values: dict[str, Any] = {
        "place": f"{number}.jpg",
        "uri": f"file:///photos/{number}.jpg",
        "sha256": f"{number:064x}",
        "size": 1000 + number,
        "mtime_ns": 10**18,
        "width": 4,
        "height": 3,
        "label": "rosé",
        "scientific_name": None,
        "class_id": class_id,
        "confidence": confidence,
        "known": True,
    }
    return Row(**(values | more))


def make(path: Path, rows: Sequence[Row], features: Floats) -> Index:
    path.write_bytes(b"")
    with Writer(str(path), MAKER, len(rows), features.shape[1]) as writer:
        for row, one in zip(rows, features, strict=True):
            writer.add(row, quantised(one))
    return Index.open(path)


def random_features(count: int, channels: int, seed: int = 0) -> Floats:
    """As sparse as a network's, in crowds."""
    chance = np.random.default_rng(seed)
    crowds = chance.exponential(1, (1 + count // 20, channels)).astype(np.float32)
    crowds[chance.random(crowds.shape) < 0.8] = 0
    noise = chance.normal(0, 0.3, (count, channels)).astype(np.float32)
    features: Floats = np.maximum(crowds[np.arange(count) % len(crowds)] + noise, 0)
    return features


def test_a_program_finds_what_the_command_does(
    tmp_path: Path, sample: Path, classifier: Classifier
) -> None:
    path = tmp_path / "photos.index"
    told = []
    added = add_photos(
        str(path), classifier, [str(sample), "none.jpg"], lambda failed, _: told.append(failed)
    )
    assert (added.new, added.failed, added.total) == (1, 1, 1)
    assert sorted(failed.code if failed else "" for failed in told) == ["", "not_found"]
    index = Index.open(path, classifier.info)
    assert len(index) == 1
    assert index.maker.id == classifier.info.id
    embedding = classifier.embed(sample)
    assert index.search(embedding) == []  # the photo itself
    (found,) = index.search(embedding, path="")
    assert (found.mark, round(found.likeness, 3)) == ("copy", 1)
    (found,) = index.search(3 * embedding.features)
    assert (found.mark, round(found.likeness, 3)) == ("near-duplicate", 1)
    assert found.photo.path == str(sample.resolve())
    assert found.photo.uri == sample.resolve().as_uri()
    assert not found.photo.is_gone
    assert index.find(sample) == found.photo
    assert index.find("none.jpg") is None
    assert index.photos_of(60) == [found.photo]
    with pytest.raises(UsageError, match="at least 1"):
        index.search(embedding, 0)
    for wrong in (embedding.features[:-1], embedding.features[None], embedding.features * np.nan):
        with pytest.raises(UsageError, match="features must be 1280 numbers"):
            index.search(wrong)


def test_the_nearest_of_many_are_found(tmp_path: Path) -> None:
    count = 3000  # more than are looked at one by one
    features = random_features(count, 640)
    index = make(tmp_path / "i", [row_at(number) for number in range(count)], features)
    kept = np.stack([quantised(one) for one in features]).astype(np.float32)
    kept /= np.linalg.norm(kept, axis=1, keepdims=True)
    hits = 0
    for query in random_features(count, 640, 1)[:40]:
        asked = quantised(query).astype(np.float32)
        exact = kept @ (asked / np.linalg.norm(asked))
        found = index.search(query, 5)
        likeness = [one.likeness for one in found]
        assert likeness == sorted(likeness, reverse=True)
        for one in found:
            number = int(os.path.basename(one.photo.path)[:-4])
            assert one.likeness == pytest.approx(exact[number], abs=1e-4)
        best = set(np.argsort(-exact)[:5].tolist())
        hits += len(best & {int(os.path.basename(one.photo.path)[:-4]) for one in found})
    assert (
        hits > 0.85 * 5 * 40
    )  # a hard case: all are about as near; tests/bench/similar.py has flowers
    assert len(index.search(features[0], 10**6)) == count


def model_of(path: Path, graph: bytes = b"graph", **more: Any) -> Path:
    """The metadata of the model that ships, less what ``more`` changes; no network to load."""
    told = read_properties(find_model())
    path.write_bytes(onnx_file(told | more, graph, opset=field(8, number(2, 17))))
    return path


def test_an_index_is_of_a_network_whatever_else_its_file_says(tmp_path: Path) -> None:
    told = read_properties(find_model())
    own = read_info(model_of(tmp_path / "own.onnx"))
    path = tmp_path / "i"
    path.write_bytes(b"")
    with Writer(str(path), maker_of(own), 1, 8) as writer:
        writer.add(row_at(1), quantised(random_features(1, 8)[0]))

    def other(graph: bytes = b"graph", **more: Any) -> ModelInfo:
        return read_info(model_of(tmp_path / "other.onnx", graph, **more))

    labels = json.loads(told["labels"])
    renamed = [{**label, "label": f"a {label['label']}"} for label in labels]
    for same in (
        {},
        {"more": "more"},
        {"confusion": "[]", "metrics": "{}", "date": "2026-11-26"},
        {"model_name": "renamed", "model_version": "9"},
        {"rejection": json.dumps({"method": "m", "threshold": 9})},
        {"labels": json.dumps(renamed)},
    ):
        assert len(Index.open(path, other(b"graph", **same))) == 1
    rule = {"resize": "center_crop", "crop_fraction": 0.5, "kernel": "bicubic"}
    for graph, changes in (
        (b"grapi", {}),
        (b"graph2", {}),
        (b"graph", {"preprocess": json.dumps(rule)}),
        (b"graph", {"input_size": "7"}),
        (b"graph", {"labels": json.dumps(labels[::-1])}),
    ):
        with pytest.raises(UsageError, match=r"i is of another model .*, with another network"):
            Index.open(path, other(graph, **changes))
    with pytest.raises(UsageError, match=f"i is of the model {own.id}, not of renamed/9: make"):
        Index.open(path, other(b"other", model_name="renamed", model_version="9"))
    for content in (b"", b"\xff" * 9):  # something else is there now
        Path(own.path).write_bytes(content)
        with pytest.raises(UsageError, match=r"is of another model|own\.onnx has changed"):
            Index.open(path, own)
    Path(own.path).unlink()
    with pytest.raises(UsageError, match="can't read the model"):
        Index.open(path, own)


def test_photos_of_a_class_come_surest_first(tmp_path: Path) -> None:
    rows = [
        row_at(0, "a", 0.9, known=False),
        row_at(1, "b", 0.99),
        row_at(2, "a", 0.5),
        row_at(3, "a", 0.7),
        row_at(4, "a", 0.95, known=None),
    ]
    index = make(tmp_path / "i", rows, random_features(5, 8))
    places = [os.path.basename(photo.path) for photo in index.photos_of("a")]
    assert places == ["3.jpg", "2.jpg", "0.jpg", "4.jpg"]
    assert len(index.photos_of("a", 2)) == 2
    assert index.photos_of("c") == index.photos_of(1) == []


def test_photos_without_features_are_like_nothing(tmp_path: Path) -> None:
    features = np.zeros((3, 8), np.float32)
    features[1] = 1
    index = make(tmp_path / "i", [row_at(number) for number in range(3)], features)
    assert [one.likeness for one in index.search(np.ones(8, np.float32))] == pytest.approx(
        [1, 0, 0], abs=1e-6
    )
    assert [one.likeness for one in index.search(np.zeros(8, np.float32))] == [0, 0, 0]


CHANGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "is not an index"),
    "zip": (lambda _: b"PK\x03\x04" + bytes(9999), "is not an index"),
    "journal": (lambda _: b'{"journal": 1, "schema": "1.1"}\n', "is not an index"),
    "header only": (lambda data: data[:4096], "has 4,096 bytes of"),
    "less": (lambda data: data[:300], "is cut off"),
    "longer": (lambda data: data + b"\n", "has "),
    "newer": (lambda data: data.replace(b": 1,", b": 2,", 1), "is an index of version 2, this"),
    "much newer": (lambda data: data.replace(b": 1,", b": 17, ", 1), "is an index of version 17"),
    "no version": (lambda data: data.replace(b": 1,", b": x,", 1), "is damaged"),
    "header": (lambda data: data.replace(b'"photos": 3', b'"photos": 2'), "is damaged"),
    "huge": (lambda data: data.replace(b'"photos": 3', b'"photos": 3e99'), "is damaged"),
    "nested": (lambda _: b'{"flowers_index": 1,' + b"[" * 4076, "is damaged"),
    "rows": (lambda data: data[:4100] + b"\xff" + data[4101:], "is damaged"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_no_whole_index_is_refused(kind: str, tmp_path: Path) -> None:
    harm, reason = CHANGES[kind]
    path = tmp_path / "i"
    make(path, [row_at(number) for number in range(3)], random_features(3, 8))
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(UsageError, match=reason):
        Index.open(path)


_rows = st.lists(
    st.builds(
        row_at,
        st.integers(0, 10**6),
        st.integers(-5, 5) | st.text(max_size=3),
        st.floats(0, 1),
        label=st.text(max_size=5),
        known=st.none() | st.booleans(),
        size=st.integers(0, 2**63),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25)
@given(rows=_rows, channels=st.sampled_from([1, 7, 256, 300]), seed=st.integers(0, 99))
def test_what_is_written_is_read_and_copied(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], channels: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("i") / "i"
    features = random_features(len(rows), channels, seed)
    make(path, rows, features)
    tables = read(str(path))
    assert [tables.row(number) for number in range(len(rows))] == rows
    assert np.array_equal(tables.features, np.stack([quantised(one) for one in features]))
    copy = path.with_name("copy")
    copy.write_bytes(b"")
    with Writer(str(copy), MAKER, len(rows), channels) as writer:
        writer.copy(tables, np.arange(len(rows)))
    assert copy.read_bytes() == path.read_bytes()


#: More than are looked at one by one, so that the sketches count.
MANY = 700


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Floats]:
    """The file of an index, and its features."""
    path = tmp_path_factory.mktemp("many") / "i"
    features = random_features(MANY, 32)
    make(path, [row_at(number, number % 2) for number in range(MANY)], features)
    return path.read_bytes(), features


def damaged(content: bytes, data: st.DataObject) -> bytes:
    """Cut off, or with some bytes changed: anywhere, or in the header or one of the tables."""
    tables = [0, *layout(MANY, 32), len(content)]
    parts = [st.integers(begin, end - 1) for begin, end in pairwise(tables)]
    where = data.draw(st.one_of(st.integers(0, len(content) - 1), st.integers(0, 250), *parts))
    if data.draw(st.booleans(), "cut"):
        return content[:where]
    size = data.draw(st.sampled_from([1, 1, 4096, 1 << 20]))
    there = content[where : where + size]
    change = data.draw(st.sampled_from([bytes(len(there)), bytes(255 - one for one in there)]))
    return content[:where] + change + content[where + size :]


@settings(max_examples=60)
@given(data=st.data())
def test_damage_is_told_or_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, many: tuple[bytes, Floats], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("i") / "i"
    content, features = many
    path.write_bytes(content)
    asked = features[data.draw(st.integers(0, MANY - 1), "asked")]
    before = Index.open(path).search(asked)
    changed = damaged(content, data)
    path.write_bytes(changed)
    try:
        found = Index.open(path).search(asked)
    except UsageError as error:
        assert str(error).startswith(str(path))
    else:
        assert found == before
    # Nor does it go on into a file that is made of this one.
    copy = path.with_name("copy")
    copy.write_bytes(b"")
    try:
        tables = read(str(path))
        with Writer(str(copy), MAKER, MANY, 32) as writer:
            writer.copy(tables, np.arange(MANY))
    except UsageError as error:
        assert str(error).startswith(str(path))
    else:
        assert copy.read_bytes() == content


@pytest.mark.parametrize("table", [1, 2])
def test_lost_vectors_are_told(table: int, many: tuple[bytes, Floats], tmp_path: Path) -> None:
    """As after a crash of the machine, which leaves zeros where nothing was written yet."""
    path = tmp_path / "i"
    content, features = many
    begin, end = layout(MANY, 32)[table : table + 2]
    path.write_bytes(content[:begin] + bytes(end - begin) + content[end:])
    index = Index.open(path)
    for _ in range(2):
        with pytest.raises(UsageError, match="is damaged; it won't be overwritten"):
            index.search(features[5])
    # Whoever adds what the index has, under another name, takes none of it along.
    with pytest.raises(UsageError, match="is damaged"):
        read(str(path)).check_vectors(np.array([5]))


def test_a_sketch_that_hides_its_photo_is_told(many: tuple[bytes, Floats], tmp_path: Path) -> None:
    path = tmp_path / "i"
    content, features = many
    begin = layout(MANY, 32)[1] + 5 * file.SKETCH
    sketch = bytes(255 - one for one in content[begin : begin + file.SKETCH])  # the opposite
    path.write_bytes(content[:begin] + sketch + content[begin + file.SKETCH :])
    with pytest.raises(UsageError, match="is damaged"):
        Index.open(path).search(features[5])


def test_the_form_is_pinned(tmp_path: Path) -> None:
    """A newer program must read what an older one wrote."""
    path = tmp_path / "i"
    make(path, [row_at(7)], np.array([[0, -3, 4, 0, 0, 0, 0, 0]], np.float32))
    content = path.read_bytes()
    record = (
        b'{"place": "7.jpg", "uri": "file:///photos/7.jpg", "sha256": "'
        + b"0" * 63
        + b'7", "size": 1007, "mtime_ns": 1000000000000000000, "width": 4, "height": 3, '
        b'"label": "ros\\u00e9", "scientific_name": null, "class_id": 1, "confidence": 0.5, '
        b'"known": true}\n'
    )
    header = (
        b'{"flowers_index": 1, "model": "model/1", "network": "' + b"ab" * 32 + b'", "photos": 1, '
        b'"channels": 8, "bytes": 4704, "rows": 2656490726, "sketches": 1838783910, '
        b'"check": 1857436580}'
    )
    assert content[:4096] == header.ljust(4095) + b"\n"
    assert content[4096:4144].hex() == (
        "2801000000000000166b7d1b27b57cc77d88672cd1205630000000000000003f8f9bce3b8f9bce3b"
        "0100000000000000"
    )
    assert content[4144:4400] == bytes([0, 0x5F, 0x7F]).ljust(256, b"\0")
    assert content[4400:] == bytes([0, 0xA1, 127, 0, 0, 0, 0, 0]) + record


def test_folded_products_are_about_those_of_the_features() -> None:
    features = random_features(200, 1280)
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    sketches = file.folded(units)
    errors = sketches @ sketches.T - units @ units.T
    assert abs(float(errors.mean())) < 0.01
    assert float(errors.std()) < 0.07
    # One by one or together, and always the same.
    assert np.array_equal(sketches[3], file.folded(units[3]))
    assert sketches[0, :3].tolist() == pytest.approx(file.folded(units)[0, :3].tolist())


def test_errors_cross_processes(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Index.open(tmp_path / "none")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_names_of_the_room() -> None:
    import flowers_onnx.similar

    assert flowers_onnx.similar.Index is Index
    with pytest.raises(AttributeError, match="has no attribute 'Other'"):
        getattr(flowers_onnx.similar, "Other")  # noqa: B009
