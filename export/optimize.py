"""Do once, before shipping, the graph fusion that onnxruntime does at every start.

    python export/optimize.py model/flowers-int8.onnx --out model/flowers.onnx

The file loads in two thirds of the time and answers bit for bit the same. Fusions are
taken up to the level EXTENDED, which any processor can run; the level above also picks memory
layouts for the processor that wrote the file. What comes out has operators that only
onnxruntime knows: keep the file it was made from for everything else.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import fire
import numpy as np
import onnx
import onnxruntime as ort

from lib.onnx_gates import GateError, image_size
from lib.photo_classifier import PhotoClassifier

#: Operator sets that every build of onnxruntime for CPUs has.
_PORTABLE = {"", "ai.onnx", "com.microsoft"}
_ERRORS_ONLY = 3
_COMPARED = 16
#: Of the known score, some sums of which are taken in another order.
_ROUNDING = 1e-4


def main(model: str, *, out: str) -> None:
    """Write the fused version of ``model`` to ``out``."""
    try:
        fused = optimize(onnx.load(model))
    except (GateError, OSError) as error:
        raise SystemExit(f"optimize: {error}") from error
    onnx.save(fused, out)
    print(f"{out}: {os.path.getsize(out) / 1e6:.1f} MB, {len(fused.graph.node)} nodes")


def optimize(model: onnx.ModelProto) -> onnx.ModelProto:
    """The fused version; raises ``GateError`` if it isn't portable, or answers otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder, "fused.onnx"))
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = target
        options.log_severity_level = _ERRORS_ONLY
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        fused = onnx.load(target)
    used = {node.domain for node in fused.graph.node}
    if foreign := used - _PORTABLE:
        raise GateError(f"fused operators that not every processor has: {sorted(foreign)}")
    opsets = [entry for entry in fused.opset_import if entry.domain in used | {""}]
    del fused.opset_import[:]
    fused.opset_import.extend(opsets)
    del fused.metadata_props[:]  # the same strings, in an order of their own
    fused.metadata_props.extend(model.metadata_props)
    _check_same_answers(model, fused)
    return fused


def _check_same_answers(model: onnx.ModelProto, fused: onnx.ModelProto) -> None:
    side = image_size(model)
    noise = np.random.default_rng(0)
    images = noise.integers(0, 256, (_COMPARED, side, side, 3), np.uint8)
    before, after = (PhotoClassifier(each.SerializeToString()) for each in (model, fused))
    for image in images:
        if not np.array_equal(before.probabilities(image), after.probabilities(image)):
            raise GateError("the fused graph gives other answers")
        if before.knows and abs(before.known_score(image) - after.known_score(image)) > _ROUNDING:
            raise GateError("the fused graph gives other known scores")


if __name__ == "__main__":
    fire.Fire(main)
