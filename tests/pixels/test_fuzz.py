"""Edited files: metadata cost nothing, missing pixels are noticed, and all is said in words.

``tests/bench/fuzz_images.py`` makes any of them again by its name, and more of them.
"""

from __future__ import annotations

import io
import tempfile

import damage
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from words import raw_text

from flowers_onnx import Classifier, ImageError
from flowers_onnx.errors import IMAGE_ERROR_CODES
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import Decoded, decode
from flowers_onnx.results import Failure

KINDS = sorted(damage.pictures())
numbers = st.integers(0, 1 << 32)
few = settings(deadline=None, max_examples=8, database=None)


def answer(data: bytes) -> Decoded | ImageError:
    """The decoder's, of a real file; whatever else it raises fails the test."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        try:
            return decode(file, Preprocess(224, 0.875, "bilinear"))
        except ImageError as error:
            return error


def check_words(error: ImageError) -> None:
    """A known code, and one line for people."""
    assert error.code in IMAGE_ERROR_CODES
    assert not raw_text(str(error)), str(error)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(number=numbers)
def test_metadata_never_change_an_answer(kind: str, number: int) -> None:
    found = answer(damage.edited(f"harmless:{kind}:{number}"))
    plain = answer(damage.pictures()[kind].data)
    assert isinstance(plain, Decoded)
    assert isinstance(found, Decoded), f"{found.code}: {found}"
    assert (found.width, found.height) == (plain.width, plain.height)
    assert damage.same(found.pixels, plain.pixels)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(number=numbers)
def test_missing_pixels_are_no_answer(kind: str, number: int) -> None:
    found = answer(damage.edited(f"cut:{kind}:{number}"))
    assert isinstance(found, ImageError)
    assert found.code in ("truncated", "corrupt")
    check_words(found)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(number=numbers)
def test_any_damage_is_an_answer_or_an_error_in_words(kind: str, number: int) -> None:
    found = answer(damage.edited(f"anyhow:{kind}:{number}"))
    if isinstance(found, ImageError):
        check_words(found)
    else:
        assert found.pixels.shape == (224, 224, 3)
        assert found.pixels.dtype == np.uint8


@settings(deadline=None, max_examples=40, database=None)
@given(kind=st.sampled_from(KINDS), way=st.sampled_from(damage.WAYS), number=numbers)
@example("jpeg", "cut", 0)
@example("png RGB", "harmless", 0)
def test_all_doors_say_the_same(
    classifier: Classifier,
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    way: str,
    number: int,
) -> None:
    data = damage.edited(f"{way}:{kind}:{number}")
    path = tmp_path_factory.getbasetemp() / "edited"
    path.write_bytes(data)
    found = [classifier.result(source) for source in (path, data, io.BytesIO(data))]
    seen = {
        (one.code, one.message) if isinstance(one, Failure) else (one.top, one.width, one.height)
        for one in found
    }
    assert len(seen) == 1, seen
