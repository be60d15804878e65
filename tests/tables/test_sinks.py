"""Sinks: what is published comes back the same, and nothing foreign is ever overwritten."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import sqlite3
import stat
import string
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import BATCH_FIELDS, ROOT, Row, blocks, make_row, posix, result_sink

from flowers_onnx import writers
from flowers_onnx.errors import OutputError, StoppedError, StorageError, UsageError
from flowers_onnx.exif import Taken
from flowers_onnx.record import RECORD_SCHEMA, Field, Record, fields_of, flat_fields
from flowers_onnx.results import Candidate, Failure, Prediction
from flowers_onnx.storage.item import Item
from flowers_onnx.storage.uris import file_uri
from flowers_onnx.tables import SUFFIXES, schema
from flowers_onnx.tables.reading import read_results
from flowers_onnx.tables.rows import RESULTS
from flowers_onnx.tables.sqlite import APPLICATION_ID

RECORD = json.loads(
    blocks((ROOT / "docs" / "result-record.md").read_text(encoding="utf-8"), "json")[-1]
)

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", " ", "\n", "a\r\nb", "\r", '"', '""', "a,b", "\\xff", "🌸", "60", "null"]),
)
IDS = st.one_of(
    st.integers(-(10**12), 10**12),
    TEXTS,
    st.sampled_from(["0", "-0", "-1", "007", '"', '"60"', "1.0", "٣"]),
)
CONFIDENCES = st.floats(0, 1)


def rows_of() -> st.SearchStrategy[Row]:
    candidates = st.builds(Candidate, TEXTS, IDS, CONFIDENCES)
    digest = st.none() | st.text(string.hexdigits, min_size=64, max_size=64)
    predictions = st.builds(
        Prediction,
        top=st.lists(candidates, min_size=1, max_size=3).map(tuple),
        scientific_name=st.none() | TEXTS,
        path=TEXTS,
        sha256=digest,
        width=st.integers(1, 10**6),
        height=st.integers(1, 10**6),
        model=TEXTS,
        known=st.sampled_from([None, True, False]),
        prediction_set=st.lists(candidates, max_size=3).map(tuple),
    )
    failures = st.builds(Failure, TEXTS, TEXTS, TEXTS, digest, TEXTS)
    sizes = st.none() | st.integers(0, 2**40)
    items = st.builds(Item, TEXTS, st.none() | TEXTS, sizes, st.none() | TEXTS)
    times = st.datetimes().map(lambda time: time.isoformat(timespec="milliseconds") + "Z")
    degrees = st.none() | st.floats(-180, 180)
    taken = st.builds(Taken, st.none() | TEXTS, degrees, degrees)
    return st.builds(make_row, items, predictions | failures, TEXTS, times, taken)


def row(number: int = 0, **changes: Any) -> Row:
    top = (Candidate("rosa «silvestre»", 60, 0.1 + 0.2), Candidate("b", "x", 1e-12))
    result = Prediction(top, None, None, "ab" * 32, 3, 4, "flowers/1.0")
    item = Item(f"gs://bucket/{number:06}.jpg", str(number), 1234)
    return make_row(item, result, "run", "2026-11-23T12:00:00.120Z") | changes


def failed(number: int) -> Row:
    item = Item(f"gs://bucket/{number:06}.jpg", None, None, 'id, "7"\n')
    failure = Failure("is_empty", "zero bytes", None, None, "flowers/1.0")
    return make_row(item, failure, "run", "2026-11-23T12:00:01.000Z")


ROWS = [row(0), failed(1), row(2)]


# The schema ------------------------------------------------------------------------------------


def test_the_columns_are_those_of_the_record_and_the_batch() -> None:
    assert tuple(field.name for field in RESULTS.fields) == (*RECORD["required"], *BATCH_FIELDS)
    assert tuple(row()) == tuple(failed(0)) == tuple(field.name for field in RESULTS.fields)
    assert tuple(field.name for field in RESULTS.flat) == (
        *(column.name for column in flat_fields(fields_of(Record))),
        *BATCH_FIELDS,
    )


JSON_TYPES = {
    "string": {"string"},
    "integer": {"integer"},
    "float": {"number"},
    "boolean": {"boolean"},
    "class_id": {"integer", "string"},
    "record": {"object"},
}


def types_in(json_schema: dict[str, Any]) -> set[str]:
    if "enum" in json_schema or "const" in json_schema:
        return {"string"}
    types = json_schema["type"]
    return set(types) if isinstance(types, list) else {types}


@pytest.mark.parametrize("field", RESULTS.fields[: len(RECORD["required"])], ids=lambda f: f.name)
def test_a_column_has_the_type_in_the_documented_schema(field: Field) -> None:
    documented = RECORD["properties"][field.name]
    if field.repeated:
        assert types_in(documented) == {"array"}
        documented = RECORD["$defs"][documented["items"]["$ref"].rpartition("/")[2]]
    nullable = {"null"} if field.nullable else set()
    assert types_in(documented) == JSON_TYPES[field.type] | nullable
    assert [inner.name for inner in field.fields] == documented.get("required", [])
    for inner in field.fields:
        assert types_in(documented["properties"][inner.name]) == JSON_TYPES[inner.type]


@settings(max_examples=50, deadline=None)
@given(st.lists(IDS, max_size=5))
def test_class_ids_as_text_stay_apart(ids: list[int | str]) -> None:
    texts = [schema.id_to_text(each) for each in ids]
    back = [schema.text_to_id(text) for text in texts]
    assert [(type(each), each) for each in back] == [(type(each), each) for each in ids]
    assert schema.id_to_text(60) == "60"
    assert schema.id_to_text("rose") == "rose"


@settings(max_examples=30, deadline=None)
@given(rows_of())
def test_rows_of_this_program_have_no_problem(made: Row) -> None:
    assert RESULTS.problem(made) is None
    for name in made:
        assert RESULTS.problem({key: made[key] for key in made if key != name})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"schema": "0.9"}, "its schema is 0.9"),
        ({"confidence": "0.5"}, "confidence is no float"),
        ({"model": None}, "model is null"),
        ({"width": True}, "width is no integer"),
        ({"top": None}, "top is no list"),
        ({"top": [{"label": "a"}]}, "no class_id"),
        ({"error": {"code": 1, "message": ""}}, "code is no string"),
        ({"new": 1}, "unknown field new"),
        ({"processed_at": "2026-11-23"}, "processed_at is no timestamp"),
        ({"processed_at": "yesterday"}, "processed_at is no timestamp"),
        ({"processed_at": 1764000000}, "processed_at is no timestamp"),
        ({"processed_at": "2026-11-23T12:00:00+01:00"}, "processed_at is no timestamp"),
    ],
)
def test_a_row_with_a_problem(changes: dict[str, Any], why: str) -> None:
    assert why in str(RESULTS.problem(row() | changes))


DOCUMENTED_TYPES = {
    "string": ("string", "TEXT", "STRING"),
    "class_id": ("string", "TEXT", "STRING"),
    "integer": ("int64", "INTEGER", "INT64"),
    "float": ("double", "REAL", "FLOAT64"),
    "boolean": ("bool", "INTEGER, 0 or 1", "BOOL"),
    "timestamp": ("timestamp, ms, UTC", "TEXT", "TIMESTAMP"),
    "prediction_set": ("list of struct", "TEXT, JSON", "REPEATED RECORD"),
    "top": ("list of struct", "TEXT, JSON", "REPEATED RECORD"),
    "error": ("struct", "`error_code`, `error_message`", "RECORD"),
}


def test_the_columns_are_documented() -> None:
    page = (ROOT / "docs" / "result-sinks.md").read_text(encoding="utf-8")
    documented = page.partition("## Columns")[2].partition("\n\n")[2].partition("\n\n")[0]
    for field, line in zip(RESULTS.fields, documented.splitlines()[2:], strict=True):
        types = DOCUMENTED_TYPES[field.name if field.type == "record" else field.type]
        null = "| yes |" if field.nullable else "| |"
        assert line == f"| `{field.name}` | {' | '.join(types)} {null}"


# Files -----------------------------------------------------------------------------------------


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"results #1%20é{request.param}"


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=40, deadline=None)
@given(rows=st.lists(rows_of(), max_size=4))
def test_rows_come_back_the_same(suffix: str, rows: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sink = result_sink(os.path.join(folder, f"results{suffix}"))
        sink.publish(iter(rows))
        assert [json.dumps(each) for each in sink.existing()] == [json.dumps(r) for r in rows]


def test_a_resumed_run_changes_no_row(path: Path) -> None:
    sink = result_sink(str(path))
    assert list(sink.existing()) == []
    assert not sink.appends
    sink.publish(ROWS)
    content = path.read_bytes()
    sink.publish(sink.existing())
    if path.suffix != ".sqlite":  # has a counter of its own
        assert path.read_bytes() == content
    sink.publish(itertools.chain(sink.existing(), [row(3)]))
    assert list(sink.existing()) == [*ROWS, row(3)]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_file_uris_and_paths_are_the_same(path: Path) -> None:
    result_sink(str(path)).publish(ROWS)
    assert list(result_sink(file_uri(str(path))).existing()) == ROWS


def test_many_rows_in_groups(path: Path) -> None:
    many = [row(number) for number in range(10_050)]
    sink = result_sink(str(path))
    sink.publish(iter(many))
    assert list(sink.existing()) == many


@posix
def test_permissions_are_those_of_any_new_file(path: Path) -> None:
    umask = os.umask(0o027)
    try:
        result_sink(str(path)).publish([])
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        result_sink(str(path)).publish(ROWS)
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(umask)


def test_a_failed_publication_leaves_the_earlier_result(path: Path) -> None:
    sink = result_sink(str(path))
    sink.publish(ROWS)
    before = path.read_bytes()

    def rows() -> Iterator[Row]:
        yield row(1)
        raise OutputError("the journal is gone")

    with pytest.raises(OutputError, match="the journal is gone"):
        sink.publish(rows())
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_leftovers_of_a_killed_run_go_away(path: Path) -> None:
    leftover = path.with_name(f".{path.name}.abcd1234.tmp")
    other = path.with_name(f".{path.name}.mine.tmp")
    leftover.touch()
    other.touch()
    result_sink(str(path)).publish(ROWS)
    assert not leftover.exists()
    assert other.exists()


def test_a_link_is_followed(path: Path) -> None:
    target = path.with_name("target")
    path.symlink_to(target)
    result_sink(str(path)).publish(ROWS)
    assert path.is_symlink()
    assert target.is_file()


def test_places_that_cannot_be_written(path: Path) -> None:
    missing = path.with_name("missing") / path.name
    assert list(result_sink(str(missing)).existing()) == []
    with pytest.raises(OutputError, match=r"can't write to .*No such file or directory"):
        result_sink(str(missing)).publish(ROWS)
    path.mkdir()
    with pytest.raises(OutputError, match="not a file"):
        result_sink(str(path)).publish(ROWS)


@posix
def test_a_full_disk_is_one_line(path: Path) -> None:
    """The largest file that a process may write stands for the disk's size."""
    import resource
    import signal

    sink = result_sink(str(path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OutputError, match="can't write to"):
            sink.publish(row(n, sha256=f"{n * 7919:064x}") for n in range(3000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert list(path.parent.iterdir()) == []


def test_an_empty_file_is_no_result(path: Path) -> None:
    path.touch()
    assert list(result_sink(str(path)).existing()) == []
    result_sink(str(path)).publish(ROWS)
    assert list(result_sink(str(path)).existing()) == ROWS


def foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE results (a)")
    connection.close()


def older_database(path: Path) -> None:
    foreign_database(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 9")
    connection.close()


def other_columns(path: Path) -> None:
    foreign_database(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1000")
    connection.close()


def parquet_with(metadata: dict[str, str] | None, path: Path) -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata(metadata)
    pq.write_table(table, path)


def half(path: Path) -> None:
    result_sink(str(path)).publish(ROWS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FOREIGN: list[tuple[str, Any, str]] = [
    (".jsonl", b"hello\n", "line 1 is not JSON"),
    (".jsonl", b"hello", "line 1 is not JSON"),
    (".jsonl", b'{"a": 1}\n', "in row 1, no schema"),
    (".jsonl", b"[]\n", "in row 1, row is no object"),
    (".jsonl", json.dumps(row(schema="0.9")).encode() + b"\n", "its schema is 0.9"),
    (".jsonl", json.dumps(row()).encode() + b"\n\nx", "line 2 is not JSON"),
    (".jsonl", json.dumps(row() | {"new": 1}).encode() + b"\n", "unknown field new"),
    (".csv", b"a,b\n1,2\n", "its header is another"),
    (".parquet", b"hello" * 100, "it is no Parquet file"),
    (".parquet", lambda path: parquet_with(None, path), "its columns are others"),
    (".parquet", lambda path: parquet_with({"flowers_onnx.schema": "0.9"}, path), "schema is 0.9"),
    (".parquet", lambda path: parquet_with({"flowers_onnx.schema": "1.0"}, path), "columns are"),
    (".parquet", half, "it is no Parquet file"),
    (".sqlite", b"hello" * 100, "file is not a database"),
    (".sqlite", foreign_database, "a database of another program"),
    (".sqlite", older_database, "its schema is 0.9"),
    (".sqlite", other_columns, "its columns are others"),
    (".sqlite", half, "it is damaged|malformed"),
    *((suffix, b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "") for suffix in SUFFIXES),
]


@pytest.mark.parametrize(("suffix", "content", "why"), FOREIGN)
def test_a_foreign_file_is_refused_and_kept(
    suffix: str, content: Any, why: str, tmp_path: Path
) -> None:
    path = tmp_path / f"results{suffix}"
    if callable(content):
        content(path)
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=f"{why}.*; it won't be overwritten") as refusal:
        list(result_sink(str(path)).existing())
    assert "\n" not in str(refusal.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_publish_itself_refuses_a_foreign_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"results{suffix}"
    path.write_bytes(b"hello\n" * 100)
    with pytest.raises(UsageError, match="won't be overwritten"):
        result_sink(str(path)).publish(ROWS)
    assert path.read_bytes() == b"hello\n" * 100


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_torn_last_row_is_dropped(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"results{suffix}"
    rows = [row(0), row(1)]
    result_sink(str(path)).publish(rows)
    whole = path.read_bytes()
    begin = whole.rindex(b"\n", 0, -1) + 1
    ends = {*range(begin + 1, len(whole), 29), *range(begin + 1, begin + 15), len(whole) - 2}
    for end in [*ends, len(whole) - 1]:
        torn = tmp_path / f"torn-{end}{suffix}"
        torn.write_bytes(whole[:end])
        sink = result_sink(str(torn))
        complete = end == len(whole) - 1  # only the line's end is missing
        assert list(sink.existing()) == rows[: 2 if complete else 1]
        assert ("its image will be done again" in capsys.readouterr().err) is not complete
        list(sink.existing())
        assert capsys.readouterr().err == ""  # said once
        sink.publish(itertools.chain(sink.existing(), [row(2)]))
        assert list(sink.existing())[-1] == row(2)


def test_a_torn_row_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    whole = json.dumps(row())
    path.write_text(f"{whole[:50]}\n{whole}\n")
    with pytest.raises(UsageError, match="line 1 is not JSON"):
        list(result_sink(str(path)).existing())


def test_a_csv_that_another_program_saved_with_its_own_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    rows = [row(0), row(1)]
    result_sink(str(path)).publish(rows)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert list(result_sink(str(path)).existing()) == rows


def test_sqlite_for_its_readers(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    result_sink(str(path)).publish(ROWS)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("PRAGMA user_version").fetchone() == (1001,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    query = "SELECT label, confidence, error_code, top ->> '$[1].class_id' FROM results"
    assert connection.execute(query).fetchall() == [
        ("rosa «silvestre»", 0.1 + 0.2, None, "x"),
        (None, None, "is_empty", None),
        ("rosa «silvestre»", 0.1 + 0.2, None, "x"),
    ]
    plan = "EXPLAIN QUERY PLAN SELECT * FROM results WHERE source_uri = 'x'"
    assert "USING INDEX results_source_uri" in str(connection.execute(plan).fetchall())
    connection.close()


def test_parquet_for_its_readers(tmp_path: Path) -> None:
    path = tmp_path / "results.parquet"
    result_sink(str(path)).publish(ROWS)
    file = pq.ParquetFile(path)
    assert file.schema_arrow.metadata == {b"flowers_onnx.schema": RECORD_SCHEMA.encode()}
    assert file.schema_arrow.field("processed_at").type == pa.timestamp("ms", tz="UTC")
    assert not file.schema_arrow.field("source_uri").nullable
    table = file.read()
    assert table["class_id"].to_pylist() == ["60", None, "60"]
    assert table["top"][0].as_py()[1] == {"label": "b", "class_id": "x", "confidence": 1e-12}
    file.close()


def test_csv_for_its_readers(tmp_path: Path) -> None:
    import csv

    path = tmp_path / "results.csv"
    rows = [row(label=text, source_id=text) for text in ["a\rb", "a\nb", 'a "b", c', " a ", "'"]]
    result_sink(str(path)).publish(rows)
    with path.open(encoding="utf-8", newline="") as file:
        for read, written in zip(csv.DictReader(file), rows, strict=True):
            assert read["label"] == read["source_id"] == written["label"]
            assert json.loads(read["top"]) == written["top"]
            assert float(read["confidence"]) == written["confidence"]


def test_csv_is_that_of_classify_with_more_columns(tmp_path: Path) -> None:
    import csv
    import io

    path = tmp_path / "results.csv"
    result_sink(str(path)).publish([row()])
    (read,) = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
    stream = io.StringIO()
    top = tuple(Candidate(**each) for each in row()["top"])
    prediction = Prediction(top, None, row()["path"], "ab" * 32, 3, 4, "flowers/1.0")
    writers.result_writer("csv", stream, show=5, classes=102).write_all([prediction])
    (classified,) = csv.DictReader(io.StringIO(stream.getvalue()))
    assert {name: read[name] for name in classified} == classified


# Buckets ---------------------------------------------------------------------------------------


class Bucket:
    """Stands for a ``Store``: objects are files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.fetched = 0

    def object(self, uri: str) -> Path:
        return self._folder / uri.replace("/", "_")

    def fetch(self, uri: str, path: str) -> bool:
        self.fetched += 1
        if not self.object(uri).exists():
            return False
        shutil.copy(self.object(uri), path)
        return True

    def upload(self, path: str, uri: str) -> None:
        shutil.copy(path, self.object(uri))


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket(tmp_path)
    monkeypatch.setattr("flowers_onnx.tables.files.store_for", lambda uri: made)
    return made


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_a_result_in_a_bucket(scheme: str, suffix: str, bucket: Bucket) -> None:
    uri = f"{scheme}://bucket/out/results{suffix}"
    sink = result_sink(uri)
    assert list(sink.existing()) == []
    sink.publish(ROWS)
    assert list(sink.existing()) == ROWS
    again = result_sink(uri)
    fetched = bucket.fetched
    assert list(again.existing()) == list(again.existing()) == ROWS
    again.publish(itertools.chain(again.existing(), [row(9)]))
    assert bucket.fetched == fetched + 1  # it can be large
    assert list(result_sink(uri).existing()) == [*ROWS, row(9)]


def test_a_foreign_object_is_refused_by_its_name(bucket: Bucket) -> None:
    uri = "gs://bucket/results.csv"
    bucket.object(uri).write_text("a,b\n")
    with pytest.raises(UsageError, match=r"gs://bucket/results\.csv is not a result"):
        result_sink(uri).publish(ROWS)
    assert bucket.object(uri).read_text() == "a,b\n"


def test_an_upload_that_fails_is_one_line(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    def upload(_path: str, _uri: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bucket, "upload", upload)
    with pytest.raises(
        OutputError, match=r"^can't write to gs://bucket/results\.csv: No space left on device$"
    ):
        result_sink("gs://bucket/results.csv").publish(ROWS)


def test_local_copies_do_not_stay(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    sink = result_sink("gs://bucket/results.sqlite")
    sink.publish(ROWS)
    sink.publish(sink.existing())
    del sink
    assert list(scratch.iterdir()) == []


def test_what_is_not_ours_in_a_bucket_survives(bucket: Bucket) -> None:
    uri = "gs://bucket/results.sqlite"
    result_sink(uri).publish(ROWS)
    with contextlib.closing(sqlite3.connect(bucket.object(uri))) as theirs:
        theirs.execute("CREATE TABLE notes AS SELECT 'mine' AS text")
        theirs.commit()
    sink = result_sink(uri)
    sink.publish(itertools.chain(sink.existing(), [row(9)]))
    with contextlib.closing(sqlite3.connect(bucket.object(uri))) as theirs:
        assert theirs.execute("SELECT text FROM notes").fetchall() == [("mine",)]
        assert theirs.execute("SELECT count(*) FROM results").fetchall() == [(4,)]


def test_without_a_folder_for_temporary_files(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    bucket.object("gs://bucket/results.csv").write_text("a,b\n")
    with pytest.raises(StoppedError, match=r"no temporary file can be made: .*; TMPDIR names"):
        list(result_sink("gs://bucket/results.csv").existing())
    with pytest.raises(StoppedError, match="TMPDIR names a folder"):
        list(read_results(["gs://bucket/results.csv"]))


def test_a_copy_that_was_cut_short_is_fetched_again(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result_sink("gs://bucket/results.jsonl").publish(ROWS)

    def fetch(_uri: str, path: str) -> bool:
        Path(path).write_bytes(b"")
        raise StorageError("read_error", "no space left on device")

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    sink = result_sink("gs://bucket/results.jsonl")
    with monkeypatch.context() as full:
        full.setattr(bucket, "fetch", fetch)
        with pytest.raises(StorageError, match="no space left"):
            list(sink.existing())
    assert list(scratch.iterdir()) == []
    assert list(sink.existing()) == ROWS


# Names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("results.txt", "must end in one of .jsonl, .csv, .parquet, .sqlite"),
        ("results", "must end in"),
        ("gs://bucket/results", "must end in"),
        ("http://host/results.csv", "can't be written to http://"),
        ("bigquery://project.dataset", "not bigquery://project.dataset.table"),
        ("bigquery://project.dataset.table.more.", "not bigquery://project.dataset.table"),
    ],
)
def test_unknown_sinks(uri: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        result_sink(uri)


@pytest.mark.parametrize(
    ("uri", "package", "extra"),
    [
        ("results.parquet", "pyarrow", "parquet"),
        ("bigquery://project.dataset.table", "google.cloud", "bigquery"),
    ],
)
def test_a_missing_extra_is_named(
    uri: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.startswith((package, f"flowers_onnx.tables.{extra}")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"pip install .*\[{extra}\]"):
        result_sink(uri)
