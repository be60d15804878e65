"""What can go wrong, as one small tree.

FlowersError
├── UsageError    the command or the arguments are wrong        (exit code 2)
├── ModelError    the model file can't be used                  (exit code 3)
├── OutputError   results can't be written                      (exit code 4)
├── StorageError  an object can't be read or written; has a code (exit code 4)
├── StoppedError  the run stopped; nothing was published        (exit code 5)
└── ImageError    one input has no prediction; has a stable code (exit code 1)
"""

from __future__ import annotations

from typing import Any, Literal, get_args

ImageErrorCode = Literal[
    "not_found",
    "permission_denied",
    "no_images",
    "not_a_file",
    "read_error",
    "is_empty",
    "not_an_image",
    "unsupported",
    "truncated",
    "corrupt",
    "too_large",
    "bad_request",
    "internal_error",
]

#: Every code an ``ImageError`` can have; codes are added, never renamed.
IMAGE_ERROR_CODES: tuple[str, ...] = get_args(ImageErrorCode)


class FlowersError(Exception):
    """The base of all errors raised on purpose; its text is one line for people."""

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        # As any object, without a call of `__init__`: an exception would be made again from its
        # text alone, and one that takes more breaks the process that waits for it.
        return _again, (type(self), *self.args), self.__dict__


def _again(kind: type[FlowersError], *args: Any) -> FlowersError:
    return kind.__new__(kind, *args)


class UsageError(FlowersError):
    """The command line, or an argument of the API, makes no sense."""

    exit_code = 2


class ModelError(FlowersError):
    """The model file is missing, broken, or of a schema that this version can't read."""

    exit_code = 3


class OutputError(FlowersError):
    """Results can't be written where they were asked for."""

    exit_code = 4


class StorageError(FlowersError):
    """An object in a bucket, or a file, can't be listed, read or written.

    ``code`` is one of ``IMAGE_ERROR_CODES``. Who asked for the object knows what that means:
    an image without an answer, a wrong argument, or results that can't be written.
    """

    exit_code = OutputError.exit_code

    def __init__(self, code: ImageErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class StoppedError(FlowersError):
    """The run stopped before its end and published nothing; what is done is kept where it says.

    Too many images failed, or the system refused what the program can't do without: a thread, a
    temporary folder.
    """

    exit_code = 5


class ImageError(FlowersError):
    """One input can't be classified; ``code`` is one of ``IMAGE_ERROR_CODES``."""

    def __init__(self, code: ImageErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def from_os_error(error: OSError) -> ImageError:
    """The ``ImageError`` for a file that can't be opened or read."""
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return ImageError("not_found", "no such file or folder")
        case PermissionError():
            return ImageError("permission_denied", "permission denied")
        case IsADirectoryError():
            return ImageError("not_a_file", "a folder, not a file")
        case _:
            return ImageError("read_error", error.strerror or str(error) or "can't be read")
