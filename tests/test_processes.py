"""What crosses from one process to another: pickled, or inherited by a fork."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import PATIENCE, ROOT, SAMPLE, posix

import flowers_onnx
from flowers_onnx import (
    Candidate,
    Classifier,
    Failure,
    FlowersError,
    ImageError,
    ModelError,
    OutputError,
    Prediction,
    Query,
    StoppedError,
    StorageError,
    Timing,
    UsageError,
)
from flowers_onnx.serve.keep.cleaning import CannotCleanError
from flowers_onnx.serve.problems import Problem
from flowers_onnx.sidecar.xmp import XmpError
from flowers_onnx.stream.requests import BadRequest

ERRORS = [
    FlowersError("text"),
    UsageError("text"),
    ModelError("text"),
    OutputError("text"),
    StoppedError("text"),
    StorageError("not_found", "gs://b/o: none"),
    ImageError("corrupt", "can't be decoded"),
    Problem(429, "busy", "later", {"Retry-After": "1"}),
    CannotCleanError("odd"),
    XmpError("odd"),
    BadRequest(ImageError("bad_request", "no JSON"), 7),
]


class ElsewhereError(ImageError):
    """What a caller may derive: its arguments are its own."""

    def __init__(self, *, uri: str) -> None:
        super().__init__("not_found", f"{uri}: none")
        self.uri = uri


def copies(thing: Any) -> list[Any]:
    pickled = [pickle.dumps(thing, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    return [*map(pickle.loads, pickled), copy.copy(thing), copy.deepcopy(thing)]


@pytest.mark.parametrize(
    "error", [*ERRORS, ElsewhereError(uri="x")], ids=lambda e: type(e).__name__
)
def test_an_error_survives(error: FlowersError) -> None:
    error.add_note("seen on the way")
    for copied in copies(error):
        assert type(copied) is type(error)
        assert (str(copied), repr(copied), copied.args) == (str(error), repr(error), error.args)
        assert repr(vars(copied)) == repr(vars(error))
        assert copied.exit_code == error.exit_code


def test_no_error_is_missing_above() -> None:
    declared = set()
    for module in (ROOT / "flowers_onnx").rglob("*.py"):
        text = module.read_text(encoding="utf-8")
        declared |= set(
            re.findall(r"^class ([A-Z]\w+)\(\w*(?:Error|Exception)\):", text, re.MULTILINE)
        )
    assert declared == {type(error).__name__ for error in ERRORS}


def test_what_is_asked_and_answered_survives(classifier: Classifier) -> None:
    prediction = classifier.classify(SAMPLE)
    for thing in (
        Query(3, "la"),
        Candidate("rose", 74, 0.5),
        Timing(read=1, inference=2),
        Failure("corrupt", "text", "a.jpg", None, "m/1"),
        prediction,
        classifier.info,
    ):
        assert all(copied == thing for copied in copies(thing))
    assert all(copied.timing == prediction.timing for copied in copies(prediction))
    explanation, embedding = classifier.explain(SAMPLE), classifier.embed(SAMPLE)
    for copied in copies(explanation):
        assert copied == explanation
        assert np.array_equal(copied.heat.cells, explanation.heat.cells)
        assert (copied.heat.bias, copied.heat.area) == (
            explanation.heat.bias,
            explanation.heat.area,
        )
    for copied in copies(embedding):
        assert copied == embedding
        assert np.array_equal(copied.features, embedding.features)
    assert isinstance(prediction, Prediction)


def test_a_classifier_is_its_arguments(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(classifier.info.path, tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    mine = Classifier("model.onnx", threads=3, max_pixels=80_000)
    pickled = pickle.dumps(mine)
    assert len(pickled) < 1000
    monkeypatch.chdir("/")
    again = pickle.loads(pickled)
    assert (again.info.path, again.threads) == (str(tmp_path / "model.onnx"), 3)
    assert again.classify(SAMPLE) == mine.classify(SAMPLE)
    too_large = Image.new("RGB", (400, 400))
    assert isinstance(again.result(too_large), Failure)
    assert copy.deepcopy(again).threads == 3


def test_a_classifier_with_another_model_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = pickle.dumps(Classifier(threads=1))
    data = Path(Classifier(threads=1).info.path).read_bytes()
    other = tmp_path / "other.onnx"
    other.write_bytes(data.replace(b"flowers-lite0", b"flowers-other"))
    monkeypatch.setenv("FLOWERS_ONNX_MODEL", str(other))
    with pytest.raises(ModelError, match=r"other\.onnx is flowers-other/.* flowers-lite0/"):
        pickle.loads(shipped)
    chosen = pickle.dumps(Classifier(threads=1))
    monkeypatch.delenv("FLOWERS_ONNX_MODEL")
    assert pickle.loads(chosen).info.path == str(other)
    other.unlink()
    with pytest.raises(ModelError, match="can't read the model"):
        pickle.loads(chosen)


POOLS = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from flowers_onnx import Classifier, ImageError

def code(error):
    assert type(error) is ImageError
    return error.code

if __name__ == "__main__":
    method, good, bad = sys.argv[1:]
    context = multiprocessing.get_context(method)
    classifier = Classifier(threads=1)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        first, second, third = (pool.submit(classifier.classify, p) for p in (good, bad, good))
        print(first.result().label, code(second.exception()), third.result().label)
        print(pool.submit(classifier.result, bad).result().code)
    with context.Pool(1) as pool:
        print(*(p.label for p in pool.map(classifier.classify, [good, good])))
        try:
            pool.map(classifier.classify, [good, bad, good])
        except ImageError as error:
            print(code(error))
"""


@pytest.mark.parametrize(
    "method", ["spawn", pytest.param("fork", marks=posix), pytest.param("forkserver", marks=posix)]
)
def test_one_bad_photo_costs_a_pool_nothing(tmp_path: Path, method: str) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(SAMPLE.read_bytes()[:200])
    (tmp_path / "pools.py").write_text(POOLS)
    words = [sys.executable, *map(str, (tmp_path / "pools.py", method, SAMPLE, bad))]
    done = subprocess.run(words, capture_output=True, timeout=PATIENCE, check=False)
    label = "pink-yellow dahlia"
    code = done.stdout.decode().splitlines()[-1]
    assert code in ("truncated", "corrupt"), done.stderr.decode()
    assert done.stdout.decode().splitlines() == [
        f"{label} {code} {label}", code, f"{label} {label}", code
    ]  # fmt: skip


FORKS = """
import os, signal, sys, threading, time
from flowers_onnx import Classifier

photos = sys.argv[1:]
classifier = Classifier(threads=1)

def classify_for_ever(photo):
    while True:
        classifier.classify(photo)

for photo in photos:
    threading.Thread(target=classify_for_ever, args=[photo], daemon=True).start()
children = []
for _ in range(8):
    time.sleep(0.03)
    child = os.fork()
    if not child:
        signal.alarm(60)
        for photo in photos:
            classifier.classify(photo)
        os._exit(0)
    children.append(child)
ends = [os.waitpid(child, 0)[1] for child in children]
print(*ends, flush=True)
os._exit(0)
"""


@posix
def test_forked_children_classify_while_threads_decode(tmp_path: Path) -> None:
    names = ["a.webp", "b.avif", "c.jpg", "d.png", "e.tif"]
    options: dict[str, dict[str, Any]] = {
        "b.avif": {"speed": 10},
        "c.jpg": {"progressive": True},
        "e.tif": {"compression": "tiff_lzw"},
    }
    with Image.open(SAMPLE) as photo:
        for name in names:
            photo.save(tmp_path / name, **options.get(name, {}))
    done = subprocess.run(
        [sys.executable, "-c", FORKS, *names],
        cwd=tmp_path, capture_output=True, timeout=2 * PATIENCE, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == (b"0 0 0 0 0 0 0 0\n", 0), done.stderr.decode()


def test_public_dataclasses_are_all_there() -> None:
    # Those that are tried above.
    public = {name: getattr(flowers_onnx, name) for name in flowers_onnx.__all__}
    found = {name for name, thing in public.items() if dataclasses.is_dataclass(thing)}
    tried = {"Candidate", "Failure", "ModelInfo", "Prediction", "Query", "Timing"}
    assert found == tried | {"Embedding", "Explanation", "HeatMap"}
