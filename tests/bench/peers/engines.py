"""The same network in each runtime, behind one function: uint8 ``[S, S, 3]`` -> ``[classes]``.

Each peer gets the settings its own documentation recommends for one photo at a time, and only
the runtime that is asked for is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

from flowers_onnx.metadata import read_info
from flowers_onnx.pixels import Pixels

ROOT = Path(__file__).parents[3]
SIZE = read_info(ROOT / "model/flowers.onnx").preprocess.size

Run = Callable[[Pixels], np.ndarray]
#: Arguments: the model file, the number of threads.
Load = Callable[[Path, int], Run]


def load(name: str, folder: Path, threads: int) -> Run:
    """The engine called ``name``, with its file from ``model/`` or from ``folder``."""
    make, _ = ENGINES[name]
    return make(model_file(name, folder), threads)


def model_file(name: str, folder: Path) -> Path:
    """The file that the engine called ``name`` reads; ``folder`` is that of peer_files.py."""
    _, file = ENGINES[name]
    own = ROOT / "model" / file
    return own if own.exists() else folder / file


def _flowers(path: Path, threads: int) -> Run:
    from flowers_onnx.network import PHOTOS
    from flowers_onnx.runtime import Session

    session = Session(read_info(path), cores=threads)

    def run(pixels: Pixels) -> np.ndarray:
        with PHOTOS:  # one photo at a time, as for all engines here
            return session.answer(pixels)[0]

    return run


def _onnxruntime(path: Path, threads: int) -> Run:
    """Default options, but for the number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(pixels: Pixels) -> np.ndarray:
        return np.asarray(session.run(["probabilities"], {"image": pixels[np.newaxis]})[0][0])

    return run


def _litert(path: Path, threads: int) -> Run:
    """XNNPACK is what the interpreter delegates to by default."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    image = interpreter.get_input_details()[0]["index"]
    probabilities = interpreter.get_output_details()[0]["index"]

    def run(pixels: Pixels) -> np.ndarray:
        interpreter.set_tensor(image, pixels[np.newaxis])
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(probabilities)[0])

    return run


def _openvino(path: Path, threads: int) -> Run:
    """A static shape, the latency hint, one stream; pixels are written into its own tensor."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape([1, SIZE, SIZE, 3])
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
    }
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    image, output = request.get_input_tensor().data, compiled.output("probabilities")

    def run(pixels: Pixels) -> np.ndarray:
        image[0] = pixels
        request.infer()
        return np.array(request.get_tensor(output).data[0])

    return run


def _keras(path: Path, threads: int, how: str) -> Run:
    """``how``: ``predict``, ``call`` (eager), or ``function`` (``tf.function``, a fixed shape)."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = keras.models.load_model(path, compile=False)

    def call(batch: Any) -> Any:
        return model(batch, training=False)["probabilities"]

    if how == "predict":
        return lambda pixels: np.asarray(
            model.predict(pixels[np.newaxis], verbose=0)["probabilities"][0]
        )
    if how == "function":
        call = tf.function(
            call, input_signature=[tf.TensorSpec((1, SIZE, SIZE, 3), tf.uint8)], autograph=False
        )
    return lambda pixels: np.asarray(call(tf.constant(pixels[np.newaxis])).numpy()[0])


#: Name -> how it is loaded, and from which file.
ENGINES: dict[str, tuple[Load, str]] = {
    "flowers": (_flowers, "flowers.onnx"),
    "onnxruntime-int8": (_onnxruntime, "flowers.onnx"),
    "onnxruntime-fp32": (_onnxruntime, "flowers-fp32.onnx"),
    "litert-int8": (_litert, "litert-int8.tflite"),
    "litert-float32": (_litert, "litert-float32.tflite"),
    "openvino-int8": (_openvino, "openvino-int8.xml"),
    "openvino-our-int8": (_openvino, "flowers-int8.onnx"),
    "openvino-fp32": (_openvino, "openvino-fp32.xml"),
    "tensorflow-function": (partial(_keras, how="function"), "flowers.keras"),
    "keras-predict": (partial(_keras, how="predict"), "flowers.keras"),
    "keras-call": (partial(_keras, how="call"), "flowers.keras"),
}
