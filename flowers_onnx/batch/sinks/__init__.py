"""Sinks: where the rows of a batch are published."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Protocol

from flowers_onnx.batch.rows import Row
from flowers_onnx.batch.sinks.files import Format, LocalFile, ObjectFile
from flowers_onnx.batch.storage.names import path_of
from flowers_onnx.errors import UsageError

SUFFIXES = (".jsonl", ".csv", ".parquet", ".sqlite")


class Sink(Protocol):
    """One result, in whatever form; one run at a time may publish to it."""

    #: False: ``publish`` replaces the result, and is given all rows. True: it adds to a table.
    appends: bool

    def existing(self) -> Iterator[Row]:
        """The rows of an earlier result, none if there is no such result.

        From a sink that appends they have what tells an image and its run: ``source_uri``,
        ``source_version``, ``source_id``, ``status`` and ``run_id``. Raises ``UsageError`` for
        what is no result, or one of another version; such a thing is never overwritten.
        """

    def publish(self, rows: Iterable[Row]) -> None:
        """Make ``rows`` the result, in one step; raises ``OutputError``.

        To a sink that appends give the new rows only. If that fails or is killed, give it the
        same ones in the same order once more: what has arrived already is not added again.
        """

    def close(self) -> None:
        """Remove what was kept on the way, such as a local copy; publish does that, too."""


def sink_for(uri: str) -> Sink:
    """The sink of a path, ``file://``, ``gs://``, ``s3://`` or ``bigquery://`` URI.

    Raises ``UsageError`` for an unknown form and for a missing extra.
    """
    scheme = uri.partition("://")[0].lower() if "://" in uri else "file"
    match scheme:
        case "file":
            return LocalFile(path_of(uri), _format(uri))
        case "gs" | "s3":
            return ObjectFile(uri, _format(uri))
        case "bigquery":
            from flowers_onnx.batch.sinks.bigquery import BigQueryTable

            return BigQueryTable(uri)
    raise UsageError(
        f"results can't be written to {scheme}://; use a file, gs://, s3:// or bigquery://"
    )


def _format(uri: str) -> Format:
    match os.path.splitext(uri)[1].lower():
        case ".jsonl":
            from flowers_onnx.batch.sinks.lines import JsonLines

            return JsonLines()
        case ".csv":
            from flowers_onnx.batch.sinks.lines import Csv

            return Csv()
        case ".parquet":
            from flowers_onnx.batch.sinks.parquet import Parquet

            return Parquet()
        case ".sqlite":
            from flowers_onnx.batch.sinks.sqlite import Sqlite

            return Sqlite()
    raise UsageError(f"a result's name must end in one of {', '.join(SUFFIXES)}, not as {uri} does")
