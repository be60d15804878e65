"""One photo of an index, and what an index says of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from flowers_onnx.record import ClassId
from flowers_onnx.storage.uris import file_uri

#: What a neighbour is beyond alike: of the same bytes, or a photo that most likely shows the
#: same: in another size or quality, or another one of a burst.
Mark = Literal["copy", "near-duplicate"]


@dataclass(frozen=True, slots=True)
class IndexedPhoto:
    """A photo as it was when it was added; ``path`` is where it is now, or would be.

    ``size`` is in bytes, ``mtime_ns`` when the file was changed, in nanoseconds since 1970;
    ``width`` and ``height`` are in pixels, as displayed. ``label`` is in English.
    """

    path: str
    sha256: str
    size: int
    mtime_ns: int
    width: int
    height: int
    label: str
    scientific_name: str | None
    class_id: ClassId
    confidence: float
    known: bool | None

    @property
    def uri(self) -> str:
        """``path`` as a URI, which any file name fits into."""
        return file_uri(self.path)

    @property
    def is_gone(self) -> bool:
        """Whether there is no such file any more."""
        return not os.path.exists(self.path)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A photo, and how alike it is: the cosine of the features, 1 where they are the same.

    It has four decimals, which is what the features are kept for.
    """

    photo: IndexedPhoto
    likeness: float
    mark: Mark | None = None


#: The fields of a row: those of the photo, but for its path, which depends on where the index is.
_FIELDS = {name: kind for name, kind in get_type_hints(IndexedPhoto).items() if name != "path"}


@dataclass(frozen=True, slots=True)
class Row:
    """What an index keeps of a photo: ``places`` explains the first two."""

    place: str
    uri: str
    sha256: str
    size: int
    mtime_ns: int
    width: int
    height: int
    label: str
    scientific_name: str | None
    class_id: ClassId
    confidence: float
    known: bool | None

    @property
    def version(self) -> tuple[int, int]:
        """What changes with the file."""
        return self.size, self.mtime_ns

    def to_json(self) -> bytes:
        """A line of ASCII."""
        values = {name: getattr(self, name) for name in ("place", "uri", *_FIELDS)}
        return json.dumps(values, allow_nan=False).encode() + b"\n"

    def at(self, path: str) -> IndexedPhoto:
        """The photo, which is at ``path``."""
        return IndexedPhoto(path, **{name: getattr(self, name) for name in _FIELDS})


def row_of(values: Mapping[str, Any]) -> Row:
    """A row of its JSON; raises ``ValueError``, ``KeyError`` or ``TypeError`` for what is none."""
    place, uri = values["place"], values["uri"]
    fields = {name: values[name] for name in _FIELDS}
    if not isinstance(place, str) or not str(uri).startswith("file:"):
        raise TypeError("no place")
    for name, kind in _FIELDS.items():
        if not isinstance(fields[name], kind):
            raise TypeError(f"{name} is {fields[name]!r}")
    if len(bytes.fromhex(fields["sha256"])) != 32 or not 0 <= fields["confidence"] <= 1:
        raise ValueError("no checksum, or no probability")
    return Row(place, uri, **fields)
