"""Names files in their usual shapes, in the order of the network's outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowers_onnx.metadata import Label
from lib.model_metadata import read_labels

pytestmark = pytest.mark.export


def save(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_rows_keep_their_names(tmp_path: Path) -> None:
    rows = [
        {"class_id": 10, "label": "ñandú", "scientific_name": "Rhea", "correction": "none"},
        {"class_id": 2, "label": "b", "spanish_name": "be", "genus": "B", "family": "Baceae"},
    ]
    assert read_labels(save(tmp_path, rows)) == [
        Label(2, "b", None, "be", "B", "Baceae"),
        Label(10, "ñandú", "Rhea", None),
    ]


def test_mapping_is_ordered_as_numbers(tmp_path: Path) -> None:
    labels = read_labels(save(tmp_path, {"10": "ten", "9": "nine", "100": "hundred"}))
    assert [label.class_id for label in labels] == [9, 10, 100]


def test_text_ids_are_ordered_as_text(tmp_path: Path) -> None:
    labels = read_labels(save(tmp_path, {"tulip": "tulip", "10": "ten", "9": "nine"}))
    assert [label.class_id for label in labels] == [10, 9, "tulip"]


def test_class_order_selects_and_orders(tmp_path: Path) -> None:
    path = save(tmp_path, {"1": "a", "2": "b", "3": "c"})
    assert [label.label for label in read_labels(path, ["3", "1"])] == ["c", "a"]
    with pytest.raises(ValueError, match="no name for the classes 7"):
        read_labels(path, ["1", "7"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text", "neither a list"),
        ([{"label": "a"}], "needs class_id"),
        (["a"], "needs class_id"),
        ([{"class_id": 1, "label": None}], "not a text"),
        ([{"class_id": 1, "label": "a"}, {"class_id": "1", "label": "b"}], "twice"),
    ],
)
def test_unusable_files_are_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_labels(save(tmp_path, content))
