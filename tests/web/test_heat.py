"""The colours of a heat map."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from flowers_onnx.web.heat import ANCHORS, faded, heat_rgba, hottest, style

CELLS = np.array([[-8, 0, 1], [2, 4, 8]], np.float32)


def test_the_hottest_cell_ends_the_scale_and_what_speaks_against_is_transparent() -> None:
    colours = heat_rgba(CELLS)
    assert colours.dtype == np.uint8
    assert colours.shape == (2, 3, 4)
    assert colours[0, 0, 3] == colours[0, 1, 3] == 0
    assert colours[1, 2].tolist() == [255, 255, 120, round(0.72 * 255)]
    opacity = colours[..., 3].ravel()
    assert list(opacity) == sorted(opacity)
    assert opacity[2] > 0
    # Who mixes colours without their opacity gets no dark rim.
    assert colours[0, 0].tolist() == [*ANCHORS[0][1:4], 0]


def test_only_the_proportions_count() -> None:
    assert np.array_equal(heat_rgba(CELLS), heat_rgba(CELLS * np.float32(64)))


def test_next_to_nothing_does_not_look_like_a_reason() -> None:
    """Full colours from a logit on: 2.5 of them are in ``CELLS``."""
    opacity = [heat_rgba(CELLS * np.float32(share))[1, 2, 3] for share in (1, 0.5, 0.2, 0.02)]
    assert opacity[0] == opacity[1] == round(0.72 * 255)
    assert 100 < opacity[2] < 150
    assert opacity[3] < 25


@pytest.mark.parametrize("level", [0, -3])
def test_a_map_that_speaks_for_nothing_is_transparent(level: int) -> None:
    assert not heat_rgba(np.full((7, 7), level, np.float32))[..., 3].any()


def test_enlarged_it_changes_smoothly() -> None:
    small = np.zeros((7, 7), np.float32)
    small[3, 3] = 500
    large = heat_rgba(small, (140, 70)).astype(int)
    assert large.shape == (70, 140, 4)
    assert large[35, 70, 3] == large[..., 3].max() > 150
    assert abs(np.diff(large[..., 3], axis=1)).max() < 32  # of a pixel a twentieth of a cell wide
    assert large[:20, :, 3].max() <= 3  # a cubic's echo, which nobody sees


def test_the_scale_needs_no_eye_for_colours() -> None:
    light = [np.dot(rgb, [0.2126, 0.7152, 0.0722]) for _, *rgb, _ in ANCHORS]
    assert all(later - earlier > 20 for earlier, later in pairwise(light))


def test_a_faded_photo_is_darker_and_greyer() -> None:
    photo = np.array([[[255, 255, 255], [250, 200, 0], [0, 0, 0]]], np.uint8)
    white, yellow, black = faded(photo)[0].astype(int)
    assert white.tolist() == [191, 191, 191]
    assert black.tolist() == [0, 0, 0]
    assert yellow.max() - yellow.min() < 80


def test_a_page_has_the_same_colours() -> None:
    css = style()
    assert "grayscale(0.65) brightness(0.75)" in css
    assert css.count("rgb(") == len(ANCHORS)
    assert "rgb(255 255 120 / 72%) 100%" in css


@pytest.mark.parametrize(
    ("row", "column", "place"), [(0, 0, 0), (0, 3, 1), (3, 6, 5), (3, 3, 4), (6, 0, 6), (6, 6, 8)]
)
def test_where_most_of_it_is(row: int, column: int, place: int) -> None:
    cells = np.full((7, 7), -1, np.float32)
    assert hottest(cells) == 4
    cells[row, column] = 3
    assert hottest(cells) == place
