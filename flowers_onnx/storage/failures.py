"""Errors that all stores share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from flowers_onnx.errors import StorageError, from_os_error

Answer = TypeVar("Answer")


def refuse_larger(size: int | None, max_bytes: int) -> None:
    """Raise ``StorageError`` if the size is known and too large."""
    if size is not None and size > max_bytes:
        limit = f"{max_bytes >> 20} MiB" if max_bytes >> 20 else f"{max_bytes} bytes"
        raise StorageError("too_large", f"more than {limit}")


def unless_missing(work: Callable[[], Answer]) -> Answer | None:
    """What ``work`` returns, or None if it finds nothing."""
    try:
        return work()
    except StorageError as error:
        if error.code == "not_found":
            return None
        raise


def of_file(error: OSError) -> StorageError:
    """The ``StorageError`` for what the system says of a file."""
    found = from_os_error(error)
    return StorageError(found.code, str(found))


@contextlib.contextmanager
def reported(what: str) -> Iterator[None]:
    """Turn what is wrong with an object or a file into one line that begins with ``what``."""
    try:
        yield
    except (OSError, StorageError) as found:
        error = of_file(found) if isinstance(found, OSError) else found
        raise StorageError(error.code, f"{what}: {error}") from found


def one_line(error: object) -> str:
    """What an error says, on one line and not too long."""
    return " ".join(str(error).split())[:300] or type(error).__name__
