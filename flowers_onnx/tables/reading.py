"""From result files to results: the reverse of ``Result.to_record``, for rows of any origin."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from flowers_onnx.errors import UsageError, from_os_error
from flowers_onnx.results import Candidate, Failure, Prediction, Result

#: Read here, since `flowers classify` writes them too, without the fields of a batch.
_TEXT = (".jsonl", ".json", ".csv")
#: Read by the sink that wrote them.
_SINKS = (".parquet", ".sqlite")


def read_results(words: Iterable[str]) -> Iterator[Result]:
    """The results in all files, one at a time; ``path`` is the photo's URI or path.

    Raises ``UsageError`` for what is missing, or no result of this program.
    """
    for word in words:
        for number, row in enumerate(_rows(word), start=1):
            try:
                result = _result_of(row)
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                raise _foreign(word, number) from error
            yield result


def _rows(word: str) -> Iterator[Any]:
    suffix = os.path.splitext(word)[1].lower()
    if suffix not in _TEXT + _SINKS:
        raise UsageError(f"{word}: results end in {', '.join(_TEXT + _SINKS)}")
    if "://" in word or suffix in _SINKS:
        from flowers_onnx.tables import sink_for

        if "://" not in word and not os.path.exists(word):
            raise UsageError(f"{word}: no such file or folder")
        yield from sink_for(word).existing()
        return
    try:
        with open(word, encoding="utf-8", newline="") as file:
            match suffix:
                case ".jsonl":
                    yield from _json_lines(file, word)
                case ".json":
                    yield from json.load(file)
                case _:
                    yield from _csv_rows(file)
    except OSError as error:
        raise UsageError(f"{word}: {from_os_error(error)}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise _foreign(word) from error


def _json_lines(lines: Iterable[str], word: str) -> Iterator[Any]:
    for number, line in enumerate(lines, start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise _foreign(word, number) from error


def _csv_rows(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Rows with the types of the record again: CSV holds nothing but text."""
    import csv

    try:
        for cells in csv.DictReader(lines, strict=True):
            row: dict[str, Any] = {name: cell or None for name, cell in cells.items()}
            row["top"] = json.loads(row["top"] or "[]")
            row["error"] = {"code": row["error_code"], "message": row["error_message"]}
            yield row
    except (csv.Error, LookupError) as error:
        raise ValueError(str(error)) from error


def _result_of(row: Any) -> Result:
    """Raises one of Python's errors of look-up, type or value if ``row`` is no result."""
    if not row["schema"].startswith("1."):
        raise ValueError(f"schema {row['schema']}")
    path = _text(row.get("source_uri") or row["path"] or "-")
    sha256, model = row["sha256"], _text(row["model"])
    if row["status"] == "error":
        error = row["error"]
        return Failure(_text(error["code"]), _text(error["message"]), path, sha256, model)
    if row["status"] != "ok":
        raise ValueError(f"status {row['status']}")
    top = tuple(
        Candidate(_text(one["label"]), one["class_id"], float(one["confidence"]))
        for one in row["top"]
    )
    if not top or not all(0 <= candidate.confidence <= 1 for candidate in top):
        raise ValueError("no candidates, or no probabilities")
    size = int(row["width"]), int(row["height"])
    latin = row["scientific_name"]
    return Prediction(top, latin and _text(latin), path, sha256, *size, model)


def _text(value: Any) -> str:
    """A string of valid Unicode: JSON can hold half a character."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value.encode("utf-8", "replace").decode()


def _foreign(word: str, number: int | None = None) -> UsageError:
    where = f"{word}, row {number}" if number else word
    return UsageError(f"{where}: not a result of flowers classify or flowers batch")
