"""Files edited by a chance that shrinks: metadata cost nothing, missing pixels are noticed."""

from __future__ import annotations

import io
import random

import damage
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from words import raw_text

from flowers_onnx import Classifier, ImageError
from flowers_onnx.errors import IMAGE_ERROR_CODES
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import Decoded, decode
from flowers_onnx.results import Failure

PREPROCESS = Preprocess(224, 0.875, "bilinear")
PICTURES = damage.pictures()

chance = st.randoms(use_true_random=False, note_method_calls=False)
fuzzed = settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow], database=None
)


def answer(data: bytes) -> Decoded | ImageError:
    """The decoder's; whatever else it raises fails the test."""
    try:
        return decode(io.BytesIO(data), PREPROCESS)
    except ImageError as error:
        return error


def check_words(error: ImageError) -> None:
    """A known code, and one line for people."""
    assert error.code in IMAGE_ERROR_CODES
    assert not raw_text(str(error)), str(error)


@pytest.mark.parametrize("name", PICTURES)
@fuzzed
@given(rng=chance)
def test_metadata_never_change_an_answer(name: str, rng: random.Random) -> None:
    picture = PICTURES[name]
    found, plain = answer(damage.harmlessly(picture, rng)), answer(picture.data)
    assert isinstance(plain, Decoded)
    assert isinstance(found, Decoded), f"{found.code}: {found}"
    assert (found.width, found.height) == (plain.width, plain.height)
    assert np.array_equal(found.pixels, plain.pixels)


@pytest.mark.parametrize("name", PICTURES)
@fuzzed
@given(rng=chance)
def test_missing_pixels_are_no_answer(name: str, rng: random.Random) -> None:
    picture = PICTURES[name]
    found = answer(picture.cut(picture.data, rng))
    assert isinstance(found, ImageError)
    assert found.code in ("truncated", "corrupt")
    check_words(found)


@pytest.mark.parametrize("name", PICTURES)
@fuzzed
@given(rng=chance)
def test_any_damage_is_an_answer_or_an_error_in_words(name: str, rng: random.Random) -> None:
    found = answer(damage.anyhow(PICTURES[name].data, rng))
    if isinstance(found, ImageError):
        check_words(found)
    else:
        assert found.pixels.shape == (224, 224, 3)
        assert found.pixels.dtype == np.uint8


@settings(deadline=None, max_examples=60, database=None)
@given(name=st.sampled_from(sorted(PICTURES)), rng=chance)
def test_all_doors_say_the_same(
    classifier: Classifier, tmp_path_factory: pytest.TempPathFactory, name: str, rng: random.Random
) -> None:
    data = damage.anyhow(PICTURES[name].data, rng)
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(data)
    found = [classifier.result(source) for source in (path, data, io.BytesIO(data))]
    seen = {
        (one.code, one.message) if isinstance(one, Failure) else (one.top, one.width, one.height)
        for one in found
    }
    assert len(seen) == 1, seen
