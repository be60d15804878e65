"""What is read of an ONNX graph: its last map and the layer behind it, and constants.

A network of this kind ends in a mean over the cells of a map and one linear layer, which gives
the logits. So each logit is the mean over cells of what that layer gives for the cell alone
(plus its bias): class activation maps, Zhou et al. 2016, arXiv 1512.04150. The file needs one
more output for it, and nothing of the onnx package to get it.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from flowers_onnx.onnx_file import fields, varint

# Field numbers of onnx.proto.
_GRAPH = 7  # of ModelProto
_NODE, _INITIALIZER, _OUTPUT = 1, 5, 12  # of GraphProto
_INPUTS, _OUTPUTS, _OP_TYPE, _ATTRIBUTE = 1, 2, 4, 5  # of NodeProto
_ATTRIBUTE_NAME, _FLOAT_VALUE, _INT = 1, 2, 3  # of AttributeProto
_DIMS, _DATA_TYPE, _TENSOR_NAME, _RAW_DATA = 1, 2, 8, 9  # of TensorProto

_FLOAT = 1  # TensorProto.FLOAT
#: What is read of TensorProto.DataType.
_TYPES = {_FLOAT: "<f4", 3: "i1"}
_MEAN, _LINEAR, _SOFTMAX = "GlobalAveragePool", "Gemm", "Softmax"
_SCALING = "Mul"  # by a temperature
_NOT_THIS_KIND = f"it doesn't end in {_MEAN}, {_LINEAR} and {_SOFTMAX}"
#: What may stand between the mean and the linear layer, since it changes no number.
_RESHAPING = {"Squeeze", "Flatten", "Reshape", "Identity"}


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a network: ``logits = mean(map over cells) @ weights + bias``.

    ``map`` names the tensor, float32 ``[N, channels, rows, columns]``; ``weights`` are float32
    ``[channels, classes]``, ``bias`` ``[classes]``.
    """

    map: str
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


@dataclass(slots=True)
class _Node:
    kind: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    #: Where its attributes are in the file.
    attributes: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class _Tensor:
    name: str = ""
    kind: int = 0
    shape: list[int] = field(default_factory=list)
    data: bytes = b""

    def values(self) -> npt.NDArray[Any]:
        if self.kind not in _TYPES:
            raise ValueError(f"{self.name} is neither float32 nor int8")
        return np.frombuffer(self.data, _TYPES[self.kind]).reshape(self.shape)


def with_output(model: bytes, name: str) -> bytes:
    """``model`` with its tensor ``name`` among its outputs.

    A message that is given twice is merged: the second graph adds an output to the first one.
    """
    value = _bytes(1, name.encode()) + _bytes(2, _bytes(1, bytes([1 << 3, _FLOAT])))
    return model + _bytes(_GRAPH, _bytes(_OUTPUT, value))


def read_head(model: bytes, output: str) -> Head:
    """The end of the network of a serialised ``ModelProto``: all that makes ``output``.

    Raises ``ValueError`` where it isn't one of this kind, or ``model`` is no such file.
    """
    try:
        return _Graph(model).head(output)
    except (LookupError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError("no such network") from error


def read_tensors(model: bytes, *names: str) -> list[npt.NDArray[Any]]:
    """Constants of the graph of a serialised ``ModelProto``, in float32 or int8.

    Raises ``ValueError`` where one of them is missing or of another type.
    """
    try:
        graph = _Graph(model)
        return [graph.tensor(name) for name in names]
    except (LookupError, UnicodeDecodeError) as error:
        raise ValueError("no such constants") from error


class _Graph:
    """Nodes and the places of initializers; their content is read where it is asked for."""

    def __init__(self, model: bytes) -> None:
        self._file = io.BytesIO(model)
        self._nodes: list[_Node] = []
        self._model = model
        self._tensors: list[tuple[int, int]] = []
        for number, _, length in fields(self._file, len(model)):
            if number == _GRAPH:
                self._read(self._file.tell() + length)
        self._makers = {name: node for node in self._nodes for name in node.outputs}

    def head(self, output: str) -> Head:
        """The way back from ``output``: softmax, temperature, linear layer, mean, map."""
        softmax = self._maker(output, {_SOFTMAX})
        linear = self._maker(self._unscaled(softmax.inputs[0]), {_LINEAR})
        mean = self._maker(linear.inputs[0], {*_RESHAPING, _MEAN})
        while mean.kind in _RESHAPING:
            mean = self._maker(mean.inputs[0], {*_RESHAPING, _MEAN})
        return self._head(mean, linear)

    def _maker(self, name: str, kinds: set[str]) -> _Node:
        node = self._makers.get(name)
        if node is None or node.kind not in kinds:
            raise ValueError(_NOT_THIS_KIND)
        return node

    def _unscaled(self, name: str) -> str:
        """What one positive number was multiplied with, if that is so."""
        node = self._makers.get(name)
        if node is None or node.kind != _SCALING:
            return name
        source, factor = sorted(node.inputs, key=lambda one: one not in self._makers)
        scale = self.tensor(factor)
        if scale.size != 1 or not scale.min() > 0:
            raise ValueError(_NOT_THIS_KIND)
        return source

    def tensor(self, name: str) -> npt.NDArray[Any]:
        """A constant; raises ``LookupError`` or ``ValueError``."""
        for begin, end in self._tensors:
            # To look at each of the fields of hundreds takes longer than all else here.
            if self._model.find(name.encode(), begin, end) >= 0:
                tensor = self._read_tensor(begin, end)
                if tensor.name == name:
                    return tensor.values()
        raise LookupError(name)

    def _head(self, mean: _Node, linear: _Node) -> Head:
        weights, bias = (self.tensor(name) for name in linear.inputs[1:3])
        if weights.dtype != np.float32 or bias.dtype != np.float32:
            raise ValueError(f"the {_LINEAR} isn't in float32")
        given = self._attributes(linear)
        if given.pop("transB", 0):
            weights = weights.T
        if given.pop("alpha", 1) != 1 or given.pop("beta", 1) != 1 or any(given.values()):
            raise ValueError(f"the {_LINEAR} is an odd one")
        if weights.ndim != 2 or bias.shape != weights.shape[1:]:
            raise ValueError(f"the {_LINEAR} has other shapes")
        return Head(mean.inputs[0], weights, bias)

    def _read(self, end: int) -> None:
        file = self._file
        for number, _, length in fields(file, end):
            if number == _NODE:
                self._nodes.append(_node(file, file.tell() + length))
            elif number == _INITIALIZER:
                self._tensors.append((file.tell(), file.tell() + length))

    def _attributes(self, node: _Node) -> dict[str, float]:
        """The names of its attributes and their numbers, 0 for what is none."""
        found = {}
        for begin, end in node.attributes:
            self._file.seek(begin)
            name, value = "", 0.0
            for number, _, content in fields(self._file, end):
                if number == _ATTRIBUTE_NAME:
                    name = self._file.read(content).decode()
                elif number == _FLOAT_VALUE:
                    (value,) = struct.unpack("<f", content.to_bytes(4, "little"))
                elif number == _INT:
                    value = content
            found[name] = value
        return found

    def _read_tensor(self, begin: int, end: int) -> _Tensor:
        self._file.seek(begin)
        tensor = _Tensor()
        for number, is_bytes, value in fields(self._file, end):
            if number == _DIMS:
                tensor.shape += _numbers(self._file, value) if is_bytes else [value]
            elif number == _DATA_TYPE:
                tensor.kind = value
            elif number == _TENSOR_NAME:
                tensor.name = self._file.read(value).decode()
            elif number == _RAW_DATA:
                tensor.data = self._file.read(value)
        return tensor


def _node(file: io.BytesIO, end: int) -> _Node:
    node = _Node()
    for number, _, length in fields(file, end):
        if number == _INPUTS:
            node.inputs.append(file.read(length).decode())
        elif number == _OUTPUTS:
            node.outputs.append(file.read(length).decode())
        elif number == _OP_TYPE:
            node.kind = file.read(length).decode()
        elif number == _ATTRIBUTE:
            node.attributes.append((file.tell(), file.tell() + length))
    return node


def _numbers(file: io.BytesIO, length: int) -> Iterator[int]:
    """Packed ones."""
    end = file.tell() + length
    while file.tell() < end:
        yield varint(file)


def _bytes(number: int, content: bytes) -> bytes:
    """A field of bytes."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])
