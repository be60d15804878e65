"""Storage as those see it who classify: its errors are those of an image or of a source."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from flowers_onnx.errors import ImageError, OutputError, StorageError, UsageError
from flowers_onnx.image_formats import MAX_BYTES
from flowers_onnx.sources import Unreadable
from flowers_onnx.storage import store_for
from flowers_onnx.storage.item import Item


def images_in(source: str) -> Iterator[Item]:
    """The images that ``source`` names, at least one of which is known to be there.

    Raises ``UsageError`` at once if there are none, and here or later for what can't be listed;
    ``OutputError`` for what may be listed the next time.
    """
    listing = _listed(source)
    first = next(listing, None)
    if first is None:
        raise UsageError(f"no images in {source}")
    return chain([first], listing)


def read_image(item: Item) -> tuple[bytes | Unreadable, Item]:
    """The content of an image, or why it has none, and the item as it was read.

    Raises ``UsageError`` or ``StorageError`` where the storage itself can't be had.
    """
    store = store_for(item.uri)  # no access at all is no error of the image
    try:
        return store.read(item, MAX_BYTES)
    except StorageError as error:
        return Unreadable(item.uri, ImageError(error.code, str(error))), item


def _listed(source: str) -> Iterator[Item]:
    try:
        yield from store_for(source).list(source)
    except StorageError as error:
        kind = OutputError if error.code == "read_error" else UsageError
        raise kind(str(error)) from error
