"""What an exported file must be before anything is allowed to read it.

A converter that goes wrong usually still writes a file that runs: with inputs nobody
can feed, a hundred layout changes, or operators that only one runtime knows. Each gate
here names one such failure.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx

INPUT, PROBABILITIES, FEATURES = "image", "probabilities", "features"
#: Float32 ``[N]``, in a file that can tell what it doesn't know: see ``rejection/graph.py``.
KNOWN_SCORE = "known_score"
BATCH = "N"

#: Operators that only rearrange a tensor: next to nothing for a vector.
_VIEWS = {"Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose"}


class GateError(ValueError):
    """The graph breaks the contract; the message says which part."""


def check(model: onnx.ModelProto, *, inner_transposes: int = 0) -> None:
    """Raise ``GateError`` unless ``model`` keeps the contract of a classifier file.

    ``inner_transposes`` is how many Transposes may stand between the first and the last
    convolution: none in a convolutional network, some in one with attention.
    """
    _check_input(model.graph)
    _check_outputs(model.graph)
    _check_sources(model.graph)
    _check_operators(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GateError(f"onnx.checker: {error}") from error
    _check_transposes(model.graph, inner_transposes)
    _check_features_are_free(model.graph)


def image_size(model: onnx.ModelProto) -> int:
    """The side of the square input, in pixels."""
    return int(model.graph.input[0].type.tensor_type.shape.dim[1].dim_value)


def softmax_of(graph: onnx.GraphProto) -> onnx.NodeProto:
    """The node that gives the probabilities; raises ``GateError`` without one."""
    for node in graph.node:
        if PROBABILITIES in node.output and node.op_type == "Softmax":
            return node
    raise GateError(f"{PROBABILITIES!r} is not the output of a Softmax: the model has no logits")


def ancestors(graph: onnx.GraphProto, tensors: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that compute ``tensors``, in graph order."""
    wanted = set(tensors)
    found = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            found.append(node)
    return found[::-1]


def descendants(graph: onnx.GraphProto, tensors: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that read ``tensors``, directly or not, in graph order."""
    reached = set(tensors)
    found = []
    for node in graph.node:
        if reached.intersection(node.input):
            reached.update(node.output)
            found.append(node)
    return found


def _shape(value: onnx.ValueInfoProto) -> list[int | str]:
    dims = value.type.tensor_type.shape.dim
    return [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims]


def _check_input(graph: onnx.GraphProto) -> None:
    names = [value.name for value in graph.input]
    if names != [INPUT]:
        raise GateError(f"the inputs are {names}, not just [{INPUT!r}]")
    if graph.input[0].type.tensor_type.elem_type != onnx.TensorProto.UINT8:
        raise GateError(f"the input {INPUT!r} is not uint8")
    match _shape(graph.input[0]):
        case [str(batch), int(height), int(width), 3] if batch == BATCH and height == width > 0:
            pass
        case shape:
            raise GateError(f"the input {INPUT!r} has shape {shape}, not [{BATCH}, S, S, 3]")


def _check_outputs(graph: onnx.GraphProto) -> None:
    names = sorted(value.name for value in graph.output)
    if [name for name in names if name != KNOWN_SCORE] != [FEATURES, PROBABILITIES]:
        raise GateError(f"the outputs are {names}, not {[FEATURES, PROBABILITIES]}")
    for value in graph.output:
        if value.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
            raise GateError(f"the output {value.name!r} is not float32")
        wanted = [BATCH] if value.name == KNOWN_SCORE else [BATCH, "D"]
        shape = _shape(value)
        sized = all(isinstance(width, int) and width > 0 for width in shape[1:])
        if len(shape) != len(wanted) or shape[0] != BATCH or not sized:
            told = ", ".join(wanted)
            raise GateError(f"the output {value.name!r} has shape {shape}, not [{told}]")


def _check_sources(graph: onnx.GraphProto) -> None:
    known = {INPUT, ""} | {tensor.name for tensor in graph.initializer}
    known.update(name for node in graph.node for name in node.output)
    phantom = {name for node in graph.node for name in node.input} - known
    if phantom:
        raise GateError(f"tensors that nothing computes: {sorted(phantom)}")


def _check_operators(model: onnx.ModelProto) -> None:
    custom = {
        f"{n.domain}.{n.op_type}" for n in model.graph.node if n.domain not in ("", "ai.onnx")
    }
    if custom:
        raise GateError(f"operators outside ai.onnx: {sorted(custom)}")
    domains = {opset.domain for opset in model.opset_import} - {"", "ai.onnx"}
    if domains:
        raise GateError(f"operator sets outside ai.onnx: {sorted(domains)}")


def _check_transposes(graph: onnx.GraphProto, inner_limit: int) -> None:
    """A clean export changes the layout once on the way in and once before each output."""
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    before = _transposes(ancestors(graph, (node.input[0] for node in convolutions)))
    after = _transposes(descendants(graph, (name for node in convolutions for name in node.output)))
    for where, found, limit in (
        ("before the first convolution", before - after, 1),
        ("between convolutions", before & after, inner_limit),
        ("after the last convolution", _transposes(graph.node) - before, len(graph.output)),
    ):
        if len(found) > limit:
            raise GateError(
                f"{len(found)} Transposes {where}, more than {limit}: {sorted(found)[:3]}"
            )


def _transposes(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    return {node.output[0] for node in nodes if node.op_type == "Transpose"}


def _check_features_are_free(graph: onnx.GraphProto) -> None:
    """A runtime computes every node, asked for or not: the embedding must be on the way."""
    needed = {node.output[0] for node in ancestors(graph, [PROBABILITIES])}
    extra = [
        node.name
        for node in ancestors(graph, [FEATURES])
        if node.output[0] not in needed and node.op_type not in _VIEWS
    ]
    if extra:
        raise GateError(
            f"{FEATURES!r} costs nodes that {PROBABILITIES!r} does not need: {extra[:3]}"
        )
