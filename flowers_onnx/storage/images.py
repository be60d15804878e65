"""Storage as those see it who classify: its errors are those of an image or of a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TypeVar

from flowers_onnx.concurrency import Budget
from flowers_onnx.errors import ImageError, OutputError, StorageError, UsageError
from flowers_onnx.image_formats import MAX_BYTES
from flowers_onnx.sources import RawFiles, Unreadable, ignore
from flowers_onnx.storage import store_for
from flowers_onnx.storage.item import Admit, Item
from flowers_onnx.storage.uris import local_path

#: What may be held of images at one time: as much as a single one may have.
_HELD_BYTES = MAX_BYTES

#: What was read, or why nothing was, and the item as it was read.
Read = tuple[bytes | Unreadable, Item]
T = TypeVar("T")


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


def read_image(item: Item, admit: Admit | None = None) -> Read:
    """The content of an image, or why it has none, and the item as it was read.

    ``admit`` is told its size first: as it was listed, and as it is. Raises ``UsageError`` or
    ``StorageError`` where the storage itself can't be had.
    """
    store = store_for(item.uri)  # no access at all is no error of the image
    if admit and item.size is not None and item.size <= MAX_BYTES:  # a larger one is refused
        admit(item.size)
    try:
        return store.read(item, MAX_BYTES, admit)
    except StorageError as error:
        return Unreadable(item.uri, ImageError(error.code, str(error))), item


class BoundedReader:
    """Reads images for many threads, which together hold at most 80 MiB of them at a time.

    That is from when an image is asked for to when all is done with it. One whose size the
    listing doesn't tell is asked for first, and waits when its size is known.
    """

    def __init__(self) -> None:
        self._held = Budget(_HELD_BYTES)

    def use(
        self,
        item: Item,
        work: Callable[[bytes | Unreadable, Item], T],
        read: Callable[[Item, Admit], Read] = read_image,
    ) -> T:
        """What ``work`` makes of what ``read`` gives; ``work`` must keep nothing of it."""
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            if size > held:
                # Not the difference: who holds some and waits for more may be waited for.
                self._held.give_back(held)
                held = 0
                self._held.take(size)
                held = size

        try:
            return work(*read(item, hold))
        finally:
            self._held.give_back(held)


def _listed(source: str, on_raw: Callable[[str], None]) -> Iterator[Item]:
    try:
        yield from store_for(source).list(source, on_raw)
    except StorageError as error:
        kind = OutputError if error.code == "read_error" else UsageError
        raise kind(str(error)) from error
