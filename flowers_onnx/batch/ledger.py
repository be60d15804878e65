"""Which images are done, so that each is in the result exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b

from flowers_onnx.batch.item import Item
from flowers_onnx.batch.rows import Row


class Ledger:
    """What has a row, by a hash of 64 bits: about 60 MB for a million images.

    An image is its URI, its version and the id that a manifest gave it. Where a manifest is
    used, versions aren't known before reading, so that URI and id have to do. With
    ``retry_errors``, an image whose last row is an error is not done.
    """

    def __init__(self, *, by_version: bool, retry_errors: bool) -> None:
        self._by_version, self._retry_errors = by_version, retry_errors
        self._done: set[int] = set()
        self._failed: set[int] = set()
        #: How many rows of an image are followed by a newer one.
        self._superseded: dict[int, int] = {}

    def note(self, row: Row) -> None:
        """Take a row that exists into account; rows come in the order they were made."""
        key = self._key_of(row)
        if key in self._done or key in self._failed:
            self._superseded[key] = self._superseded.get(key, 0) + 1
        self._done.discard(key)
        self._failed.discard(key)
        (self._failed if self._is_to_be_retried(row) else self._done).add(key)

    def note_published(self, row: Row) -> None:
        """The same for a row that is where it is to stay, and won't come to ``last_rows``."""
        if not self._is_to_be_retried(row):
            self._done.add(self._key_of(row))

    def claim(self, item: Item) -> bool:
        """Whether ``item`` is to be done now; claimed once, it counts as done."""
        key = self._key(item.uri, item.version, item.id)
        if key in self._done:
            return False
        if key in self._failed:
            self._failed.discard(key)
            self._superseded[key] = self._superseded.get(key, 0) + 1
        self._done.add(key)
        return True

    def last_rows(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Of all rows that were noted or claimed, the last one of each image, in order."""
        superseded = dict(self._superseded)
        for row in rows:
            key = self._key_of(row)
            if superseded.get(key):
                superseded[key] -= 1
            else:
                yield row

    def _is_to_be_retried(self, row: Row) -> bool:
        return self._retry_errors and row["status"] == "error"

    def _key_of(self, row: Row) -> int:
        return self._key(row["source_uri"], row["source_version"], row.get("source_id"))

    def _key(self, uri: str, version: str | None, item_id: str | None) -> int:
        parts = [uri, version if self._by_version else None, item_id]
        text = "\0".join(part or "" for part in parts)
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big")
