"""``flowers benchmark --compare``: what counts as slower, and what can be compared; the formats."""

from __future__ import annotations

import copy
import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from support import SAMPLE, Run, flag_words, job

from flowers_onnx.benchmark.samples import FEWEST_RUNS, ratio
from flowers_onnx.errors import UsageError

Document = dict[str, Any]

#: Spreadsheets go by them: later versions may add some at the end.
HEADER = (
    "schema,date,program,scenario,threads,model,model_sha256,photos,photos_sha256,runs,"
    "count,mean,stdev,min,p50,p50_low,p50_high,p90,p99,max,outliers,cpu_p50,start_p50,"
    "arguments_p50,imports_p50,load_p50,read_p50,decode_p50,preprocess_p50,inference_p50,"
    "postprocess_p50,output_p50,exit_p50,photos_per_second,peak_rss_mib,ratio,ratio_low,"
    "ratio_high,slower,cpu,cpus,cpus_affinity,cpus_cgroup_quota,cpus_allowed,python,"
    "onnxruntime,numpy,pillow,platform,load_average,warnings"
)


def compared(*files: Path, **flags: str) -> tuple[int, str]:
    """The exit code and the output of comparing saved results."""
    output = files[0].with_name("output")
    words = flag_words({"compare": ",".join(map(str, files)), "out": str(output), **flags})
    code = job("benchmark", *words).work()
    return code, output.read_text()


def steady(milliseconds: float) -> list[list[float]]:
    """Runs that differ by two percent around ``milliseconds``."""
    return [[milliseconds * (0.99 + 0.02 * index / 19)] for index in range(20)]


def test_all_formats_tell_the_same(saved: Callable[..., Path]) -> None:
    old, new = saved("old.json", steady(100)), saved("new.json", steady(120))
    formats = ("json", "jsonl", "csv", "md", "table")
    outputs = {name: compared(old, new, format=name) for name in formats}
    assert {code for code, _ in outputs.values()} == {1}
    document = json.loads(outputs["json"][1])
    lines = [json.loads(line) for line in outputs["jsonl"][1].splitlines()]
    rows = list(csv.DictReader(io.StringIO(outputs["csv"][1])))
    assert outputs["csv"][1].splitlines()[0] == HEADER
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
    assert heads.split()[:3] == ["scenario", "p50", "ms"]
    (model,) = {row["model"]["name"] for row in document["rows"]}
    assert f"\nthreads: 1\nmodel: {model}\n" in table
    assert "after 20 runs of each" not in table  # what was made up are samples, not runs


@pytest.mark.parametrize("models", [1, 2, 3])
def test_tables_fit_a_terminal(saved: Callable[..., Path], models: int) -> None:
    old = saved("old.json", steady(1234.5))
    document = json.loads(old.read_text())
    rows = [
        row
        | {"model": row["model"] | {"name": f"{row['model']['name']} ({'long-' * 20}{i}.onnx)"}}
        | {"threads": 1 + i % 2}
        for row in document["rows"]
        for i in range(models)
    ]
    photos = document["photos"] | {"source": "a folder " * 20}
    old.write_text(json.dumps(document | {"rows": rows, "photos": photos}))
    _, table = compared(old, old)
    # A word without spaces is no table.
    wide = [line for line in table.splitlines() if len(line) > 80]
    assert [line for line in wide if len(line.split()) > 1] == []
    heads = [line for line in table.splitlines() if line.startswith("scenario ")]
    assert [line.split()[:3] for line in heads[:1]] == [
        ["scenario", *(["threads", "model"] if models > 1 else ["p50", "ms"])]
    ]
    for figure in ("p50 ms", "outliers", "MiB", "photos/s"):
        assert sum(figure in line for line in heads) == 1


def test_the_name_of_the_result_gives_its_format(saved: Callable[..., Path]) -> None:
    old = saved("old.json", steady(100))
    first = {
        "json": '{"kind"',
        "jsonl": '{"kind"',
        "csv": "schema,",
        "md": "- flowers",
        "txt": "flow",
    }
    for suffix, begin in first.items():
        out = old.with_name(f"new.{suffix}")
        job("benchmark", "--compare", f"{old},{old}", "--out", out).work()
        assert out.read_text().startswith(begin), suffix
    job("benchmark", "--compare", f"{old},{old}", "--out", out, "--format", "csv").work()
    assert out.read_text().startswith("schema,")


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
        "photo.json": (SAMPLE.read_bytes(), "not text"),
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


def test_a_plot_compares_on_one_scale(measured: Document) -> None:
    pytest.importorskip("matplotlib")
    from flowers_onnx.benchmark.plot import figure_of

    document = copy.deepcopy(measured)
    for row in measured["rows"]:
        other = copy.deepcopy(row)
        other["model"]["name"] = "another"
        other["samples"]["total"] = [[2 * one for one in run] for run in row["samples"]["total"]]
        other["ms"]["total"] |= {name: 2 * row["ms"]["total"][name] for name in ("p50", "p99")}
        document["rows"].insert(document["rows"].index(row) + 1, other)
    figure = figure_of(cast("Any", document))
    figure.draw_without_rendering()
    titles = [title for part in figure.subfigs for title in [part.get_suptitle()]]
    assert len(set(titles)) == len(titles) == 3
    for part in figure.subfigs:
        stages, *totals = part.axes
        assert "milliseconds" in stages.get_xlabel()
        assert len({axes.get_xlim() for axes in totals}) == 1
        assert len({axes.get_ylim() for axes in totals}) == 1
        assert "milliseconds" in totals[-1].get_xlabel()
        assert all(axes.get_ylabel() for axes in totals)
        names = [axes.get_title() for axes in totals]
        assert len(set(names)) == len(names) == 2
        # Nothing is drawn over the bars, and no legend.
        assert not any(axes.get_legend() for axes in part.axes)
        for axes in totals:
            spots = [one.get_window_extent() for one in [axes.title, *axes.texts]]
            assert not any(
                one.overlaps(two) for i, one in enumerate(spots) for two in spots[i + 1 :]
            )


def test_ratio_of_a_thing_with_itself_is_one() -> None:
    found, interval = ratio(steady(5), steady(5))
    assert found == 1
    assert interval is not None
    assert interval[0] <= 1 <= interval[1]
    assert ratio(steady(10), steady(5))[0] == pytest.approx(2)
