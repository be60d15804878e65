"""Whether a place takes what is sent to it, told by the calls themselves."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from flowers_onnx.errors import StorageError

_LOG = logging.getLogger(__name__)

#: A place that has answered nothing for so long is no place to rely on: what comes is refused
#: at once. (A ``Store`` tries for half a minute and more before it says so.)
STALL_SECONDS = 5


class Watch:
    """The calls to one place, called ``name``; from the event loop's thread alone."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._failure: str | None = None
        self._success = 0.0
        self._under_way: dict[object, float] = {}
        self.failures = 0

    @property
    def failed(self) -> bool:
        """Whether the last call that has ended has failed."""
        return self._failure is not None

    def problem(self) -> str | None:
        """Why it is of no use just now, or None."""
        if self._failure is not None:
            return self._failure
        oldest = next(iter(self._under_way.values()), None)
        if oldest is not None:
            silence = time.monotonic() - max(oldest, self._success)
            if silence > STALL_SECONDS:
                return f"{self._name} has not answered for {silence:.0f} s"
        return None

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """The time of one call; whatever fails in it is a ``StorageError``."""
        ticket = object()
        self._under_way[ticket] = time.monotonic()
        try:
            yield
        except Exception as found:
            error = found if isinstance(found, StorageError) else unexpected(found)
            self.failures += 1
            if self._failure is None:
                _LOG.warning("%s; trying on", error)
            self._failure = str(error)
            if error is found:
                raise
            raise error from found
        else:
            self._success = time.monotonic()
            if self._failure is not None:
                _LOG.warning("%s takes what is sent again", self._name)
            self._failure = None
        finally:
            del self._under_way[ticket]


def unexpected(error: Exception) -> StorageError:
    """What no ``Store`` should raise: it must not end the task that meets it."""
    text = " ".join(str(error).split())[:300]
    return StorageError("read_error", f"{type(error).__name__}: {text}")
