"""An earlier result beside a new one: ratios of the medians, and whether that is slower."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from typing import cast

from flowers_onnx.benchmark.document import KIND, SCHEMA, Document, Row, RowComparison
from flowers_onnx.benchmark.output import write
from flowers_onnx.benchmark.samples import ratio
from flowers_onnx.environment import MACHINE_FACTS
from flowers_onnx.errors import UsageError
from flowers_onnx.text import read_text

Key = tuple[str, int, str]


def load(path: str) -> Document:
    """A result that was saved with ``--format json``, known to be whole; raises ``UsageError``."""
    try:
        content = json.loads(read_text(path))
        if content["kind"] != KIND:
            raise ValueError("of another kind")
    except OSError as error:
        raise UsageError(f"--compare can't read {path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(f"{path} is no result of flowers benchmark --format json") from error
    schema = str(content.get("schema"))
    if schema.partition(".")[0] != SCHEMA.partition(".")[0]:
        raise UsageError(f"{path} has schema {schema}; {SCHEMA} is needed")
    document = cast("Document", content)
    try:
        _check(document)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UsageError(f"{path} is broken: {error!r}") from error
    return document


def _check(document: Document) -> None:
    """What is read from an older file must be as it was written, and can be shown."""
    json.dumps(document, allow_nan=False)  # its numbers are numbers
    if not isinstance(document["photos"]["sha256"], str):
        raise TypeError("the photos have no sha256")
    for row in document["rows"]:
        if [type(part) for part in key_of(row)] != [str, int, str]:
            raise TypeError("a row doesn't say of what")
        for run in row["samples"]["total"]:
            if not run or not all(0 < sample < math.inf for sample in run):
                raise ValueError("samples must be positive")
        if len({len(run) for run in row["samples"]["total"]}) != 1:
            raise ValueError("runs must be of one length")
    write("table", document, io.StringIO())


def partners(old: Document, keys: Sequence[Key], path: str) -> dict[Key, Row]:
    """The row of ``old`` to compare with, by key; raises ``UsageError`` if there is none.

    Rows match by scenario, threads and model, or without the model where both results have
    only one: that is how a new version of a model is compared with the old one.
    """
    rows = {key_of(row): row for row in old["rows"]}
    if len({model for _, _, model in rows}) == len({model for _, _, model in keys}) == 1:
        rows = {(*key[:2], keys[0][2]): row for key, row in rows.items()}
    found = {key: rows[key] for key in keys if key in rows}
    if not found:
        raise UsageError(f"{path} has no row of the same scenario, threads and model")
    return found


def compare(new: Document, old: Document, path: str, fail_above: float) -> bool:
    """Put a ``comparison`` into ``new`` and into its rows; true if a row is slower.

    Slower is a row whose ratio is above ``fail_above`` and whose interval lies above 1:
    much, and not by chance.
    """
    before = partners(old, [key_of(row) for row in new["rows"]], path)
    for row in new["rows"]:
        partner = before.get(key_of(row))
        row["comparison"] = partner and _row(row, partner, fail_above)
    slower = any(row["comparison"] and row["comparison"]["slower"] for row in new["rows"])
    new["comparison"] = {
        "old": path.encode("utf-8", "backslashreplace").decode(),
        "old_date": old["date"],
        "fail_above": fail_above,
        "slower": slower,
        "caveats": _caveats(new, old),
    }
    return slower


def _row(new: Row, old: Row, fail_above: float) -> RowComparison:
    """Times of a photo are compared, also offline: above 1 always means slower."""
    found, interval = ratio(new["samples"]["total"], old["samples"]["total"])
    return {
        "ratio": round(found, 4),
        "ci95": [round(end, 4) for end in interval] if interval else None,
        "slower": interval is not None and found > fail_above and interval[0] > 1,
        "old_model": old["model"]["name"],
    }


def _caveats(new: Document, old: Document) -> list[str]:
    """What else may explain a ratio, or keep it from being judged."""
    here, there = new["environment"], old["environment"]
    found = [
        f"{fact}: {there.get(fact)} -> {here.get(fact)}"
        for fact in MACHINE_FACTS
        if here.get(fact) != there.get(fact)
    ]
    if new["photos"]["sha256"] != old["photos"]["sha256"]:
        found.append("the photos differ")
    if old.get("warnings"):
        found.append("the earlier result has warnings")
    if any(row["comparison"] and not row["comparison"]["ci95"] for row in new["rows"]):
        found.append("too few runs for an interval, so nothing counts as slower")
    return found


def key_of(row: Row) -> Key:
    """Scenario, threads and model of a row."""
    return row["scenario"], row["threads"], row["model"]["name"]
