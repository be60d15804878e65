"""Any trained Keras image classifier, wrapped to the contract of the ONNX file."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers


def load(path: str) -> keras.Model:
    """The saved model, computing in float32 whatever precision it was trained with."""
    model = keras.models.load_model(path, compile=False)
    if any(layer.compute_dtype != "float32" for layer in _layers(model)):
        # bfloat16 and float16 have no CPU kernels in onnxruntime.
        weights = model.get_weights()
        model = keras.models.clone_model(model, clone_function=_in_float32, recursive=True)
        model.set_weights(weights)
    return model


def wrap(
    model: keras.Model,
    *,
    size: int | None = None,
    input_range: tuple[float, float] = (0.0, 255.0),
) -> keras.Model:
    """A functional model: ``image`` uint8 ``[N, S, S, 3]`` -> ``{probabilities, features}``.

    ``size`` is needed when the model leaves its input size open; ``input_range`` is the
    range of pixel values it was trained on. A model without an output ``features`` gets
    the tensor that its last Dense layer reads; one that ends in logits gets a softmax.
    Raises ``ValueError`` for what is no single-label image classifier.
    """
    side = _side(model, size)
    image = keras.Input((side, side, 3), dtype="uint8", name="image")
    pixels = _to_range(image, model, input_range)
    outputs = None if isinstance(model, keras.Sequential) else model(pixels, training=False)
    if isinstance(outputs, dict) and {"probabilities", "features"} <= outputs.keys():
        features, scores = outputs["features"], outputs["probabilities"]
    else:
        features, scores = _split(model, pixels)
    if tuple(features.shape[1:-1]) == (1, 1):
        features = keras.ops.squeeze(features, axis=(1, 2))
    if len(features.shape) != 2:
        raise ValueError(f"the embedding has shape {tuple(features.shape)}, not [N, D]")
    if len(scores.shape) != 2 or scores.shape[-1] < 2:
        raise ValueError(f"the output has shape {tuple(scores.shape)}, not [N, classes]")
    if not _are_probabilities(keras.Model(image, scores), side):
        scores = layers.Softmax()(scores)
    named = {"probabilities": scores, "features": features}
    return keras.Model(
        image, {name: layers.Identity(name=name)(tensor) for name, tensor in named.items()}
    )


def _layers(model: keras.Model) -> list[Any]:
    """The leaves: a nested model's own precision is only the default of its layers."""
    found: list[Any] = []
    for layer in model.layers:
        found += _layers(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def _in_float32(layer: Any) -> Any:
    config = layer.get_config()
    if "dtype" in config and not isinstance(layer, layers.InputLayer):
        config["dtype"] = "float32"
    return type(layer).from_config(config)


def _side(model: keras.Model, size: int | None) -> int:
    if not model.built and size:
        model.build((None, size, size, 3))
    if not model.built or len(model.inputs) != 1:
        raise ValueError("the model must have one image input (an unbuilt one needs --size)")
    _, height, width, channels = model.inputs[0].shape
    if channels not in (3, None):
        raise ValueError(f"the model reads {channels} channels, not RGB")
    if height is None and width is None and size:
        return size
    if height is None or width is None:
        raise ValueError("the model leaves its input size open: give --size")
    if height != width or size not in (None, height):
        raise ValueError(f"the model reads {height}x{width}, not a square of the given size")
    return int(height)


def _to_range(image: Any, model: keras.Model, input_range: tuple[float, float]) -> Any:
    low, high = input_range
    if (low, high) != (0, 255):
        return layers.Rescaling((high - low) / 255, offset=low)(image)
    dtype = model.inputs[0].dtype
    return image if dtype == "uint8" else keras.ops.cast(image, "float32")


def _split(model: keras.Model, pixels: Any) -> tuple[Any, Any]:
    """The embedding and the output of ``model`` applied to ``pixels``, computed once.

    Walks back from the output to the last Dense layer. A nested model on the way is
    split itself and what follows it is applied again, so that no layer runs twice.
    """
    if not hasattr(model, "inputs") or len(model.outputs) != 1:
        raise ValueError("the model must be functional or Sequential, with one output")
    tensor, tail = model.outputs[0], list[Any]()
    while True:
        # Keras has no public way to walk a graph backwards.
        operation, node, _ = tensor._keras_history  # noqa: SLF001
        sources = operation._inbound_nodes[node].input_tensors  # noqa: SLF001
        _refuse_sigmoid(operation, tail)
        if len(sources) != 1:
            raise ValueError(f"no last Dense layer: stopped at {operation.name!r}")
        if isinstance(operation, layers.Dense) or _is_dense_conv(operation, sources[0]):
            pair = keras.Model(model.inputs, [sources[0], model.outputs[0]])
            features, scores = pair(pixels, training=False)
            return features, scores
        if isinstance(operation, keras.Model):
            if sources[0] is not model.inputs[0]:
                pixels = keras.Model(model.inputs, sources[0])(pixels, training=False)
            features, scores = _split(operation, pixels)
            for follower in reversed(tail):
                scores = follower(scores)
            return features, scores
        tail.append(operation)
        tensor = sources[0]


def _is_dense_conv(operation: Any, source: Any) -> bool:
    """MobileNetV3 writes its last Dense layer as a 1x1 convolution of one pixel."""
    return isinstance(operation, layers.Conv2D) and tuple(source.shape[1:3]) == (1, 1)


def _refuse_sigmoid(operation: Any, tail: list[Any]) -> None:
    if getattr(operation, "activation", None) is keras.activations.sigmoid and not tail:
        raise ValueError("the model ends in a sigmoid: a multi-label model has no single answer")


def _are_probabilities(scores: keras.Model, side: int) -> bool:
    images = np.random.default_rng(0).integers(0, 256, (4, side, side, 3), dtype=np.uint8)
    values = np.asarray(scores(images, training=False))
    return bool((values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=1e-3))
