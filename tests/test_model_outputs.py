"""A model whose output is no answer: it is refused at every door, and NaN is never printed."""

from __future__ import annotations

import ast
import json
import math
import subprocess
from pathlib import Path

import pytest
from models import constant_model
from support import FLOWERS, PATIENCE, ROOT, SAMPLE, Run

from flowers_onnx import Classifier, Failure, ImageError, ModelError

EVEN = [1 / 102] * 102
ROW = (1, 102)
BROKEN = {
    "nan": ([math.nan] * 102, ROW),
    "one nan": ([math.nan, *EVEN[1:]], ROW),
    "infinity": ([math.inf, -math.inf, *EVEN[2:]], ROW),
    "logits": ([12.5, -3.0, *EVEN[2:]], ROW),
    "nothing": ([0.0] * 102, ROW),
    "all": ([1.0] * 102, ROW),
    "no row": (EVEN, (102,)),
    "two rows": (EVEN * 2, (2, 102)),
    "deep": (EVEN, (1, 1, 102)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_it_is_an_error_of_the_photo(tmp_path: Path, name: str) -> None:
    model = constant_model(tmp_path / "model.onnx", *BROKEN[name])
    classifier = Classifier(model, threads=1)
    with pytest.raises(ImageError, match="the model's output is no answer") as caught:
        classifier.classify(SAMPLE)
    assert caught.value.code == "internal_error"
    result = classifier.result(SAMPLE)
    assert isinstance(result, Failure)
    assert (result.code, result.message) == ("internal_error", str(caught.value))
    with pytest.raises(ModelError, match=r"model\.onnx: the model's output is no answer"):
        classifier.warm_up()


@pytest.mark.parametrize("width", [101, 103])
def test_another_width_is_refused_at_once(tmp_path: Path, width: int) -> None:
    model = constant_model(tmp_path / "model.onnx", [1 / width] * width, (1, width))
    with pytest.raises(ModelError, match=f"has {width} outputs for 102 labels"):
        Classifier(model)


def test_rounding_is_no_error(tmp_path: Path) -> None:
    values = [1.0000004, -1e-7, *[0.0] * 100]
    classifier = Classifier(constant_model(tmp_path / "model.onnx", values, ROW), threads=1)
    first, *others = classifier.classify(SAMPLE, top_k=102).top
    assert first.confidence == 1
    assert {str(other.confidence) for other in others} == {"0.0"}


@pytest.fixture
def nan_model(tmp_path: Path) -> Path:
    return constant_model(tmp_path / "nan.onnx", *BROKEN["nan"])


@pytest.mark.parametrize("format", ["text", "json", "jsonl", "csv"])
def test_classify_says_so(flowers: Run, nan_model: Path, format: str) -> None:
    done = flowers("classify", SAMPLE, "--model", nan_model, "--format", format)
    assert done.returncode == 1
    assert (b"internal_error" in done.stdout) == (format != "text")
    assert b"nan" not in done.stdout.lower().replace(str(nan_model).encode(), b"")
    assert (b"no answer" in done.stderr) == (format == "text")


def test_batch_says_so(flowers: Run, nan_model: Path, tmp_path: Path) -> None:
    done = flowers("batch", SAMPLE.parent, "--out", "rows.jsonl", "--model", nan_model)
    assert done.returncode == 1
    (row,) = map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())
    assert (row["error"]["code"], row["confidence"]) == ("internal_error", None)


@pytest.mark.parametrize("command", [("stream",), ("serve", "--port", "0", "--auth", "none")])
def test_what_serves_does_not_begin(nan_model: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [FLOWERS, *command, "--model", nan_model],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, b"")
    last = done.stderr.splitlines()[-1]
    assert last.startswith(b"flowers: ")
    assert b"nan.onnx: the model's output is no answer" in last
    assert b"Traceback" not in done.stderr


def test_benchmark_says_so(flowers: Run, nan_model: Path) -> None:
    done = flowers("benchmark", "--model", nan_model, "--max_seconds", "1")
    assert done.returncode == 2
    assert b"no answer" in done.stderr


def test_no_json_is_written_that_could_hold_nan() -> None:
    for module in (ROOT / "flowers_onnx").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.dumps", "json.dump"):
                options = {option.arg: ast.unparse(option.value) for option in node.keywords}
                assert options.get("allow_nan") == "False", f"{module}:{node.lineno}"
