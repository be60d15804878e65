"""``flowers benchmark``, through the installed command; no test depends on how fast it is."""

from __future__ import annotations

import copy
import csv
import hashlib
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import FLOWERS, SAMPLE, Run, flag_words, job

from flowers_onnx import Classifier
from flowers_onnx.benchmark import processes
from flowers_onnx.benchmark.load import CpuShare, warnings
from flowers_onnx.benchmark.rounds import Case, Enough, measure
from flowers_onnx.benchmark.samples import FEWEST_RUNS, median_interval, ratio, summary
from flowers_onnx.benchmark.scenarios import Sample, Subject
from flowers_onnx.environment import MACHINE_FACTS
from flowers_onnx.errors import FlowersError, ModelError, UsageError
from flowers_onnx.machine import peak_rss
from flowers_onnx.onnx_file import find_model

Document = dict[str, Any]

COLD_STAGES = ["start", "arguments", "imports", "load", "output", "exit"]
PHOTO_STAGES = ["read", "decode", "preprocess", "inference", "postprocess"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """All scenarios of one short run without a PATH, as JSON."""
    folder = tmp_path_factory.mktemp("measured")
    done = subprocess.run(
        [
            FLOWERS,
            "benchmark",
            "--max_seconds",
            "1",
            "--warmup",
            "0",
            "--threads",
            "1",
            "--format",
            "json",
        ],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert os.listdir(folder) == [], "the made-up photo stayed behind"
    lines = done.stderr.decode().splitlines()
    document: Document = json.loads(done.stdout)
    # A machine that is busy says so; nothing else is said without a terminal.
    assert lines == [f"flowers: warning: {warning}" for warning in document["warnings"]]
    return document


@pytest.fixture
def saved(measured: Document, tmp_path: Path) -> Callable[..., Path]:
    """A file with the measured rows, where all samples are made up: ``runs`` a row."""

    def save(name: str, runs: list[list[float]], **changes: dict[str, str]) -> Path:
        document = copy.deepcopy(measured)
        for key, facts in changes.items():
            document[key] |= facts
        for row in document["rows"]:
            row["samples"]["total"] = runs
        (tmp_path / name).write_text(json.dumps(document))
        return tmp_path / name

    return save


def compared(*files: Path, **flags: str) -> tuple[int, str]:
    """The exit code and the output of comparing saved results."""
    output = files[0].with_name("output")
    words = flag_words({"compare": ",".join(map(str, files)), "out": str(output), **flags})
    code = job("benchmark", *words).work()
    return code, output.read_text()


def steady(milliseconds: float) -> list[list[float]]:
    """Runs that differ by two percent around ``milliseconds``."""
    return [[milliseconds * (0.99 + 0.02 * index / 19)] for index in range(20)]


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
    # Another process tells the stages, so only the order of magnitude is sure.
    parts = sum(cold[stage][0][0] for stage in (*COLD_STAGES, *PHOTO_STAGES))
    assert 0.2 < parts / cold["total"][0][0] < 5


def test_the_result_says_where_and_of_what(measured: Document) -> None:
    assert (measured["kind"], measured["schema"]) == ("flowers-onnx benchmark", "1.0")
    assert set(MACHINE_FACTS) < set(measured["environment"])
    assert 0 < measured["environment"]["cpu_share"] <= 1
    digest = hashlib.sha256(Path(find_model()).read_bytes()).hexdigest()
    assert {row["model"]["sha256"] for row in measured["rows"]} == {digest}
    assert measured["photos"]["source"].startswith("a made-up JPEG")
    assert 60_000 < measured["photos"]["bytes"] < 140_000
    assert measured["stopped_by"] in ("precision", "time")


def test_the_probe_does_what_the_command_does(flowers: Run, sample: Path) -> None:
    words = ["classify", str(sample), "--format", "jsonl", "--threads", "1"]
    probe = [*processes.module_command("flowers_onnx.cli.probe"), *words]
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


def test_all_formats_tell_the_same(saved: Callable[..., Path]) -> None:
    old, new = saved("old.json", steady(100)), saved("new.json", steady(120))
    formats = ("json", "jsonl", "csv", "md", "table")
    outputs = {name: compared(old, new, format=name) for name in formats}
    assert {code for code, _ in outputs.values()} == {1}
    document = json.loads(outputs["json"][1])
    lines = [json.loads(line) for line in outputs["jsonl"][1].splitlines()]
    rows = list(csv.DictReader(io.StringIO(outputs["csv"][1])))
    for row, line, record in zip(document["rows"], lines, rows, strict=True):
        assert line["ms"] == row["ms"]
        assert line["comparison"] == row["comparison"]
        assert line["environment"] == document["environment"]
        assert float(record["p50"]) == row["ms"]["total"]["p50"]
        assert float(record["ratio"]) == row["comparison"]["ratio"]
        assert record["cpu"] == document["environment"]["cpu"]
        assert record["model_sha256"] == row["model"]["sha256"]
    markdown, table = outputs["md"][1], outputs["table"][1]
    assert "| scenario | threads | model |" in markdown
    for text in (markdown, table):
        assert text.count("█") > 10
        assert "1.200" in text
        assert "leaves out" in text
    heads = next(line for line in table.splitlines() if line.startswith("scenario"))
    assert heads.split()[:4] == ["scenario", "threads", "model", "runs"]


def test_two_saved_results_are_compared(
    flowers: Run, saved: Callable[..., Path], tmp_path: Path
) -> None:
    files = f"{saved('old.json', steady(100))},{saved('new.json', steady(120))}"
    done = flowers("benchmark", "--compare", files, "--format", "json", "--out", "out.json")
    assert (done.returncode, done.stdout) == (1, b"")
    assert json.loads((tmp_path / "out.json").read_text())["comparison"]["slower"] is True


@pytest.mark.parametrize(
    ("runs", "fail_above", "code"),
    [
        (steady(90), "1.10", 0),
        (steady(100), "1.10", 0),
        (steady(105), "1.10", 0),
        (steady(105), "1.01", 1),
        (steady(130), "1.10", 1),
        (steady(130), "1.50", 0),
        # Above the limit, but the interval says that it may be chance.
        ([[50.0], [60.0], [130.0], [130.0], [60.0], [120.0], [130.0]], "1.10", 0),
        # Too few runs to tell.
        ([[200.0], [200.0]], "1.10", 0),
    ],
)
def test_only_what_is_surely_slower_fails(
    saved: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    runs: list[list[float]],
    fail_above: str,
    code: int,
) -> None:
    files = saved("old.json", steady(100)), saved("new.json", runs)
    found, output = compared(*files, fail_above=fail_above, format="json")
    assert found == code
    document = json.loads(output)
    talk = capsys.readouterr().err
    for row in document["rows"]:
        comparison = row["comparison"]
        assert comparison["slower"] is bool(code)
        if len(runs) < FEWEST_RUNS:
            assert comparison["ci95"] is None
            assert "too few runs" in talk
        else:
            low, high = comparison["ci95"]
            assert low <= comparison["ratio"] <= high


def test_a_new_measurement_is_compared(flowers: Run, saved: Callable[..., Path]) -> None:
    facts = {"cpu": "a faster one", "onnxruntime": "0.1"}
    old = saved("old.json", steady(0.001), environment=facts, photos={"sha256": "0"})
    done = flowers(
        "benchmark", "--scenario", "single-stream", "--threads", "1", "--compare", old,
        "--min_runs", str(FEWEST_RUNS), "--precision", "1000%", "--format", "json",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    (row,) = document["rows"]
    assert document["stopped_by"] == "precision"
    assert row["runs"] == FEWEST_RUNS
    assert row["comparison"]["ratio"] > 1000
    assert b"compare with care: cpu: a faster one -> " in done.stderr
    assert b"compare with care: onnxruntime: 0.1 -> " in done.stderr
    assert b"compare with care: the photos differ" in done.stderr


def test_what_cannot_be_compared_is_said_before_measuring(
    sample: Path, measured: Document, tmp_path: Path
) -> None:
    def changed(where: list[Any], value: object) -> bytes:
        document = copy.deepcopy(measured)
        place: Any = document
        for key in where[:-1]:
            place = place[key]
        place[where[-1]] = value
        return json.dumps(document).encode()

    samples = ["rows", 0, "samples", "total"]
    files = {
        "photo.json": (SAMPLE.read_bytes(), "is no result"),
        "list.json": (b"[]", "is no result"),
        "foreign.json": (b'{"rows": []}', "is no result"),
        "schema.json": (changed(["schema"], "9.0"), "has schema 9.0"),
        "key.json": (changed(["rows", 0, "threads"], "1"), "is broken"),
        "photos.json": (changed(["photos", "sha256"], None), "is broken"),
        "rows.json": (changed(["rows"], [1]), "is broken"),
        "empty.json": (changed(["rows"], []), "no row of the same"),
        "other.json": (changed(["rows", 0, "scenario"], "server"), "no row of the same"),
        "facts.json": (changed(["environment"], None), "is broken"),
        "zero.json": (changed(samples, [[0.0]]), "is broken"),
        "infinite.json": (changed(samples, [[float("inf")]]), "is broken"),
        "text.json": (changed(samples, "text"), "is broken"),
        "ragged.json": (changed(samples, [[1.0], [1.0, 1.0]]), "is broken"),
        "figures.json": (changed(["rows", 0, "ms"], {}), "is broken"),
        "missing.json": (None, "can't read"),
    }
    output = tmp_path / "output"
    for name, (content, complaint) in files.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UsageError) as caught:
            job(
                *("benchmark", sample, "--compare", path, "--out", output),
                *("--scenario", "cold", "--warmup", "0"),
            ).work()
        assert complaint in str(caught.value), name
        assert len(str(caught.value).splitlines()) == 1
        assert not output.exists()


def test_plot(
    flowers: Run, saved: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    home = tmp_path / "home"
    home.mkdir()
    old = saved("old.json", steady(100))
    document = json.loads(old.read_text())
    old.write_text(json.dumps(document | {"rows": document["rows"][:1]}))
    words = ("benchmark", "--compare", f"{old},{old}", "--plot", "plot.SVG")
    done = flowers(*words, env={"HOME": str(home)})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "plot.SVG").read_bytes().startswith(b"<?xml")
    assert os.listdir(home) == []

    monkeypatch.setenv("MPLCONFIGDIR", str(home))
    plot = tmp_path / "plot.png"
    assert compared(old, old, plot=str(plot))[0] == 0
    assert plot.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="won't be overwritten"):
        compared(old, old, plot=str(plot))


def test_a_missing_extra_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'flowers-onnx\[plot\]'"):
        job("benchmark", "--plot", "plot.png")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"scenario": "warm"}, "--scenario must be one of cold, single-stream, offline"),
        ({"threads": "1,zero"}, "--threads needs a whole number"),
        ({"format": "text"}, "--format must be one of table, md"),
        ({"min_runs": "0"}, "--min_runs needs a whole number of at least 1"),
        ({"warmup": "-1"}, "--warmup needs a whole number of at least 0"),
        ({"max_seconds": "inf"}, "--max_seconds needs a number above 0"),
        ({"max_seconds": "soon"}, "--max_seconds needs a number above 0"),
        ({"precision": "0%"}, "--precision needs a number above 0"),
        ({"fail_above": "nan"}, "--fail_above needs a number above 0"),
        ({"plot": "plot.pdf"}, "ends in .png or .svg"),
        ({"plot": "missing/plot.png"}, "no such folder"),
        ({"compare": "a,b,c"}, "not 3 files"),
    ],
)
def test_flags_are_checked(flags: dict[str, str], complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        job("benchmark", *flag_words(flags))
    assert complaint in str(caught.value)


def test_words_that_make_no_sense(sample: Path) -> None:
    with pytest.raises(UsageError, match="give files"):
        job("benchmark", "-")
    with pytest.raises(UsageError, match="takes no PATH"):
        job("benchmark", sample, "--compare", "a.json,b.json")


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


def test_a_terminal_sees_progress(sample: Path) -> None:
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


def test_help_imports_nothing_of_it() -> None:
    program = (
        "import sys; from flowers_onnx.cli.arguments import parse; parse(['benchmark', '--help']);"
        "print([n for n in sys.modules if 'flowers_onnx.benchmark' in n or n == 'numpy'])"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=-1, check=True)
    assert done.stdout == b"[]\n"


def test_busy_machines_are_told_from_quiet_ones() -> None:
    quiet = {"cold": [[10.0], [10.1], [10.0], [9.9], [10.0]]}
    wild = {"cold": [[10.0], [15.0], [10.0], [18.0], [7.0]]}
    assert warnings(0.1, 2, 0.99, quiet) == []
    assert warnings(None, 2, 0.99, quiet) == []
    assert warnings(1.5, 64, 0.99, quiet) == []
    (load,) = warnings(1.5, 2, 0.99, quiet)
    (share,) = warnings(0.1, 2, 0.6, quiet)
    (spread,) = warnings(0.1, 2, 0.99, wild)
    assert "load average 1.5" in load
    assert "60%" in share
    assert spread.startswith("cold: the runs differ much")


def test_cpu_share_is_low_when_others_compute() -> None:
    alone = CpuShare()
    assert alone.share == 1
    alone.probe()
    assert 0 < alone.share <= 1


def test_figures_of_known_samples() -> None:
    figures = summary([[float(value)] for value in [*range(1, 100), 1000]])
    assert (figures["count"], figures["min"], figures["max"]) == (100, 1, 1000)
    assert figures["p50"] == 50.5
    assert figures["outliers"] == 1
    low, high = figures["ci95"]
    assert 35 < low < 50.5 < high < 66
    assert summary([[3.0]])["stdev"] is None
    assert median_interval([[1.0]] * (FEWEST_RUNS - 1)) is None


def test_intervals_are_of_runs_and_not_of_samples() -> None:
    # Runs that agree in themselves and not with each other: a hundred samples know little.
    runs = [[1.0] * 100, [2.0] * 100, [3.0] * 100, [4.0] * 100, [5.0] * 100]
    low, high = median_interval(runs) or (0, 0)
    assert high - low >= 2


def test_ratio_of_a_thing_with_itself_is_one() -> None:
    found, interval = ratio(steady(5), steady(5))
    assert found == 1
    assert interval is not None
    assert interval[0] <= 1 <= interval[1]
    assert ratio(steady(10), steady(5))[0] == pytest.approx(2)


class FakeScenario:
    """Writes down when it is run."""

    not_included = "nothing"
    peak_rss: float | None = None

    def __init__(self, name: str, log: list[str]) -> None:
        self._name, self._log = name, log

    def run(self) -> list[Sample]:
        self._log.append(self._name)
        return [{"total": 1.0}]


@pytest.mark.parametrize(
    ("enough", "stopped_by", "rounds"),
    [(Enough(6, 60, 0.02), "precision", 6), (Enough(6, 1e-9, 0.02), "time", 1)],
)
def test_cases_take_turns_until_it_is_enough(
    enough: Enough, stopped_by: str, rounds: int, classifier: Classifier
) -> None:
    log: list[str] = []
    subject = Subject(classifier, "", {})
    cases = [Case("cold", name, subject, FakeScenario(name, log)) for name in "ab"]
    assert measure(cases, enough, 1, lambda _fraction, _text: None)[0] == stopped_by
    assert "".join(log) == "ab" + ("abba" * rounds)[: 2 * rounds]
    assert [len(case.runs) for case in cases] == [rounds] * 2


def test_peak_memory_is_in_mebibytes() -> None:
    peak = peak_rss()
    assert peak is not None
    assert 20 < peak < 4000
