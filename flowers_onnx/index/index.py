"""An index of photos, open for questions."""

from __future__ import annotations

import os
import zlib
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from flowers_onnx.errors import UsageError
from flowers_onnx.explanation import Embedding
from flowers_onnx.index.file import Tables, Vector, folded, quantised, read
from flowers_onnx.index.maker import Maker, maker_of
from flowers_onnx.index.photo import IndexedPhoto, Mark, Neighbour
from flowers_onnx.index.places import Places, absolute
from flowers_onnx.metadata import ModelInfo
from flowers_onnx.record import ClassId
from flowers_onnx.storage.uris import file_uri

#: From this likeness on, two photos most likely show the same: docs/similar.md has the figures.
NEAR: Final = 0.97

#: Photos whose features are looked at, after the sketches of all.
_CANDIDATES = 512
#: Sketches that are multiplied at a time, so that their float32 stay in the processor's cache.
_BLOCK = 1024


class Index:
    """The photos of one file, by likeness or by class. Safe to share between threads.

    It stays as it was when it was opened, whoever adds photos to the file in the meantime.

    >>> index = Index.open("photos.index")
    >>> for found in index.search(Classifier().embed("rose.jpg")):
    ...     print(found.likeness, found.photo.path, found.mark)
    """

    def __init__(self, tables: Tables) -> None:
        self.path = tables.path
        #: What made the features: a search by those of another model means nothing.
        self.maker: Maker = tables.maker
        self._tables = tables
        self._sketches_checked = False
        self._places = Places(tables.path)

    @classmethod
    def open(cls, path: str | os.PathLike[str], info: ModelInfo | None = None) -> Self:
        """Open the file that ``flowers similar --add`` has made, for the model of ``info``.

        Raises ``UsageError`` for what is no index, damaged, of a newer version, or of another
        model than that.
        """
        tables = read(os.fspath(path))
        if info is not None:
            _check(tables, maker_of(info))
        return cls(tables)

    def __len__(self) -> int:
        return len(self._tables.rows)

    def search(
        self,
        query: Embedding | npt.NDArray[np.float32],
        most: int = 5,
        *,
        path: str | os.PathLike[str] | None = None,
    ) -> list[Neighbour]:
        """The ``most`` photos that are most alike, first the one that is most.

        ``query`` is what ``Classifier.embed`` gives, or its features, float32 ``[channels]``,
        of any length. The photo at ``path``, by default that of the embedding, is left out;
        an empty one is none.
        Raises ``UsageError`` for features of another network, and where the file is damaged.
        """
        if most < 1:
            raise UsageError(f"most must be at least 1, not {most}")
        if isinstance(query, Embedding):
            features, sha256 = query.features, query.prediction.sha256
            path = query.prediction.path if path is None else path
        else:
            features, sha256 = query, None
        own = self._number_of(os.fspath(path)) if path else None
        neighbours: list[Neighbour] = []
        for number, likeness in self._nearest(features, most + 1):
            if number != own:
                photo = self._photo(number)
                neighbours.append(Neighbour(photo, likeness, _mark(photo, likeness, sha256)))
        return neighbours[:most]

    def find(self, path: str | os.PathLike[str]) -> IndexedPhoto | None:
        """The photo at ``path``, if it is in the index; raises ``UsageError``."""
        number = self._number_of(os.fspath(path))
        return None if number is None else self._photo(number)

    def photos_of(self, class_id: ClassId, most: int = 5) -> list[IndexedPhoto]:
        """Photos named as this class: first those that are known, the surest first."""
        rows = self._tables.rows
        numbers = [n for n, found in self._tables.class_ids().items() if found == class_id]
        chosen = np.flatnonzero(np.isin(rows["class"], numbers))
        found = rows[chosen]
        ranking = np.lexsort((-found["confidence"], -found["known"]))
        return [self._photo(number) for number in chosen[ranking[:most]].tolist()]

    def _nearest(self, features: npt.NDArray[np.float32], most: int) -> list[tuple[int, float]]:
        """The numbers of photos and their likeness; of equally alike ones the first come first."""
        tables, count = self._tables, len(self)
        channels = tables.features.shape[1]
        if features.shape != (channels,) or not np.isfinite(features).all():
            raise UsageError(f"features must be {channels} numbers, not {list(features.shape)}")
        # As those of the photos, so that nothing lies between a photo and its copy.
        exact = quantised(features).astype(np.float32)
        unit = exact / (np.linalg.norm(exact) or 1)
        looked_at = max(_CANDIDATES, 4 * most)
        if looked_at < count:
            if not self._sketches_checked:
                tables.check_sketches()
                self._sketches_checked = True
            estimates = _products(tables.sketches, folded(unit)) * tables.rows["sketch_scale"]
            chosen = np.sort(np.argpartition(-estimates, looked_at)[:looked_at])
        else:
            chosen = np.arange(count)
        tables.check_vectors(chosen)
        likeness = _products(tables.features[chosen], unit) * tables.rows["scale"][chosen]
        ranking = np.argsort(-likeness, kind="stable")[:most]
        values = likeness[ranking].astype(np.float64).round(4).clip(-1, 1)
        return list(zip(chosen[ranking].tolist(), values.tolist(), strict=True))

    def _number_of(self, path: str) -> int | None:
        here = absolute(path)
        wanted = {"place": self._places.place_of(path), "uri": file_uri(here)}
        for column, text in wanted.items():
            check = zlib.crc32(text.encode())
            for number in np.flatnonzero(self._tables.rows[column] == check).tolist():
                if self._photo(number).path == here:
                    return int(number)
        return None

    def _photo(self, number: int) -> IndexedPhoto:
        row = self._tables.row(number)
        return row.at(self._places.path_of(row.place, row.uri))


def open_tables(path: str, maker: Maker) -> Tables | None:
    """What is in an index of that model, None if there is none yet; raises ``UsageError``."""
    if not os.path.exists(path):
        return None
    tables = read(path)
    _check(tables, maker)
    return tables


def _check(tables: Tables, maker: Maker) -> None:
    own = tables.maker
    if own.network == maker.network:
        return
    what = f"the model {own.id}, not of {maker.id}"
    if own.id == maker.id:
        what = f"another model {own.id}, with another network, preprocessing or classes"
    raise UsageError(
        f"{tables.path} is of {what}: make another with flowers similar --index NEW --add FOLDER"
    )


def _mark(photo: IndexedPhoto, likeness: float, sha256: str | None) -> Mark | None:
    if photo.sha256 == sha256:
        return "copy"
    return "near-duplicate" if likeness >= NEAR else None


def _products(vectors: Vector, query: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Of each of ``[N, D]`` with ``[D]``."""
    products = np.empty(len(vectors), np.float32)
    for begin in range(0, len(vectors), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        np.dot(vectors[block].astype(np.float32), query, out=products[block])
    return products
