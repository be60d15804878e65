"""Corruptions: the same pixels for the same seed, worse from level to level, counted by kind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from colours import COLOURS, colour_model, draw, run
from PIL import Image
from robustness import _figures

from lib.corruptions import KINDS, LEVELS, SIDE, corrupt

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def flower() -> np.ndarray:
    sample = Path(__file__).parents[2] / "docs" / "sample" / "dahlia.jpg"
    with Image.open(sample) as opened:
        return np.asarray(opened.convert("RGB").resize((SIDE, SIDE)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_corruption_is_reproducible_and_grows(kind: str, flower: np.ndarray) -> None:
    found = {}
    for level in (1, LEVELS):
        one = corrupt(kind, flower, level, np.random.default_rng(5))
        again = corrupt(kind, flower.copy(), level, np.random.default_rng(5))
        assert one.dtype == np.uint8
        assert one.shape == flower.shape
        assert np.array_equal(one, again)
        found[level] = float(np.abs(one.astype(float) - flower).mean())
    assert 0.5 < found[1] < 130
    if kind != "elastic":  # whose levels are of different scales
        assert found[LEVELS] > found[1] * 1.2


def test_one_kind_for_each_of_the_paper() -> None:
    assert len(KINDS) == 15


def test_brightness_keeps_the_hue_and_contrast_the_mean(flower: np.ndarray) -> None:
    grey = np.full((8, 8, 3), (40, 20, 0), np.uint8)
    rng = np.random.default_rng(0)
    raised = corrupt("brightness", grey, 5, rng)[0, 0]
    assert np.abs(raised - np.array([167.5, 83.75, 0])).max() <= 1
    assert np.array_equal(corrupt("brightness", grey * 0, 1, rng), grey * 0 + 25)
    faint = corrupt("contrast", flower, 5, rng)
    assert np.abs(faint.mean(axis=(0, 1)) - flower.mean(axis=(0, 1))).max() < 1


def test_figures_of_a_model_that_can_tell_what_it_knows() -> None:
    answers = np.zeros((2, 16, LEVELS, 2), np.int8)
    answers[0] = 1  # one photo right and known, whatever is done to it
    answers[1, 0] = 1
    answers[1, 1, 4] = (0, 1)  # the other is wrong, and let through once
    found = _figures(answers, list(KINDS))
    assert found["clean"] == 1
    assert found["mean_accuracy"] == 0.5
    assert found["accuracy_by_level"] == [0.5] * LEVELS
    assert found["clean_not_known"] == 0
    assert found["not_known_by_kind"]["gaussian_noise"] == [0.5, 0.5, 0.5, 0.5, 0]
    assert found["wrong_and_known_by_kind"]["gaussian_noise"] == [0, 0, 0, 0, 0.5]
    answers[..., 1] = -1
    assert "mean_not_known" not in _figures(answers, list(KINDS))


def test_the_command_gives_the_same_by_any_number_of_processes(tmp_path: Path) -> None:
    for class_id, colour in COLOURS.items():
        draw(tmp_path / "valid" / class_id / "a.png", colour, 1)
    new, old = colour_model(tmp_path / "new.onnx"), colour_model(tmp_path / "old.onnx", turned=1)
    models = ["--model", new, "--before", old, "--photos", "2", "--kinds", "jpeg,fog"]
    done = [
        run("robustness.py", tmp_path, *models, "--processes", n, "--out", tmp_path / f"{n}")
        for n in (1, 2)
    ]
    assert [one.returncode for one in done] == [0, 0], done[0].stderr
    texts = [(tmp_path / f"{n}" / "robustness.json").read_text() for n in (1, 2)]
    assert texts[0] == texts[1]
    before, after = json.loads(texts[0])["models"]
    assert json.loads(texts[0])["photos"] == 2
    assert (before["clean"], after["clean"]) == (0, 1)
    assert after["mean_accuracy"] > before["mean_accuracy"]
    assert list(after["accuracy_by_kind"]) == ["jpeg", "fog"]
    assert "| jpeg | 100.0 |" in done[0].stdout
