"""A model file that names colours, drawings for it, and the export scripts as processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from flowers_onnx.metadata import Label, ModelInfo, Preprocess
from lib import model_metadata

EXPORT = Path(__file__).parents[1] / "export"
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
    """A disc of a colour on squares of other colours, no two alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32] - 16 + rng.integers(-3, 4, (2, 1, 1))
    around = np.kron(rng.integers(10, 170, (4, 4, 3)), np.ones((8, 8, 1)))
    pixels = np.where((x**2 + y**2 < 100)[..., None], colour, around)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXPORT / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
