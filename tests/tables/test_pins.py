"""The forms of a result, pinned: another version's results must be read and continued by this one.

A change here is a change of the record's version, or of what every reader of it has to know.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fakes.bigquery import BigQueryFake
from support import Row, make_row, result_sink

from flowers_onnx.exif import Taken
from flowers_onnx.results import Candidate, Failure, Prediction
from flowers_onnx.storage.item import Item
from flowers_onnx.tables.schema import id_to_text, text_to_id

GOOD: Row = make_row(
    Item("gs://fotos/ñandú/1.jpg", "17", 1234, "7"),
    Prediction(
        (Candidate("orquídea mariposa", 7, 0.1 + 0.2), Candidate("tusílago", "x", 1e-12)),
        "Phalaenopsis «hyb.»",
        None,
        "ab" * 32,
        3,
        4,
        "flowers/1.0",
        known=True,
        prediction_set=(Candidate("orquídea mariposa", 7, 0.1 + 0.2),),
    ),
    "20261123T120000Z-0123abcd",
    "2026-11-23T12:00:00.120Z",
    Taken("2024-05-17T14:03:22+02:00", 41.40338888888889, -2.5),
)
FAILED: Row = make_row(
    Item("gs://fotos/2.jpg", None, None, 'año, "7"\n'),
    Failure("is_empty", "the file is empty", None, None, "flowers/1.0"),
    "20261123T120000Z-0123abcd",
    "2026-11-23T12:00:01.000Z",
)

JSON_LINES = (
    '{"schema": "1.1", "path": "gs://fotos/ñandú/1.jpg", "status": "ok", '
    '"label": "orquídea mariposa", "class_id": 7, "scientific_name": "Phalaenopsis «hyb.»", '
    '"confidence": 0.30000000000000004, "known": true, "top": ['
    '{"label": "orquídea mariposa", "class_id": 7, "confidence": 0.30000000000000004}, '
    '{"label": "tusílago", "class_id": "x", "confidence": 1e-12}], '
    '"prediction_set": [{"label": "orquídea mariposa", "class_id": 7, '
    '"confidence": 0.30000000000000004}], '
    '"sha256": "abababababababababababababababababababababababababababababababab", '
    '"width": 3, "height": 4, "model": "flowers/1.0", "error": null, '
    '"source_uri": "gs://fotos/ñandú/1.jpg", "source_version": "17", "source_id": "7", '
    '"size": 1234, "taken_at": "2024-05-17T14:03:22+02:00", '
    '"latitude": 41.40338888888889, "longitude": -2.5, "run_id": "20261123T120000Z-0123abcd", '
    '"processed_at": "2026-11-23T12:00:00.120Z"}\n'
    '{"schema": "1.1", "path": "gs://fotos/2.jpg", "status": "error", '
    '"label": null, "class_id": null, "scientific_name": null, '
    '"confidence": null, "known": null, "top": [], "prediction_set": [], '
    '"sha256": null, '
    '"width": null, "height": null, "model": "flowers/1.0", '
    '"error": {"code": "is_empty", "message": "the file is empty"}, '
    '"source_uri": "gs://fotos/2.jpg", "source_version": null, "source_id": "año, \\"7\\"\\n", '
    '"size": null, "taken_at": null, "latitude": null, "longitude": null, '
    '"run_id": "20261123T120000Z-0123abcd", '
    '"processed_at": "2026-11-23T12:00:01.000Z"}\n'
)

CSV = (
    "schema,path,status,label,class_id,scientific_name,confidence,known,top,prediction_set,sha256,"
    "width,height,model,error_code,error_message,source_uri,source_version,source_id,size,taken_at,"
    "latitude,longitude,run_id,processed_at\n"
    "1.1,gs://fotos/ñandú/1.jpg,ok,orquídea mariposa,7,Phalaenopsis «hyb.»,0.30000000000000004,"
    "true,"
    '"[{""label"": ""orquídea mariposa"", ""class_id"": 7, ""confidence"": 0.30000000000000004}, '
    '{""label"": ""tusílago"", ""class_id"": ""x"", ""confidence"": 1e-12}]",'
    '"[{""label"": ""orquídea mariposa"", ""class_id"": 7, ""confidence"": 0.30000000000000004}]",'
    "abababababababababababababababababababababababababababababababab,3,4,flowers/1.0,"
    ",,gs://fotos/ñandú/1.jpg,17,7,1234,2024-05-17T14:03:22+02:00,"
    "41.40338888888889,-2.5,20261123T120000Z-0123abcd,2026-11-23T12:00:00.120Z\n"
    "1.1,gs://fotos/2.jpg,error,,,,,,[],[],,,,flowers/1.0,"
    'is_empty,the file is empty,gs://fotos/2.jpg,,"año, ""7""\n",,,,,'
    "20261123T120000Z-0123abcd,2026-11-23T12:00:01.000Z\n"
)

SQLITE_TABLE = (
    'CREATE TABLE results ("schema" TEXT NOT NULL, "path" TEXT, "status" TEXT NOT NULL, '
    '"label" TEXT, "class_id" TEXT, "scientific_name" TEXT, "confidence" REAL, '
    '"known" INTEGER, "top" TEXT NOT NULL, "prediction_set" TEXT NOT NULL, "sha256" TEXT, '
    '"width" INTEGER, "height" INTEGER, '
    '"model" TEXT NOT NULL, "error_code" TEXT, "error_message" TEXT, '
    '"source_uri" TEXT NOT NULL, "source_version" TEXT, "source_id" TEXT, "size" INTEGER, '
    '"taken_at" TEXT, "latitude" REAL, "longitude" REAL, '
    '"run_id" TEXT NOT NULL, "processed_at" TEXT NOT NULL)'
)
SQLITE_INDEX = "CREATE INDEX results_source_uri ON results (source_uri)"

PARQUET = """\
required group field_id=-1 schema {
  required binary field_id=-1 schema (String);
  optional binary field_id=-1 path (String);
  required binary field_id=-1 status (String);
  optional binary field_id=-1 label (String);
  optional binary field_id=-1 class_id (String);
  optional binary field_id=-1 scientific_name (String);
  optional double field_id=-1 confidence;
  optional boolean field_id=-1 known;
  required group field_id=-1 top (List) {
    repeated group field_id=-1 list {
      required group field_id=-1 element {
        required binary field_id=-1 label (String);
        required binary field_id=-1 class_id (String);
        required double field_id=-1 confidence;
      }
    }
  }
  required group field_id=-1 prediction_set (List) {
    repeated group field_id=-1 list {
      required group field_id=-1 element {
        required binary field_id=-1 label (String);
        required binary field_id=-1 class_id (String);
        required double field_id=-1 confidence;
      }
    }
  }
  optional binary field_id=-1 sha256 (String);
  optional int64 field_id=-1 width;
  optional int64 field_id=-1 height;
  required binary field_id=-1 model (String);
  optional group field_id=-1 error {
    required binary field_id=-1 code (String);
    required binary field_id=-1 message (String);
  }
  required binary field_id=-1 source_uri (String);
  optional binary field_id=-1 source_version (String);
  optional binary field_id=-1 source_id (String);
  optional int64 field_id=-1 size;
  optional binary field_id=-1 taken_at (String);
  optional double field_id=-1 latitude;
  optional double field_id=-1 longitude;
  required binary field_id=-1 run_id (String);
  required int64 field_id=-1 processed_at (Timestamp(isAdjustedToUTC=true, \
timeUnit=milliseconds, is_from_converted_type=false, force_set_converted_type=false));
}
"""


@pytest.mark.parametrize(("suffix", "content"), [(".jsonl", JSON_LINES), (".csv", CSV)])
def test_a_text_file_is_pinned(tmp_path: Path, suffix: str, content: str) -> None:
    path = tmp_path / f"results{suffix}"
    result_sink(path).publish([GOOD, FAILED])
    assert path.read_bytes() == content.encode()
    path.write_bytes(content.encode())
    assert list(result_sink(path).existing()) == [GOOD, FAILED]


def test_a_database_is_pinned(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    result_sink(path).publish([GOOD, FAILED])
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA application_id").fetchone() == (0x666C6F77,)
    assert connection.execute("PRAGMA user_version").fetchone() == (1001,)
    assert connection.execute("SELECT sql FROM sqlite_master").fetchall() == [
        (SQLITE_TABLE,),
        (SQLITE_INDEX,),
    ]
    top = json.dumps(GOOD["top"], ensure_ascii=False)
    assert connection.execute("SELECT class_id, top FROM results").fetchall() == [
        ("7", top),
        (None, "[]"),
    ]
    connection.close()


def test_a_parquet_file_is_pinned(tmp_path: Path) -> None:
    path = tmp_path / "results.parquet"
    result_sink(path).publish([GOOD, FAILED])
    with pq.ParquetFile(path) as file:
        assert str(file.schema).partition("\n")[2] == PARQUET
        assert file.schema_arrow.metadata == {b"flowers_onnx.schema": b"1.1"}
        assert file.metadata.row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize(
    ("class_id", "text"),
    [
        (60, "60"),
        (0, "0"),
        (-1, "-1"),
        ("60", '"60"'),
        ("-1", '"-1"'),
        ("007", "007"),
        ("-0", "-0"),
        ("1.0", "1.0"),
        ("ñ", "ñ"),
        ('"ñ"', '"\\"ñ\\""'),
        ("", ""),
    ],
)
def test_the_text_of_a_class_id_is_pinned(class_id: int | str, text: str) -> None:
    assert id_to_text(class_id) == text
    assert text_to_id(text) == class_id


def test_the_id_of_a_load_job_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on with another version must find the jobs of the first one."""
    with BigQueryFake() as fake:
        for name, value in fake.env.items():
            monkeypatch.setenv(name, value)
        sink = result_sink("bigquery://project.dataset.flowers")
        sink.publish([])  # makes the table
        fake.tables["project.dataset.flowers"].resource["creationTime"] = "1764000000123"
        sink.publish([GOOD, FAILED])
        digest = "973880479f28b280cd8771e2b5c0fd44e5584477625284d493e5e53bf7baba38"
        assert list(fake.jobs) == [f"flowers-{digest}-0"]
        (job,) = fake.jobs.values()
        assert job.data.decode() == JSON_LINES.replace('"class_id": 7', '"class_id": "7"')
