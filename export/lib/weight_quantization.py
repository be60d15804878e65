"""Scales for int8 weights that no processor gets wrong, and the bias that makes up for them.

Processors with AVX2 or SSE but no VNNI multiply u8 x s8 in pairs of neighbouring inputs
and add each pair in a *saturating* int16 (PMADDUBSW). Two activations of 255 with two
weights above 64 overflow it, silently: with EfficientNet-Lite0 and 102 classes one label in
eight changes. The usual remedy is 7-bit weights (``reduce_range``). It gives away more
than it must: the sum of a pair has to stay within 128, not each weight within 64.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

#: 255 x (127 + 1) = 32640 fits an int16; rounding may add 1 to a pair.
_PAIR_LIMIT = 127
RANGES = ("paired", "reduced", "full")


def weight_scales(weights: np.ndarray, weight_range: str = "paired") -> np.ndarray:
    """float32 ``[M]``: one symmetric scale for each filter of ``weights`` ``[M, C, h, w]``.

    ``paired``: the most precise scale with which no two neighbours can saturate.
    ``reduced``: 7 bits, safe whichever weights a kernel pairs. ``full``: 8 bits,
    wrong without VNNI. Depthwise kernels multiply in int32 and always get the 8 bits.
    """
    filters = weights.reshape(len(weights), -1)
    scales = np.abs(filters).max(axis=1) / 127
    depthwise = weights.shape[1] == 1
    if weight_range == "reduced" and not depthwise:
        scales *= 127 / 64
    if weight_range == "paired" and not depthwise:
        # Kernels read the inputs of a filter channels-first or channels-last.
        channels_last = weights.transpose(0, 2, 3, 1).reshape(len(weights), -1)
        for order in (filters, channels_last):
            for part in (np.maximum(order, 0), np.maximum(-order, 0)):
                pairs = part[:, :-1] + part[:, 1:]
                scales = np.maximum(scales, pairs.max(axis=1, initial=0) / _PAIR_LIMIT)
    # A filter of zeros takes any scale, but its bias is rounded to that scale too.
    alive = scales > 0
    return np.where(alive, scales, scales[alive].mean() if alive.any() else 1).astype(np.float32)


def correct_biases(
    model: onnx.ModelProto, scales: Mapping[str, np.ndarray], mean_inputs: Mapping[str, np.ndarray]
) -> onnx.ModelProto:
    """A copy of ``model`` whose biases cancel the mean error of the rounded weights.

    ``scales`` are by name of the weights, ``mean_inputs`` (float ``[C]``) by name of the
    convolution's input. Rounding shifts the mean of each output channel by the weights'
    error times the mean input; over fifty layers the shifts add up.
    """
    corrected = onnx.ModelProto()
    corrected.CopyFrom(model)
    graph = corrected.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "Conv" or node.input[1] not in scales:
            continue
        weights = numpy_helper.to_array(constants[node.input[1]])
        scale = scales[node.input[1]].reshape(-1, 1, 1, 1)
        rounded = np.clip(np.round(weights / scale), -127, 127) * scale
        error = (rounded - weights).sum(axis=(2, 3))  # [M, C / groups]
        groups = len(mean_inputs[node.input[0]]) // weights.shape[1]
        inputs = mean_inputs[node.input[0]].reshape(groups, 1, -1)
        shift = (error.reshape(groups, -1, weights.shape[1]) * inputs).sum(axis=2).ravel()
        # A new constant: two convolutions may share one bias.
        old = numpy_helper.to_array(constants[node.input[2]]) if len(node.input) > 2 else 0
        bias = numpy_helper.from_array((old - shift).astype(np.float32), f"{node.output[0]}/bias")
        graph.initializer.append(bias)
        node.input[:] = [*node.input[:2], bias.name]
    return corrected
