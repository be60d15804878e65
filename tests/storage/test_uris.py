"""Places: one module takes them apart, and every door means the same by them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import Run

from flowers_onnx.batch.shard import Shard
from flowers_onnx.errors import UsageError
from flowers_onnx.storage import uris


@pytest.mark.parametrize("form", ["file://{}", "FILE://{}", "file://localhost{}", "{}"])
def test_one_file_has_many_uris(tmp_path: Path, form: str) -> None:
    place = form.format(tmp_path / "a")
    assert uris.scheme_of(place) == "file"
    assert uris.path_of(place) == uris.local_path(place) == str(tmp_path / "a")
    assert uris.uri_of(place) == (tmp_path / "a").as_uri()
    assert not uris.is_remote(place)


def test_a_file_of_another_machine_is_nobodys(tmp_path: Path) -> None:
    assert uris.local_path("file://nas/a.jpg") is None
    with pytest.raises(UsageError, match="another machine"):
        uris.path_of("file://nas/a.jpg")


@pytest.mark.parametrize("place", ["gs://b/n", "GS://b/n", "s3://b/n", "S3://b/n"])
def test_buckets_are_remote(place: str) -> None:
    assert uris.is_remote(place)
    assert uris.local_path(place) is None
    assert uris.uri_of(place) == place
    assert uris.split(place) == ("b", "n")


@pytest.mark.parametrize("scheme", ["bigquery", "BigQuery", "BIGQUERY"])
def test_a_table_is_told_whatever_the_case(scheme: str) -> None:
    uri = f"{scheme}://my-project.flowers.results"
    assert uris.is_table(uri)
    assert uris.table_of(uri) == ("my-project", "flowers", "results")
    assert Shard(1, 4).name(uri) == uri
    assert uris.suffix_of(uri) == ""


@pytest.mark.parametrize(
    "uri", ["bigquery://", "bigquery://p.d", "bigquery://p/x.d.t", "bigquery://P.d.t", "p.d.t"]
)
def test_what_is_no_table(uri: str) -> None:
    with pytest.raises(UsageError, match=r"is not bigquery://project\.dataset\.table"):
        uris.table_of(uri)


def test_text_before_the_suffix() -> None:
    assert uris.before_suffix("gs://b.c/x.y/a.CSV", "-1") == "gs://b.c/x.y/a-1.CSV"
    assert uris.before_suffix("gs://b.c/x.y/a", "-1") == "gs://b.c/x.y/a-1"


@pytest.mark.parametrize("form", ["file://{}", "FILE://{}", "file://localhost{}"])
def test_all_commands_understand_a_file_uri(
    flowers: Run, sample: Path, tmp_path: Path, form: str
) -> None:
    result = form.format(tmp_path / "rows.jsonl")
    assert flowers("batch", form.format(sample), "--out", result).returncode == 0
    (row,) = map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())
    assert row["source_uri"] == sample.as_uri()
    page = tmp_path / "page.html"
    assert flowers("report", result, "--out", page).returncode == 0
    assert row["label"] in page.read_text()


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv"])
def test_a_report_reads_classify_by_uri(
    flowers: Run, sample: Path, tmp_path: Path, suffix: str
) -> None:
    result = tmp_path / f"result.{suffix}"
    flowers("classify", sample, "missing.jpg", "--format", suffix, "--output", result)
    pages = []
    for place in (str(result), result.as_uri()):
        done = flowers("report", place)
        assert done.returncode == 0, done.stderr
        pages.append(done.stdout)
    assert pages[0] == pages[1]
    assert b"not_found" in pages[0]


def test_a_missing_result_is_wrong_usage_wherever_it_is(flowers: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("good")
    for place in ("typo.parquet", "file:///none/typo.parquet", "typo.csv"):
        done = flowers("report", place, "--out", page)
        assert (done.returncode, page.read_text()) == (2, "good")
        assert b"no such file" in done.stderr


def test_a_report_does_not_replace_its_results(flowers: Run, sample: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    flowers("classify", sample, "--format", "json", "--out", result)
    before = result.read_bytes()
    for place in (str(result), result.as_uri()):
        done = flowers("report", place, "--out", result)
        assert (done.returncode, result.read_bytes()) == (2, before)


def test_only_files_change_their_uri() -> None:
    for uri in ("http://x/y", "bigquery://p.d.t", "gs://b/a%20b"):
        assert uris.uri_of(uri) == uri
