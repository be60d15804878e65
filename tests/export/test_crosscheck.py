"""The same answers on this processor and on emulated ones."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from crosscheck import Run, main
from quantize import main as quantize

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]


def test_agreement_has_limits() -> None:
    run = Run("qemu", "AVX2", 1.0, 1.0, 0.001, 900.0)
    assert run.agrees
    assert not replace(run, same_label=0.99).agrees
    assert not replace(run, max_difference=0.02).agrees
    assert not replace(run, max_difference=float("nan")).agrees


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-user")
def test_emulated_haswell(
    exported: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = str(tmp_path / "int8.onnx"), tmp_path / "crosscheck.json"
    quantize(f"{exported}/fp32.onnx", data=str(photos), out=model, count=16)
    capsys.readouterr()
    main(model=model, data=str(photos), count=4, out=str(out))
    runs = json.loads(out.read_text())["runs"]
    assert [run["name"] for run in runs] == ["exact sums", "this processor", "qemu -cpu Haswell"]
    assert runs[2]["simd"] == "AVX2"
    assert {run["same_label"] for run in runs} == {1.0}
    assert "qemu -cpu Haswell" in capsys.readouterr().out


def test_needs_the_emulator(monkeypatch: pytest.MonkeyPatch, photos: Path) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="apt install qemu-user"):
        main(model="any.onnx", data=str(photos))


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-user")
def test_a_failing_run_is_reported(photos: Path) -> None:
    with pytest.raises(SystemExit, match=r"crosscheck: .* failed .*missing\.onnx"):
        main(model="missing.onnx", data=str(photos), count=1)
