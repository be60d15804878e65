"""A row of results: the result record, and where it came from."""

from __future__ import annotations

from typing import Any

from flowers_onnx.results import Result
from flowers_onnx.storage.item import Item

#: Fields that a batch adds to the result record, in this order and behind it.
BATCH_FIELDS = ("source_uri", "source_version", "source_id", "size", "run_id", "processed_at")

Row = dict[str, Any]


def make_row(item: Item, result: Result, run_id: str, processed_at: str) -> Row:
    """``processed_at`` is UTC in ISO 8601, ending in Z; ``path`` is the source's URI."""
    return {
        **result.to_record(),
        "path": item.uri,
        "source_uri": item.uri,
        "source_version": item.version,
        "source_id": item.id,
        "size": item.size,
        "run_id": run_id,
        "processed_at": processed_at,
    }
