"""Train a Keras image classifier from a folder-per-class data set.

    python export/train.py DATA --out run --save model/flowers.keras
        [--also FOLDER,...] [--unnamed FOLDER,...] [--holdout_source NAME,...]
        [--review DATASET/review.csv] [--teacher teacher.npz] [--phases 128x8,160x8,192x10]
        [--backbone efficientnet-lite0]

``DATA`` holds ``train/<class>/*.jpg`` and ``valid/<class>/*.jpg``; ``--also`` adds folders of
``<class>/*`` from elsewhere, ``--unnamed`` photos of none of the classes, ``--review`` those that
``flowers trace export`` has made a list of, and somebody has looked at. The run folder gets a
checkpoint an epoch (the same command again resumes), ``metrics.json`` and ``curves.png``.
Validation photos are only ever looked at: nothing is chosen by them, and the weights
that are saved are the averaged weights (EMA) of the last step.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import fire
import keras
import numpy as np
from PIL import Image, ImageOps
from teacher import soft_targets

from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import crop_and_resize
from lib.augment import mix, random_view
from lib.dataset import (
    UNNAMED,
    Photo,
    class_ids,
    collected_photos,
    decode,
    digest,
    list_photos,
    reviewed_photos,
    unnamed_photos,
    without_duplicates,
)
from lib.efficientnet_lite import VARIANTS, build, load_imagenet, source_weights
from lib.run_folder import Checkpoint, write_json
from lib.sampling import draw, weights
from lib.temperature import calibrate

CROP_FRACTION, KERNEL = 0.875, "bilinear"
LABEL_SMOOTHING = 0.1
EMA_MOMENTUM = 0.998
#: Share of the batches whose photos are blended with each other.
MIX_RATE = 0.5


@dataclass(frozen=True)
class Targets:
    """What the network should say of each photo: ``[N, classes]`` and ``[N, D]`` or none."""

    probabilities: np.ndarray
    embedding: np.ndarray | None

    def batch(self, index: np.ndarray) -> tuple[np.ndarray, ...]:
        parts = (self.probabilities, self.embedding)
        return tuple(part[index] for part in parts if part is not None)


class Views(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of random views in a random order; a fresh choice and fresh views every epoch.

    ``weights`` says how often a photo is seen in an epoch.
    """

    def __init__(
        self,
        photos: list[np.ndarray],
        targets: Targets,
        weights: np.ndarray,
        size: int,
        batch: int,
        seed: int,
    ) -> None:
        super().__init__(workers=2, max_queue_size=8)
        self._photos, self._targets, self._weights = photos, targets, weights
        self._size, self._batch, self._seed = size, batch, seed
        self._epoch = 0
        self.on_epoch_begin()

    def __len__(self) -> int:
        return len(self._photos) // self._batch

    def on_epoch_begin(self) -> None:
        rng = np.random.default_rng((self._seed, self._epoch))
        # Rounding leaves a few too many or too few: begin again behind the end.
        self._order = np.resize(draw(self._weights, rng), len(self._photos))

    def on_epoch_end(self) -> None:
        self._epoch += 1

    def __getitem__(self, step: int) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        rng = np.random.default_rng((self._seed, self._epoch, step))
        index = self._order[step * self._batch : (step + 1) * self._batch]
        views = np.stack([random_view(self._photos[i], self._size, rng) for i in index])
        targets = self._targets.batch(index)
        if rng.random() < MIX_RATE:
            views, *blended = mix(views, *targets, rng=rng)
            targets = tuple(blended)
        return views, targets


def train(
    data: str,
    *,
    out: str = "run",
    save: str = "model/flowers.keras",
    also: str = "",
    unnamed: str = "",
    holdout_source: str = "",
    review: str = "",
    teacher: str = "",
    backbone: str = "efficientnet-lite0",
    phases: str = "128x8,160x8,192x10",
    frozen_through: str = "block2",
    batch: int = 32,
    learning_rate: float = 6e-4,
    weight_decay: float = 0.02,
    teacher_weight: float = 0.5,
    embedding_weight: float = 2.0,
    seed: int = 1,
) -> None:
    """Fine-tune ``backbone`` on ``data`` and save the Keras model to ``save``.

    ``phases`` is a list of SIZExEPOCHS: small images first, since they cost least.
    ``frozen_through`` names the last block that keeps its ImageNet weights.
    """
    _keep_freed_memory()
    keras.utils.set_random_seed(seed)
    folder, root = Path(out), Path(data)
    folder.mkdir(parents=True, exist_ok=True)
    ids = class_ids(root)
    valid = list_photos(root, "valid", ids)
    photos, collections = _photos(
        root, ids, valid, _words(also), _words(unnamed), review, set(_words(holdout_source))
    )
    named = sum(photo.target != UNNAMED for photo in photos)
    _say(f"{len(ids)} classes, {named} photos to train on, {len(photos) - named} of none of them")
    truth = np.array([photo.target for photo in photos])
    targets = Targets(smooth_one_hot(truth, len(ids)), None)
    if teacher:
        keys = [digest(photo.path) for photo in photos]
        targets = _taught(targets, *soft_targets(teacher, keys, truth), teacher_weight)
    often = weights(photos, collections)
    pixels = [decode(photo.path) for photo in photos]
    valid_data = _validation(valid, VARIANTS[backbone].image_size, len(ids), targets)

    history: list[dict[str, Any]] = []
    checkpoint = folder / "checkpoint.keras"
    plan = [tuple(map(int, phase.split("x"))) for phase in phases.split(",")]
    if checkpoint.exists():
        model = keras.models.load_model(checkpoint)
        history = json.loads((folder / "metrics.json").read_text())["history"]
        _say(f"resuming after epoch {len(history)}")
    else:
        model = _with_targets(_pretrained(backbone, len(ids)), targets)
        warm_up = Views(pixels, targets, often, plan[0][0], batch, seed + 1)
        _freeze(model, through="")
        _compile(model, keras.optimizers.AdamW(2e-3, weight_decay=weight_decay), embedding_weight)
        model.fit(warm_up, epochs=1, verbose=_verbosity())
        _freeze(model, through=frozen_through)
        steps = len(pixels) // batch
        epochs = sum(epochs for _, epochs in plan)
        optimizer = _optimizer(learning_rate, weight_decay, steps, epochs)
        _compile(model, optimizer, embedding_weight)

    first = 0
    for size, epochs in plan:
        last = first + epochs
        if len(history) < last:
            start = max(first, len(history))
            model.fit(
                Views(pixels, targets, often, size, batch, seed + 2 + start),
                initial_epoch=start,
                epochs=last,
                validation_data=valid_data,
                validation_batch_size=batch,
                verbose=_verbosity(),
                callbacks=[keras.callbacks.SwapEMAWeights(), Checkpoint(folder, history)],
            )
        first = last
    classifier = _averaged(model, backbone, len(ids))
    temperature = calibrate(classifier, pixels, truth, often, seed)
    write_json(folder / "metrics.json", {"history": history, "temperature": temperature})
    Path(save).parent.mkdir(parents=True, exist_ok=True)
    classifier.save(save)
    _say(f"saved {save}, temperature {temperature:.2f}")


def _keep_freed_memory() -> None:
    """Have glibc's malloc reuse large blocks instead of returning them to the system.

    TensorFlow allocates every activation anew; mapping and zeroing those pages took a third
    of the time on 2 cores (25 -> 36 photos a second at 160 px). Elsewhere, nothing happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    trim_threshold, mmap_max, arena_max = -1, -4, -8  # malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(arena_max, 1)


def _words(text: str | tuple[str, ...]) -> list[str]:
    """The items of a list with commas, which Fire may have parted already."""
    items = text.split(",") if isinstance(text, str) else text
    return [str(item) for item in items if item]


def _photos(
    root: Path,
    ids: list[str],
    valid: list[Photo],
    also: list[str],
    unnamed: list[str],
    review: str,
    held_out: set[str],
) -> tuple[list[Photo], list[str]]:
    """What to train on, and the collection that each photo is of."""
    found = {str(root): list_photos(root, "train", ids)}
    found |= {folder: collected_photos(Path(folder), ids) for folder in also}
    found |= {folder: unnamed_photos(Path(folder)) for folder in unnamed}
    if review:
        found[review] = reviewed_photos(Path(review), ids)
    photos: list[Photo] = []
    collections: list[str] = []
    for collection, its in found.items():
        kept = [photo for photo in its if photo.source not in held_out]
        kept = without_duplicates(kept, [*valid, *photos])
        photos += kept
        collections += [collection] * len(kept)
    return photos, collections


def _taught(targets: Targets, soft: np.ndarray, embedding: np.ndarray, weight: float) -> Targets:
    """With what the teacher says; a photo that it hasn't seen has zeros, and no direction."""
    seen = soft.any(axis=1)
    probabilities = targets.probabilities.copy()
    probabilities[seen] = (1 - weight) * probabilities[seen] + weight * soft[seen]
    return Targets(probabilities, embedding)


def smooth_one_hot(truth: np.ndarray, classes: int) -> np.ndarray:
    """float32 ``[N, classes]``: ``LABEL_SMOOTHING`` of each row is spread over all classes.

    All of it is for a photo of none of them.
    """
    one_hot = np.eye(classes, dtype=np.float32)[truth]
    one_hot[truth == UNNAMED] = 1 / classes
    return np.asarray(one_hot * (1 - LABEL_SMOOTHING) + np.float32(LABEL_SMOOTHING / classes))


def _pretrained(backbone: str, classes: int) -> keras.Model:
    model = build(backbone, classes)
    load_imagenet(model, source_weights(backbone))
    return model


def _with_targets(classifier: keras.Model, targets: Targets) -> keras.Model:
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


def _averaged(model: keras.Model, backbone: str, classes: int) -> keras.Model:
    """The classifier alone, with the averaged weights and a fixed input size."""
    # Keras does this at the end of `fit`, but not after a resume with nothing left to train.
    model.optimizer.finalize_variable_values(model.trainable_variables)
    classifier = build(backbone, classes, VARIANTS[backbone].image_size)
    classifier.set_weights(model.get_layer(backbone).get_weights())
    return classifier


def _freeze(model: keras.Model, through: str) -> None:
    """Freeze the backbone up to the last layer of block ``through``; all but the head if empty."""
    backbone = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    head = {"logits"}
    names = [layer.name for layer in backbone.layers]
    last = max((i for i, name in enumerate(names) if name.startswith(f"{through}_")), default=0)
    for index, layer in enumerate(backbone.layers):
        learns = layer.name in head if not through else index > last
        layer.trainable = learns and not isinstance(layer, keras.layers.BatchNormalization)


def _optimizer(
    learning_rate: float, weight_decay: float, steps: int, epochs: int
) -> keras.Optimizer:
    """AdamW with an epoch of warm-up, then a cosine; averages the weights as it goes."""
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate / 50,
        decay_steps=steps * (epochs - 1),
        warmup_target=learning_rate,
        warmup_steps=steps,
        alpha=0.2,  # of the initial rate: 0.4 % of the peak
    )
    return keras.optimizers.AdamW(
        schedule,
        weight_decay=weight_decay,
        global_clipnorm=1.0,
        use_ema=True,
        ema_momentum=EMA_MOMENTUM,
    )


def _compile(model: keras.Model, optimizer: keras.Optimizer, embedding_weight: float) -> None:
    losses = [keras.losses.CategoricalCrossentropy(), keras.losses.CosineSimilarity()]
    weights = [1.0, embedding_weight]
    count = len(model.outputs)
    model.compile(
        optimizer,
        loss=losses[:count],
        loss_weights=weights[:count],
        metrics=[["accuracy"], []][:count],
    )


def _validation(photos: list[Any], size: int, classes: int, targets: Targets) -> tuple[Any, Any]:
    """Validation pixels exactly as inference sees them, from file to crop."""
    preprocess = Preprocess(size, CROP_FRACTION, KERNEL)
    images = []
    for photo in photos:
        with Image.open(photo.path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
            images.append(np.asarray(crop_and_resize(upright, preprocess)))
    one_hot = np.eye(classes, dtype=np.float32)[[photo.target for photo in photos]]
    if targets.embedding is None:
        return np.stack(images), (one_hot,)
    unknown = np.zeros((len(photos), targets.embedding.shape[1]), np.float32)
    return np.stack(images), (one_hot, unknown)


def _verbosity() -> int:
    return 1 if sys.stdout.isatty() else 2


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    fire.Fire(train)
