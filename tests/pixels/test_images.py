"""Any file gives a prediction or one clear error: never a traceback, a hang or a huge process."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import odd_images
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support import FLOWERS, posix

from flowers_onnx import Classifier, Failure, ImageError
from flowers_onnx.errors import IMAGE_ERROR_CODES
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import decode

PREPROCESS = Preprocess(224, 0.875, "bilinear")

#: What may be said of a broken image: nothing that is about decoders and their streams.
FOR_PEOPLE = re.compile(
    r"the file is damaged: its picture can't be decoded"
    r"|the file ends before the image does"
    r"|the image has no pixels"
    r"|the file is empty"
    r"|not an image, or of an unknown format"
    r"|.+ (is|are) not supported; convert it to .+"
    r"|\d+ x \d+ pixels are too many to decode \(limit [0-9,]+: it takes --max_pixels \d+\)"
    r"|more than 100 scans are too many to decode"
    r"|not enough memory to decode it"
)


@posix
def test_two_hundred_odd_files_in_one_run(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    expected = dict(odd_images.make(folder))
    assert len(expected) == 200
    code, output, errors, megabytes = run_measured("--threads", "2", folder)
    records = [json.loads(line) for line in output.splitlines()]
    failed = sum(record["status"] == "error" for record in records)
    assert (code, errors) == (1, f"flowers: {failed} of 200 inputs failed; their rows say why\n")
    assert [Path(record["path"]).name for record in records] == sorted(expected)
    for record in records:
        wanted = expected[Path(record["path"]).name]
        outcome = record["error"]["code"] if record["error"] else "ok"
        assert outcome in ({wanted} if isinstance(wanted, str) else wanted), record
    assert megabytes < 320


def run_measured(*words: str | Path) -> tuple[int, str, str, float]:
    """Exit code, stdout, stderr and peak memory in MB of ``flowers classify``.

    Started by a small process in between: a child's peak counts from that of its parent,
    and pytest's is large.
    """
    program = (
        "import json, resource, subprocess, sys;"
        "done = subprocess.run(sys.argv[1:], capture_output=True, text=True, timeout=120);"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024;"
        "print(json.dumps([done.returncode, done.stdout, done.stderr, peak]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, FLOWERS, "classify", "--format", "jsonl", *words],
        capture_output=True,
        check=True,
    )
    code, output, errors, megabytes = json.loads(done.stdout)
    return code, output, errors, megabytes


@posix
@pytest.mark.parametrize("name", odd_images.HEAVY)
def test_the_heaviest_images_within_the_limits(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(odd_images.HEAVY[name]())
    code, output, errors, megabytes = run_measured(path, path, path, "--threads", "3")
    statuses = {json.loads(line)["status"] for line in output.splitlines()}
    assert (code, statuses, errors) in (
        (0, {"ok"}, ""),
        (1, {"error"}, "flowers: 3 of 3 inputs failed; their rows say why\n"),
    )
    assert megabytes < 320


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damage_anywhere_is_an_answer_or_a_known_error(data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]))
    damaged = bytearray(odd_images.encode(odd_images.gradient(40, 30), format))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(0, len(damaged))) :]
    try:
        decoded = decode(io.BytesIO(bytes(damaged)), PREPROCESS)
    except ImageError as error:
        assert error.code in IMAGE_ERROR_CODES
        assert FOR_PEOPLE.fullmatch(str(error)), error
    else:
        assert decoded.pixels.shape == (224, 224, 3)
        assert decoded.pixels.dtype == np.uint8


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation: int, format: str) -> None:
    upright = odd_images.gradient(400, 300)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(io.BytesIO(odd_images.encode(stored, format, exif=exif)), PREPROCESS)
    plain = decode(io.BytesIO(odd_images.encode(upright, "PNG")), PREPROCESS)
    assert (decoded.width, decoded.height) == (400, 300)
    assert np.abs(decoded.pixels.astype(int) - plain.pixels).max() <= 1


def test_transparency_is_white() -> None:
    clear = Image.new("RGBA", (300, 300), (200, 10, 10, 0))
    decoded = decode(io.BytesIO(odd_images.encode(clear, "PNG")), PREPROCESS)
    assert (decoded.pixels == 255).all()


def test_sixteen_bits_keep_their_range() -> None:
    ramp = np.linspace(0, 65535, 256 * 256).reshape(256, 256).astype(np.uint16)
    deep = decode(io.BytesIO(odd_images.encode(Image.fromarray(ramp), "PNG")), PREPROCESS)
    flat = Image.fromarray((ramp >> 8).astype(np.uint8))
    plain = decode(io.BytesIO(odd_images.encode(flat, "PNG")), PREPROCESS)
    assert np.abs(deep.pixels.astype(int) - plain.pixels).max() <= 1


def test_a_large_jpeg_reduced_in_the_decoder_looks_the_same(sample: Path) -> None:
    with Image.open(sample) as photo:
        large = photo.resize((photo.width * 8, photo.height * 8), Image.Resampling.BICUBIC)
    data = odd_images.encode(large, "JPEG", quality=95)
    reduced = decode(io.BytesIO(data), PREPROCESS).pixels.astype(int)
    full = decode(io.BytesIO(odd_images.encode(large, "PNG", compress_level=1)), PREPROCESS)
    assert np.abs(reduced - full.pixels).mean() < 2


def test_a_jpeg_of_scans_without_end_is_refused_before_it_is_decoded() -> None:
    # 70 KB that took 17 s: each scan goes over the whole picture.
    data = odd_images.encode(Image.new("L", (4000, 3000)), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageError, match="scans") as caught:
        decode(io.BytesIO(data[:-2] + last * 1000 + data[-2:]), PREPROCESS)
    assert caught.value.code == "too_large"
    # Behind its end there may be anything, such as a film.
    assert decode(io.BytesIO(data + last * 1000), PREPROCESS).width == 4000


def test_a_pixel_limit_of_ones_own(sample: Path) -> None:
    small = Classifier(max_pixels=1000)
    (failure,) = small.classify_many([sample])
    assert isinstance(failure, Failure)
    assert failure.code == "too_large"
