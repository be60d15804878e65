"""``flowers benchmark`` measures: what it tells, of what; no test depends on how fast it is."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support import FLOWERS, Run, job, posix

from flowers_onnx.benchmark import document, processes
from flowers_onnx.environment import MACHINE_FACTS
from flowers_onnx.errors import FlowersError, ModelError, UsageError
from flowers_onnx.onnx_file import find_model

Document = dict[str, Any]

COLD_STAGES = ["start", "arguments", "imports", "load", "output", "exit"]
PHOTO_STAGES = ["read", "decode", "preprocess", "inference", "postprocess"]


def test_every_scenario_is_split_by_stage(measured: Document) -> None:
    rows = {row["scenario"]: row for row in measured["rows"]}
    assert list(rows) == ["cold", "single-stream", "offline"]
    assert set(rows["cold"]["ms"]) == {"total", "cpu", *COLD_STAGES, *PHOTO_STAGES}
    assert set(rows["single-stream"]["ms"]) == {"total", "cpu", *PHOTO_STAGES}
    assert set(rows["offline"]["ms"]) == {"total", "cpu"}
    for row in rows.values():
        assert row["runs"] == len(row["samples"]["total"]) >= 1
        assert row["not_included"]
        for stage, figures in row["ms"].items():
            samples = [sample for run in row["samples"][stage] for sample in run]
            assert figures["count"] == len(samples)
            assert 0 <= figures["min"] <= figures["p50"] <= figures["p90"] <= figures["p99"]
            assert figures["max"] == max(samples)
    assert rows["offline"]["photos_per_second"] == pytest.approx(
        1000 / rows["offline"]["ms"]["total"]["p50"], rel=0.01
    )
    assert set(rows["single-stream"]["first_ms"]) == {"load", *PHOTO_STAGES}
    assert 20 < rows["cold"]["peak_rss_mib"] < 1000


def test_stages_sum_up_to_the_total(measured: Document) -> None:
    cold, single, _ = (row["samples"] for row in measured["rows"])
    for index, run in enumerate(single["total"]):
        for number, total in enumerate(run):
            parts = sum(single[stage][index][number] for stage in PHOTO_STAGES)
            assert parts <= total + 0.01
    medians = measured["rows"][1]["ms"]
    assert sum(medians[stage]["p50"] for stage in PHOTO_STAGES) > 0.5 * medians["total"]["p50"]
    # Another process tells the stages, in another moment: sure is only that both are in ms.
    parts = sum(cold[stage][0][0] for stage in (*COLD_STAGES, *PHOTO_STAGES))
    assert 1 / 30 < parts / cold["total"][0][0] < 30


def test_the_result_says_where_and_of_what(measured: Document) -> None:
    assert (measured["kind"], measured["schema"]) == ("flowers-onnx benchmark", "1.0")
    assert set(MACHINE_FACTS) < set(measured["environment"])
    assert 0 < measured["environment"]["cpu_share"] <= 1
    digest = hashlib.sha256(Path(find_model()).read_bytes()).hexdigest()
    assert {row["model"]["sha256"] for row in measured["rows"]} == {digest}
    assert measured["photos"]["source"].startswith("a made-up JPEG")
    assert 60_000 < measured["photos"]["bytes"] < 140_000
    assert measured["stopped_by"] in ("precision", "time")


def test_the_result_has_the_form_that_is_declared(measured: Document) -> None:
    row = measured["rows"][0]
    parts: list[tuple[Document, Any]] = [
        (measured, document.Document),
        (measured["settings"], document.Settings),
        (measured["environment"], document.Environment),
        (measured["environment"]["load_average"], document.LoadAverage),
        (measured["photos"], document.Photos),
        (row, document.Row),
        (row["model"], document.Model),
        (row["ms"]["total"], document.Summary),
    ]
    for part, form in parts:
        assert list(part) == list(form.__annotations__)


@pytest.mark.parametrize("frozen", [False, True])
def test_the_probe_does_what_the_command_does(
    flowers: Run, sample: Path, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    words = ["classify", str(sample), "--format", "jsonl", "--threads", "1"]
    probe = [*processes.probe_command(), *words]
    if frozen:
        monkeypatch.setattr(sys, "frozen", True, raising=False)
        interpreter, *more = processes.probe_command()
        assert processes.flowers_command() == [interpreter]
        probe = [interpreter, "-m", "flowers_onnx", *more, *words]  # as if that were one file
    record, stamps = processes.run(probe).output.splitlines(keepends=True)
    assert record == flowers(*words).stdout
    assert set(json.loads(stamps)["timing"]) == set(PHOTO_STAGES)


def test_a_process_that_fails_is_an_error() -> None:
    with pytest.raises(FlowersError, match="ended with 1: no memory"):
        processes.run([sys.executable, "-c", "raise SystemExit('no memory')"])


def test_lists_make_a_matrix(flowers: Run, sample: Path, tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        shutil.copy(find_model(), tmp_path / name)
    done = flowers(
        "benchmark", sample, "--threads", "1,2,1", "--model", "a.onnx,b.onnx", "--warmup", "0",
        "--scenario", "single-stream", "--max_seconds", "0.01", "--format", "jsonl",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    found = [(row["threads"], row["model"]["file"], row["runs"]) for row in rows]
    assert found == [(1, "a.onnx", 1), (2, "a.onnx", 1), (1, "b.onnx", 1), (2, "b.onnx", 1)]
    # The two have the same metadata, and are told apart by their files.
    assert rows[0]["model"]["name"].endswith("(a.onnx)")
    assert rows[0]["photos"]["count"] == 1
    assert "samples" not in rows[0]


def test_a_model_that_exists_is_not_taken_for_a_list(sample: Path, tmp_path: Path) -> None:
    model = tmp_path / "a,b.onnx"
    model.write_bytes(b"")
    with pytest.raises(ModelError, match=r"a,b\.onnx has no flowers-onnx metadata"):
        job("benchmark", sample, "--model", model).work()


def test_photos_that_cannot_be_measured_with(flowers: Run, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(sample.read_bytes()[:2000])
    (tmp_path / "empty").mkdir()
    complaint = "can't measure with broken.jpg: the file ends before the image does"
    done = flowers("benchmark", sample, "broken.jpg")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == f"flowers: {complaint}\n"
    for name, complaint in (
        ("broken.jpg", "the file ends before the image does"),
        ("missing.jpg", "no such file or folder"),
        ("empty", "no images in this folder"),
    ):
        with pytest.raises(UsageError, match=complaint):
            job("benchmark", tmp_path / name).work()
    with pytest.raises(ModelError):
        job("benchmark", sample, "--model", "missing.onnx").work()


@posix
def test_a_terminal_sees_progress(sample: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [FLOWERS, "benchmark", sample, "--scenario", "single-stream", "--max_seconds", "0.1"],
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    output, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0
    assert b"] warm-up: single-stream" in seen
    assert b"] run 1: single-stream" in seen
    assert b"\r\x1b[K[" in seen
    # The bar is gone in the end; warnings may follow.
    assert b"[" not in seen.rpartition(b"\r\x1b[K")[2].replace(b"flowers: warning", b"")
    assert b"\x1b" not in output


def test_interruption_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    process = subprocess.Popen(
        [FLOWERS, "benchmark", "--scenario", "cold", "--output", "out.txt"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(folder)},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 30
    while not os.listdir(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    output, complaint = process.communicate(timeout=30)
    assert (process.returncode, output, complaint) == (130, b"", b"flowers: interrupted\n")
    assert os.listdir(tmp_path) == ["tmp"]
    assert os.listdir(folder) == []
    with pytest.raises(ProcessLookupError):  # no child is left in its group
        os.killpg(process.pid, 0)
