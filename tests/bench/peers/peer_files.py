"""The model in the peers' own formats, made by the peers' own tools.

    PYTHONPATH=export python tests/bench/peers/peer_files.py FOLDER DATA [--count 300]

Writes ``litert-float32.tflite``, ``litert-int8.tflite``, ``openvino-fp32.xml`` and
``openvino-int8.xml`` (each ``.xml`` with its ``.bin``) to FOLDER. Everything starts from the
files in ``model/``; ranges come from ``DATA/train``, never from the photos that are measured on.
The same photos in the same order: two runs write the same weights.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import fire
import keras
import nncf
import numpy as np
import openvino
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from flowers_onnx.metadata import read_info
from flowers_onnx.onnx_file import find_model
from flowers_onnx.pixels import Pixels
from lib.dataset import class_ids, list_photos, spread
from lib.keras_classifier import load
from lib.photo_classifier import read_photo

ROOT = Path(__file__).parents[3]
#: The network's own scaling of pixels, its first layer.
_SCALE, _ZERO_POINT = 1 / 128, 127


def main(folder: str, data: str, *, count: int = 300) -> None:
    """Write the four files; ``count`` training photos set the ranges of the int8 ones."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    preprocess = read_info(find_model(None)).preprocess
    photos = spread(list_photos(Path(data), "train", class_ids(Path(data))))[:count]
    images = [read_photo(photo.path, preprocess)[np.newaxis] for photo in photos]

    model = load(str(ROOT / "model" / "flowers.keras"))
    (out / "litert-float32.tflite").write_bytes(litert_float32(model))
    (out / "litert-int8.tflite").write_bytes(litert_int8(model, images))
    onnx_file = openvino.convert_model(ROOT / "model" / "flowers-fp32.onnx")
    onnx_file.reshape([1, preprocess.size, preprocess.size, 3])
    openvino.save_model(onnx_file, out / "openvino-fp32.xml", compress_to_fp16=False)
    openvino.save_model(
        openvino_int8(onnx_file, images), out / "openvino-int8.xml", compress_to_fp16=False
    )
    for path in sorted(out.iterdir()):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


def litert_float32(model: keras.Model) -> bytes:
    """Input uint8 ``[1, S, S, 3]``, output float32 ``[1, classes]``."""
    return bytes(_converter(lambda image: model(image)["probabilities"], model, tf.uint8).convert())


def litert_int8(model: keras.Model, images: list[Pixels]) -> bytes:
    """Full-integer, weights per channel; input uint8 ``[1, S, S, 3]``, output float32.

    Converted from behind the scaling of the pixels: then the uint8 input has that scaling as
    its quantisation, and no arithmetic is left to do. The ONNX file gets the same treatment.
    """
    unscaled = keras.Model(model.get_layer("rescale").output, model.output["probabilities"])

    def representative() -> Iterator[list[np.ndarray]]:
        for image in images:
            yield [(image.astype(np.float32) - _ZERO_POINT) * np.float32(_SCALE)]

    converter = _converter(unscaled, model, tf.float32)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    content = bytes(converter.convert())
    details = tf.lite.Interpreter(model_content=content).get_input_details()[0]
    scale, zero_point = details["quantization"]
    if not (np.isclose(scale, _SCALE, rtol=1e-3) and zero_point == _ZERO_POINT):
        raise SystemExit(f"the photos don't span 0..255: scale {scale}, zero point {zero_point}")
    return content


def openvino_int8(model: Any, images: list[Pixels]) -> Any:
    """NNCF's post-training quantisation, set to be right without VNNI, as our own file is."""
    parameters = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)
    return nncf.quantize(
        model,
        nncf.Dataset(images),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        fast_bias_correction=False,
        advanced_parameters=parameters,
    )


def _converter(function: Callable[..., Any], model: keras.Model, dtype: tf.DType) -> Any:
    shape = (1, *model.input_shape[1:])
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec(shape, dtype))
    # With variables left in it, the calibrating interpreter can't run the graph.
    frozen = convert_variables_to_constants_v2(concrete)
    return tf.lite.TFLiteConverter.from_concrete_functions([frozen], model)


if __name__ == "__main__":
    fire.Fire(main)
