"""``flowers beam``: the rows of ``flowers batch``, and graphs that Dataflow accepts."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from exif_photos import photo
from fakes.gcs import FakeGcs, fake_gcs
from fakes.server import free_port, running
from PIL import Image
from raw_files import RAW_FILES
from support import (
    BATCH_FIELDS,
    FLOWERS,
    PATIENCE,
    ROOT,
    Run,
    blocks,
    flag_words,
    job,
    make_row,
)

from flowers_onnx import UsageError
from flowers_onnx.beam.options import Files, Options, Table
from flowers_onnx.classifier import Classifier
from flowers_onnx.cli.command import Job
from flowers_onnx.image_formats import MAX_BYTES
from flowers_onnx.storage import store_for
from flowers_onnx.tables.rows import RESULTS
from flowers_onnx.tables.schema import AnyRow

HAS_BEAM = find_spec("apache_beam") is not None
needs_beam = pytest.mark.skipif(not HAS_BEAM, reason="needs apache-beam: .ci/run beam")
#: Beam's own code warns of what is deprecated in other packages.
pytestmark = pytest.mark.filterwarnings("ignore")

PAGE = ROOT / "docs" / "beam.md"
#: Beam's embedded runner in one thread: no download, no server, no other process.
EMBEDDED = ("--runner=FnApiRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1")


def beam_job(*words: str | Path, **flags: str | Path) -> Job:
    given = flag_words({name: str(value) for name, value in flags.items()})
    return job("beam", *given, "--", *words)


def options(*words: str | Path, **flags: str | Path) -> Options:
    """What a command line makes the pipeline of."""
    given = beam_job(*words, **flags)
    with mock.patch("flowers_onnx.beam.run.run") as run:
        given.work()
    found: Options = run.call_args.args[0]
    return found


@pytest.fixture
def photos(tmp_path: Path, sample: Path) -> Path:
    """A folder with photos of odd names, one in a folder below, and files that are broken."""
    folder = tmp_path / "photos of 100 % #1"
    (folder / "more").mkdir(parents=True)
    for name in ("a.jpg", "b ñ+?.JPG", "more/[c]*.jpg", "--d.jpg"):
        (folder / name).write_bytes(sample.read_bytes())
    (folder / "broken.jpg").write_bytes(sample.read_bytes()[:500])
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no image")
    (folder / "c.NEF").write_bytes(RAW_FILES["nef"])
    return folder


@pytest.mark.skipif(HAS_BEAM, reason="apache-beam is installed")
def test_without_the_extra_one_line_says_what_to_install(flowers: Run, sample: Path) -> None:
    done = flowers("beam", sample, "--out", "rows.jsonl")
    assert done.returncode == 2
    needed = r"flowers: flowers beam needs the extra \[beam\]: .*install .*\[beam\]'?\n"
    assert re.fullmatch(needed, done.stderr.decode())


@pytest.mark.parametrize(
    ("words", "out", "complaint"),
    [
        ((), "rows.jsonl", "needs a SOURCE"),
        (("--runner", "FlinkRunner"), "rows.jsonl", "needs a SOURCE"),
        (("photos",), None, "needs --out"),
        (("photos",), "rows.csv", "must end in .jsonl, .parquet"),
        (("photos",), "rows.dwc.csv", "only flowers batch writes Darwin Core"),
        (("photos",), "r[1]ws.jsonl", "Beam takes *, ? and [ in a name for a pattern"),
        (("photos",), "gs://b/r?ws.parquet", "Beam takes *, ? and [ in a name for a pattern"),
        (("photos",), "bigquery://project.table", "PROJECT.DATASET.TABLE"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], out: str | None, complaint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(complaint)):
        beam_job(*words, **({} if out is None else {"out": out}))


@needs_beam
def test_what_begins_with_a_dash_is_for_beam() -> None:
    parsed = options("a", "gs://b/c", "--runner", "SparkRunner", "x", out="gs://b/rows.parquet")
    assert parsed.sources == ("a", "gs://b/c")
    assert parsed.runner_options == ("--runner", "SparkRunner", "x")
    assert parsed.out == Files("gs://b/rows", ".parquet")
    assert parsed.dead_letter == Files("gs://b/rows.errors", ".jsonl")


@needs_beam
def test_a_table_has_its_failures_in_another() -> None:
    parsed = options("a", out="bigquery://my-project.data.results")
    assert parsed.out == Table("my-project:data.results")
    assert parsed.dead_letter == Table("my-project:data.results_errors")


def expected_rows(
    folder: Path, classifier: Classifier, *, top_k: int = 5, lang: str = "en"
) -> list[dict[str, Any]]:
    """What ``flowers batch`` makes of a folder."""
    rows = []
    for item in store_for(str(folder)).list(str(folder)):
        content, item = store_for(item.uri).read(item, MAX_BYTES)  # noqa: PLW2901
        (result,) = classifier.classify_many([content], top_k=top_k, lang=lang)
        rows.append(make_row(item, result, "", ""))
    return rows


def shared(row: AnyRow) -> str:
    """The columns that don't depend on the run, as bytes would show them."""
    return json.dumps({k: v for k, v in row.items() if k not in {"run_id", "processed_at"}})


def shared_text(pattern: str, folder: Path) -> list[str]:
    """The lines of result files, without the columns that differ from run to run: the last two."""
    text = "".join(path.read_text(encoding="utf-8") for path in folder.glob(pattern))
    return sorted(line.partition(', "run_id": ')[0] for line in text.splitlines())


@needs_beam
def test_the_rows_are_those_of_the_batch(flowers: Run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    how = ("--top_k=2", "--lang=es", "--min_confidence=1", "--exif")
    (photos / "a.jpg").write_bytes(photo(Image.open(photos / "a.jpg")))
    # The second source is a part of the first: each image has one row all the same.
    done = flowers("beam", photos, photos / "more", "--out", out / "beam.jsonl", *how)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == (
        "flowers: 1 camera raw file skipped: export JPEGs, or use those beside them\n"
        "flowers: 0 named, 4 not known, 2 failed\n"
    )
    flowers("batch", photos, "--out", out / "batch.jsonl", *how)
    rows = shared_text("beam-*-of-*.jsonl", out)
    assert len(rows) == 6
    assert rows == shared_text("batch.jsonl", out)
    assert sum('"taken_at": "2024-05-17T14:03:22+02:00"' in row for row in rows) == 1
    failed = shared_text("beam.errors-*-of-*.jsonl", out)
    assert failed == [row for row in rows if '"status": "error"' in row]
    # The dead letter is a manifest: what it names can be tried again.
    (letter,) = out.glob("beam.errors-*")
    flowers("batch", "--from", letter, "--out", out / "again.jsonl", *how)
    assert shared_text("again.jsonl", out) == failed
    again = flowers("beam", photos, "--out", out / "beam.jsonl")
    assert again.returncode == 2
    assert b"there are results already" in again.stderr


@needs_beam
@pytest.mark.parametrize(
    "out", ["rows.jsonl", "rows.parquet", "./rows.jsonl", "new/folder/rows.jsonl"]
)
def test_earlier_results_are_found_however_they_are_named(
    out: str, flowers: Run, sample: Path, tmp_path: Path
) -> None:
    words = ("beam", sample, "--out", out, "--", *EMBEDDED)
    done = flowers(*words)
    assert done.returncode == 0, done.stderr
    (written,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written.parent == (tmp_path / out).parent
    assert re.fullmatch(r"(.+)-00000-of-00001(\.\w+)", written.name)
    before = written.read_bytes()
    again = flowers(*words)
    assert again.returncode == 2
    assert b"there are results already: " in again.stderr
    assert written.read_bytes() == before


@needs_beam
def test_parquet_holds_the_same_rows(photos: Path, tmp_path: Path, classifier: Classifier) -> None:
    from flowers_onnx.beam.run import run
    from flowers_onnx.tables.parquet import Parquet

    assert run(options(photos, *EMBEDDED, out=tmp_path / "rows.parquet")) == 1
    (path,) = tmp_path.glob("rows-*-of-*.parquet")
    rows = list(Parquet(RESULTS).read(str(path)))
    assert sorted(map(shared, rows)) == sorted(map(shared, expected_rows(photos, classifier)))


@needs_beam
def test_no_dead_letter_where_nothing_failed(sample: Path, tmp_path: Path) -> None:
    from flowers_onnx.beam.run import run

    assert run(options(sample, *EMBEDDED, out=tmp_path / "rows.jsonl")) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["rows-00000-of-00001.jsonl"]


DATAFLOW = ("--runner=DataflowRunner", "--project=my-project", "--region=europe-west1")


@needs_beam
@pytest.mark.parametrize(
    ("words", "out", "complaint"),
    [
        (("--max_num_worker=3",), "rows.jsonl", "no option --max_num_worker"),
        (("--max_num_workers=3", "4"), "rows.jsonl", "no option 4"),
        (DATAFLOW, "gs://b/rows.jsonl", "workers can't see"),
        ((), "bigquery://p.d.t", "--temp_location"),
    ],
)
def test_what_would_fail_on_the_workers_fails_here(
    sample: Path, words: tuple[str, ...], out: str, complaint: str
) -> None:
    from flowers_onnx.beam.run import run

    with pytest.raises(UsageError, match=complaint):
        run(options(sample, *words, out=out))


@needs_beam
def test_a_folder_without_images(tmp_path: Path) -> None:
    from flowers_onnx.beam.run import run

    with pytest.raises(UsageError, match="no images"):
        run(options(tmp_path, *EMBEDDED, out=tmp_path / "rows.jsonl"))


def documented(runner: str) -> list[str]:
    """The words of the command in docs/beam.md for ``runner``."""
    (command,) = [b for b in blocks(PAGE.read_text(), "bash") if f"--runner {runner}" in b]
    return shlex.split(command.replace("\\\n", ""))[2:]


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    with fake_gcs() as server:
        yield server


def flowers_at(server: FakeGcs, *words: str) -> subprocess.CompletedProcess[bytes]:
    """The command line, told where the buckets are, and Beam that there are no credentials.

    It comes to that by itself, after it has looked for them for 25 seconds.
    """
    program = (
        "import sys; from apache_beam.internal.gcp import auth; from flowers_onnx.cli import main;"
        "auth._Credentials._credentials_init = True; sys.exit(main.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        env={**os.environ, **server.env},
        timeout=PATIENCE,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


@needs_beam
@pytest.mark.parametrize("out", ["bigquery://p-1.flowers.results", "gs://results/rows.parquet"])
def test_the_documented_dataflow_command_builds_and_stages_a_job(
    gcs: FakeGcs, sample: Path, tmp_path: Path, out: str
) -> None:
    from apache_beam.portability.api import beam_runner_api_pb2

    words = documented("DataflowRunner")
    assert [word for word in words[: words.index("--")] if word.startswith("-")] == ["--out"]
    words[words.index("--out") + 1] = out
    bucket = words[0].removeprefix("gs://").partition("/")[0]
    for name in (bucket, "results"):
        gcs.create(name)
    gcs.put(bucket, words[0].removeprefix(f"gs://{bucket}/") + "/a.jpg", sample.read_bytes())
    # Later options win: what would go to Google goes into a folder and a file. Beam asks no
    # service for anything where the endpoint is this machine.
    offline = ["--no_auth", "--dataflow_endpoint=http://localhost:9"]
    offline += [f"--staging_location={tmp_path}", f"--temp_location={tmp_path}"]
    offline += [f"--template_location={tmp_path / 'job.json'}"]
    done = flowers_at(gcs, "beam", *words, *offline)
    assert done.returncode == 0, done.stderr

    written = json.loads((tmp_path / "job.json").read_text())
    pool = written["environment"]["workerPools"][0]
    assert pool["sdkHarnessContainerImages"][0]["containerImage"].endswith("flowers-worker:0.1.0")
    given = written["environment"]["sdkPipelineOptions"]["options"]
    assert (given["machine_type"], given["max_num_workers"]) == ("n2d-standard-2", 50)
    graph = beam_runner_api_pb2.Pipeline()
    content = (tmp_path / "pipeline.pb").read_bytes()
    # A table that an earlier version has made gets its new columns.
    assert (b"'schemaUpdateOptions': ['ALLOW_FIELD_ADDITION']" in content) == ("bigquery" in out)
    graph.ParseFromString(content)
    steps = {step.unique_name for step in graph.components.transforms.values()}
    assert {"Sources", "List", "Once each", "Classify", "Rows", "Dead letter"} <= steps


@needs_beam
@pytest.mark.parametrize("runner", ["DataflowRunner", "FlinkRunner", "SparkRunner"])
def test_beam_knows_all_documented_options(runner: str) -> None:
    from flowers_onnx.beam.run import pipeline_options

    words = documented(runner)
    pipeline_options(words[words.index("--") + 1 :])
    with pytest.raises(UsageError, match="invalid int value"):
        pipeline_options(["--max_num_workers=many"])


def misfits(row: Any, fields: list[dict[str, Any]]) -> list[str]:
    """What BigQuery refuses in a row of a load job."""
    kinds = {"STRING": str, "INTEGER": int, "FLOAT": float, "BOOLEAN": bool}
    kinds |= {"TIMESTAMP": str, "RECORD": dict}
    found = [name for name in row if name not in {field["name"] for field in fields}]
    for field in fields:
        value: Any = row.get(field["name"])
        values: list[Any] = value if field["mode"] == "REPEATED" else [value]
        for each in values:
            if each is None:
                found += [field["name"]] if field["mode"] != "NULLABLE" else []
            elif type(each) is not kinds[field["type"]]:
                found.append(field["name"])
            elif each and field["type"] == "RECORD":
                found += misfits(each, field["fields"])
    return found


@needs_beam
def test_rows_fit_the_table(photos: Path, classifier: Classifier) -> None:
    from apache_beam.io.gcp.bigquery_tools import RowAsDictJsonCoder, parse_table_schema_from_json

    from flowers_onnx.beam.outputs import table_schema

    schema: Any = table_schema()
    parsed = parse_table_schema_from_json(json.dumps(schema))
    assert [field.name for field in parsed.fields][-len(BATCH_FIELDS) :] == list(BATCH_FIELDS)
    rows = [RESULTS.table_row(row) for row in expected_rows(photos, classifier)]
    assert {row["status"] for row in rows} == {"ok", "error"}
    coder = RowAsDictJsonCoder()
    for row in rows:
        assert coder.decode(coder.encode(row)) == row
        assert misfits(row, schema["fields"]) == []
    assert misfits({**rows[0], "colour": "red"}, schema["fields"]) == ["colour"]
    assert misfits({**rows[0], "class_id": 60}, schema["fields"]) == ["class_id"]


class Emulator(FakeGcs):
    """Another server: Beam renames in batches, which fake-gcs-server doesn't know."""

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Type": "application/octet-stream"}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    program = FLOWERS.with_name("gcp-storage-emulator")
    if not program.exists():
        pytest.skip("needs gcp-storage-emulator: .ci/run beam")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = ["start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]
    with running([program, *words, "--default-bucket=flowers"], port, {}):
        yield Emulator("gs", url, {"STORAGE_EMULATOR_HOST": url})


@needs_beam
def test_from_a_bucket_into_a_bucket(emulator: Emulator, sample: Path) -> None:
    emulator.put("flowers", "in/a%20b ñ.jpg", sample.read_bytes())
    emulator.put("flowers", "in/broken.jpg", b"no image")

    def rows(name: str) -> dict[str, Any]:
        text = emulator.request("GET", f"{emulator.path('flowers', name)}?alt=media").decode()
        return {row["path"]: row for row in map(json.loads, text.splitlines())}

    command = ["beam", "gs://flowers/in/", "--out", "gs://flowers/out/rows.jsonl"]
    command += ["--", *EMBEDDED]
    done = flowers_at(emulator, *command)
    assert done.returncode == 1, done.stderr
    found = rows("out/rows-00000-of-00001.jsonl")
    assert found.keys() == {"gs://flowers/in/a%20b ñ.jpg", "gs://flowers/in/broken.jpg"}
    listing = json.loads(emulator.request("GET", "/storage/v1/b/flowers/o?prefix=in/"))
    for item in listing["items"]:
        row = found[f"gs://flowers/{item['name']}"]
        assert (row["source_version"], str(row["size"])) == (item["generation"], item["size"])
    failed = rows("out/rows.errors-00000-of-00001.jsonl")
    assert list(failed.values()) == [found["gs://flowers/in/broken.jpg"]]
    again = flowers_at(emulator, *command)
    assert again.returncode == 2
    assert b"there are results already" in again.stderr
