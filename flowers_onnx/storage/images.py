"""Storage as those see it who classify: its errors are those of an image or of a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from flowers_onnx.errors import ImageError, OutputError, StorageError, UsageError
from flowers_onnx.image_formats import MAX_BYTES
from flowers_onnx.sources import RawFiles, Unreadable, ignore
from flowers_onnx.storage import store_for
from flowers_onnx.storage.item import Item
from flowers_onnx.storage.uris import local_path


def images_in(source: str, on_raw: Callable[[str], None] = ignore) -> Iterator[Item]:
    """The images that ``source`` names, at least one of which is known to be there.

    ``on_raw`` gets the URIs of camera raw files, which are left out. Raises ``UsageError`` at once
    if there are no images, and here or later for what can't be listed; ``OutputError`` for what
    may be listed the next time.
    """
    raw = RawFiles()

    def note(uri: str) -> None:
        raw.note(local_path(uri) or uri)
        on_raw(uri)

    listing = _listed(source, note)
    first = next(listing, None)
    if first is None:
        raise UsageError(f"no images in {source}" + (f"; {raw}" if raw else ""))
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


def _listed(source: str, on_raw: Callable[[str], None]) -> Iterator[Item]:
    try:
        yield from store_for(source).list(source, on_raw)
    except StorageError as error:
        kind = OutputError if error.code == "read_error" else UsageError
        raise kind(str(error)) from error
