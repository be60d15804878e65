"""What all object storage shares: what a URI names, and which objects are images."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

from flowers_onnx.image_formats import claims_image, claims_raw
from flowers_onnx.sources import ignore, passed_over
from flowers_onnx.storage.failures import reported
from flowers_onnx.storage.item import Item
from flowers_onnx.storage.uris import compile_pattern, literal_prefix, object_uri, scheme_of, split


class BucketStore(ABC):
    """The listing half of a ``Store``, over two calls that every object storage has.

    Both raise ``StorageError``.
    """

    @abstractmethod
    def _find(self, uri: str) -> Item | None:
        """One object, or None if there is none of this name."""

    @abstractmethod
    def _objects(self, bucket: str, prefix: str, after: str = "") -> Iterator[Item]:
        """The objects that begin with ``prefix`` and come behind ``after``, page by page.

        In name order.
        """

    def list(self, uri: str, on_raw: Callable[[str], None] = ignore) -> Iterator[Item]:
        items = self._matching(uri, on_raw)
        first = list(itertools.islice(items, 1))  # a wrong bucket is told before any work begins
        return itertools.chain(first, items)

    def names(self, prefix: str) -> Sequence[str]:
        with reported(f"can't list {prefix}"):
            return [item.uri for item in self._objects(*split(prefix))]

    def scan(self, prefix: str, after: str = "") -> Iterator[Item]:
        with reported(f"can't list {prefix}"):
            yield from self._objects(*split(prefix), split(after)[1] if after else "")

    def _matching(self, uri: str, on_raw: Callable[[str], None]) -> Iterator[Item]:
        bucket, name = split(uri)
        with reported(f"can't list {uri}"):
            named = bool(name) and not name.endswith("/")
            if named and (item := self._find(uri)) is not None:
                yield item
                return
            folder = self._folder(bucket, f"{name}/" if named else name)
            rest = name[len(folder) :]
            pattern = compile_pattern(rest) if rest else None
            start = len(object_uri(scheme_of(uri), bucket, folder))
            for item in self._objects(bucket, folder + literal_prefix(rest)):
                behind = item.uri[start:]
                if (pattern and not pattern.fullmatch(behind)) or passed_over(behind, rest):
                    continue
                if claims_image(behind):
                    yield item
                elif claims_raw(behind):
                    on_raw(item.uri)

    def _folder(self, bucket: str, name: str) -> str:
        """The beginning of ``name`` that is a folder: it holds something, or is no pattern."""
        while literal_prefix(name) != name and not any(self._objects(bucket, name)):
            name = name[: name.rstrip("/").rfind("/") + 1]
        return name
