"""What other programs rely on, pinned: the record, its codes, and the exit codes.

Nothing here may change without a new version of what it belongs to.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from recorded import FAILED, FAILED_LINE, GOOD, GOOD_LINE
from support import Run

from flowers_onnx import environment, errors
from flowers_onnx.cli import main
from flowers_onnx.record import RECORD_SCHEMA, to_json
from flowers_onnx.results import Failure, Prediction, result_of


@pytest.mark.parametrize(("result", "line"), [(GOOD, GOOD_LINE), (FAILED, FAILED_LINE)])
def test_the_record_is_pinned(result: Prediction | Failure, line: str) -> None:
    assert RECORD_SCHEMA == "1.1"
    assert to_json(result.to_record()) == line
    assert result_of(json.loads(line)) == result


def test_the_error_codes_are_pinned() -> None:
    assert errors.IMAGE_ERROR_CODES == (
        "not_found", "permission_denied", "no_images", "not_a_file", "read_error", "is_empty",
        "not_an_image", "unsupported", "truncated", "corrupt", "too_large", "bad_request",
        "internal_error",
    )  # fmt: skip


def test_the_exit_codes_are_pinned() -> None:
    codes = {
        error.__name__: error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.FlowersError)
    }
    assert codes == {
        "FlowersError": 1,
        "UsageError": 2,
        "ModelError": 3,
        "OutputError": 4,
        "StorageError": 4,
        "StoppedError": 5,
        "ImageError": 1,
    }
    assert (main.INTERRUPTED, main.TERMINATED, main.HUNG_UP) == (130, 143, 129)


def test_the_form_of_a_run_id_is_pinned() -> None:
    ids = [environment.new_run_id() for _ in range(2)]
    assert all(re.fullmatch(r"20\d{6}T\d{6}Z-[0-9a-f]{8}", run_id) for run_id in ids)
    assert ids[0] != ids[1]


def test_the_forms_of_labels_are_pinned(flowers: Run) -> None:
    outputs = {
        form: flowers("labels", "--lang", "es", "--format", form).stdout.decode()
        for form in ("csv", "jsonl", "json", "text")
    }
    assert outputs["csv"].splitlines()[:2] == [
        "class_id,label,scientific_name,genus,family",
        "1,onagra rosada,Oenothera speciosa,Oenothera,Onagraceae",
    ]
    row = (
        '{"class_id": 7, "label": "orquídea mariposa", "scientific_name": "Phalaenopsis amabilis", '
        '"genus": "Phalaenopsis", "family": "Orchidaceae"}'
    )
    assert row in outputs["jsonl"].splitlines()
    assert outputs["json"].startswith('[\n {\n  "class_id": 1,\n  "label": "onagra rosada",\n')
    assert '"label": "orquídea mariposa"' in outputs["json"]
    assert re.search(
        r"^7 +orquídea mariposa +Phalaenopsis amabilis +Phalaenopsis +Orchidaceae$",
        outputs["text"],
        re.MULTILINE,
    )


def test_facts_are_told_in_utf8(flowers: Run, tmp_path: Path) -> None:
    model = tmp_path / "ñandú.onnx"
    model.symlink_to(json.loads(flowers("info", "--format", "json").stdout)["model"]["path"])
    assert "ñandú.onnx".encode() in flowers("info", "--format", "json", "--model", model).stdout


def test_a_stream_answers_in_utf8_and_order(flowers: Run, sample: Path) -> None:
    requests = [
        {"id": "ñ", "path": str(sample)},
        {"id": None, "path": "ñandú.jpg"},
        {"id": "\ud800"},
    ]
    lines = "\n".join(map(json.dumps, requests)).encode()
    ready, good, failed, bad = flowers("stream", stdin=lines).stdout.splitlines()
    assert list(json.loads(ready)) == [
        "ready", "protocol", "schema", "program", "model", "labels", "pid", "framing", "workers",
    ]  # fmt: skip
    names = list(json.loads(GOOD_LINE))
    assert list(json.loads(good)) == list(json.loads(failed)) == ["id", "ms", *names]
    assert good.startswith('{"id": "ñ", "ms": '.encode())
    assert '"path": "ñandú.jpg"'.encode() in failed
    assert bad.startswith(b'{"id": "\\ud800", "ms": ')  # half a character isn't UTF-8


def test_a_batch_tells_of_itself_in_utf8(flowers: Run, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "ñandú").mkdir()
    (tmp_path / "ñandú" / "a.jpg").write_bytes(sample.read_bytes())
    assert flowers("batch", "ñandú", "--out", "r.jsonl").returncode == 0
    record = (tmp_path / "r.jsonl.run.json").read_text(encoding="utf-8")
    assert '"ñandú"' in record
    assert list(json.loads(record)) == [
        "run_id", "started_at", "ended_at", "seconds", "arguments", "result", "counts", "labels",
        "errors", "model", "versions", "machine", "user", "schema",
    ]  # fmt: skip
