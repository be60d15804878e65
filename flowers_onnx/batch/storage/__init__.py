"""Where images come from and results go: files, Google Cloud Storage, S3.

docs/storage-clients.md says why each is reached through the library that it is.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Protocol

from flowers_onnx.batch.item import Item
from flowers_onnx.batch.storage.names import file_uri, path_of
from flowers_onnx.errors import UsageError


class Store(Protocol):
    """One kind of storage. All methods may be called from many threads at a time.

    What may pass, such as a busy server or a dropped connection, is tried again inside,
    with growing pauses, for some minutes at most.
    """

    def list(self, uri: str) -> Iterator[Item]:
        """The images that ``uri`` names, streamed in name order.

        ``uri`` is an object, a folder (all of it, at any depth), or a pattern with ``*``,
        ``?``, ``[...]`` and ``**``; what exists wins over a pattern of the same spelling.
        In a bucket, images are told by their suffix, except an object that is named
        itself; nothing is decoded in names: ``gs://bucket/a%20b.jpg`` has a ``%``.
        Raises ``UsageError``, before it returns if the first page tells, later otherwise.
        """

    def read(self, item: Item, max_bytes: int) -> tuple[bytes, Item]:
        """The content, and the item with the version and the size of that content.

        It is the content of now: an object that was overwritten since it was listed is
        read in its new version, and comes back with that version. So its row has the key
        that the next listing gives: the object is neither lost nor done twice. Raises
        ``ImageError``: not_found (it is gone), permission_denied, too_large, read_error.
        """

    def download(self, uri: str) -> bytes | None:
        """A small object; None if there is none. Raises ``OutputError``."""

    def fetch(self, uri: str, path: str) -> bool:
        """Copy an object of any size to a local file; False if there is none.

        Raises ``OutputError``; the file may then hold a part.
        """

    def upload(self, path: str, uri: str) -> None:
        """Copy a local file to an object, whole or not at all. Raises ``OutputError``."""

    def names(self, prefix: str) -> Sequence[str]:
        """The URIs that begin with ``prefix``, images or not. Raises ``OutputError``."""

    def delete(self, uri: str) -> None:
        """Remove an object; no error if there is none. Raises ``OutputError``."""


def store_for(uri: str) -> Store:
    """The store for ``gs://``, ``s3://``, ``file://`` or a plain path.

    The same object for all URIs of a kind: its connections are shared. Raises
    ``UsageError`` for other schemes, missing extras and missing credentials.
    """
    return _store(_scheme(uri))


def is_remote(place: str) -> bool:
    """Whether a place is in a bucket rather than on disk."""
    return _scheme(place) in {"gs", "s3"}


def uri_of(place: str) -> str:
    """The URI of a path; a URI stays what it is."""
    return place if is_remote(place) else file_uri(path_of(place))


def _scheme(place: str) -> str:
    scheme = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*)://", place)
    return scheme[1].lower() if scheme else "file"


@functools.cache
def _store(scheme: str) -> Store:
    match scheme:
        case "file":
            from flowers_onnx.batch.storage.local import LocalStore

            return LocalStore()
        case "gs":
            from flowers_onnx.batch.storage.gcs import GcsStore

            return GcsStore()
        case "s3":
            from flowers_onnx.batch.storage.s3 import S3Store

            return S3Store()
    raise UsageError(f"{scheme}:// is no storage known here: use gs://, s3://, file:// or a path")
