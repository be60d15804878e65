"""Write the file of an index, from new photos and those of an earlier one."""

from __future__ import annotations

import contextlib
import zlib
from typing import Self

import numpy as np
import numpy.typing as npt

from flowers_onnx.index.file import (
    ROW,
    Tables,
    Vector,
    checksum,
    folded,
    header_line,
    layout,
    quantised,
)
from flowers_onnx.index.maker import Maker
from flowers_onnx.index.photo import Row
from flowers_onnx.record import ClassId

#: Photos that are copied at a time.
_BLOCK = 1024


class Writer:
    """Fills an empty file with ``count`` photos; it is whole when the block ends.

    Raises ``OSError``.
    """

    def __init__(self, path: str, maker: Maker, count: int, channels: int) -> None:
        self._path, self._maker, self._channels = path, maker, channels
        self._rows = np.zeros(count, ROW)
        self._done = 0
        self._classes: dict[ClassId, int] = {}
        self._open = contextlib.ExitStack()
        # One for each table, so that all of them grow at the same time.
        self._files = [
            self._open.enter_context(open(path, "r+b"))  # noqa: SIM115
            for _ in range(3)
        ]
        for file, begin in zip(self._files, layout(count, channels)[1:], strict=True):
            self._begin = file.seek(begin)  # in the end, of the records
        self._end = 0  # of the records, counted from there
        self._sketches = 0  # their checksum

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._open.close()
        if kind is None:
            rows = self._rows.tobytes()
            size, checks = self._begin + self._end, (zlib.crc32(rows), self._sketches)
            with open(self._path, "r+b") as file:
                file.write(header_line(self._maker, self._done, self._channels, size, checks))
                file.write(rows)

    def add(self, row: Row, vector: Vector) -> None:
        """One more, with its features as ``quantised`` gives them."""
        record = row.to_json()
        exact = vector.astype(np.float32)
        norm = float(np.linalg.norm(exact))
        scale = 1 / norm if norm else 0.0
        exact_sketch = folded(exact * np.float32(scale))
        sketch = quantised(exact_sketch)
        values = {
            "record": zlib.crc32(record),
            "vectors": checksum(sketch, vector),
            "place": zlib.crc32(row.place.encode()),
            "uri": zlib.crc32(row.uri.encode()),
            "class": self._class(row.class_id),
            "confidence": row.confidence,
            "scale": scale,
            "sketch_scale": float(np.abs(exact_sketch).max(initial=0)) / 127,
            "known": {None: -1, False: 0, True: 1}[row.known],
        }
        self._write(sketch, vector, [record])
        for name, value in values.items():
            self._rows[name][self._done] = value
        self._done += 1

    def copy(self, tables: Tables, numbers: npt.NDArray[np.intp]) -> None:
        """Photos of another file, checked; raises ``UsageError`` where that is damaged."""
        classes = {number: self._class(found) for number, found in tables.class_ids().items()}
        for begin in range(0, len(numbers), _BLOCK):
            some = numbers[begin : begin + _BLOCK]
            tables.check_vectors(some)
            records = [tables.record(number) for number in some.tolist()]
            rows = self._rows[self._done : self._done + len(some)]
            rows[:] = tables.rows[some]
            rows["class"] = [classes[number] for number in rows["class"].tolist()]
            self._write(tables.sketches[some], tables.features[some], records)  # sets the ends
            self._done += len(some)

    def _write(self, sketches: Vector, features: Vector, records: list[bytes]) -> None:
        sketches_file, features_file, records_file = self._files
        self._sketches = zlib.crc32(written := sketches.tobytes(), self._sketches)
        sketches_file.write(written)
        features_file.write(features.tobytes())
        records_file.writelines(records)
        ends = self._end + np.cumsum([len(record) for record in records])
        self._rows["end"][self._done : self._done + len(records)] = ends
        self._end = int(ends[-1])

    def _class(self, class_id: ClassId) -> int:
        return self._classes.setdefault(class_id, len(self._classes))
