"""Model files made by hand: a protocol buffer needs no library to be written."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from flowers_onnx.onnx_file import find_model, read_properties

_FLOAT, _UINT8 = 1, 2  # onnx.proto: TensorProto.DataType


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def number(number_: int, value: int) -> bytes:
    return varint(number_ << 3) + varint(value)


def onnx_file(properties: dict[str, str], graph: bytes = b"", *, opset: bytes = b"") -> bytes:
    """A protocol buffer shaped like a ``ModelProto``."""
    entries = (field(1, k.encode()) + field(2, v.encode()) for k, v in properties.items())
    return b"\x08\x0a" + field(7, graph) + opset + b"".join(field(14, entry) for entry in entries)


def constant_model(path: Path, values: Sequence[float], shape: Sequence[int], **more: str) -> Path:
    """The shipped model's metadata over a graph that gives ``values`` for any photo."""
    tensor = b"".join(number(1, size) for size in shape) + number(2, _FLOAT) + field(8, b"values")
    tensor += field(9, struct.pack(f"<{len(values)}f", *values))
    graph = (
        field(1, field(1, b"values") + field(2, b"probabilities") + field(4, b"Identity"))
        + field(2, b"constant")
        + field(5, tensor)
        + field(11, _value("image", _UINT8, ["N", 224, 224, 3]))
        + field(12, _value("probabilities", _FLOAT, ["a", "b", "c"][: len(shape)]))
    )
    properties = read_properties(find_model()) | more
    path.write_bytes(onnx_file(properties, graph, opset=field(8, number(2, 17))))
    return path


def _value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    sizes = (
        field(1, number(1, size) if isinstance(size, int) else field(2, size.encode()))
        for size in shape
    )
    tensor = number(1, kind) + field(2, b"".join(sizes))
    return field(1, name.encode()) + field(2, field(1, tensor))
