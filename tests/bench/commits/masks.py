"""What differs between two runs of one program, made the same; nothing else."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

#: From the name of something seen and its content to the content to compare.
Mask = Callable[[str, bytes], bytes]

_ROWS = (".jsonl", ".csv", ".parquet", ".sqlite", ".journal")


def readable(path: Path) -> bytes:
    """The content of a file, as text where it is a table or a database."""
    match path.suffix:
        case ".parquet":
            return _parquet(path)
        case ".sqlite":
            return _sqlite(path)
    return path.read_bytes()


def _parquet(path: Path) -> bytes:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise SystemExit("compare_commits.py needs pyarrow: pip install pyarrow") from error
    try:
        file = ParquetFile(path)
    except ArrowInvalid:
        return path.read_bytes()
    group = file.metadata.row_group(0) if file.num_row_groups else None
    columns = [group.column(index) for index in range(group.num_columns)] if group else []
    forms = [f"{one.path_in_schema} {one.compression} {one.encodings}" for one in columns]
    _, _, schema = str(file.schema).partition("\n")  # the first line has an address in memory
    head = [str(file.schema_arrow), schema, f"{file.num_row_groups} groups", *forms]
    rows = [json.dumps(row, default=_time) for row in file.read().to_pylist()]
    return "\n".join([*head, *rows, ""]).encode()


def _time(value: datetime) -> str:
    return value.isoformat(timespec="microseconds")  # str() leaves them out if there are none


def _sqlite(path: Path) -> bytes:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        facts = [
            f"{name} {connection.execute(f'PRAGMA {name}').fetchone()[0]}"
            for name in ("application_id", "user_version", "journal_mode", "page_size", "encoding")
        ]
        return "\n".join([*facts, *connection.iterdump(), ""]).encode("utf-8", "surrogateescape")
    except sqlite3.DatabaseError:
        return path.read_bytes()
    finally:
        connection.close()


def _replacing(pattern: bytes, replacement: bytes) -> Mask:
    expression = re.compile(pattern)
    return lambda _, content: expression.sub(replacement, content)


def _run_of_batch(_: str, content: bytes) -> bytes:
    """Ids of runs, times and speeds; times keep their form."""
    content = re.sub(rb"\d{8}T\d{6}Z-[0-9a-f]{8}", b"<run>", content)
    content = re.sub(
        rb"\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00))",
        lambda found: b"0000-00-00" + re.sub(rb"\d", b"0", found[1]),
        content,
    )
    content = re.sub(rb'"seconds": \d+\.\d+', b'"seconds": <seconds>', content)
    return re.sub(rb"; [\d.]+ s, [\d.,]+ (a second|s each)", b"; <s>, <rate>", content)


def _order(name: str, content: bytes) -> bytes:
    """Rows, and species that are equally frequent, come in the order of threads."""
    if name.endswith(".run.json"):
        return b"\n".join(sorted(line.rstrip(b",") for line in content.splitlines()))
    if name == "standard error":
        return b"\n".join(sorted(re.split(rb"[,;:] |[()\n]+", content)))
    if name.endswith(_ROWS):
        return b"\n".join(sorted(content.splitlines()))
    return content


def _figures(name: str, content: bytes) -> bytes:
    """The form of a benchmark: all keys and words, no number and no warning."""
    if name == "standard error":
        return b""
    if not content.startswith(b"{"):
        return content
    document = json.loads(content)
    document["warnings"] = []
    document["date"] = ""
    return json.dumps(_form(document), indent=1).encode()


def _form(value: Any) -> Any:
    match value:
        case dict():
            return {key: _form(inner) for key, inner in value.items()}
        case list():
            return [_form(inner) for inner in value]
        case int() | float() if not isinstance(value, bool):
            return type(value).__name__
    return value


BATCH: Mask = _run_of_batch
ORDER: Mask = _order
FIGURES: Mask = _figures
#: How far a run was when it was stopped.
PROGRESS: Mask = _replacing(
    rb"([\d,]+(?= images are done))|((?<=done before: )[\d,]+)"
    rb'|((?<="of_an_earlier_run": )\d+)|((?<="skipped_as_done": )\d+)',
    b"<n>",
)
#: The milliseconds of an answer, and the process.
STREAM: Mask = _replacing(rb'"(ms|pid)": [\d.]+', rb'"\1": 0')
