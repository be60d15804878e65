"""Figures of a model file on drawn photos, by class and by source, beside those of another."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from colours import COLOURS, colour_model, draw, run

from flowers_onnx.confusion import Confusions
from flowers_onnx.metadata import read_info
from lib import model_metadata
from lib.scores import calibration_error, figures

pytestmark = pytest.mark.export


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three colours with two photos each, and from elsewhere one right and one wrong photo."""
    for class_id, colour in COLOURS.items():
        for index in range(2):
            for split in ("train", "valid"):
                draw(tmp_path / "data" / split / class_id / f"{index}.png", colour, index)
    draw(tmp_path / "elsewhere" / "1" / "a.png", COLOURS["1"], 7)
    draw(tmp_path / "elsewhere" / "2" / "b.png", COLOURS["3"], 8)
    listed = tmp_path / "elsewhere" / "index.csv"
    listed.write_text("path,source\n1/a.png,garden\n2/b.png,meadow\n")
    return tmp_path / "data"


def test_two_models_side_by_side_by_class_and_by_source(data: Path) -> None:
    new, old = colour_model(data / "new.onnx"), colour_model(data / "old.onnx", turned=1)
    also = data.parent / "elsewhere"
    done = run(
        "evaluate.py", data, "--model", new, "--before", old, "--also", also, "--out", data / "out"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((data / "out" / "evaluation.json").read_text())
    assert report["models"] == ["colours/1", "colours/0"]
    valid, outside = report["sets"]
    assert [one["top1"] for one in valid["models"]] == [0, 1]
    assert valid["models"][1]["by_class"]["colour 3"] == {"photos": 2, "top1": 1, "top5": 1}
    assert "by_source" not in valid["models"][1]
    assert outside["set"] == str(also)
    sources = outside["models"][1]["by_source"]
    assert {name: one["top1"] for name, one in sources.items()} == {"garden": 1, "meadow": 0}
    assert outside["models"][1]["mean_per_source"] == 0.5
    page = (data / "out" / "evaluation.md").read_text()
    assert page.strip() == done.stdout.strip()
    assert "| top-1 | 0.00 % | 100.00 % |" in page
    assert "| meadow | 1 | 0.00 % | 0.00 % |" in page


def test_only_the_sources_that_are_asked_for(data: Path) -> None:
    new = colour_model(data / "new.onnx")
    also = ["--also", data.parent / "elsewhere", "--out", data / "out"]
    done = run("evaluate.py", data, "--model", new, *also, "--sources", "meadow")
    assert done.returncode == 0, done.stderr
    outside = json.loads((data / "out" / "evaluation.json").read_text())["sets"][1]
    assert outside["models"][0]["photos"] == 1
    done = run("evaluate.py", data, "--model", new, *also, "--sources", "meadow,moor")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("has nothing of moor")


def test_the_model_file_keeps_what_it_took_photos_for(data: Path) -> None:
    model, old = colour_model(data / "new.onnx"), colour_model(data / "old.onnx", turned=1)
    before = {path: path.read_bytes() for path in (model, old)}
    also = ["--also", data.parent / "elsewhere", "--before", old, "--out", data / "out"]
    for _ in range(2):  # the second time in the place of the first
        done = run("evaluate.py", data, "--model", model, *also, "--keep")
        assert done.returncode == 0, done.stderr
        assert f"{model} says what it took these photos for" in done.stderr
        kept = model.read_bytes()
        assert kept.startswith(before[model])
        assert kept.count(b"confusion") == 1
    assert len(kept) - len(before[model]) < 200
    assert old.read_bytes() == before[old]
    valid, outside = read_info(model).confusions()
    assert valid == Confusions("valid", (2, 2, 2), {})
    assert outside == Confusions("elsewhere", (1, 1, 0), {(1, 2): 1})
    assert json.loads((data / "out" / "evaluation.json").read_text())["sets"][1]["set"] == str(
        data.parent / "elsewhere"
    )
    # What only adds to the answers keeps it, and what changes them doesn't.
    info = read_info(model)
    model_metadata.write(graph := onnx.load(model), info)
    assert [entry.key for entry in graph.metadata_props].count("confusion") == 1


def test_too_few_photos_to_keep_any_out_of_training(data: Path) -> None:
    model = colour_model(data / "new.onnx")
    words = ["--also", data.parent / "elsewhere", "--calibration", "--keep", "--out", data / "out"]
    done = run("evaluate.py", data, "--model", model, *words)
    assert done.returncode == 0, done.stderr
    assert f"training keeps out no photo of {data.parent / 'elsewhere'}" in done.stderr
    assert [one.name for one in read_info(model).confusions()] == ["valid"]
    done = run("evaluate.py", data, "--model", model, "--also", data / "none", *words[2:])
    assert done.returncode == 1
    assert "there is no folder" in done.stderr


def test_what_the_model_does_not_know_is_refused(data: Path) -> None:
    new = colour_model(data / "new.onnx")
    draw(data / "valid" / "9" / "a.png", (9, 9, 9), 0)
    done = run("evaluate.py", data, "--model", new, "--out", data / "out")
    assert (done.returncode, done.stderr) == (1, "evaluate: the model has no classes 9\n")
    done = run("evaluate.py", data, "--model", new, "--split", "test", "--out", data / "out")
    assert done.returncode == 1
    assert done.stderr.startswith("evaluate: there is no folder")


def test_figures_of_answers() -> None:
    sure = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7]])
    found = figures(np.array([0, 0, 0, 0]), sure, ["a", "b"])
    assert (found["top1"], found["top5"], found["mean_per_class"]) == (0.75, 1, 0.75)
    assert found["worst_confusions"] == [{"is": "a", "taken_for": "b", "times": 1}]
    assert calibration_error(np.array([0.75] * 4), np.array([True, True, True, False])) == 0
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, False])) == 0.5
