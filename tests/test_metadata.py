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


def test_a_graph_that_onnxruntime_refuses(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_file(GOOD, b"garbage"))
    with pytest.raises(ModelError, match="onnxruntime can't load"):
        Classifier(path)
