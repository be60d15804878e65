"""Train a Keras image classifier from a folder-per-class data set.

    python export/train.py DATA --out run --save model/flowers.keras
        [--also FOLDER,...] [--unnamed FOLDER,...] [--holdout_source NAME,...]
        [--review DATASET/review.csv] [--corrections docs/errors.csv] [--teacher teacher.npz]
        [--init model/flowers.keras]
        [--phases 128x8,160x8,192x10] [--image_size 208] [--backbone efficientnet-lite0]
        [--protocol official]

``DATA`` holds ``train/<class>/*.jpg`` and ``valid/<class>/*.jpg``; ``--also`` adds folders of
``<class>/*`` from elsewhere, ``--unnamed`` photos of none of the classes, ``--review`` those that
``flowers trace export`` has made a list of, and somebody has looked at; ``--corrections`` says
which photos show something else than their folder's class. The run folder gets a
checkpoint an epoch (the same command again resumes), ``metrics.json`` and ``curves.png``.
Validation photos are only ever looked at: nothing is chosen by them, and the weights
that are saved are the averaged weights (EMA) of the last step. One photo in twelve is kept out
of training, by its hash, for confidence and thresholds to be fitted on.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import fire
import keras
import numpy as np
from teacher import soft_targets

from lib import student
from lib.command_line import words
from lib.dataset import class_ids, decode, digest
from lib.efficientnet_lite import VARIANTS
from lib.run_folder import Checkpoint
from lib.run_state import write_json
from lib.sampling import weights
from lib.temperature import calibrate
from lib.training_set import PROTOCOLS, TrainingSet, assemble
from lib.views import Targets, Views, centre_views, smooth_one_hot, taught, validation


def train(
    data: str,
    *,
    out: str = "run",
    save: str = "model/flowers.keras",
    also: str = "",
    unnamed: str = "",
    holdout_source: str = "",
    review: str = "",
    corrections: str = "",
    protocol: str = "folders",
    teacher: str = "",
    init: str = "",
    backbone: str = "efficientnet-lite0",
    phases: str = "128x8,160x8,192x10",
    image_size: int = 0,
    frozen_through: str = "block2",
    strength: float = 1.0,
    batch: int = 32,
    learning_rate: float = 6e-4,
    weight_decay: float = 0.02,
    teacher_weight: float = 0.5,
    embedding_weight: float = 2.0,
    seed: int = 1,
) -> None:
    """Fine-tune ``backbone`` on ``data`` and save the Keras model to ``save``.

    ``phases`` is a list of SIZExEPOCHS: small images first, since they cost least.
    ``image_size`` is what the saved network takes; by default what ``backbone`` is made for.
    ``frozen_through`` names the last block that keeps its first weights: ImageNet's, or those of
    ``init``. ``strength``, 0 to 1, is how often photos are made worse or blended, as a share of
    the usual: less of it suits a network that has seen much. ``protocol`` is ``folders``, or
    ``official`` for the split of the data set's paper (which ``DATA/index.csv`` has in a column
    ``official_split``): trained on its two small parts and tested on the large one.
    """
    if protocol not in PROTOCOLS:
        raise SystemExit(f"--protocol must be one of {', '.join(PROTOCOLS)}, not {protocol!r}")
    _keep_freed_memory()
    keras.utils.set_random_seed(seed)
    folder, root = Path(out), Path(data)
    folder.mkdir(parents=True, exist_ok=True)
    ids = class_ids(root)
    photos = assemble(
        root,
        ids,
        protocol,
        also=words(also),
        unnamed=words(unnamed),
        review=review,
        corrections=corrections,
        held_out=set(words(holdout_source)),
    )
    _say(f"{len(ids)} classes, {photos.describe()}")
    targets = _targets(photos, len(ids), teacher, teacher_weight)
    often = weights(photos.train, photos.collections)
    pixels = [decode(photo.path) for photo in photos.train]
    size = image_size or VARIANTS[backbone].image_size
    truth = np.array([photo.target for photo in photos.valid])
    valid = validation(centre_views(photos.valid, size), truth, targets)

    history: list[dict[str, Any]] = []
    checkpoint = folder / "checkpoint.keras"
    plan = [tuple(map(int, phase.split("x"))) for phase in phases.split(",")]
    if checkpoint.exists():
        model = keras.models.load_model(checkpoint)
        history = json.loads((folder / "metrics.json").read_text())["history"]
        _say(f"resuming after epoch {len(history)}")
    else:
        model = student.with_targets(student.pretrained(backbone, len(ids), init), targets)
        warm_up = Views(pixels, targets, often, plan[0][0], batch, seed + 1, strength)
        student.freeze(model, through="")
        adam = keras.optimizers.AdamW(2e-3, weight_decay=weight_decay)
        student.compile_model(model, adam, embedding_weight)
        model.fit(warm_up, epochs=1, verbose=_verbosity())
        student.freeze(model, through=frozen_through)
        steps = len(pixels) // batch
        epochs = sum(epochs for _, epochs in plan)
        adam = student.optimizer(learning_rate, weight_decay, steps, epochs)
        student.compile_model(model, adam, embedding_weight)

    first = 0
    for phase_size, epochs in plan:
        last = first + epochs
        if len(history) < last:
            start = max(first, len(history))
            model.fit(
                Views(pixels, targets, often, phase_size, batch, seed + 2 + start, strength),
                initial_epoch=start,
                epochs=last,
                validation_data=valid,
                validation_batch_size=batch,
                verbose=_verbosity(),
                callbacks=[keras.callbacks.SwapEMAWeights(), Checkpoint(folder, history)],
            )
        first = last
    classifier = student.averaged(model, backbone, len(ids), size)
    temperature = calibrate(classifier, photos, pixels, often, seed)
    write_json(folder / "metrics.json", {"history": history, "temperature": temperature})
    Path(save).parent.mkdir(parents=True, exist_ok=True)
    classifier.save(save)
    _say(f"saved {save}, temperature {temperature:.2f}")
    if photos.test:
        _say(f"top-1 on {len(photos.test)} test photos: {_top1(classifier, photos, size):.2f} %")


def _targets(photos: TrainingSet, classes: int, teacher: str, weight: float) -> Targets:
    truth = np.array([photo.target for photo in photos.train])
    targets = Targets(smooth_one_hot(truth, classes), None)
    if not teacher:
        return targets
    keys = [digest(photo.path) for photo in photos.train]
    return taught(targets, *soft_targets(teacher, keys, truth), weight)


def _top1(classifier: keras.Model, photos: TrainingSet, size: int) -> float:
    right = 0
    for start in range(0, len(photos.test), 256):
        some = photos.test[start : start + 256]
        outputs = classifier.predict(centre_views(some, size), batch_size=32, verbose=0)
        truth = np.array([photo.target for photo in some])
        right += int((outputs["probabilities"].argmax(axis=1) == truth).sum())
    return 100 * right / len(photos.test)


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


def _verbosity() -> int:
    return 1 if sys.stdout.isatty() else 2


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    fire.Fire(train)
