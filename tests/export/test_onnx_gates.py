"""Each gate refuses the failure it is named for, and lets a sound graph pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lib import onnx_gates
from lib.onnx_gates import GateError

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]


def sound() -> onnx.ModelProto:
    """Two convolutions, a pooled embedding and a softmax."""
    rng = np.random.default_rng(0)
    constants = {
        "w1": rng.normal(size=(4, 3, 3, 3)),
        "w2": rng.normal(size=(4, 4, 1, 1)),
        "w3": rng.normal(size=(4, 5)),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["nchw"], "layout", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["nchw"], ["float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Conv", ["float", "w1"], ["c1"], "conv1"),
        helper.make_node("Conv", ["c1", "w2"], ["c2"], "conv2"),
        helper.make_node("GlobalAveragePool", ["c2"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["features"], "flatten"),
        helper.make_node("MatMul", ["features", "w3"], ["logits"], "dense"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax"),
    ]
    graph = helper.make_graph(
        nodes,
        "sound",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 8, 8, 3])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 5]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 4]),
        ],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.name == name)


def insert(model: onnx.ModelProto, before: str, *nodes: onnx.NodeProto) -> None:
    index = list(model.graph.node).index(node(model, before))
    for offset, new in enumerate(nodes):
        model.graph.node.insert(index + offset, new)


def extra_input(model: onnx.ModelProto) -> None:
    value = helper.make_tensor_value_info("normalization/Sqrt/x:0", TensorProto.FLOAT, [1, 3])
    model.graph.input.append(value)


def phantom_tensor(model: onnx.ModelProto) -> None:
    model.graph.node[2].input.append("nowhere")


def float_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def fixed_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def anonymous_batch(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "unk__613"


def missing_output(model: onnx.ModelProto) -> None:
    del model.graph.output[1]


def foreign_operator(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    node(model, "conv2").op_type = "FusedConv"
    node(model, "conv2").domain = "com.microsoft"


def foreign_operator_set(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))


def broken_attribute(model: onnx.ModelProto) -> None:
    node(model, "softmax").attribute.append(helper.make_attribute("axle", 1))


def wrong_shape(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 6


def inner_transposes(model: onnx.ModelProto) -> None:
    there = helper.make_node("Transpose", ["c1"], ["t1"], "there", perm=[0, 2, 3, 1])
    back = helper.make_node("Transpose", ["t1"], ["t2"], "back", perm=[0, 3, 1, 2])
    insert(model, "conv2", there, back)
    node(model, "conv2").input[0] = "t2"


def second_input_transpose(model: onnx.ModelProto) -> None:
    insert(model, "cast", helper.make_node("Transpose", ["nchw"], ["n2"], "x", perm=[0, 1, 3, 2]))
    node(model, "cast").input[0] = "n2"


def costly_features(model: onnx.ModelProto) -> None:
    insert(
        model,
        "flatten",
        helper.make_node("Conv", ["c1", "w2"], ["branch"], "branch"),
        helper.make_node("GlobalAveragePool", ["branch"], ["pooled2"], "pool2"),
        helper.make_node("Flatten", ["pooled2"], ["features"], "flatten2"),
    )
    node(model, "flatten").output[0] = "other"
    node(model, "dense").input[0] = "other"


def wide_score(model: onnx.ModelProto) -> None:
    score = helper.make_tensor_value_info("known_score", TensorProto.FLOAT, ["N", 5])
    model.graph.node.append(helper.make_node("Identity", ["logits"], ["known_score"], "score"))
    model.graph.output.append(score)


BREAKAGES: list[tuple[Callable[[onnx.ModelProto], None], str]] = [
    (extra_input, r"the inputs are .*Sqrt"),
    (phantom_tensor, r"nothing computes: \['nowhere'\]"),
    (float_input, "not uint8"),
    (fixed_batch, r"shape \[1, 8, 8, 3\]"),
    (anonymous_batch, "unk__613"),
    (missing_output, "the outputs are"),
    (foreign_operator, "com.microsoft.FusedConv"),
    (foreign_operator_set, "ai.onnx.ml"),
    (broken_attribute, "onnx.checker"),
    (wrong_shape, "onnx.checker"),
    (inner_transposes, "2 Transposes between convolutions"),
    (second_input_transpose, "2 Transposes before the first convolution"),
    (costly_features, "'features' costs nodes"),
    (wide_score, r"'known_score' has shape \['N', 5\], not \[N\]"),
]


def test_a_sound_graph_passes() -> None:
    onnx_gates.check(sound())


@pytest.mark.parametrize(("breakage", "message"), BREAKAGES, ids=[b.__name__ for b, _ in BREAKAGES])
def test_refuses(breakage: Callable[[onnx.ModelProto], None], message: str) -> None:
    model = sound()
    breakage(model)
    with pytest.raises(GateError, match=message):
        onnx_gates.check(model)


def test_attention_may_change_the_layout() -> None:
    model = sound()
    inner_transposes(model)
    onnx_gates.check(model, inner_transposes=2)
