"""From Keras models of every construction to one kind of ONNX file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fire
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from convert import check_parity, convert, to_onnx

from flowers_onnx.metadata import read_info
from lib import onnx_gates
from lib.keras_classifier import load, wrap
from lib.onnx_gates import GateError

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]

SIDE, CLASSES = 32, 4
EMBEDDINGS = {
    "mobile_net": 24,
    "sequential": 1800,
    "augmented": 12,
    "nested": 1800,
    "hard_swish": 16,
    "convolutional_head": 8,
    "bfloat16": 8,
}
MakeNetwork = Callable[[str], Any]


@pytest.fixture
def images() -> np.ndarray:
    """Noise around three different colours."""
    rng = np.random.default_rng(5)
    colours = np.array([[40, 90, 200], [220, 180, 30], [120, 20, 90]]).reshape(3, 1, 1, 3)
    return (colours + rng.normal(0, 25, (3, SIDE, SIDE, 3))).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_every_construction_converts(
    name: str, make_network: MakeNetwork, images: np.ndarray, tmp_path: Path
) -> None:
    network = make_network(name)
    network.save(tmp_path / "net.keras")
    wrapped = wrap(load(str(tmp_path / "net.keras")))
    graph = to_onnx(wrapped)
    onnx_gates.check(graph)
    check_parity(wrapped, graph, images)

    session = ort.InferenceSession(graph.SerializeToString())
    probabilities, features = session.run(["probabilities", "features"], {"image": images})
    assert features.shape == (3, EMBEDDINGS[name])
    assert np.ptp(probabilities, axis=0).max() > 0.01, "the images should get different answers"
    raw = network(images if name == "mobile_net" else images.astype("float32"), training=False)
    expected = np.asarray(raw["probabilities"] if isinstance(raw, dict) else raw, np.float64)
    if name in ("augmented", "convolutional_head"):
        exponentials = np.exp(expected - expected.max(axis=1, keepdims=True))
        expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    tolerance = 0.05 if name == "bfloat16" else 1e-4
    np.testing.assert_allclose(probabilities, expected, atol=tolerance)


def test_convolutions_swallow_what_surrounds_them(make_network: MakeNetwork) -> None:
    graph = to_onnx(wrap(make_network("mobile_net"))).graph
    operators = [node.op_type for node in graph.node]
    assert operators.count("Conv") == 9
    assert operators.count("Clip") == 6
    assert operators.count("Transpose") == 1
    assert operators.count("Mul") == 1, "only the input scaling may be left"
    assert not {"BatchNormalization", "Pad", "Sub"} & set(operators)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    bounds = {
        tuple(float(constants[name]) for name in node.input[1:])
        for node in graph.node
        if node.op_type == "Clip"
    }
    assert bounds == {(0.0, 6.0)}


def test_tf2onnx_alone_leaves_transposes(
    make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.fold", lambda graph: graph)
    with pytest.raises(GateError, match="Transposes"):
        onnx_gates.check(to_onnx(wrap(make_network("hard_swish"))))


def test_parity_gate_sees_a_wrong_weight(make_network: MakeNetwork, images: np.ndarray) -> None:
    wrapped = wrap(make_network("mobile_net"))
    graph = to_onnx(wrapped)
    weights = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = onnx.numpy_helper.to_array(weights) * 1.05
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    with pytest.raises(GateError, match="differs from Keras"):
        check_parity(wrapped, graph, images)


def test_input_range_is_applied(make_network: MakeNetwork, images: np.ndarray) -> None:
    network = make_network("convolutional_head")
    shifted = wrap(network, input_range=(-1.0, 1.0))
    expected = wrap(network)(images, training=False)
    actual = shifted(images, training=False)
    assert not np.allclose(expected["features"], actual["features"], atol=1e-3)
    direct = network(images.astype("float32") / 127.5 - 1, training=False)
    logits = np.log(np.asarray(actual["probabilities"]))
    np.testing.assert_allclose(
        logits - logits[:, :1], np.asarray(direct) - np.asarray(direct)[:, :1], atol=1e-4
    )


def test_refuses_what_has_no_single_answer() -> None:
    import keras
    from keras import layers

    image = keras.Input((SIDE, SIDE, 3))
    pooled = layers.GlobalAveragePooling2D()(image)
    multi_label = keras.Model(image, layers.Dense(3, activation="sigmoid")(pooled))
    with pytest.raises(ValueError, match="sigmoid"):
        wrap(multi_label)
    with pytest.raises(ValueError, match="no last Dense"):
        wrap(keras.Model(image, layers.Softmax()(pooled)))
    with pytest.raises(ValueError, match="not a square"):
        wrap(keras.Model(image, layers.Dense(3)(pooled)), size=64)


def test_open_input_size_needs_one() -> None:
    import keras
    from keras import layers

    image = keras.Input((None, None, 3))
    network = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(image)))
    with pytest.raises(ValueError, match="--size"):
        wrap(network)
    assert wrap(network, size=SIDE).input_shape == (None, SIDE, SIDE, 3)


def test_the_file_describes_itself(exported: Path) -> None:
    info = read_info(exported / "fp32.onnx")
    assert info.id == "tiny/1.10"
    assert [label.class_id for label in info.labels] == [1, 2, 10, 21]
    assert (info.preprocess.size, info.preprocess.kernel) == (SIDE, "bilinear")
    assert (info.license, info.metrics) == ("CC0", {})


@pytest.mark.parametrize(
    ("order", "ids"), [("numeric", [1, 2, 10, 21]), ("alphabetical", [1, 10, 2, 21])]
)
def test_command_line(exported: Path, tmp_path: Path, order: str, ids: list[int]) -> None:
    labels, out = tmp_path / "cat_to_name.json", tmp_path / "net.onnx"
    labels.write_text(json.dumps({"21": "d", "2": "b", "10": "c", "1": "a"}))
    words = [f"{exported}/net.keras", f"--labels={labels}", f"--out={out}"]
    words += ["--version=1.10", f"--class_order={order}", "--crop_fraction=0.9", "--name=123"]
    fire.Fire(convert, words)
    info = read_info(out)
    assert info.id == "123/1.10"
    assert [label.class_id for label in info.labels] == ids
    assert info.preprocess.crop_fraction == 0.9


@pytest.mark.parametrize(
    ("labels", "message"),
    [({"1": "a"}, "1 labels for a network with 4 outputs"), (None, "no names"), ([1], "class_id")],
)
def test_wrong_labels_write_nothing(
    exported: Path, tmp_path: Path, labels: object, message: str
) -> None:
    path, out = tmp_path / "labels.json", tmp_path / "net.onnx"
    path.write_text(json.dumps(labels))
    chosen = "" if labels is None else str(path)
    with pytest.raises(SystemExit, match=message):
        convert(f"{exported}/net.keras", labels=chosen, out=str(out))
    assert not out.exists()
