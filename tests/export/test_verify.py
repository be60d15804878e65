"""The parity report decides what ships."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper
from quantize import main as quantize
from verify import FP32, INT8, KERAS, Result, choose, main, parity_failures

from flowers_onnx.confusion import Confusions
from flowers_onnx.metadata import read_info
from lib.model_metadata import write_confusion

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]


def results(*, int8_top1: float = 97.0) -> dict[str, Result]:
    sound = Result(KERAS, 14.0, 97.3, 99.5, 0, 0.0, 30.0)
    return {
        KERAS: sound,
        FP32: replace(sound, name=FP32, max_difference=1e-6),
        INT8: replace(sound, name=INT8, top1=int8_top1, differing_labels=9, max_difference=0.3),
    }


def test_int8_ships_up_to_a_loss_of_0_3_points() -> None:
    assert choose(results()) == INT8
    assert parity_failures(results()) == []
    assert choose(results(int8_top1=97.9)) == INT8
    assert choose(results(int8_top1=96.99)) == FP32
    assert parity_failures(results(int8_top1=96.99)) == [
        "onnx int8 loses 0.31 points, more than 0.3"
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"differing_labels": 1}, {"max_difference": 2e-3}, {"max_difference": float("nan")}],
)
def test_nothing_ships_when_the_conversion_is_wrong(wrong: dict[str, float]) -> None:
    measured = results()
    measured[FP32] = replace(measured[FP32], **wrong)  # type: ignore[arg-type]
    assert choose(measured) is None
    assert len(parity_failures(measured)) == 1


def test_report_and_shipped_file(
    exported: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fp32, int8 = f"{exported}/fp32.onnx", str(tmp_path / "int8.onnx")
    quantize(fp32, data=str(photos), out=int8, count=16)
    told = [Confusions("valid", (3, 3, 3, 3), {(0, 1): 2})]
    write_confusion(Path(int8), told)
    out, ship = tmp_path / "verify.json", tmp_path / "net.onnx"
    main(
        keras_model=f"{exported}/net.keras",
        fp32=fp32,
        int8=int8,
        data=str(photos),
        out=str(out),
        ship=str(ship),
    )
    record = json.loads(out.read_text())
    assert [result["name"] for result in record["results"]] == [KERAS, FP32, INT8]
    assert record["results"][1]["max_difference"] < 1e-5
    assert (record["photos"], record["ship"], record["failures"]) == (12, INT8, [])
    metrics = read_info(ship).metrics
    assert metrics["top1"] == round(record["results"][2]["top1"], 2)
    assert metrics["calibration"]["method"] == "minmax"
    assert list(read_info(ship).confusions()) == told  # of the file that it was made of
    assert "ship: onnx int8" in capsys.readouterr().out


def test_a_changed_file_fails(exported: Path, photos: Path, tmp_path: Path) -> None:
    model = onnx.load(exported / "fp32.onnx")
    dense = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [24, 4])
    values = numpy_helper.to_array(dense)[:, ::-1].copy()
    dense.CopyFrom(numpy_helper.from_array(values, dense.name))
    onnx.save(model, tmp_path / "changed.onnx")
    ship = tmp_path / "net.onnx"
    with pytest.raises(SystemExit, match="differ from keras"):
        main(
            keras_model=f"{exported}/net.keras",
            fp32=f"{tmp_path}/changed.onnx",
            data=str(photos),
            ship=str(ship),
        )
    assert not ship.exists()
