"""Reading: from whatever the caller has to pixels, with errors as values."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import time
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from PIL import Image

from flowers_onnx.errors import ImageError, UsageError, from_os_error
from flowers_onnx.image_formats import MAX_BYTES
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import Decoded, Pixels, decode, prepare
from flowers_onnx.sources import RegularFile, Stream, Unreadable, open_at_once

#: What can be classified: a path, a file's bytes, a binary file object, a Pillow image,
#: or RGB pixels as a uint8 array ``[H, W, 3]``.
Source = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | Pixels | Stream | Unreadable

#: A file of up to this size is read into memory, as nearly all photos are.
_HELD_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Photo:
    """A source that has been read: its pixels, or the error that stands in their place.

    ``read_ms`` is the wall time of opening, reading and hashing.
    """

    path: str | None = None
    sha256: str | None = None
    decoded: Decoded | None = None
    error: ImageError | None = None
    read_ms: float = 0


@dataclass(frozen=True, slots=True)
class PhotoReader:
    """Reads photos for one network. Safe to share between threads."""

    preprocess: Preprocess
    max_pixels: int

    def read(self, source: Source) -> Photo:  # noqa: PLR0911  one return a case
        """Read and decode one source.

        What is wrong with the photo comes back as ``Photo.error``; only a source of a type
        that is no photo at all raises, ``UsageError``.
        """
        started = time.perf_counter()
        match source:
            case Unreadable(path, error):
                return Photo(display_path(path), error=error)
            case Stream(path, stream):
                return self._read_stream(stream, display_path(path), started)
            case str() | os.PathLike():
                return self._read_path(os.fsdecode(source), started)
            case bytes():
                return self._decode(Photo(), io.BytesIO(source), started)
            case Image.Image():
                return self._prepare(source)
            case np.ndarray():
                return self._prepare(_image_of(source))
            case _ if hasattr(source, "read"):
                return self._read_stream(source, None, started)
        raise UsageError(f"can't classify a {type(source).__name__}")

    def _read_path(self, path: str, started: float) -> Photo:  # noqa: PLR0911  one return a case
        photo = Photo(display_path(path))
        try:
            found_in_folder = isinstance(path, RegularFile)
            with open(path, "rb", opener=open_at_once if found_in_folder else None) as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    if found_in_folder:
                        return replace(photo, error=ImageError("not_a_file", "not a regular file"))
                    return self._read_stream(file, photo.path, started)
                if found.st_size > MAX_BYTES:
                    return replace(photo, error=_too_large())
                if found.st_size > _HELD_BYTES:
                    return self._read_large(file, photo, started)
                # Once, so that hash and label are of the same bytes; more if it grows meanwhile.
                return self._read_stream(file, photo.path, started, found.st_size + 1)
        except OSError as error:
            return replace(photo, error=from_os_error(error))
        except ValueError:  # a null byte or a lone surrogate in the name
            return replace(photo, error=ImageError("not_found", "no such file or folder"))

    def _read_large(self, file: io.BufferedReader, photo: Photo, started: float) -> Photo:
        """Decode from disk what is too large to be held, unless it changes meanwhile."""
        with open(file.fileno(), "rb", closefd=False) as same:  # decoding closes it
            read = self._decode(photo, same, started)
        file.seek(0)
        if hashlib.file_digest(file, "sha256").hexdigest() == read.sha256:
            return read
        file.seek(0)
        return self._read_stream(file, photo.path, started)

    def _read_stream(
        self, stream: BinaryIO, path: str | None, started: float, at_once: int = MAX_BYTES + 1
    ) -> Photo:
        """Read a stream to its end, in memory, if it is no larger than a photo may be."""
        data = io.BytesIO()
        try:
            # A raw stream may give less than is asked for long before its end.
            while chunk := stream.read(min(at_once, MAX_BYTES + 1 - data.tell())):
                if not isinstance(chunk, bytes):
                    raise UsageError("can't classify a text stream; open it in binary mode")
                data.write(chunk)
        except OSError as error:
            return Photo(path, error=from_os_error(error))
        except ValueError as error:
            return Photo(path, error=ImageError("read_error", f"can't be read: {error}"))
        if data.tell() > MAX_BYTES:
            return Photo(path, error=_too_large())
        data.seek(0)
        return self._decode(Photo(path), data, started)

    def _decode(self, photo: Photo, file: io.BufferedReader | io.BytesIO, started: float) -> Photo:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        photo = replace(photo, sha256=sha256, read_ms=(time.perf_counter() - started) * 1e3)
        try:
            return replace(photo, decoded=decode(file, self.preprocess, self.max_pixels))
        except ImageError as error:
            return replace(photo, error=error)

    def _prepare(self, image: Image.Image) -> Photo:
        try:
            return Photo(decoded=prepare(image, self.preprocess, self.max_pixels))
        except ImageError as error:
            return Photo(error=error)


def _too_large() -> ImageError:
    return ImageError("too_large", f"more than {MAX_BYTES >> 20} MiB")


def display_path(path: str) -> str:
    r"""``path`` as valid Unicode: bytes that are not UTF-8 become ``\xNN``."""
    try:
        return os.fsencode(path).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a lone surrogate, which no file system gives
        return path.encode("utf-8", "backslashreplace").decode()


def _image_of(pixels: Pixels) -> Image.Image:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        shape = list(pixels.shape)
        raise UsageError(f"an array must be uint8 [H, W, 3], not {pixels.dtype} {shape}")
    return Image.fromarray(pixels)
