"""One image to classify, wherever it is stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: Is told how many bytes will be held in memory, before they are; it may wait.
Admit = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Item:
    """An object of a bucket or a file, as its listing describes it.

    ``uri`` is ``gs://bucket/name``, ``s3://bucket/name`` or ``file:///absolute/path``;
    ``version`` is what changes with the content (a generation, an ETag, a file's size and
    time), None if it isn't known before reading; ``size`` is in bytes; ``id`` is what a
    manifest calls it.
    """

    uri: str
    version: str | None = None
    size: int | None = None
    id: str | None = None
