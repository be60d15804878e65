"""Tables: rows that are published, in one step, to a file, a bucket or BigQuery.

``schema`` says what columns there are, ``journal`` keeps rows until then, ``reading`` reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from flowers_onnx.errors import UsageError
from flowers_onnx.metadata import Label
from flowers_onnx.storage.uris import (
    DARWIN_CORE,
    is_remote,
    is_table,
    path_of,
    scheme_of,
    suffix_of,
    table_of,
)
from flowers_onnx.tables.files import Format, LocalFile, ObjectFile
from flowers_onnx.tables.schema import AnyRow, Schema

#: Of files that hold whole rows.
SUFFIXES = (".jsonl", ".csv", ".parquet", ".sqlite")


class Sink(Protocol):
    """One result, in whatever form; one run at a time may publish to it."""

    #: False: ``publish`` replaces the result, and is given all rows. True: it adds to a table.
    appends: bool
    #: Whether ``existing`` tells what a photo shows: all that a sidecar says of it.
    tells_names: bool

    def existing(self) -> Iterator[AnyRow]:
        """The rows of an earlier result, none if there is no such result.

        From a sink that appends they have the schema's keys only, and names where it
        ``tells_names``. Raises ``UsageError`` for
        what is no result, or one of another version; such a thing is never overwritten.
        """

    def sample(self) -> Iterator[AnyRow]:
        """Some whole rows of an earlier result, enough to tell how it was made; raises the same."""

    def publish(self, rows: Iterable[AnyRow]) -> None:
        """Make ``rows`` the result, in one step; raises ``OutputError`` or ``StorageError``.

        To a sink that appends give the new rows only. If that fails or is killed, give it the
        same ones in the same order once more: what has arrived already is not added again.
        """

    def close(self) -> None:
        """Remove what was kept on the way, such as a local copy; publish does that, too."""


def check_place(place: str) -> None:
    """Raise ``UsageError`` for a place that no sink has; nothing is loaded or opened."""
    match scheme_of(place):
        case "bigquery":
            table_of(place)
        case "file" | "gs" | "s3":
            if suffix_of(place) not in (*SUFFIXES, DARWIN_CORE):
                known = ", ".join((*SUFFIXES, DARWIN_CORE))
                raise UsageError(f"a result's name must end in one of {known}, not as {place} does")
            path_of(place)
        case scheme:
            raise UsageError(
                f"results can't be written to {scheme}://; use a file, gs://, s3:// or bigquery://"
            )


def sink_for(place: str, schema: Schema, labels: Sequence[Label] = ()) -> Sink:
    """The sink for rows of ``schema`` at a path or a ``file``, ``gs``, ``s3``, ``bigquery`` URI.

    ``labels`` are those of the model that makes the rows: Darwin Core tells more of a plant than
    they do. Raises ``UsageError`` for an unknown form and for a missing extra.
    """
    check_place(place)
    if is_table(place):
        from flowers_onnx.tables.bigquery import BigQueryTable

        return BigQueryTable(place, schema)
    if suffix_of(place) == DARWIN_CORE:
        from flowers_onnx.tables.darwin_core import DarwinCore, Occurrences
        from flowers_onnx.tables.rows import RESULTS

        if schema.name != RESULTS.name:
            raise UsageError(f"{place}: only flowers batch writes Darwin Core")
        return DarwinCore(_file(place, Occurrences()), labels)
    return _file(place, format_for(place, schema))


def _file(place: str, format: Format) -> LocalFile | ObjectFile:
    return ObjectFile(place, format) if is_remote(place) else LocalFile(path_of(place), format)


def format_for(place: str, schema: Schema) -> Format:
    """The file format of one of ``SUFFIXES``; raises ``UsageError`` for a missing extra."""
    match suffix_of(place):
        case ".jsonl":
            from flowers_onnx.tables.lines import JsonLines

            return JsonLines(schema)
        case ".csv":
            from flowers_onnx.tables.lines import Csv

            return Csv(schema)
        case ".parquet":
            from flowers_onnx.tables.parquet import Parquet

            return Parquet(schema)
        case ".sqlite":
            from flowers_onnx.tables.sqlite import Sqlite

            return Sqlite(schema)
    raise ValueError(f"no format has the suffix of {place}")
