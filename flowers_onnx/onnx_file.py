"""Where the model file is, and the strings that it carries beside the graph.

An ONNX file is a protocol buffer whose top level holds the graph and, beside it, a map of
strings. ``flowers --version`` reads them here, so nothing that is slow to import may be.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # not typing's: see `flowers_onnx/__init__.py`
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

MODEL_VARIABLE = "FLOWERS_ONNX_MODEL"

_METADATA_PROPS = 14  # field numbers of onnx.proto: ModelProto.metadata_props,
_KEY, _VALUE = 1, 2  # StringStringEntryProto.key and .value
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf wire types
#: Far above any real label table; keeps a hostile length from filling the memory.
_MAX_ENTRY = 64 << 20


def find_model(model: str | os.PathLike[str] | None = None) -> str:
    """The model file: the argument, ``FLOWERS_ONNX_MODEL``, or the one that ships."""
    return os.fspath(model or os.environ.get(MODEL_VARIABLE) or shipped_model())


def shipped_model() -> str:
    """The model file that ships: in the package, or in the checkout beside it."""
    package = os.path.dirname(os.path.abspath(__file__))
    shipped = os.path.join(package, "flowers.onnx")  # put there when the wheel is built
    if os.path.exists(shipped):
        return shipped
    return os.path.join(os.path.dirname(package), "model", "flowers.onnx")


def read_properties(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of an ONNX file; raises ``OSError``, or ``ValueError`` if it is none."""
    with open(path, "rb") as file:
        try:
            return dict(_properties(file, os.fstat(file.fileno()).st_size))
        except IndexError as error:  # the file ends within a number
            raise ValueError("the file is cut off") from error


def fields(file: BinaryIO, end: int) -> Iterator[tuple[int, bool, int]]:
    """The fields of a serialised message, from here to ``end``: number, whether bytes, value.

    The value of bytes (a text, a message, packed numbers) is their length: ``file`` stands at
    them, and they may be read or left. Else it is a varint, or the bits of a fixed number.
    Raises ``ValueError`` or ``IndexError`` for what is no message.
    """
    while file.tell() < end:
        tag = varint(file)
        field, wire = tag >> 3, tag & 7
        if wire == _BYTES:
            length = varint(file)
            behind = file.tell() + length
            if behind > end:
                raise ValueError("a field is longer than the file")
            yield field, True, length
            file.seek(behind)
        elif wire == _VARINT:
            yield field, False, varint(file)
        elif wire in (_FIXED64, _FIXED32):
            yield field, False, int.from_bytes(file.read(8 if wire == _FIXED64 else 4), "little")
        else:
            raise ValueError(f"wire type {wire}")


def _properties(file: BinaryIO, size: int) -> Iterator[tuple[str, str]]:
    """The key-value pairs of a serialised ``ModelProto``; skips the graph unread."""
    for field, is_bytes, length in fields(file, size):
        if field == _METADATA_PROPS and is_bytes and length <= _MAX_ENTRY:
            entry = _strings(file, file.tell() + length)
            yield entry.get(_KEY, ""), entry.get(_VALUE, "")


def _strings(file: BinaryIO, end: int) -> dict[int, str]:
    """The string fields of a small message, by field number."""
    found = {}
    for field, is_bytes, length in fields(file, end):
        if not is_bytes:
            raise ValueError("a metadata entry holds more than strings")
        found[field] = file.read(length).decode()
    return found


def varint(file: BinaryIO) -> int:
    """A base-128 integer, at most 64 bits."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise ValueError("a varint of more than ten bytes")
