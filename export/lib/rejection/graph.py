"""The known score and the temperature as nodes of an exported graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lib.onnx_gates import BATCH, FEATURES, KNOWN_SCORE, PROBABILITIES, softmax_of
from lib.rejection.known_score import CONFIDENCE, PROTOTYPES, ZERO_POINT, Score

#: All that is added is named so, and can be taken out again. ``flowers compare`` reads the
#: prototypes and their centre by their names.
_PREFIX = "known/"
_SCALED = f"{_PREFIX}scaled_logits"
_AXES_ARE_INPUTS = 18  # of the reductions, from this operator set on


def strip(model: onnx.ModelProto) -> None:
    """Take out what ``add`` has added."""
    graph = model.graph
    for node in [node for node in graph.node if node.name.startswith(_PREFIX)]:
        if node.output[0] == _SCALED:
            softmax_of(graph).input[0] = node.input[0]
        graph.node.remove(node)
    for values in (graph.initializer, graph.value_info):
        for value in [value for value in values if value.name.startswith(_PREFIX)]:
            values.remove(value)
    for value in [value for value in graph.output if value.name == KNOWN_SCORE]:
        graph.output.remove(value)


def add(model: onnx.ModelProto, score: Score, temperature: float) -> None:
    """Have ``model`` divide its logits by ``temperature``, and tell the ``score``.

    Standard operators only. The prototypes are multiplied in integers: a quarter of the bytes,
    and the same sum on every processor.
    """
    strip(model)
    graph = model.graph
    softmax = softmax_of(graph)
    nodes = _Nodes(model)
    if temperature != 1:
        inverse = nodes.constant("inverse_temperature", np.float32(1 / temperature))
        nodes.append("Mul", [softmax.input[0], inverse], _SCALED)
        graph.node.insert(list(graph.node).index(softmax), nodes.nodes.pop())
        softmax.input[0] = _SCALED
    total = _total(nodes, score)
    nodes.append("Squeeze", [total, nodes.constant("axis", np.array([1], np.int64))], KNOWN_SCORE)
    graph.node.extend(nodes.nodes)
    graph.initializer.extend(nodes.constants)
    graph.output.append(helper.make_tensor_value_info(KNOWN_SCORE, TensorProto.FLOAT, [BATCH]))


class _Nodes:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        domains = {entry.domain: entry.version for entry in model.opset_import}
        self._opset = domains.get("", domains.get("ai.onnx", 0))

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), _PREFIX + name))
        return _PREFIX + name

    def append(self, operator: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        name = f"{_PREFIX}{len(self.nodes)}_{operator}"
        output = output or f"{name}:0"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        return output

    def extreme(self, operator: str, tensor: str) -> str:
        """``[N, C]`` to ``[N, 1]``."""
        if self._opset < _AXES_ARE_INPUTS:
            return self.append(operator, [tensor], axes=[1], keepdims=1)
        axes = self.constant(f"axes_{len(self.nodes)}", np.array([1], np.int64))
        return self.append(operator, [tensor, axes], keepdims=1)

    def scaled(self, name: str, tensor: str, score: Score, parts: list[str]) -> str:
        """Each column by the factor and the shift of its part."""
        factors, shifts = (
            self.constant(f"{name}_{what}", np.array([given[part] for part in parts], np.float32))
            for what, given in (("factor", score.factors), ("shift", score.shifts))
        )
        return self.append("Add", [self.append("Mul", [tensor, factors]), shifts])


def _total(nodes: _Nodes, score: Score) -> str:
    """The tensor ``[N, 1]`` that is the score."""
    moved = nodes.append("Sub", [FEATURES, nodes.constant("centre", score.centre)])
    unit = nodes.append("LpNormalization", [moved], axis=1, p=2)
    zero = nodes.constant("zero_point", np.uint8(ZERO_POINT))
    step = nodes.constant("step", np.float32(score.step))
    rounded = nodes.append("QuantizeLinear", [unit, step, zero])
    columns = nodes.constant("prototypes", np.ascontiguousarray(score.prototypes.T))
    products = nodes.append("MatMulInteger", [rounded, columns, zero])
    scales = nodes.constant("scales", score.scales * np.float32(score.step))
    cosines = nodes.append("Mul", [nodes.append("Cast", [products], to=TensorProto.FLOAT), scales])
    confidence = nodes.append("Log", [nodes.extreme("ReduceMax", PROBABILITIES)])
    total = nodes.append(
        "Add",
        [
            nodes.scaled(CONFIDENCE, confidence, score, [CONFIDENCE]),
            nodes.scaled(PROTOTYPES, nodes.extreme("ReduceMax", cosines), score, [PROTOTYPES]),
        ],
    )
    if score.plane_names:
        weights = nodes.constant("planes", np.ascontiguousarray(score.planes.T))
        sides = nodes.scaled(
            "plane", nodes.append("MatMul", [unit, weights]), score, score.plane_names
        )
        total = nodes.append("Add", [total, nodes.extreme("ReduceMin", sides)])
    return total
