"""Convert a trained Keras image classifier to one self-describing ONNX file.

    python export/convert.py model/flowers.keras [DATA] --out model/flowers-fp32.onnx
        [--labels model/labels.json] [--name NAME] [--version VERSION]
        [--dataset TEXT] [--license_note TEXT] [--metrics FILE.json]
        [--crop_fraction 0.875] [--kernel bilinear] [--class_order numeric|alphabetical]
        [--size PIXELS] [--input_range 0,255] [--opset 17] [--inner_transposes 0]

The file is written only when every gate holds: see ``lib/onnx_gates.py``, and the outputs
must equal those of Keras on noise and, with ``DATA``, on photos.
"""

from __future__ import annotations

import datetime
import json
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import fire
import keras
import numpy as np
import onnx
import onnxruntime as ort
import tensorflow as tf
import tf2onnx
from fire.decorators import SetParseFns

from flowers_onnx.metadata import Label, ModelInfo, Preprocess
from lib import model_metadata, onnx_gates
from lib.command_line import told
from lib.dataset import class_ids, list_photos
from lib.keras_classifier import load, wrap
from lib.onnx_gates import BATCH, INPUT, GateError
from lib.photo_classifier import CROP_FRACTION, KERNEL, read_photo

#: Largest difference of a probability, and of an embedding relative to its largest value.
TOLERANCE = 1e-4
PHOTOS = 12


# Fire reads 1.10 as the number 1.1; these are text whatever they look like.
@SetParseFns(name=str, version=str, dataset=str, license_note=str)  # type: ignore[untyped-decorator]
def convert(
    model: str,
    data: str = "",
    *,
    out: str,
    labels: str = "",
    name: str = "",
    version: str = "1",
    dataset: str = "",
    license_note: str = "",
    metrics: str = "",
    crop_fraction: float = CROP_FRACTION,
    kernel: str = KERNEL,
    class_order: str = "numeric",
    size: int | None = None,
    input_range: tuple[float, float] = (0.0, 255.0),
    opset: int = 17,
    inner_transposes: int = 0,
) -> None:
    """Write the ONNX file of the Keras model ``model`` to ``out``.

    Args:
        model: a ``.keras`` file: functional or Sequential, with or without a softmax.
        data: a folder-per-class data set; gives the classes and photos for the parity gate.
        out: the ONNX file to write.
        labels: JSON rows, or an ``{id: name}`` mapping; without it folder names are labels.
        class_order: how the network's outputs are ordered, by the ids: as numbers, or
            as text (``keras.utils.image_dataset_from_directory`` does that: 1, 10, 100, 2).
        input_range: the range of pixel values that the model was trained on.
        inner_transposes: layout changes to allow between convolutions (attention needs some).
    """
    with told("convert"):
        wrapped = wrap(load(model), size=size, input_range=input_range)
        side, classes = wrapped.input_shape[1], wrapped.output["probabilities"].shape[-1]
        graph = to_onnx(wrapped, opset)
        info = ModelInfo(
            path=out,
            name=name or Path(model).stem,
            version=version,
            labels=tuple(_labels(labels, data, class_order, classes)),
            preprocess=Preprocess(side, crop_fraction, kernel),
            dataset=dataset,
            date=datetime.date.today().isoformat(),
            license=license_note,
            metrics=json.loads(Path(metrics).read_text()) if metrics else {},
        )
        model_metadata.write(graph, info)
        onnx_gates.check(graph, inner_transposes=inner_transposes)
        check_parity(wrapped, graph, _images(data, info.preprocess))
    onnx.save(graph, out)
    print(f"{out}: {os.path.getsize(out) / 1e6:.1f} MB, {classes} classes, {side} px")


def to_onnx(model: keras.Model, opset: int = 17) -> onnx.ModelProto:
    """The graph of a wrapped model, folded and with a free batch dimension."""
    shape = (None, *model.input_shape[1:])
    # from_keras on a functional model: Sequential fails in it, and from_function and
    # Keras' own export leave the constants of normalisation layers as extra inputs.
    graph, _ = tf2onnx.convert.from_keras(
        model, input_signature=[tf.TensorSpec(shape, tf.uint8, name=INPUT)], opset=opset
    )
    unknown = {n.op_type for n in graph.graph.node if not onnx.defs.has(n.op_type, n.domain)}
    if unknown:
        raise ValueError(f"tf2onnx can't translate the operators {sorted(unknown)}")
    del graph.graph.value_info[:]
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    graph = fold(graph)
    used = {node.domain for node in graph.graph.node}
    opsets = [entry for entry in graph.opset_import if entry.domain in used]
    del graph.opset_import[:]
    graph.opset_import.extend(opsets)
    return graph


def fold(graph: onnx.ModelProto) -> onnx.ModelProto:
    """``graph`` after onnxruntime's basic optimisations, which stay within ai.onnx.

    They fold every batch normalisation into its convolution and every Pad into its
    ``pads`` (tf2onnx leaves the depthwise ones), and remove the Transposes that
    tf2onnx keeps when its own optimiser gives up on a scalar operand (hard-swish).
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "folded.onnx")
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 3
        ort.InferenceSession(graph.SerializeToString(), options)
        return onnx.load(path)


def check_parity(model: keras.Model, graph: onnx.ModelProto, images: np.ndarray) -> None:
    """Raise ``GateError`` if Keras and the graph disagree, at batch sizes 1 and 3.

    The embedding is compared as well: the probabilities of a weak or untrained network
    are nearly uniform, and would agree whatever the graph computes.
    """
    session = ort.InferenceSession(graph.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    for batch in [images[:1], *(images[i : i + 3] for i in range(0, len(images), 3))]:
        wanted = model(batch, training=False)
        for name, value in zip(names, session.run(names, {INPUT: batch}), strict=True):
            reference = np.asarray(wanted[name])
            scale = max(1.0, float(np.abs(reference).max()))
            difference = float(np.abs(reference - value).max()) / scale
            if not difference <= TOLERANCE:  # also true for NaN
                raise GateError(f"{name!r} differs from Keras by {difference:.2g}")


def _labels(labels: str, data: str, class_order: str, classes: int) -> list[Label]:
    if class_order not in ("numeric", "alphabetical"):
        raise ValueError(f"--class_order is numeric or alphabetical, not {class_order!r}")
    ids = class_ids(Path(data)) if data else None
    if labels:
        rows = model_metadata.read_labels(Path(labels), ids)
    elif ids:
        rows = [model_metadata.label({"class_id": name, "label": name}) for name in ids]
    else:
        raise ValueError("the classes have no names: give --labels or DATA")
    if class_order == "alphabetical":
        rows.sort(key=lambda row: str(row.class_id))
    if len(rows) != classes:
        raise ValueError(f"{len(rows)} labels for a network with {classes} outputs")
    return rows


def _images(data: str, preprocess: Preprocess) -> np.ndarray:
    """uint8 ``[n, S, S, 3]``: noise, and photos spread over the classes of ``data``."""
    side = preprocess.size
    noise = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    if not data:
        return noise
    photos = list_photos(Path(data), "train", class_ids(Path(data)))
    chosen = photos[:: max(1, len(photos) // PHOTOS)][:PHOTOS]
    return np.concatenate([noise, [read_photo(photo.path, preprocess) for photo in chosen]])


if __name__ == "__main__":
    fire.Fire(convert)
