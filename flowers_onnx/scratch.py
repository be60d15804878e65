"""Temporary files, apart from results: where they can be, and what to do where they can't."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from flowers_onnx.errors import StoppedError

_PREFIX = "flowers-"


def scratch_place() -> str:
    """The folder for temporary files; raises ``StoppedError`` if there is none to write to."""
    import tempfile  # pulls in much that a single photo does without

    with _reported():
        return tempfile.gettempdir()


def make_scratch_folder() -> str:
    """A new folder there, for this user alone, which the caller removes; raises the same."""
    import tempfile

    with _reported():
        return tempfile.mkdtemp(prefix=_PREFIX)


@contextlib.contextmanager
def scratch_folder() -> Iterator[str]:
    """A new folder that goes with the block; raises the same."""
    import shutil

    folder = make_scratch_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def scratch_file() -> Iterator[BinaryIO]:
    """A file without a name that goes with the block; raises the same."""
    import tempfile

    with _reported():
        file = cast("BinaryIO", tempfile.TemporaryFile(prefix=_PREFIX))  # noqa: SIM115
    with file:
        yield file


@contextlib.contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoppedError(
            f"no temporary file can be made: {error.strerror or error}; "
            "TMPDIR names a folder that can be written to"
        ) from error
