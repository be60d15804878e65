"""Errors that all stores share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from flowers_onnx.errors import FlowersError, ImageError, OutputError, from_os_error

Answer = TypeVar("Answer")


def refuse_larger(size: int | None, max_bytes: int) -> None:
    """Raise ``ImageError`` if the size is known and too large."""
    if size is not None and size > max_bytes:
        limit = f"{max_bytes >> 20} MiB" if max_bytes >> 20 else f"{max_bytes} bytes"
        raise ImageError("too_large", f"more than {limit}")


def unless_missing(work: Callable[[], Answer]) -> Answer | None:
    """What ``work`` returns, or None if it finds nothing."""
    try:
        return work()
    except ImageError as error:
        if error.code == "not_found":
            return None
        raise


@contextlib.contextmanager
def reported(kind: type[FlowersError], what: str) -> Iterator[None]:
    """Turn what is wrong with an object or a file into one line of the error ``kind``."""
    try:
        yield
    except OSError as error:
        raise kind(f"{what}: {from_os_error(error)}") from error
    except ImageError as error:
        if error.code == "read_error":  # may pass, whatever was asked for
            kind = OutputError
        raise kind(f"{what}: {error}") from error


def one_line(error: object) -> str:
    """What an error says, on one line and not too long."""
    return " ".join(str(error).split())[:300] or type(error).__name__
