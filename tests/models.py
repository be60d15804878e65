"""Model files made by hand: a protocol buffer needs no library to be written."""

from __future__ import annotations

import random
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


def _node(kind: str, sources: str | Sequence[str], target: str, *attributes: bytes) -> bytes:
    named = [sources] if isinstance(sources, str) else sources
    node = b"".join(field(1, name.encode()) for name in named)
    node += field(2, target.encode()) + field(4, kind.encode())
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


def head_model(
    path: Path,
    *,
    gemms: int = 1,
    attributes: Sequence[bytes] = (),
    factor: float = 1,
    gate: bool = False,
    **more: str,
) -> Path:
    """The shipped model's metadata, less its rules; colours and a linear layer are all of it.

    The end is a mean, ``gemms`` linear layers of which the first has ``attributes``, a
    temperature and a softmax. With ``gate``, the mean in front of a linear layer is one that
    weighs the channels, as in a squeeze-and-excite block, and the end has another form.
    """
    told = read_properties(find_model())
    side, classes = int(told["input_size"]), 102
    draw = random.Random(5)
    to_float = field(1, b"to") + number(3, _FLOAT) + number(20, 2)
    order = field(1, b"perm") + b"".join(number(8, axis) for axis in (0, 3, 1, 2)) + number(20, 7)
    nodes = [_node("Cast", "image", "floats", to_float), _node("Transpose", "floats", "map", order)]
    nodes += [_node("GlobalAveragePool", "map", "mean"), _node("Flatten", "mean", "features")]
    tensors = [_tensor("factor", [factor], [])]
    width, last = 3, "features"
    for layer in range(gemms):
        weights = [draw.gauss(0, 0.01) for _ in range(width * classes)]
        tensors += [_tensor(f"w{layer}", weights, [width, classes])]
        tensors += [_tensor(f"b{layer}", [0.1] * classes, [classes])]
        given = attributes if layer == 0 else ()
        nodes += [_node("Gemm", [last, f"w{layer}", f"b{layer}"], f"l{layer}", *given)]
        width, last = classes, f"l{layer}"
    if gate:
        axes = field(1, b"axes") + number(8, 2) + number(8, 3) + number(20, 7)
        flat = field(1, b"keepdims") + number(3, 0) + number(20, 2)
        nodes += [_node("ReduceMax", "map", "brightest", axes, flat)]
        tensors += [_tensor("w", [draw.gauss(0, 0.01) for _ in range(3 * classes)], [3, classes])]
        nodes += [_node("MatMul", ["brightest", "w"], "other")]
        nodes += [_node("Add", ["other", last], "sum")]
        last = "sum"
    nodes += [_node("Mul", [last, "factor"], "scaled"), _node("Softmax", "scaled", "probabilities")]
    graph = b"".join(nodes) + field(2, b"head") + b"".join(tensors)
    graph += field(11, _value("image", _UINT8, ["N", side, side, 3]))
    graph += field(12, _value("probabilities", _FLOAT, ["N", classes]))
    rules = ("rejection", "prediction_set")
    properties = {name: value for name, value in told.items() if name not in rules} | more
    path.write_bytes(onnx_file(properties, graph, opset=field(8, number(2, 17))))
    return path
