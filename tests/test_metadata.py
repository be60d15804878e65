"""Reading a model's metadata without onnxruntime, from good files and from any bytes."""

from __future__ import annotations

import json
from pathlib import Path

import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import onnx_file
from support import Run

from flowers_onnx import Classifier, ModelError
from flowers_onnx.confusion import confusions_of, dumps, loads
from flowers_onnx.metadata import read_info
from flowers_onnx.onnx_file import find_model


def preprocess(**changes: object) -> str:
    return json.dumps(
        {"resize": "center_crop", "crop_fraction": 0.9, "kernel": "bicubic"} | changes
    )


GOOD = {
    "schema": "1",
    "model_name": "test",
    "model_version": "2.0",
    "input_size": "224",
    "preprocess": preprocess(),
    "labels": json.dumps([{"class_id": 1, "label": "rose", "scientific_name": "Rosa"}]),
}


def test_agrees_with_onnxruntime() -> None:
    path = find_model()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    properties = session.get_modelmeta().custom_metadata_map
    info = read_info(path)
    assert info.id == f"{properties['model_name']}/{properties['model_version']}"
    assert [label.label for label in info.labels] == [
        row["label"] for row in json.loads(properties["labels"])
    ]


@given(graph=st.binary(max_size=400), properties=st.dictionaries(st.text(), st.text(), max_size=4))
def test_metadata_is_found_behind_any_graph(
    tmp_path_factory: pytest.TempPathFactory, graph: bytes, properties: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    path.write_bytes(onnx_file({**properties, **GOOD}, graph))
    info = read_info(path)
    assert (info.id, info.preprocess.crop_fraction) == ("test/2.0", 0.9)
    assert info.labels[0].name("la") == "Rosa"
    assert info.labels[0].name("es") == "rose"  # no Spanish name: English


def test_genus_and_family_are_shown_where_the_file_has_them(tmp_path: Path, flowers: Run) -> None:
    path = tmp_path / "m.onnx"
    grouped = {"class_id": 1, "label": "rose", "genus": "Rosa", "family": "Rosaceae"}
    rows = json.dumps([grouped, {"class_id": 2, "label": "b"}])
    path.write_bytes(onnx_file(GOOD | {"labels": rows}))
    listed = json.loads(flowers("labels", "--format", "json", "--model", str(path)).stdout)
    assert [(row["genus"], row["family"]) for row in listed] == [("Rosa", "Rosaceae"), (None, None)]


def test_our_labels_have_a_genus_of_one_family() -> None:
    rows = json.loads((Path(__file__).parents[1] / "model" / "labels.json").read_text())
    assert all(row["genus"] == row["scientific_name"].split()[0] for row in rows)
    assert len({row["genus"] for row in rows}) == 97
    assert len({(row["genus"], row["family"]) for row in rows}) == 97
    assert len({row["family"] for row in rows}) == 47


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_model_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError):
        read_info(path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema": "2"}, "metadata schema 2; schema 1 is needed"),
        ({"labels": "{"}, "metadata of"),
        ({"labels": "[{}]"}, "metadata of"),
        ({"input_size": "big"}, "metadata of"),
        ({"labels": "[]"}, "no labels"),
        ({"labels": '[{"class_id": 1, "label": 5}]'}, "names must be text"),
        ({"labels": '[{"class_id": 1, "label": "rose", "family": 5}]'}, "names must be text"),
        ({"labels": '[{"class_id": null, "label": "rose"}]'}, "class_id must be"),
        ({"labels": '[{"class_id": NaN, "label": "rose"}]'}, "metadata of"),
        ({"metrics": '{"top1": NaN}'}, "metadata of"),
        ({"metrics": '{"top1": 1e999}'}, "metadata of"),
        ({"input_size": "-3"}, "unknown preprocessing"),
        ({"preprocess": preprocess(resize="squash")}, "unknown preprocessing"),
        ({"preprocess": preprocess(kernel="magic")}, "unknown preprocessing"),
        ({"preprocess": preprocess(crop_fraction=5)}, "unknown preprocessing"),
    ],
)
def test_broken_metadata(tmp_path: Path, change: dict[str, str], complaint: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_file(GOOD | change))
    with pytest.raises(ModelError, match=complaint):
        read_info(path)


TWO = GOOD | {"labels": json.dumps([{"class_id": n, "label": f"species {n}"} for n in (1, 2)])}


def confused(**changes: object) -> str:
    return json.dumps([{"name": "valid", "photos": [3, 2], "wrong": [[0, 1, 2]]} | changes])


def test_what_photos_were_taken_for(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_file(TWO | {"confusion": confused()}))
    (found,) = read_info(path).confusions()
    assert (found.name, found.photos, found.right(0), found.right(1)) == ("valid", (3, 2), 1, 2)
    assert [found.taken(*pair) for pair in ((0, 1), (1, 0), (0, 0))] == [2, 0, 1]
    path.write_bytes(onnx_file(TWO))
    assert read_info(path).confusions() == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "7",
        '"valid"',
        "[7]",
        '{"name": "valid"}',
        "[" * 100_000,
        '[{"name": "valid", "photos": [3, 2]}]',
        confused(name=7),
        confused(name="a\x1b[2Jb"),
        confused(photos=[3]),
        confused(photos=[3, 2, 1]),
        confused(photos=[3, -2]),
        confused(photos=[3, 2.5]),
        confused(photos=[3, True]),
        confused(photos=[3, float("nan")]),
        confused(photos="ab"),
        confused(photos={"0": 3, "1": 2}),
        confused(photos=None),
        confused(wrong=[[0, 1]]),
        confused(wrong=[[0, 1, 2, 3]]),
        confused(wrong=[[0, 2, 1]]),
        confused(wrong=[[-1, 0, 1]]),
        confused(wrong=[[0, 0, 1]]),
        confused(wrong=[[0, 1, 0]]),
        confused(wrong=[[0, 1, 4]]),
        confused(wrong=[[0, 1, 1], [0, 1, 1]]),
        confused(wrong=["abc"]),
        confused(wrong=[7]),
        confused(wrong={"0": 1}),
        json.dumps(json.loads(confused()) * 2),
        f"[{'9' * 10_000}]",
    ],
)
def test_broken_confusions_are_told_when_they_are_asked_for(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_file(TWO | {"confusion": text}))
    info = read_info(path)
    with pytest.raises(ModelError, match=r"the metadata of .* is broken"):
        info.confusions()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 4) | st.floats() | st.sampled_from(["valid", ""]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "photos", "wrong"]), inner, max_size=3)
    ),
)


@given(value=JSON)
def test_confusions_are_sound_or_refused(value: object) -> None:
    try:
        sets = loads(json.dumps(value), 2)
    except (LookupError, TypeError, ValueError, AttributeError):
        return
    assert loads(dumps(sets), 2) == sets


@given(answers=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3))))
def test_confusions_of_answers_are_read_as_they_were_written(
    answers: list[tuple[int, int]],
) -> None:
    made = confusions_of("ñ", answers, 4)
    assert loads(dumps([made]), 4) == (made,)
    for true in range(4):
        assert made.photos[true] == sum(made.taken(true, named) for named in range(4))
        assert made.right(true) == answers.count((true, true))


def test_the_shipped_files_have_their_evaluation() -> None:
    for name in ("flowers.onnx", "flowers-int8.onnx", "flowers-fp32.onnx"):
        info = read_info(Path(__file__).parents[1] / "model" / name)
        valid, elsewhere = info.confusions()
        assert (valid.name, sum(valid.photos)) == ("valid", 818)
        assert (elsewhere.name, sum(elsewhere.photos)) == ("elsewhere", 221)
    right = sum(map(valid.right, range(102))) / 818
    assert round(100 * right, 2) == info.metrics.get("top1", 98.41)


def test_a_graph_that_onnxruntime_refuses(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_file(GOOD, b"garbage"))
    with pytest.raises(ModelError, match="onnxruntime can't load"):
        Classifier(path)
