"""The processor in use, and one without VNNI, give the answers of exact arithmetic."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from answers import Comparison, compare, read_reference, write_pictures
from support import ROOT, Run, needs

REFERENCE = read_reference(photos=False)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(REFERENCE, folder, data=Path())
    return folder


@pytest.fixture(scope="module")
def perfect() -> list[dict[str, Any]]:
    """Records that give just what the reference says."""
    return [
        {
            "sha256": answer["sha256"],
            "status": "ok",
            "top": [{"class_id": i, "confidence": p} for i, p in answer["probabilities"].items()],
        }
        for answer in REFERENCE.values()
    ]


def test_this_processor(pictures: Path, flowers: Run) -> None:
    done = flowers("classify", pictures, "--format", "jsonl", "--top_k", "1000")
    found = compare(REFERENCE, map(json.loads, done.stdout.splitlines()))
    assert found.pictures == 21
    assert found.agrees, found


@pytest.mark.skipif(platform.machine() != "x86_64", reason="emulates another of its kind")
@needs("qemu-x86_64")
def test_emulated_haswell() -> None:
    answers = str(ROOT / "export" / "answers.py")
    done = subprocess.run(
        ["qemu-x86_64", "-cpu", "Haswell", sys.executable, answers, "check", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["simd"], report["pictures"]) == ("AVX2", 21)


def test_equal_answers_agree(perfect: list[dict[str, Any]]) -> None:
    assert compare(REFERENCE, perfect) == Comparison(21, (), (), (), 0)


def test_another_label_is_found(perfect: list[dict[str, Any]]) -> None:
    records = deepcopy(perfect)
    best, second = sorted(records[0]["top"], key=lambda c: -c["confidence"])[:2]
    best["class_id"], second["class_id"] = second["class_id"], best["class_id"]
    found = compare(REFERENCE, records)
    assert found.other_label == (next(iter(REFERENCE)),)
    assert not found.agrees


@pytest.mark.parametrize("change", [0.03, -0.03, float("nan")])
def test_a_moved_probability_is_found(perfect: list[dict[str, Any]], change: float) -> None:
    records = deepcopy(perfect)
    records[3]["top"][0]["confidence"] += change
    found = compare(REFERENCE, records)
    assert len(found.moved) == 1
    assert not found.agrees


def test_a_probability_that_should_be_zero_is_found(perfect: list[dict[str, Any]]) -> None:
    records = deepcopy(perfect)
    records[0]["top"].append({"class_id": "unheard of", "confidence": 0.03})
    assert not compare(REFERENCE, records).agrees


def test_a_missing_or_failed_picture_is_found(perfect: list[dict[str, Any]]) -> None:
    assert len(compare(REFERENCE, perfect[1:]).missing) == 1
    failed = [{**perfect[0], "status": "error", "top": []}, *perfect[1:]]
    assert not compare(REFERENCE, failed).agrees
    assert not compare({}, []).agrees
