"""Where the keys are: a file, a mounted secret, or an object in a bucket; read and changed."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager

from flowers_onnx.atomic import replacing
from flowers_onnx.errors import OutputError, StorageError, UsageError
from flowers_onnx.serve.keys.key import looks_like_key
from flowers_onnx.serve.keys.ring import Ring, ring_of
from flowers_onnx.storage import Store, store_for
from flowers_onnx.storage.failures import of_file
from flowers_onnx.storage.uris import path_of, scheme_of

#: Gives the place where ``--keys`` doesn't.
VARIABLE = "FLOWERS_KEYS"
#: Of a file of keys: thousands of them.
MAX_BYTES = 1 << 20
#: Seconds that a change waits for another one of the same object.
PATIENCE = 15.0


def chosen_place(given: str | None) -> str | None:
    """``--keys``, or else ``$FLOWERS_KEYS``."""
    return given or os.environ.get(VARIABLE) or None


class KeyFile(ABC):
    """The keys at a place."""

    #: Seconds after which the keys are looked at again: cheap for a file, a request for an object.
    every: float

    def __init__(self, place: str) -> None:
        self.place = place

    @abstractmethod
    def read(self) -> bytes | None:
        """The content; None if there is none. Raises ``UsageError``, ``StorageError``."""

    @abstractmethod
    def signature(self) -> object:
        """What changes with the content, cheaper than to read it; None if there is no such."""

    @abstractmethod
    def save(self, ring: Ring) -> None:
        """Write the keys, whole or not at all. Raises ``OutputError``, ``StorageError``."""

    @abstractmethod
    def changing(self) -> AbstractContextManager[object]:
        """Keep waiting those others who would change the keys, so that no change is lost.

        Raises ``OutputError``, ``StorageError``.
        """

    def load(self, *, required: bool = True) -> Ring:
        """The keys; if not ``required``, none where there is no file.

        Raises ``UsageError``, and ``StorageError`` where it can't be told.
        """
        content = self.read()
        if content is None:
            if required:
                raise UsageError(
                    f"there are no keys at {self.place}: flowers keys add NAME --keys {self.place}"
                )
            return Ring()
        try:
            if len(content) > MAX_BYTES:
                raise UsageError(f"it has more than {MAX_BYTES >> 20} MiB")
            return ring_of(content)
        except UsageError as error:
            raise UsageError(
                f"{self.place} is no file of keys: {error}; flowers keys add NAME --keys FILE "
                "makes one"
            ) from None


def key_file(place: str) -> KeyFile:
    """The keys at a path or a URI. Raises ``UsageError`` for a place that makes no sense."""
    if looks_like_key(place):
        raise UsageError("the place of the keys is a file or a URI, not a key")
    return _LocalFile(place) if scheme_of(place) == "file" else _Object(place)


class _LocalFile(KeyFile):
    """A file on this machine; a new one is its owner's alone."""

    every = 2.0

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self._path = path_of(place)

    def read(self) -> bytes | None:
        try:
            if not stat.S_ISREG(os.stat(self._path).st_mode):
                raise UsageError(f"{self.place} is no file of keys: it isn't a regular file")
            with open(self._path, "rb") as file:
                return file.read(MAX_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UsageError(f"can't read the keys at {self.place}: {of_file(error)}") from error
        except ValueError as error:  # a null byte in the name
            raise UsageError(f"{self.place!a} can't be the name of a file") from error

    def signature(self) -> object:
        try:
            found = os.stat(self._path)  # behind links: a mounted secret is renewed by turning one
        except (OSError, ValueError):
            return None  # reading it gives the error
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def save(self, ring: Ring) -> None:
        try:
            with replacing(self._path, private=True) as temporary:
                with open(temporary, "wb") as file:
                    file.write(ring.to_json())
                _give_to_owner_of(self._path, temporary)
        except OSError as error:
            raise self._unwritable(error) from error

    def changing(self) -> AbstractContextManager[object]:
        try:
            return _locked(os.path.dirname(os.path.realpath(self._path)))
        except (OSError, ValueError) as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError | ValueError) -> OutputError:
        reason = of_file(error) if isinstance(error, OSError) else error
        return OutputError(f"can't write the keys to {self.place}: {reason}")


def _give_to_owner_of(path: str, temporary: str) -> None:
    """What root changes stays its owner's, who may be the server."""
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):
            found = os.stat(path)
            os.chown(temporary, found.st_uid, found.st_gid)


def _locked(folder: str) -> AbstractContextManager[object]:
    """A folder, locked: the file in it is replaced, and so can't be.

    The system frees it with the process that has it. Where there are no such locks, two changes
    at the same moment aren't kept apart.
    """
    try:
        import fcntl
    except ImportError:
        return contextlib.nullcontext()
    closing = contextlib.ExitStack()
    descriptor = os.open(folder, os.O_RDONLY)
    closing.callback(os.close, descriptor)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return closing


class _Object(KeyFile):
    """An object in a bucket. While it is changed there is another beside it, ``PLACE.lock``."""

    every = 15.0

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self._store: Store = store_for(place)

    def read(self) -> bytes | None:
        return self._store.download(self.place)

    def signature(self) -> object:
        return None

    def save(self, ring: Ring) -> None:
        self._store.write(self.place, ring.to_json())

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Only one can make the lock.

        Who is killed leaves it behind: whether its maker is still at work, only people know.
        """
        lock = f"{self.place}.lock"
        host = socket.gethostname()
        maker = f"{host} {os.getpid()} {int(time.time())} {secrets.token_hex(8)}\n".encode()
        deadline = time.monotonic() + PATIENCE
        # It may be ours though it was there: an answer was lost, and the request repeated.
        while not (
            self._store.write(lock, maker, if_absent=True) or self._store.download(lock) == maker
        ):
            if time.monotonic() > deadline:
                raise StorageError(
                    "permission_denied",
                    f"somebody else is changing the keys: there is {lock}; "
                    "remove it if its maker was killed",
                )
            time.sleep(0.2)
        try:
            yield
        finally:
            self._store.delete(lock)
