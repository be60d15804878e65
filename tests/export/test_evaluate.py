"""Figures of a model file on drawn photos, by class and by source, beside those of another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from flowers_onnx.metadata import Label, ModelInfo, Preprocess
from lib import model_metadata
from lib.scores import calibration_error, figures

pytestmark = pytest.mark.export
EXPORT = Path(__file__).parents[2] / "export"
COLOURS = {"1": (200, 0, 0), "2": (0, 200, 0), "3": (0, 0, 200)}


def colour_model(path: Path, *, turned: int = 0) -> Path:
    """Names the primary colour that a photo has most of; ``turned`` classes too far."""
    info = ModelInfo(
        path="",
        name="colours",
        version=f"{turned}",
        labels=tuple(Label(i, f"colour {i}", genus=f"G{i}", family="F") for i in (1, 2, 3)),
        preprocess=Preprocess(16, 0.875, "bicubic"),
        dataset="",
        date="",
        license="",
        metrics={},
    )
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 16, 16, 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3])
        for name in ("probabilities", "features")
    ]
    turn = np.roll(np.eye(3, dtype=np.float32), turned, axis=1) / 8
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["features"], keepdims=0),
        helper.make_node("MatMul", ["features", "turn"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("turn", TensorProto.FLOAT, [3, 3], turn.ravel()),
    ]
    graph = helper.make_graph(nodes, "colours", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    model_metadata.write(model, info)
    onnx.save(model, path)
    return path


def draw(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    """A disc of a colour on grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32] - 16 + rng.integers(-3, 4, (2, 1, 1))
    pixels = np.where((x**2 + y**2 < 100)[..., None], colour, 90)
    noisy = np.clip(pixels + rng.integers(-9, 10, (32, 32, 3)), 0, 255)
    Image.fromarray(noisy.astype(np.uint8)).save(path)


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


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXPORT / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


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
