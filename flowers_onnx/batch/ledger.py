"""Which images are done, so that each is in the result exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from flowers_onnx.batch.shard import hash64
from flowers_onnx.storage.item import Item
from flowers_onnx.tables.schema import AnyRow

#: Errors of the storage, not of the image: the next run tries again.
PASSING = frozenset({"read_error", "permission_denied"})


class Ledger:
    """What has a row, by a hash of 64 bits: about 60 MB for a million images.

    An image is its URI, its version and the id that a manifest gave it. Where a manifest is
    used, versions aren't known before reading, so that URI and id have to do. With
    ``retry_errors``, an image whose last row is an error is not done, and without it one whose
    error may have passed.
    """

    def __init__(self, *, by_version: bool, retry_errors: bool) -> None:
        self._by_version, self._retry_errors = by_version, retry_errors
        #: What is in the result, and what is about to be.
        self._published: set[int] = set()
        self._new: set[int] = set()
        #: Images that were claimed, and in the result before.
        self.before = 0
        #: The image, whatever its version, to the key of its row that is an error.
        self._failed: dict[int, int] = {}
        #: How many rows of a key are followed by a newer one.
        self._superseded: Counter[int] = Counter()

    def note_published(self, row: AnyRow) -> None:
        """Take a row into account that is in the result; it may be replaced, but replaces none."""
        if self._is_to_be_retried(row):
            self._failed[self._image(row["source_uri"], row["source_id"])] = self._key_of(row)
        else:
            self._published.add(self._key_of(row))

    def note(self, row: AnyRow) -> None:
        """The same for a row that isn't; rows come in the order they were made."""
        key = self._key_of(row)
        self._supersede(row["source_uri"], row["source_id"])
        if key in self._published or key in self._new:
            self._superseded[key] += 1
        self._forget(key)
        self.note_published(row)
        self._count_as_new(key)

    def note_just_published(self, other: Ledger) -> None:
        """Count what ``other`` has noted as of this run, though it is in the result."""
        for key in other._new:
            self._count_as_new(key)

    def claim(self, item: Item) -> bool:
        """Whether ``item`` is to be done now; claimed once, it counts as done."""
        key = self._key(item.uri, item.version, item.id)
        if key in self._new:
            return False
        if key in self._published:
            self.before += 1
            self._count_as_new(key)  # sources may name it twice
            return False
        self._supersede(item.uri, item.id)
        self._new.add(key)
        return True

    def release(self, item: Item) -> None:
        """Take a claim back: there is no row, or one that is to be replaced."""
        self._new.discard(self._key(item.uri, item.version, item.id))

    def has(self, row: AnyRow) -> bool:
        """Whether a row of the same image, where versions count of the same version, was noted."""
        key = self._key_of(row)
        failed = self._image(row["source_uri"], row["source_id"]) in self._failed
        return failed or key in self._new or key in self._published

    def _count_as_new(self, key: int) -> None:
        if key in self._published:
            self._published.remove(key)
            self._new.add(key)

    def _forget(self, key: int) -> None:
        self._published.discard(key)
        self._new.discard(key)

    def _supersede(self, uri: str, item_id: str | None) -> None:
        failed = self._failed.pop(self._image(uri, item_id), None)
        if failed is not None:
            self._superseded[failed] += 1

    def last_rows(self, rows: Iterable[AnyRow]) -> Iterator[AnyRow]:
        """Of all rows that were noted or claimed, the last one of each image, in order."""
        superseded = self._superseded.copy()
        for row in rows:
            key = self._key_of(row)
            if superseded[key]:
                superseded[key] -= 1
            else:
                yield row

    def _is_to_be_retried(self, row: AnyRow) -> bool:
        if row["status"] != "error":
            return False
        # A table tells no code: there, --retry_errors has to say it.
        return self._retry_errors or (row.get("error") or {}).get("code") in PASSING

    def _key_of(self, row: AnyRow) -> int:
        return self._key(row["source_uri"], row["source_version"], row["source_id"])

    def _image(self, uri: str, item_id: str | None) -> int:
        return self._key(uri, None, item_id)

    def _key(self, uri: str, version: str | None, item_id: str | None) -> int:
        parts = [uri, version if self._by_version else None, item_id]
        return hash64("\0".join(part or "" for part in parts))
