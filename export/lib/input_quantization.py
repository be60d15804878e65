"""The network's own pixel scaling, seen as the quantisation of its input.

A network that scales pixels to ``(pixel - 127) / 128`` reads a uint8 tensor with scale
1/128 and zero point 127. The int8 file can feed the pixels to the first convolution as
they come: no arithmetic, and no rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort

from lib.onnx_gates import INPUT, ancestors, image_size


@dataclass(frozen=True)
class InputQuantization:
    """``tensor`` (float, ``[N, 3, S, S]``) is ``scale * (image - zero_point)``."""

    tensor: str
    scale: float
    zero_point: int


def find_input_quantization(model: onnx.ModelProto) -> InputQuantization | None:
    """How the first convolution's input follows from the pixels, if it is of that form.

    Found by running the part before the convolution, so that it does not matter how the
    scaling is written. ``None`` if it is not affine, differs between the channels, or
    has no zero point among 0..255.
    """
    first = next((node for node in model.graph.node if node.op_type == "Conv"), None)
    if first is None:
        return None
    tensor, side = first.input[0], image_size(model)
    nodes = ancestors(model.graph, [tensor])
    read = {name for node in nodes for name in node.input}
    head = onnx.helper.make_graph(
        nodes,
        "scaling",
        list(model.graph.input),
        [onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None)],
        [constant for constant in model.graph.initializer if constant.name in read],
    )
    session = ort.InferenceSession(
        onnx.helper.make_model(
            head, opset_imports=list(model.opset_import), ir_version=model.ir_version
        ).SerializeToString()
    )
    pixels = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    (values,) = session.run([tensor], {INPUT: pixels})
    planes = pixels.transpose(0, 3, 1, 2).astype(np.float64)
    if values.shape != planes.shape:
        return None
    scale, offset = np.polyfit(planes.ravel(), values.ravel().astype(np.float64), 1)
    zero_point = round(-offset / scale) if scale > 0 else -1
    exact = np.allclose(values, scale * (planes - zero_point), rtol=0, atol=1e-3 * abs(scale))
    if not exact or not 0 <= zero_point <= 255:
        return None
    return InputQuantization(tensor, float(scale), zero_point)


def bypass_scaling(graph: onnx.GraphProto, scaling: InputQuantization) -> None:
    """Feed the transposed pixels of a quantised ``graph`` where it quantises ``scaling.tensor``."""
    quantizer = next(
        node
        for node in graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] == scaling.tensor
    )
    readers = [node for node in graph.node if scaling.tensor in node.input]
    if len(readers) != 1:
        return  # something else reads the scaled pixels
    for node in (quantizer, *ancestors(graph, [scaling.tensor])):
        graph.node.remove(node)
    transpose = onnx.helper.make_node(
        "Transpose", [INPUT], [quantizer.output[0]], name="to_channels_first", perm=[0, 3, 1, 2]
    )
    graph.node.insert(0, transpose)
    _drop_unused(graph)


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    produced = {name for node in graph.node for name in node.output}
    for value in [value for value in graph.value_info if value.name not in produced]:
        graph.value_info.remove(value)
