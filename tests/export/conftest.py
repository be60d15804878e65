"""Small networks and photos for the export scripts; needs the ``[export]`` environment."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

if importlib.util.find_spec("tensorflow") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
        import tf2onnx  # noqa: F401
    from keras import layers

SIDE = 32
CLASSES = 4


def _head(x: Any, *, softmax: bool = True) -> Any:
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return layers.Dense(CLASSES, activation="softmax" if softmax else None)(x)


def _conv_bn(x: Any, filters: int, kernel: int, stride: int = 1) -> Any:
    x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)


def mobile_net() -> Any:
    """Inverted residuals in the manner of EfficientNet-Lite: uint8 in, a dictionary out."""
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(image)
    x = layers.ReLU(6.0)(_conv_bn(x, 8, 3, 2))
    for _ in range(2):
        shortcut = x
        x = layers.ReLU(6.0)(_conv_bn(x, 16, 1))
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = layers.Add()([_conv_bn(x, 8, 1), shortcut])
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = layers.DepthwiseConv2D(3, strides=2, use_bias=False)(x)
    x = layers.ReLU(6.0)(_conv_bn(layers.BatchNormalization()(x), 24, 1))
    features = layers.GlobalAveragePooling2D()(x)
    scores = layers.Dense(CLASSES, activation="softmax")(features)
    return keras.Model(image, {"probabilities": scores, "features": features})


def sequential() -> Any:
    """No augmentation, pixels 0..255, a softmax."""
    return keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def augmented() -> Any:
    """A nested backbone between augmentation layers and logits, as tutorials build it."""
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.ReLU(6.0)(_conv_bn(image, 8, 3, 2))
    backbone = keras.Model(image, _conv_bn(x, 12, 3, 2), name="backbone")
    return keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3)),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.Rescaling(1 / 127.5, offset=-1),
            backbone,
            layers.GlobalAveragePooling2D(),
            layers.Dense(CLASSES),
        ]
    )


def nested() -> Any:
    """A whole classifier inside another model."""
    inner = sequential()
    image = keras.Input((SIDE, SIDE, 3))
    return keras.Model(image, layers.Activation("linear")(inner(layers.RandomFlip()(image))))


def hard_swish() -> Any:
    """Scalar operands right behind convolutions, where tf2onnx's optimiser gives up."""
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    for filters in (8, 12, 16):
        x = _conv_bn(x, filters, 3, 2)
        x = x * layers.ReLU(6.0)(x + 3.0) * (1 / 6)
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = layers.Conv2D(filters, 1, use_bias=False)(gate)
        x = x * layers.ReLU(6.0)(gate + 3.0) * (1 / 6)
    return keras.Model(image, _head(x))


def convolutional_head() -> Any:
    """The last Dense layer written as a 1x1 convolution, as in MobileNetV3; logits."""
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.ReLU()(_conv_bn(image / 255.0, 8, 3, 2))
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return keras.Model(image, layers.Flatten()(layers.Conv2D(CLASSES, 1)(x)))


def bfloat16() -> Any:
    """Trained in mixed precision."""
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        image = keras.Input((SIDE, SIDE, 3))
        x = layers.ReLU(6.0)(_conv_bn(layers.Rescaling(1 / 255)(image), 8, 3, 2))
        x = layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x))
        return keras.Model(image, layers.Softmax(dtype="float32")(x))
    finally:
        keras.mixed_precision.set_global_policy("float32")


NETWORKS: dict[str, Callable[[], Any]] = {
    "mobile_net": mobile_net,
    "sequential": sequential,
    "augmented": augmented,
    "nested": nested,
    "hard_swish": hard_swish,
    "convolutional_head": convolutional_head,
    "bfloat16": bfloat16,
}


def randomize(model: Any) -> Any:
    """Weights and statistics of a network that has seen something: nothing is 0 or 1."""
    import numpy as np

    rng = np.random.default_rng(7)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, shape),
                    rng.normal(0, 0.3, shape),
                    rng.normal(0, 0.3, shape),
                    rng.uniform(0.5, 1.5, shape),
                ]
            )
        elif isinstance(layer, layers.Dense) or layer.name.startswith("conv2d"):
            layer.set_weights(
                [rng.normal(0, 2 / np.sqrt(w[..., 0].size), w.shape) for w in layer.get_weights()]
            )
    return model


@pytest.fixture(scope="session")
def make_network() -> Callable[[str], Any]:
    """Build one of ``NETWORKS`` with weights that make its answers differ between images."""

    def make(name: str) -> Any:
        keras.utils.set_random_seed(1)
        return randomize(NETWORKS[name]())

    return make


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 4 classes: 8 training and 3 validation JPEGs of colours in each."""
    import numpy as np
    from PIL import Image

    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(3)
    for class_id, colour in (("1", 30), ("2", 90), ("10", 160), ("21", 220)):
        for split, count in (("train", 8), ("valid", 3)):
            folder = root / split / class_id
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = rng.normal(colour, 40, (48, 60, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.jpg", quality=95)
    return root


@pytest.fixture(scope="session")
def exported(
    tmp_path_factory: pytest.TempPathFactory, make_network: Callable[[str], Any], photos: Path
) -> Path:
    """A folder with ``net.keras`` and the ``fp32.onnx`` made of it."""
    from convert import convert

    folder = tmp_path_factory.mktemp("exported")
    make_network("mobile_net").save(folder / "net.keras")
    convert(
        str(folder / "net.keras"),
        out=str(folder / "fp32.onnx"),
        data=str(photos),
        name="tiny",
        version="1.10",
        license_note="CC0",
    )
    return folder
