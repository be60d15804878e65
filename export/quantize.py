"""Quantise an exported ONNX file to int8: static, QDQ, uint8 activations, int8 weights.

    python export/quantize.py model/flowers-fp32.onnx DATA
        --out model/flowers-int8.onnx [--count 512] [--methods minmax,percentile,entropy]
        [--weights paired|reduced|full] [--quantize_head]

Ranges come from training photos only. With several methods, the one whose answers are
closest to float32 on other training photos is kept.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import fire
import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static

from flowers_onnx.metadata import read_info
from lib import model_metadata, onnx_gates
from lib.calibration import METHODS, calibrate, mean_conv_inputs
from lib.command_line import told
from lib.dataset import class_ids, list_photos, spread
from lib.input_quantization import InputQuantization, bypass_scaling, find_input_quantization
from lib.photo_classifier import PhotoClassifier, read_photo
from lib.rejection import graph as rejection_graph
from lib.weight_quantization import RANGES, correct_biases, weight_scales

#: Left in float32 after the last convolution: nothing to gain there, and the embedding
#: and the confidence keep their resolution.
_HEAD_OPERATORS = {"GlobalAveragePool", "ReduceMean", "MatMul", "Gemm", "Softmax"}


@dataclass(frozen=True)
class Agreement:
    """How close a quantised file is to float32 on the same photos."""

    divergence: float  # mean Kullback-Leibler divergence, nats
    same_label: float  # share of photos with the same most probable class

    def __str__(self) -> str:
        return f"divergence {self.divergence:.5f} nats, same label {100 * self.same_label:.2f} %"


def main(
    model: str,
    data: str,
    *,
    out: str,
    count: int = 512,
    methods: str | Sequence[str] = "minmax",
    weights: str = "paired",
    quantize_head: bool = False,
) -> None:
    """Write the int8 version of ``model`` to ``out``.

    Args:
        model: an ONNX file of ``convert.py``.
        data: a folder-per-class data set; only ``data/train`` is read.
        count: calibration photos, and as many others to compare the methods on.
        methods: one or more of minmax, percentile, entropy.
        weights: the range of the integers, see ``lib/weight_quantization.py``; ``full`` is
            wrong on x86 processors without VNNI.
        quantize_head: quantise what follows the last convolution too.
    """
    names = methods.split(",") if isinstance(methods, str) else list(methods)
    if unknown := set(names) - METHODS.keys():
        raise SystemExit(f"quantize: no method {sorted(unknown)}; choose from {sorted(METHODS)}")
    if weights not in RANGES:
        raise SystemExit(f"quantize: --weights is one of {RANGES}, not {weights!r}")
    logging.getLogger().setLevel(logging.ERROR)  # the quantiser's advice on preprocessing
    with told("quantize"):
        source = onnx.load(model)
        onnx_gates.check(source)
        rejection_graph.strip(source)  # it is of other features
        info = read_info(Path(model))
        photos = spread(list_photos(Path(data), "train", class_ids(Path(data))))
        images = [read_photo(photo.path, info.preprocess) for photo in photos[: 2 * count]]
        candidates = []
        for name in names:
            quantized = quantize(
                source, images[:count], METHODS[name], weights, quantize_head=quantize_head
            )
            agreement = measure(source, quantized, images[count:] or images)
            print(f"{name}: {agreement}", file=sys.stderr)
            candidates.append((agreement, name, quantized))
        agreement, name, quantized = min(candidates, key=lambda found: found[0].divergence)
        metrics = {
            "precision": "int8",
            "calibration": {"method": name, "photos": min(count, len(images))},
            "weights": weights,
            "same_label_as_fp32": round(agreement.same_label, 4),
        }
        model_metadata.write(
            quantized,
            dataclasses.replace(
                info,
                version=f"{info.version}-int8",
                metrics=metrics,
                rejection=None,
                prediction_set=None,
                confusion=None,
            ),
        )
        onnx_gates.check(quantized)
    onnx.save(quantized, out)
    print(f"{out}: {os.path.getsize(out) / 1e6:.1f} MB, {name}, {agreement}")


def quantize(
    model: onnx.ModelProto,
    images: Sequence[np.ndarray],
    method: CalibrationMethod,
    weights: str = "paired",
    *,
    quantize_head: bool = False,
) -> onnx.ModelProto:
    """The QDQ version of ``model``, with ranges from ``images`` (uint8 ``[S, S, 3]``)."""
    scaling = find_input_quantization(model)
    excluded = [] if quantize_head else _head(model.graph)
    if scaling is not None:
        # A quantised Transpose would impose its own scale on what it hands on.
        excluded += [node.name for node in onnx_gates.ancestors(model.graph, [scaling.tensor])]
    scales = _scales(model.graph, weights)
    corrected = correct_biases(model, scales, mean_conv_inputs(model, images))
    with tempfile.TemporaryDirectory() as folder:
        ranges, target = Path(folder, "ranges.json"), Path(folder, "int8.onnx")
        calibrate(model, images, method, ranges)
        quantize_static(
            corrected,
            target,
            per_channel=True,
            reduce_range=weights != "full",  # for what is no convolution
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=excluded,
            calibrate_method=method,
            calibration_cache_path=ranges,
            extra_options={"TensorQuantOverrides": _overrides(scales, scaling)},
        )
        quantized = onnx.load(target)
    if scaling is not None:
        bypass_scaling(quantized.graph, scaling)
    opsets = [entry for entry in quantized.opset_import if entry.domain in ("", "ai.onnx")]
    del quantized.opset_import[:]
    quantized.opset_import.extend(opsets)
    return quantized


def measure(
    source: onnx.ModelProto, quantized: onnx.ModelProto, images: Sequence[np.ndarray]
) -> Agreement:
    """Compare both on ``images``; the int8 file as it is on a processor with VNNI."""
    expected, actual = (
        np.stack([classifier.probabilities(image) for image in images])
        for classifier in (
            PhotoClassifier(source.SerializeToString()),
            PhotoClassifier(quantized.SerializeToString(), exact=True),
        )
    )
    logs = np.log(np.maximum(expected, 1e-9)) - np.log(np.maximum(actual, 1e-9))
    return Agreement(
        divergence=float((expected * logs).sum(axis=1).mean()),
        same_label=float((expected.argmax(axis=1) == actual.argmax(axis=1)).mean()),
    )


def _head(graph: onnx.GraphProto) -> list[str]:
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    body = {node.name for node in onnx_gates.ancestors(graph, (c.output[0] for c in convolutions))}
    return [n.name for n in graph.node if n.op_type in _HEAD_OPERATORS and n.name not in body]


def _scales(graph: onnx.GraphProto, weight_range: str) -> dict[str, np.ndarray]:
    """The scales of every convolution's weights, by their name."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    names = (n.input[1] for n in graph.node if n.op_type == "Conv" and n.input[1] in constants)
    return {
        name: weight_scales(onnx.numpy_helper.to_array(constants[name]), weight_range)
        for name in names
    }


def _overrides(
    scales: dict[str, np.ndarray], scaling: InputQuantization | None
) -> dict[str, list[dict[str, Any]]]:
    """The same in the quantiser's terms, which wants ranges: scale = range / 127."""
    overrides: dict[str, list[dict[str, Any]]] = {
        name: [{"axis": 0, "reduce_range": False, "rmin": -127 * s, "rmax": 127 * s} for s in row]
        for name, row in scales.items()
    }
    if scaling is not None:
        scale, zero_point = np.float32(scaling.scale), np.uint8(scaling.zero_point)
        overrides[scaling.tensor] = [{"scale": np.array(scale), "zero_point": np.array(zero_point)}]
    return overrides


if __name__ == "__main__":
    fire.Fire(main)
