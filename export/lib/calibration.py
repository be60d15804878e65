"""Activation ranges for static quantisation, measured on photos."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationMethod
from onnxruntime.quantization.calibrate import create_calibrator, save_tensors_data

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
#: Activations of this many photos are held at a time: about 30 MB each at 224 px.
_CHUNK = 8


class _Reader:
    """The calibrator's protocol: one feed a call, then ``None``."""

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        self._feeds: Iterator[dict[str, np.ndarray]] = iter(
            {"image": image[None]} for image in images
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def calibrate(
    model: onnx.ModelProto,
    images: Sequence[np.ndarray],
    method: CalibrationMethod,
    ranges: Path,
) -> None:
    """Run ``model`` on ``images`` (uint8 ``[S, S, 3]``) and write the ranges to ``ranges``.

    ``quantize_static`` would do this too, but keeps every activation of every photo in
    memory for the histogram methods: 15 GB for 512 photos.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        onnx.save(onnx.shape_inference.infer_shapes(model), path)
        # Its progress messages go to standard output, which is for results.
        with contextlib.redirect_stdout(io.StringIO()):
            calibrator = create_calibrator(
                path,
                augmented_model_path=str(Path(folder, "augmented.onnx")),
                calibrate_method=method,
                # The default makes percentile ranges symmetric, and so wastes on negative
                # values half of the 8 bits of everything behind a ReLU.
                extra_options={"symmetric": False},
            )
            for start in range(0, len(images), _CHUNK):
                calibrator.collect_data(_Reader(images[start : start + _CHUNK]))
            save_tensors_data(calibrator.compute_data(), ranges)


def mean_conv_inputs(model: onnx.ModelProto, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The mean of each channel (float32 ``[C]``) of every convolution's input, by tensor."""
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    names = list(dict.fromkeys(n.input[0] for n in model.graph.node if n.op_type == "Conv"))
    probes = [f"{name}/mean" for name in names]
    for name, probe in zip(names, probes, strict=True):
        probed.graph.node.append(onnx.helper.make_node("GlobalAveragePool", [name], [probe]))
        value = onnx.helper.make_tensor_value_info(probe, onnx.TensorProto.FLOAT, None)
        probed.graph.output.append(value)
    session = ort.InferenceSession(probed.SerializeToString())
    rows = [session.run(probes, {"image": image[None]}) for image in images]
    means = (np.mean(column, axis=0).ravel() for column in zip(*rows, strict=True))
    return dict(zip(names, means, strict=True))
