"""Which photos an index has, and which of them are to be done again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from flowers_onnx.index.photo import Row


@dataclass(frozen=True, slots=True)
class Known:
    """A photo that has been done: its version, its SHA-256 and the number of its row.

    Rows of the index count from 0 on, those of the journal from -1 downwards.
    """

    place: str
    uri: str
    version: tuple[int, int]
    sha256: bytes
    number: int


class Catalogue:
    """The last row of each photo: of the index, then of the journal, in their order."""

    def __init__(self) -> None:
        self._by_place: dict[str, Known] = {}
        self._places: dict[str, str] = {}  # by URI
        self._copies: defaultdict[bytes, set[str]] = defaultdict(set)  # places, by SHA-256
        self._sizes: set[int] = set()

    def __len__(self) -> int:
        return len(self._by_place)

    def note(self, row: Row, number: int, replaces: str | None = None) -> None:
        """A row that takes the place of the photo's earlier one, and of that at ``replaces``."""
        if replaces is not None and (old := self._by_place.pop(replaces, None)):
            self._places.pop(old.uri, None)
        digest = bytes.fromhex(row.sha256)
        self._by_place[row.place] = Known(row.place, row.uri, row.version, digest, number)
        self._places[row.uri] = row.place
        if number >= 0:
            self._copies[digest].add(row.place)
            self._sizes.add(row.size)

    def find(self, place: str, uri: str) -> Known | None:
        """What is known of the photo at a place, or, where the index was moved, at a URI."""
        return self._by_place.get(place) or self._by_place.get(self._places.get(uri, ""))

    def may_have(self, size: int) -> bool:
        """Whether a photo of the index has this size, and so maybe the same bytes."""
        return size in self._sizes

    def copies(self, sha256: bytes) -> list[Known]:
        """Photos of the index that are of these bytes."""
        found = (self._by_place.get(place) for place in sorted(self._copies.get(sha256, ())))
        return [known for known in found if known and known.number >= 0]

    def numbers(self) -> list[int]:
        """Of all rows that are the last ones of their photos."""
        return [known.number for known in self._by_place.values()]
