"""``flowers trace export``: kept photos as a data set, a folder a class, and a list to review.

``DATASET/train/<class id>/<SHA-256>.<suffix>`` is by what was answered. What a person says of it is
in ``DATASET/review.csv``; that is what is trained on, and it outlives any number of exports.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from flowers_onnx.atomic import create
from flowers_onnx.concurrency import map_ordered
from flowers_onnx.console import say
from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.serve.trace import review
from flowers_onnx.serve.trace.objects import ObjectSet, Trace
from flowers_onnx.serve.trace.options import ExportOptions
from flowers_onnx.serve.trace.row import TraceRow
from flowers_onnx.storage import store_for
from flowers_onnx.storage.uris import name_of

#: Photos that are fetched at a time.
_READERS = 16
_PHOTO = re.compile(r"([0-9a-f]{64})\.[a-z]{1,5}")
#: What a folder can be called, and a class of a model may not be.
_CLASS = re.compile(r"[^/\\:\0.][^/\\:\0]*")


class _Photo(NamedTuple):
    """A photo by its latest answer; ``name`` is that in KEEP."""

    name: str
    class_id: str
    label: str
    confidence: float
    request_id: str
    time: str

    @property
    def file(self) -> str:
        return f"train/{self.class_id}/{self.name}"

    def to_row(self) -> review.Reviewed:
        values = (self.file, self.label, repr(self.confidence), self.request_id, self.time, "", "")
        return dict(zip(review.COLUMNS, values, strict=True))


def run(options: ExportOptions) -> int:
    """Fetch what isn't there yet, and list it; 1 if there is no photo at all.

    What is in the list stays in it as it is, whether its file is still there or not. Raises
    ``UsageError`` for a list that is none, ``StorageError``, ``OutputError``.
    """
    path = os.path.join(options.out, review.NAME)
    rows = review.read(path)
    listed = {name_of(row["file"].replace("\\", "/")) for row in rows}
    photos = _photos(Trace(options.trace), listed)
    keep = options.keep.rstrip("/")
    store = store_for(keep)

    def fetch(photo: _Photo) -> tuple[_Photo, bool | None]:
        """Whether it was fetched, and wasn't here; None if it is kept no longer."""
        target = os.path.join(options.out, photo.file)
        if os.path.exists(target):
            return photo, False
        data = store.download(f"{keep}/{photo.name}")
        if data is None:
            return photo, None
        os.makedirs(os.path.dirname(target), exist_ok=True)
        create(target, data)
        return photo, True

    fetched = here = gone = 0
    try:
        for photo, is_new in map_ordered(
            fetch, photos.values(), threads=_READERS, ahead=_READERS, name="flowers-export"
        ):
            fetched += is_new is True
            here += is_new is False
            gone += is_new is None
            if is_new is not None:
                rows.append(photo.to_row())
        if rows:
            review.write(path, sorted(rows, key=_confidence))
    except OSError as error:
        raise OutputError(f"can't write to {options.out}: {error.strerror or error}") from error
    lost = f", {gone:,} are kept no longer" if gone else ""
    say(f"flowers: {options.out}: {fetched:,} new photos, {len(listed) + here:,} were there{lost}")
    return 0 if rows else 1


def _photos(trace: Trace, listed: set[str]) -> dict[str, _Photo]:
    """All photos with an answer that aren't listed, by name; about half a kilobyte each."""
    photos: dict[str, _Photo] = {}
    for row in trace.rows(name for name, _ in trace.objects(ObjectSet())):
        name = name_of(row["photo"] or "")
        if row["class_id"] is None or not _PHOTO.fullmatch(name) or name in listed:
            continue
        if name not in photos or photos[name].time <= row["time"]:
            photos[name] = _photo(name, row)
    return photos


def _photo(name: str, row: TraceRow) -> _Photo:
    class_id = str(row["class_id"])
    if not _CLASS.fullmatch(class_id):
        raise UsageError(f"class {class_id!r} of request {row['request_id']} can't name a folder")
    label, confidence = row["label"] or "", row["confidence"] or 0.0
    return _Photo(name, class_id, label, confidence, row["request_id"], row["time"])


def _confidence(row: Mapping[str, str]) -> float:
    try:
        return float(row["confidence"].replace(",", "."))
    except ValueError:
        return 0.0
