"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from flowers_onnx.errors import OutputError

_SUFFIX = ".tmp"


@contextlib.contextmanager
def replacing(path: str, *, private: bool = False) -> Iterator[str]:
    """The name of an empty file beside ``path`` that takes its place when the block ends.

    Until then, and after an error, what was at ``path`` stays. A link is followed. ``private``:
    a file that wasn't there is its owner's alone. Raises ``OSError``, and ``OutputError`` for a
    folder.
    """
    if os.path.isdir(path):
        raise OutputError(f"can't write to {path}: it is a folder")
    import tempfile  # pulls in much that no other output needs

    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=_SUFFIX, dir=folder)
    os.close(handle)
    try:
        yield temporary
        _sync(temporary, os.O_RDWR)
        if not private or os.path.exists(target):
            os.chmod(temporary, _mode_for(target))  # mkstemp makes private files
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(folder)


def create(path: str, data: bytes) -> bool:
    """Make a file of ``data``, whole or not at all; False if there is one, which stays.

    Of two who create the same file at the same moment, one is told False. Raises ``OSError``.
    """
    if os.path.lexists(path):
        return False
    import tempfile

    folder, name = os.path.split(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=_SUFFIX, dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        _sync(temporary, os.O_RDWR)
        os.chmod(temporary, _mode_of_new())
        _place(temporary, path)
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    sync_folder(folder)
    return True


def _place(temporary: str, path: str) -> None:
    """Give a file a second name, unless that is taken: ``FileExistsError``."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: not in one step, but only once
        with open(temporary, "rb") as source, open(path, "xb") as copy:
            try:
                copy.write(source.read())
                copy.flush()
                os.fsync(copy.fileno())
            except BaseException:
                os.unlink(path)
                raise


def remove_leftovers(path: str) -> None:
    """Delete what killed writers of ``path`` left beside it; none may be at work."""
    folder, name = os.path.split(os.path.realpath(path))
    length = len(f".{name}.????????{_SUFFIX}")
    for entry in os.listdir(folder):
        if len(entry) == length and entry.startswith(f".{name}.") and entry.endswith(_SUFFIX):
            os.unlink(os.path.join(folder, entry))


def sync_folder(folder: str) -> None:
    """Have the disk hold the names in a folder, where the system can do that."""
    with contextlib.suppress(OSError):
        _sync(folder, os.O_RDONLY)


def _sync(path: str, flags: int) -> None:
    """Have the disk hold what was written, so that a rename can't outlive the content."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mode_for(path: str) -> int:
    """The permissions that the file has, or that any new file would get."""
    with contextlib.suppress(FileNotFoundError):
        return stat.S_IMODE(os.stat(path).st_mode)
    return _mode_of_new()


def _mode_of_new() -> int:
    return 0o666 & ~_umask()


def _umask() -> int:
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    # Elsewhere it must be set to be known: for a moment, to one that keeps others' files private.
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
