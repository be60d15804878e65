"""Honest confidence: one scale for all logits, fitted after training."""

from __future__ import annotations

import keras
import numpy as np

from lib.augment import random_view
from lib.dataset import UNNAMED
from lib.scores import fit_temperature
from lib.training_set import TrainingSet
from lib.views import centre_views

#: With fewer photos that were kept out of training, so many views of those in it are taken.
ENOUGH = 200
VIEWS = 2000
#: Of a network that has learned of smoothed labels: further from 1 than one that was calibrated.
TEMPERATURES = np.geomspace(0.1, 10, 401)


def calibrate(
    classifier: keras.Model,
    photos: TrainingSet,
    pixels: list[np.ndarray],
    often: np.ndarray,
    seed: int,
) -> float:
    """Scale the logits so that a confidence of 90 % is right nine times in ten; returns the scale.

    Smoothed labels and blended photos leave a network much less sure than it may be. The
    temperature is fitted on the photos that were kept out of training, as inference sees them;
    where these are few, on random views of training photos (``pixels``, chosen as ``often`` as
    in training), which are about as hard. Validation photos stay out of it. No label changes.
    """
    size = classifier.input_shape[1]
    if len(photos.calibration) >= ENOUGH:
        views = centre_views(photos.calibration, size)
        truth = np.array([photo.target for photo in photos.calibration])
    else:
        views, truth = _random_views(photos, pixels, often, size, seed)
    head = classifier.get_layer("logits")
    logits = keras.Model(classifier.input, head.output).predict(views, batch_size=32, verbose=0)
    temperature = fit_temperature(logits, truth, candidates=TEMPERATURES)
    head.set_weights([weights / temperature for weights in head.get_weights()])
    return temperature


def _random_views(
    photos: TrainingSet, pixels: list[np.ndarray], often: np.ndarray, size: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng((seed, VIEWS))
    truth = np.array([photo.target for photo in photos.train])
    named = np.flatnonzero(truth != UNNAMED)
    chances = often[named] / often[named].sum()
    chosen = rng.choice(named, min(VIEWS, len(named)), p=chances)
    return np.stack([random_view(pixels[i], size, rng) for i in chosen]), truth[chosen]
