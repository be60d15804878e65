"""The network while it learns: a second head for the teacher, frozen parts, an optimiser."""

from __future__ import annotations

import keras

from lib.efficientnet_lite import build, load_imagenet, source_weights
from lib.views import Targets

EMA_MOMENTUM = 0.998
#: The average reaches back over this part of a run at most, or few steps would hardly move it.
EMA_PART = 0.2


def pretrained(backbone: str, classes: int, init: str = "") -> keras.Model:
    """The network with its ImageNet weights, or those of ``init``, a trained one of its kind.

    Layers of another shape, which the head is where the classes are others, are new.
    """
    model = build(backbone, classes)
    if not init:
        load_imagenet(model, source_weights(backbone))
        return model
    source = keras.models.load_model(init, compile=False)
    known = {layer.name: layer.get_weights() for layer in source.layers}
    missing = [layer.name for layer in model.layers if layer.name not in known]
    if missing:
        raise SystemExit(f"{init} is no {backbone}: it has no {missing[0]}")
    for layer in model.layers:
        given = known[layer.name]
        if [w.shape for w in given] == [w.shape for w in layer.get_weights()]:
            layer.set_weights(given)
    return model


def with_targets(classifier: keras.Model, targets: Targets) -> keras.Model:
    """The classifier with a projection onto the teacher's embedding, if there is one.

    Batch normalisation keeps its ImageNet statistics (``training=False``, and frozen below):
    an epoch costs half the time, and what is trained is exactly what is exported.
    """
    outputs = classifier(classifier.input, training=False)
    heads = [keras.layers.Identity(name="label")(outputs["probabilities"])]
    if targets.embedding is not None:
        width = targets.embedding.shape[1]
        heads.append(keras.layers.Dense(width, name="embedding")(outputs["features"]))
    return keras.Model(classifier.input, heads)


def averaged(model: keras.Model, backbone: str, classes: int, size: int) -> keras.Model:
    """The classifier alone, with the averaged weights, for inputs of ``size`` pixels."""
    # Keras does this at the end of `fit`, but not after a resume with nothing left to train.
    model.optimizer.finalize_variable_values(model.trainable_variables)
    classifier = build(backbone, classes, size)
    classifier.set_weights(model.get_layer(backbone).get_weights())
    return classifier


def freeze(model: keras.Model, through: str) -> None:
    """Freeze the backbone up to the last layer of block ``through``; all but the head if empty."""
    backbone = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    head = {"logits"}
    names = [layer.name for layer in backbone.layers]
    last = max((i for i, name in enumerate(names) if name.startswith(f"{through}_")), default=0)
    for index, layer in enumerate(backbone.layers):
        learns = layer.name in head if not through else index > last
        layer.trainable = learns and not isinstance(layer, keras.layers.BatchNormalization)


def optimizer(
    learning_rate: float, weight_decay: float, steps: int, epochs: int
) -> keras.Optimizer:
    """AdamW with an epoch of warm-up, then a cosine; averages the weights as it goes."""
    momentum = min(EMA_MOMENTUM, 1 - 1 / max(1, EMA_PART * steps * epochs))
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate / 50,
        decay_steps=max(1, steps * (epochs - 1)),
        warmup_target=learning_rate,
        warmup_steps=steps,
        alpha=0.2,  # of the initial rate: 0.4 % of the peak
    )
    return keras.optimizers.AdamW(
        schedule,
        weight_decay=weight_decay,
        global_clipnorm=1.0,
        use_ema=True,
        ema_momentum=momentum,
    )


def compile_model(model: keras.Model, optimizer: keras.Optimizer, embedding_weight: float) -> None:
    """Cross-entropy to the targets, and the cosine to the embedding if there is one."""
    losses = [keras.losses.CategoricalCrossentropy(), keras.losses.CosineSimilarity()]
    weights = [1.0, embedding_weight]
    count = len(model.outputs)
    model.compile(
        optimizer,
        loss=losses[:count],
        loss_weights=weights[:count],
        metrics=[["accuracy"], []][:count],
    )
