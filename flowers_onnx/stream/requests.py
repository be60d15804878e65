"""What a frame asks for."""

from __future__ import annotations

import binascii
import json
import os
import stat
from dataclasses import dataclass
from types import NoneType
from typing import Any, NoReturn

from flowers_onnx.errors import FlowersError, ImageError, from_os_error
from flowers_onnx.metadata import LANGUAGES
from flowers_onnx.photos import display_path
from flowers_onnx.results import Query
from flowers_onnx.sources import RegularFile, Unreadable, named_file
from flowers_onnx.stream.framing import Frame
from flowers_onnx.text import path_in

_FIELDS = ("id", "path", "bytes", "top_k", "lang", "min_confidence")


@dataclass(frozen=True, slots=True)
class Request:
    """One photo to classify; ``id`` is any JSON value and is given back."""

    id: Any
    source: str | bytes | Unreadable
    query: Query


class BadRequest(FlowersError):  # noqa: N818  the request is bad, not this program
    """A frame that is no request; its ``id`` if that much could be read."""

    def __init__(self, error: ImageError, id: Any = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.id = id


def raw_request(frame: Frame, defaults: Query) -> Request:
    """A frame that is the image itself; raises ``BadRequest``."""
    if frame.error:
        raise BadRequest(frame.error, frame.number)
    return Request(frame.number, frame.data, defaults)


def json_request(frame: Frame, defaults: Query) -> Request:
    """A frame that is a JSON object; raises ``BadRequest``."""
    if frame.error:
        raise BadRequest(frame.error)
    fields = _fields(frame.data)
    request_id = fields.get("id")
    if unknown := [name for name in fields if name not in _FIELDS]:
        raise _bad(f"unknown field {unknown[0][:80]!r}; known are {', '.join(_FIELDS)}", request_id)
    top_k, lang = fields.get("top_k", defaults.top_k), fields.get("lang", defaults.lang)
    if type(top_k) is not int or top_k < 1:  # a bool is an int too
        raise _bad("top_k must be a whole number of at least 1", request_id)
    if lang not in LANGUAGES:
        raise _bad(f"lang must be one of {', '.join(LANGUAGES)}", request_id)
    least = fields.get("min_confidence", defaults.min_confidence)
    if type(least) not in {int, float, NoneType} or not 0 <= (least or 0) <= 1:
        raise _bad("min_confidence must be a number from 0 to 1, or null", request_id)
    return Request(request_id, _source(fields), Query(top_k, lang, least))


PARSERS = {"jsonl": json_request, "raw": raw_request}


def _fields(line: bytes) -> dict[str, Any]:
    try:
        # A byte order mark is what Windows shells put before the first line.
        fields = json.loads(line.decode("utf-8-sig"), parse_constant=_refuse_constant)
        if not isinstance(fields, dict):
            raise _bad("a request is a JSON object")
        json.dumps(fields.get("id"), allow_nan=False)  # 1e999 is read as infinity
    except RecursionError as error:
        raise _bad("nested too deeply") from error
    except ValueError as error:
        raise _bad(f"not JSON: {str(error)[:200]}") from error
    return fields


def _source(fields: dict[str, Any]) -> str | bytes | Unreadable:
    match fields.get("path"), fields.get("bytes"):
        case str(text), None:
            path = named_file(path_in(text))
            return path if isinstance(path, Unreadable) else _regular_file(path)
        case None, str(encoded):
            try:
                return binascii.a2b_base64(encoded, strict_mode=True)
            except ValueError as error:
                raise _bad("bytes must be base64", fields.get("id")) from error
    raise _bad("a request needs either path or bytes, as text", fields.get("id"))


def _regular_file(path: str) -> str | Unreadable:
    """Opening a pipe that nobody writes to would stop the stream."""
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            return RegularFile(path)
        error = ImageError("not_a_file", "not a regular file")
    except OSError as found:
        error = from_os_error(found)
    except ValueError:  # a null byte or a lone surrogate in the name
        error = ImageError("not_found", "no such file or folder")
    return Unreadable(display_path(path), error)


def _bad(message: str, request_id: Any = None) -> BadRequest:
    return BadRequest(ImageError("bad_request", message), request_id)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
