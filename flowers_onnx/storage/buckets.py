"""What all object storage shares: what a URI names, and which objects are images."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from flowers_onnx.image_formats import claims_image
from flowers_onnx.storage.failures import reported
from flowers_onnx.storage.item import Item
from flowers_onnx.storage.uris import compile_pattern, literal_prefix, split


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

    def list(self, uri: str) -> Iterator[Item]:
        items = self._matching(uri)
        first = list(itertools.islice(items, 1))  # a wrong bucket is told before any work begins
        return itertools.chain(first, items)

    def names(self, prefix: str) -> Sequence[str]:
        with reported(f"can't list {prefix}"):
            return [item.uri for item in self._objects(*split(prefix))]

    def scan(self, prefix: str, after: str = "") -> Iterator[Item]:
        with reported(f"can't list {prefix}"):
            yield from self._objects(*split(prefix), split(after)[1] if after else "")

    def _matching(self, uri: str) -> Iterator[Item]:
        bucket, name = split(uri)
        with reported(f"can't list {uri}"):
            whole = not name or name.endswith("/")
            prefix = literal_prefix(name)
            if not whole and (item := self._find(uri)) is not None:
                yield item
            elif prefix == name:
                folder = name if whole else f"{name}/"
                images = (item for item in self._objects(bucket, folder) if claims_image(item.uri))
                yield from images
            else:
                pattern, start = compile_pattern(name), len(uri) - len(name)
                for item in self._objects(bucket, prefix):
                    if claims_image(item.uri) and pattern.fullmatch(item.uri, start):
                        yield item
