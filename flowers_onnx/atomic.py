"""Files that appear whole or not at all, as far as a file system can do that.

What some of them can't do costs no result: permissions that can't be set, a disk that can't be
waited for, and a name that can't change hands, as that of a file that is mounted by itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator

from flowers_onnx.errors import OutputError

_SUFFIX = ".tmp"
#: Bytes of a name, on all file systems of today.
_LONGEST_NAME = 255

#: What a system says that has no fsync here. All else means that something may be lost.
_NO_SYNC = {
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOTTY,
    errno.EROFS,
    errno.EPERM,
    errno.EACCES,
}
#: What it says of a name that is a mount point, or where nothing can be renamed at all.
_NO_RENAME = {errno.EBUSY, errno.EXDEV, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextlib.contextmanager
def replacing(path: str, *, private: bool = False, keep: bool = False) -> Iterator[str]:
    """The name of an empty file that takes the place of ``path`` when the block ends.

    Until then, and after an error, what was at ``path`` stays. A link is followed. ``private``:
    a file that wasn't there is its owner's alone. ``keep``: what is whole but can't take its
    place stays, under a name that the error tells.

    Where the name can't change hands, or nothing can be made beside it, what is at ``path`` is
    written over; should that be cut short, what is whole stays, whether ``keep`` or not.

    Raises ``OSError``; ``OutputError`` for a folder and where something stays; ``StoppedError``
    where no file can be made anywhere.
    """
    if os.path.isdir(path):
        raise OutputError(f"can't write to {path}: it is a folder")
    target = os.path.realpath(path)
    old = _mode_of(target)
    beside = old is None or can_make_files(os.path.dirname(target))
    if not beside:
        os.close(os.open(target, os.O_WRONLY))  # what can't be written over is told at once
    draft = _Draft(path, target, beside=beside)

    def place() -> None:
        if not beside:
            draft.overwrite()
            return
        if old is not None:
            with contextlib.suppress(OSError):
                os.chmod(draft.name, old)
        try:
            os.replace(draft.name, target)
        except OSError as error:
            if error.errno not in _NO_RENAME and os.path.lexists(target):
                raise
            draft.overwrite()

    mode = 0o600 if private else 0o666  # less what the umask takes, as of any new file
    with _whole(draft, mode if old is None else old | 0o600, place, keep=keep):
        yield draft.name


def create(path: str, data: bytes) -> bool:
    """Make a file of ``data``, whole or not at all; False if there is one, which stays.

    Of two who create the same file at the same moment, one is told False. Raises ``OSError``.
    """
    if os.path.lexists(path):
        return False
    target = os.path.abspath(path)
    draft = _Draft(path, target, beside=True)
    try:
        with (
            _whole(draft, 0o666, lambda: _give_name(draft.name, target), keep=False),
            open(draft.name, "wb") as file,
        ):
            file.write(data)
    except FileExistsError:
        return False
    return True


def remove_leftovers(path: str) -> None:
    """Delete what killed writers of ``path`` left beside it; none may be at work."""
    target = os.path.realpath(path)
    folder, start = os.path.dirname(target), f".{_short(target)}."
    with contextlib.suppress(OSError):  # others' files in a shared folder cost nothing
        for entry in os.listdir(folder):
            if len(entry) == len(start) + 8 + len(_SUFFIX) and (
                entry.startswith(start) and entry.endswith(_SUFFIX)
            ):
                _unlink(os.path.join(folder, entry))


def can_make_files(folder: str) -> bool:
    """Whether files can be made in a folder, as far as the system tells before it is tried."""
    return os.access(folder, os.W_OK | os.X_OK)


def sync_folder(folder: str) -> None:
    """Have the disk hold the names in a folder, where the system can do that."""
    with contextlib.suppress(OSError):
        _sync(folder, os.O_RDONLY)


def synced(descriptor: int) -> bool:
    """Have the disk hold what was written; False where the file system can't do that.

    Raises ``OSError`` if what was written may be lost.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
        return False
    return True


class _Draft:
    """A file on its way to ``target``, under another name: a hidden one beside it, or elsewhere."""

    def __init__(self, path: str, target: str, *, beside: bool) -> None:
        self._path, self.target = path, target
        stem, suffix = os.path.splitext(target)
        #: Says what it is, and nobody removes it.
        self._visible = f"{stem}.kept-{_token()}{suffix}"
        self.stays = False
        if beside:
            hidden = f".{_short(target)}.{_token()}{_SUFFIX}"
            self.name = os.path.join(os.path.dirname(target), hidden)
        else:
            from flowers_onnx.scratch import scratch_place  # hardly ever needed

            self.name = os.path.join(scratch_place(), os.path.basename(self._visible))

    def keep(self) -> None:
        """Let it stay, under its plain name if that can be had."""
        self.stays = True
        hidden = self.name
        try:
            try:
                os.rename(hidden, self._visible)
            except OSError:
                _give_name(hidden, self._visible)
        except OSError:
            return
        self.name = self._visible
        _unlink(hidden)

    def kept(self, error: OSError, what: str = "the results are") -> OutputError:
        """What to tell when it stays."""
        return OutputError(
            f"can't write to {self._path}: {error.strerror or error}; {what} kept in {self.name}"
        )

    def overwrite(self) -> None:
        """Write it over what is at ``target``; it stays until that is done."""
        self.keep()
        try:
            _copy(self.name, self.target)
        except OSError as error:
            raise self.kept(error) from error
        self.stays = False


@contextlib.contextmanager
def _whole(draft: _Draft, mode: int, place: Callable[[], None], *, keep: bool) -> Iterator[None]:
    """A file under the draft's name, which has its place when the block ends, or is gone."""
    try:
        # A signal may come as soon as the file is there.
        os.close(os.open(draft.name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        yield
        what = "what may not be all of the results is"
        try:
            _sync(draft.name, os.O_RDWR)  # the name must not outlive the content
            what = "the results are"
            place()
        except OSError as error:
            if not keep:
                raise
            draft.keep()
            raise draft.kept(error, what) from error
    finally:
        if not draft.stays:
            _unlink(draft.name)
    sync_folder(os.path.dirname(draft.target))


def _give_name(name: str, another: str) -> None:
    """Give a file a second name, unless that is taken: ``FileExistsError``."""
    try:
        os.link(name, another)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: not in one step, but only once
        os.close(os.open(another, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _mode_of(name) or 0o600))
        try:
            _copy(name, another)
        except BaseException:
            _unlink(another)
            raise


def _copy(name: str, another: str) -> None:
    import shutil

    def opener(path: str, flags: int) -> int:
        return os.open(path, flags, _mode_of(name) or 0o600)  # a private file stays one

    with open(name, "rb") as source, open(another, "wb", opener=opener) as copy:
        shutil.copyfileobj(source, copy)
        copy.flush()
        synced(copy.fileno())


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        synced(descriptor)
    finally:
        os.close(descriptor)


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _mode_of(path: str) -> int | None:
    """The permissions of a file, None if there is none."""
    with contextlib.suppress(FileNotFoundError):
        return stat.S_IMODE(os.stat(path).st_mode)
    return None


def _token() -> str:
    return os.urandom(4).hex()


def _short(path: str) -> str:
    """A file's name, or what stands for it where a longer name would be none."""
    name = os.path.basename(path)
    if len(os.fsencode(name)) + len(f"..{_token()}{_SUFFIX}") <= _LONGEST_NAME:
        return name
    import hashlib

    return hashlib.sha256(os.fsencode(name)).hexdigest()
