"""The photos in a request's body: all of it, or the files of a form."""

from __future__ import annotations

import os.path
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple, Self

from python_multipart.exceptions import ParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from flowers_onnx.serve.admission import Admission
from flowers_onnx.serve.problems import Problem

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

#: What a body may say of itself; photos are told by their first bytes whatever it says.
#: The last is what curl says of a --data-binary when it isn't told otherwise.
_RAW = ("image/", "application/octet-stream", "application/x-www-form-urlencoded")
#: Fields that are no files, such as a form's own: ignored, up to a number.
_MAX_FIELDS = 64
#: A part's name and type; no client sends more.
_MAX_HEADERS, _MAX_HEADER_BYTES = 16, 4096


class Upload(NamedTuple):
    """A file as it was sent; ``name`` is None where it has none."""

    data: bytes
    name: str | None = None


class Body:
    """Reads one body into memory that ``admission`` has granted; a context manager."""

    def __init__(self, receive: Receive, admission: Admission, limit: int) -> None:
        self._receive, self._admission, self._limit = receive, admission, limit
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._admission.give_bytes(self._taken)

    async def read(self, declared: str | None) -> bytes:
        """All of it. ``declared`` is the Content-Length: one that is too large is never read.

        Raises ``Problem``: 413, 429 if too much is under way, 408 if the client has left.
        """
        if declared is not None:
            size = int(declared)  # the parser has checked it
            if size > self._limit:
                raise self._too_large()
            self._take(size)
        chunks, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Problem(408, "incomplete_body", "the connection ended within the body")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._limit:
                raise self._too_large()
            if size > self._taken:
                self._take(size - self._taken)
            chunks.append(chunk)
            if not message.get("more_body"):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _take(self, count: int) -> None:
        self._admission.take_bytes(count)
        self._taken += count

    def _too_large(self) -> Problem:
        return Problem(413, "too_large", f"the body has more than {self._limit} bytes")


def boundary_of(content_type: str | None) -> bytes | None:
    """The boundary of a form, or None for a raw photo.

    Raises ``Problem``: 415 for a type that is neither, 400 for a form without a boundary.
    """
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        boundary = options.get(b"boundary")
        if not boundary or len(boundary) > 70:  # RFC 2046
            raise Problem(400, "bad_request", "multipart/form-data needs a boundary")
        return boundary
    if not kind or kind.decode("latin-1").startswith(_RAW):
        return None
    raise Problem(
        415,
        "unsupported_media_type",
        "send a photo as the body (image/jpeg, say), or multipart/form-data with files",
    )


def files_of(body: bytes, boundary: bytes, max_files: int) -> list[Upload]:
    """The files of a form, in order; raises ``Problem``, 400 for a broken form or too many."""
    form = _Form(max_files)
    try:
        parser = MultipartParser(
            boundary,
            form.callbacks(),
            max_header_count=_MAX_HEADERS,
            max_header_size=_MAX_HEADER_BYTES,
        )
        parser.write(body)
        parser.finalize()
    except ParseError as error:
        raise Problem(400, "bad_request", f"broken multipart/form-data: {error}") from error
    if not form.ended:
        raise Problem(400, "bad_request", "broken multipart/form-data: it has no end")
    if not form.files:
        raise Problem(400, "bad_request", "multipart/form-data without a file")
    return form.files


class _Form:
    """What the parser tells, part by part."""

    def __init__(self, max_files: int) -> None:
        self._max_files = max_files
        self.files: list[Upload] = []
        self.ended = False
        self._fields = 0
        self._begin()

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._name, self._value = b"", b""
        self._disposition: bytes = b""
        self._data: list[bytes] = []

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name, self._value = b"", b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _part_end(self) -> None:
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        name = options.get(b"filename")
        if name is None:
            self._fields += 1
            if self._fields > _MAX_FIELDS:
                raise Problem(400, "bad_request", f"more than {_MAX_FIELDS} fields in a form")
            return
        if len(self.files) == self._max_files:
            raise Problem(400, "too_many_files", f"more than {self._max_files} files in a form")
        self.files.append(Upload(b"".join(self._data), _base_name(name)))
        self._data = []

    def _end(self) -> None:
        self.ended = True


def _base_name(name: bytes) -> str:
    """The last part of a file's name, for show: no path that anybody could believe in."""
    text = name.decode("utf-8", "replace").replace("\\", "/")
    shown = os.path.basename(text.rstrip("/"))
    return "".join(char for char in shown if char.isprintable())[:255]
