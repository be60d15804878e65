"""Compare the Keras backbone with its PyTorch source, on real photos, before training.

    python export/check_backbone.py DATA [--backbone efficientnet-lite0] [--count 50]

The package brings weights without code, so the source network is written down here once
more, straight from the weights' names and in PyTorch's own operators. Prints the largest
difference of a logit and fails unless the five best ImageNet classes are the same, in order,
for every photo.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import fire
import keras
import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import crop_and_resize
from lib.dataset import class_ids, decode, list_photos, spread
from lib.efficientnet_lite import BN_EPSILON, VARIANTS, build, load_imagenet, source_weights
from lib.photo_classifier import CROP_FRACTION, KERNEL

IMAGENET_CLASSES = 1000
_STRIDED_STAGES = {1, 2, 3, 5}  # counted from 0, of the seven stages


def check(data: str, *, backbone: str = "efficientnet-lite0", count: int = 50) -> None:
    """Run both networks on ``count`` training photos and compare their logits."""
    weights = source_weights(backbone)
    model = build(backbone, IMAGENET_CLASSES)
    load_imagenet(model, weights, head=True)
    logits = keras.Model(model.input, model.get_layer("logits").output)
    state = {name: torch.from_numpy(value) for name, value in weights.items()}

    preprocess = Preprocess(VARIANTS[backbone].image_size, CROP_FRACTION, KERNEL)
    photos = spread(list_photos(Path(data), "train", class_ids(Path(data))))[:count]
    largest, scale = 0.0, 0.0
    for photo in photos:
        image = crop_and_resize(Image.fromarray(decode(photo.path)), preprocess)
        pixels = np.asarray(image)[None]
        ours = np.asarray(logits(pixels, training=False))[0]
        theirs = source_logits(state, pixels)[0]
        largest = max(largest, float(np.abs(ours - theirs).max()))
        scale = max(scale, float(np.abs(theirs).max()))
        if not np.array_equal(np.argsort(-ours)[:5], np.argsort(-theirs)[:5]):
            raise SystemExit(f"check_backbone: {photo.path}: the five best classes differ")
    print(
        f"{backbone}: same five best classes on {len(photos)} photos; "
        f"largest difference {largest:.2g} of logits up to {scale:.1f}"
    )


def source_logits(state: dict[str, Any], pixels: np.ndarray) -> np.ndarray:
    """float32 ``[N, 1000]`` of the PyTorch network for uint8 ``[N, S, S, 3]``."""
    x = (torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2).float() - 127) / 128
    x = functional.relu6(_norm(_conv(x, state["_conv_stem.weight"], stride=2), state, "_bn0"))
    blocks = sorted({int(name.split(".")[1]) for name in state if name.startswith("_blocks.")})
    for block, stride in zip(blocks, _strides(state, blocks), strict=True):
        x = _block(x, state, f"_blocks.{block}.", stride)
    x = functional.relu6(_norm(_conv(x, state["_conv_head.weight"]), state, "_bn1"))
    x = x.mean(dim=(2, 3))
    return np.asarray(x @ state["_fc.weight"].T + state["_fc.bias"])


def _block(x: Any, state: dict[str, Any], prefix: str, stride: int) -> Any:
    shortcut = x
    if f"{prefix}_expand_conv.weight" in state:
        x = functional.relu6(
            _norm(_conv(x, state[f"{prefix}_expand_conv.weight"]), state, f"{prefix}_bn0")
        )
    depthwise = state[f"{prefix}_depthwise_conv.weight"]
    x = _conv(x, depthwise, stride=stride, groups=len(depthwise))
    x = functional.relu6(_norm(x, state, f"{prefix}_bn1"))
    x = _norm(_conv(x, state[f"{prefix}_project_conv.weight"]), state, f"{prefix}_bn2")
    return x + shortcut if x.shape == shortcut.shape else x


def _conv(x: Any, weight: Any, *, stride: int = 1, groups: int = 1) -> Any:
    """A convolution with TensorFlow's `same` padding: the odd pixel goes right and below."""
    kernel = weight.shape[-1]
    size = x.shape[-1]
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    before, after = total // 2, total - total // 2
    return functional.conv2d(
        functional.pad(x, (before, after, before, after)), weight, stride=stride, groups=groups
    )


def _norm(x: Any, state: dict[str, Any], name: str) -> Any:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    scale, shift = state[f"{name}.weight"], state[f"{name}.bias"]
    return functional.batch_norm(x, mean, variance, scale, shift, eps=BN_EPSILON)


def _strides(state: dict[str, Any], blocks: list[int]) -> list[int]:
    """The stride of each block: the first of a stage, which changes the width, may halve."""
    strides, stage, width = [], -1, 0
    for block in blocks:
        out = len(state[f"_blocks.{block}._project_conv.weight"])
        stage += out != width
        strides.append(2 if out != width and stage in _STRIDED_STAGES else 1)
        width = out
    return strides


if __name__ == "__main__":
    fire.Fire(check)
