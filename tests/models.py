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


def constant_model(
    path: Path, values: Sequence[float], shape: Sequence[int], score: bytes = b"", /, **more: str
) -> Path:
    """The shipped model's metadata, less its rules; ``values`` for any photo.

    ``score`` is what else is in the graph, ``more`` in the metadata.
    """
    told = read_properties(find_model())
    side = int(told["input_size"])
    graph = (
        _node("Identity", "values", "probabilities")
        + field(2, b"constant")
        + _tensor("values", values, shape)
        + field(11, _value("image", _UINT8, ["N", side, side, 3]))
        + field(12, _value("probabilities", _FLOAT, ["a", "b", "c"][: len(shape)]))
        + score
    )
    rules = ("rejection", "prediction_set")
    properties = {name: value for name, value in told.items() if name not in rules} | more
    path.write_bytes(onnx_file(properties, graph, opset=field(8, number(2, 17))))
    return path


def brightness() -> bytes:
    """A known score: the mean of all pixels, 0 to 255."""
    to_float = field(1, b"to") + number(3, _FLOAT) + number(20, 2)
    axes = field(1, b"axes") + b"".join(number(8, axis) for axis in (1, 2, 3)) + number(20, 7)
    flat = field(1, b"keepdims") + number(3, 0) + number(20, 2)
    return (
        _node("Cast", "image", "floats", to_float)
        + _node("ReduceMean", "floats", "known_score", axes, flat)
        + field(12, _value("known_score", _FLOAT, ["N"]))
    )


def constant_score(values: Sequence[float], shape: Sequence[int]) -> bytes:
    """A known score that is always the same, and maybe none."""
    return (
        _node("Identity", "scores", "known_score")
        + _tensor("scores", values, shape)
        + field(12, _value("known_score", _FLOAT, ["d", "e"][: len(shape)]))
    )


def _node(kind: str, source: str, target: str, *attributes: bytes) -> bytes:
    node = field(1, source.encode()) + field(2, target.encode()) + field(4, kind.encode())
    return field(1, node + b"".join(field(5, attribute) for attribute in attributes))


def _tensor(name: str, values: Sequence[float], shape: Sequence[int]) -> bytes:
    sizes = b"".join(number(1, size) for size in shape)
    data = field(9, struct.pack(f"<{len(values)}f", *values))
    return field(5, sizes + number(2, _FLOAT) + field(8, name.encode()) + data)


def _value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    sizes = (
        field(1, number(1, size) if isinstance(size, int) else field(2, size.encode()))
        for size in shape
    )
    tensor = number(1, kind) + field(2, b"".join(sizes))
    return field(1, name.encode()) + field(2, field(1, tensor))
