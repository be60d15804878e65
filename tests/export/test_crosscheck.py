"""The same answers on this processor and on emulated ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from crosscheck import main
from quantize import main as quantize
from support import needs

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]


@needs("qemu-x86_64")
def test_emulated_haswell(
    exported: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = str(tmp_path / "int8.onnx"), tmp_path / "crosscheck.json"
    quantize(f"{exported}/fp32.onnx", data=str(photos), out=model, count=16)
    capsys.readouterr()
    main(model=model, data=str(photos), count=4, out=str(out))
    runs = json.loads(out.read_text())
    assert [run["name"] for run in runs] == ["this processor", "qemu -cpu Haswell"]
    assert runs[1]["simd"] == "AVX2"
    assert [run["pictures"] for run in runs] == [5, 5]  # four photos and the sample
    assert all(run["agrees"] for run in runs)
    assert "qemu -cpu Haswell" in capsys.readouterr().out


def test_needs_the_emulator(monkeypatch: pytest.MonkeyPatch, photos: Path) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="apt install qemu-user"):
        main(model="any.onnx", data=str(photos))


@needs("qemu-x86_64")
def test_a_failing_run_is_reported(photos: Path) -> None:
    with pytest.raises(SystemExit, match=r"crosscheck: .* failed .*missing\.onnx"):
        main(model="missing.onnx", data=str(photos), count=1)
