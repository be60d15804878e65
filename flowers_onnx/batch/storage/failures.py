"""Errors that all stores share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flowers_onnx.errors import FlowersError, ImageError, from_os_error


def refuse_larger(size: int | None, max_bytes: int) -> None:
    """Raise ``ImageError`` if the size is known and too large."""
    if size is not None and size > max_bytes:
        limit = f"{max_bytes >> 20} MiB" if max_bytes >> 20 else f"{max_bytes} bytes"
        raise ImageError("too_large", f"more than {limit}")


@contextlib.contextmanager
def reported(kind: type[FlowersError], what: str) -> Iterator[None]:
    """Turn what is wrong with an object or a file into one line of the error ``kind``."""
    try:
        yield
    except OSError as error:
        raise kind(f"{what}: {from_os_error(error)}") from error
    except ImageError as error:
        raise kind(f"{what}: {error}") from error


def first_line(error: object) -> str:
    """The first line of what an error says, not too long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
