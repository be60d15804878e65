"""Where images come from and results go: files, Google Cloud Storage, S3.

docs/storage-clients.md says why each is reached through the library that it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from flowers_onnx.errors import UsageError
from flowers_onnx.sources import ignore
from flowers_onnx.storage.item import Admit, Item
from flowers_onnx.storage.uris import scheme_of


class Store(Protocol):
    """One kind of storage. All methods may be called from many threads at a time.

    What may pass, such as a busy server or a dropped connection, is tried again inside, with
    growing pauses, for some minutes at most; then, and for what is wrong with an object, all
    raise ``StorageError``. Its code: not_found, permission_denied, not_a_file, too_large, or
    read_error for what a later try may not meet. All raise ``UsageError`` for a URI that makes
    no sense.
    """

    def list(self, uri: str, on_raw: Callable[[str], None] = ignore) -> Iterator[Item]:
        """The images that ``uri`` names, streamed in name order.

        ``uri`` is an object, a folder (all of it, at any depth), or a pattern with ``*``,
        ``?``, ``[...]`` and ``**``; what exists wins over a pattern of the same spelling.
        In a bucket, images are told by their suffix, except an object that is named
        itself; nothing is decoded in names: ``gs://bucket/a%20b.jpg`` has a ``%``. Left out is
        what ``sources.passed_over`` tells, and camera raw files, whose URIs ``on_raw`` gets.
        Raises before it returns if the first page tells, later otherwise.
        """

    def read(self, item: Item, max_bytes: int, admit: Admit | None = None) -> tuple[bytes, Item]:
        """The content, and the item with the version and the size of that content.

        ``admit`` is called with its size before it is read, once for each try. It is the
        content of now: an object that was overwritten since it was listed is
        read in its new version, and comes back with that version. So its row has the key
        that the next listing gives: the object is neither lost nor done twice.
        """

    def download(self, uri: str) -> bytes | None:
        """A small object; None if there is none."""

    def fetch(self, uri: str, path: str) -> bool:
        """Copy an object of any size to a local file; False if there is none.

        After an error the file may hold a part.
        """

    def upload(self, path: str, uri: str) -> None:
        """Copy a local file to an object, whole or not at all."""

    def write(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Make ``data`` an object, whole or not at all.

        ``if_absent`` leaves an object that is there as it is and returns False, also to one of
        two who write at the same moment. Where an answer was lost on its way and the request
        was repeated, False may stand for this very call: give equal content equal names.
        """

    def names(self, prefix: str) -> Sequence[str]:
        """The URIs that begin with ``prefix``, images or not."""

    def scan(self, prefix: str, after: str = "") -> Iterator[Item]:
        """What begins with ``prefix`` and comes behind ``after``, images or not, in name order.

        Streamed: who has no use for the next thousands begins a new scan behind them.
        """

    def delete(self, uri: str) -> None:
        """Remove an object; no error if there is none."""


def store_for(uri: str) -> Store:
    """The store for ``gs://``, ``s3://``, ``file://`` or a plain path.

    The same object for all URIs of a kind: its connections are shared. Raises
    ``UsageError`` for other schemes, missing extras and missing credentials, ``StorageError`` if
    credentials can't be had just now.
    """
    return _store(scheme_of(uri))


@functools.cache
def _store(scheme: str) -> Store:
    match scheme:
        case "file":
            from flowers_onnx.storage.local import LocalStore

            return LocalStore()
        case "gs":
            from flowers_onnx.storage.gcs import GcsStore

            return GcsStore()
        case "s3":
            from flowers_onnx.storage.s3 import S3Store

            return S3Store()
    raise UsageError(f"{scheme}:// is no storage known here: use gs://, s3://, file:// or a path")
