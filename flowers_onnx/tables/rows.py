"""The rows of a batch: the result record, and where its image came from."""

from __future__ import annotations

from typing import Annotated, cast

from flowers_onnx.exif import Taken
from flowers_onnx.record import RECORD_SCHEMA, Record, Timestamp, fields_of
from flowers_onnx.results import Result
from flowers_onnx.storage.item import Item
from flowers_onnx.tables.schema import Schema


class Row(Record):
    """What a batch adds to the result record, behind it; ``path`` is the source's URI."""

    source_uri: Annotated[str, "where the image is stored"]
    source_version: Annotated[str | None, "its generation, ETag, or size and time"]
    source_id: Annotated[str | None, "what the manifest calls it"]
    size: Annotated[int | None, "bytes"]
    taken_at: Annotated[str | None, "when the photo was taken, local time, with --exif"]
    latitude: Annotated[float | None, "where, in degrees, WGS84, with --exif"]
    longitude: Annotated[float | None, "the same"]
    run_id: Annotated[str, "the run that made this row"]
    processed_at: Annotated[Timestamp, "when it was made, UTC"]


#: Fields that came with a minor version of the record.
_NEW_IN_1_1 = frozenset({"known", "prediction_set", *Taken._fields})

RESULTS = Schema(
    name="results",
    title="Flowers named by flowers batch (flowers-onnx), a row an image",
    version=RECORD_SCHEMA,
    fields=fields_of(Row),
    keys=("source_uri", "source_version", "source_id", "status", "run_id"),
    time="processed_at",
    group="label",
    earlier={"1.0": _NEW_IN_1_1},
)


def make_row(
    item: Item,
    result: Result,
    run_id: str,
    processed_at: Timestamp,
    taken: Taken = Taken(),  # noqa: B008  a tuple of constants
) -> Row:
    """The row of one image; ``taken`` is for who asked for it."""
    return cast(
        Row,
        {
            **result.to_record(),
            "path": item.uri,
            "source_uri": item.uri,
            "source_version": item.version,
            "source_id": item.id,
            "size": item.size,
            **taken._asdict(),
            "run_id": run_id,
            "processed_at": processed_at,
        },
    )
