"""Tables: rows that are published, in one step, to a file, a bucket or BigQuery.

``schema`` says what columns there are, ``journal`` keeps rows until then, ``reading`` reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from flowers_onnx.errors import UsageError
from flowers_onnx.storage.uris import (
    is_remote,
    is_table,
    path_of,
    scheme_of,
    suffix_of,
    table_of,
)
from flowers_onnx.tables.files import Format, LocalFile, ObjectFile
from flowers_onnx.tables.schema import AnyRow, Schema

SUFFIXES = (".jsonl", ".csv", ".parquet", ".sqlite")


class Sink(Protocol):
    """One result, in whatever form; one run at a time may publish to it."""

    #: False: ``publish`` replaces the result, and is given all rows. True: it adds to a table.
    appends: bool

    def existing(self) -> Iterator[AnyRow]:
        """The rows of an earlier result, none if there is no such result.

        From a sink that appends they have the schema's keys only. Raises ``UsageError`` for
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
            if suffix_of(place) not in SUFFIXES:
                known = ", ".join(SUFFIXES)
                raise UsageError(f"a result's name must end in one of {known}, not as {place} does")
            path_of(place)
        case scheme:
            raise UsageError(
                f"results can't be written to {scheme}://; use a file, gs://, s3:// or bigquery://"
            )


def sink_for(place: str, schema: Schema) -> Sink:
    """The sink for rows of ``schema`` at a path or a ``file``, ``gs``, ``s3``, ``bigquery`` URI.

    Raises ``UsageError`` for an unknown form and for a missing extra.
    """
    check_place(place)
    if is_table(place):
        from flowers_onnx.tables.bigquery import BigQueryTable

        return BigQueryTable(place, schema)
    if is_remote(place):
        return ObjectFile(place, format_for(place, schema))
    return LocalFile(path_of(place), format_for(place, schema))


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
