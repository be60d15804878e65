"""The file that ships is fused, and nothing else about it changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from optimize import _check_same_answers, main, optimize
from quantize import main as quantize

from flowers_onnx.metadata import read_info
from lib.onnx_gates import GateError
from lib.photo_classifier import PhotoClassifier

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]


def test_fused_file_answers_the_same(exported: Path, photos: Path, tmp_path: Path) -> None:
    int8, out = tmp_path / "int8.onnx", tmp_path / "fused.onnx"
    quantize(f"{exported}/fp32.onnx", data=str(photos), out=str(int8), count=16)
    main(str(int8), out=str(out))
    before, after = onnx.load(int8), onnx.load(out)
    assert len(after.graph.node) < len(before.graph.node) / 2
    assert list(after.metadata_props) == list(before.metadata_props)
    assert read_info(out).labels == read_info(int8).labels
    side = read_info(out).preprocess.size
    image = np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)
    expected, actual = (PhotoClassifier(str(path)).probabilities(image) for path in (int8, out))
    np.testing.assert_array_equal(actual, expected)


def test_layouts_of_one_processor_are_refused(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime as ort

    level = ort.GraphOptimizationLevel
    monkeypatch.setattr(level, "ORT_ENABLE_EXTENDED", level.ORT_ENABLE_ALL)
    with pytest.raises(GateError, match="nchwc"):
        optimize(onnx.load(exported / "fp32.onnx"))


def test_other_answers_are_refused(exported: Path) -> None:
    model, changed = (onnx.load(exported / "fp32.onnx") for _ in range(2))
    dense = next(tensor for tensor in changed.graph.initializer if list(tensor.dims) == [24, 4])
    values = numpy_helper.to_array(dense)[:, ::-1].copy()
    dense.CopyFrom(numpy_helper.from_array(values, dense.name))
    with pytest.raises(GateError, match="other answers"):
        _check_same_answers(model, changed)
