"""int8 files: close to float32, safe on every processor, made from training photos only."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from convert import to_onnx
from onnx import numpy_helper
from onnxruntime.quantization.calibrate import load_tensors_data
from quantize import main, measure, quantize

from flowers_onnx.metadata import read_info
from lib import onnx_gates
from lib.calibration import METHODS, calibrate, mean_conv_inputs
from lib.dataset import class_ids, list_photos, spread
from lib.input_quantization import find_input_quantization
from lib.keras_classifier import wrap
from lib.photo_classifier import PhotoClassifier, read_photo
from lib.weight_quantization import correct_biases, weight_scales

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def source(exported: Path) -> onnx.ModelProto:
    """The small network in float32."""
    return onnx.load(exported / "fp32.onnx")


@pytest.fixture(scope="module")
def images(exported: Path, photos: Path) -> list[np.ndarray]:
    """All training photos as the network reads them."""
    preprocess = read_info(exported / "fp32.onnx").preprocess
    listed = list_photos(photos, "train", class_ids(photos))
    return [read_photo(photo.path, preprocess) for photo in listed]


def weights_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The int8 weights of every convolution, by the name of its output."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    dequantized = {
        node.output[0]: constants[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in constants
    }
    return {n.output[0]: dequantized[n.input[1]] for n in model.graph.node if n.op_type == "Conv"}


def test_command_line(exported: Path, photos: Path, tmp_path: Path) -> None:
    training_only, out = tmp_path / "data", tmp_path / "int8.onnx"
    shutil.copytree(photos / "train", training_only / "train")
    main(f"{exported}/fp32.onnx", data=str(training_only), out=str(out), count=16)
    model = onnx.load(out)
    onnx_gates.check(model)
    info = read_info(out)
    assert info.id == "tiny/1.10-int8"
    assert info.license == "CC0"
    assert info.metrics["calibration"] == {"method": "minmax", "photos": 16}
    assert {w.dtype for w in weights_of(model).values()} == {np.dtype(np.int8)}


@pytest.mark.parametrize("method", METHODS)
def test_answers_stay_close(source: onnx.ModelProto, images: list[np.ndarray], method: str) -> None:
    quantized = quantize(source, images, METHODS[method])
    assert measure(source, quantized, images).divergence < 0.02
    plain = PhotoClassifier(quantized.SerializeToString())
    exact = PhotoClassifier(quantized.SerializeToString(), exact=True)
    for image in images:
        difference = np.abs(plain.probabilities(image) - exact.probabilities(image)).max()
        assert difference < 1e-5, "this processor's kernels saturate"


def test_measure_sees_a_bad_file(source: onnx.ModelProto, images: list[np.ndarray]) -> None:
    broken = onnx.ModelProto()
    broken.CopyFrom(source)
    last = max(broken.graph.initializer, key=lambda tensor: tensor.dims[-1:] == [4])
    values = -numpy_helper.to_array(last)
    last.CopyFrom(numpy_helper.from_array(values, last.name))
    agreement = measure(source, broken, images)
    assert agreement.divergence > 0.1
    assert agreement.same_label < 0.5


def test_pixels_go_straight_to_the_first_convolution(
    source: onnx.ModelProto, images: list[np.ndarray]
) -> None:
    graph = quantize(source, images, METHODS["minmax"]).graph
    transpose, dequantize = graph.node[0], graph.node[1]
    first = next(node for node in graph.node if node.op_type == "Conv")
    chain = [n for n in graph.node if n.output[0] == first.input[0]]
    assert transpose.op_type == "Transpose"
    assert transpose.input[0] == "image"
    assert [n.op_type for n in chain] == ["DequantizeLinear"]
    assert chain[0].input[0] == transpose.output[0]
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    assert constants[chain[0].input[1]] == np.float32(1 / 128)
    assert constants[chain[0].input[2]] == 127
    assert not {"Cast", "Mul"} & {node.op_type for node in graph.node}, dequantize.op_type


@pytest.mark.parametrize(
    ("scale", "offset", "expected"),
    [
        (1 / 128, -127 / 128, (1 / 128, 127)),
        (1 / 255, 0.0, (1 / 255, 0)),
        (1.0, 0.0, (1.0, 0)),
        (1 / 127.5, -1.0, None),  # the zero point is 127.5
        ([1 / 58, 1 / 57, 1 / 57], [-2.1, -2.0, -1.8], None),  # channels differ
    ],
)
def test_input_scaling_is_recognised(
    scale: Any, offset: Any, expected: tuple[float, int] | None
) -> None:
    import keras
    from keras import layers

    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3)(layers.Rescaling(scale, offset=offset)(image))
    network = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    found = find_input_quantization(to_onnx(wrap(network)))
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found.scale == pytest.approx(expected[0])
        assert found.zero_point == expected[1]


def test_unrecognised_scaling_is_quantised_as_any_tensor(
    make_network: Callable[[str], Any], images: list[np.ndarray]
) -> None:
    source = to_onnx(wrap(make_network("augmented")))
    quantized = quantize(source, images, METHODS["minmax"])
    onnx_gates.check(quantized)
    assert measure(source, quantized, images).divergence < 0.02


def test_paired_weights_cannot_saturate() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(50, 16, 3, 3)).astype(np.float32)
    scales = weight_scales(weights, "paired")
    rounded = np.round(weights / scales.reshape(-1, 1, 1, 1)).astype(int)
    assert np.abs(rounded).max() <= 127
    for order in (rounded, rounded.transpose(0, 2, 3, 1)):
        flat = order.reshape(len(order), -1)
        for part in (np.maximum(flat, 0), np.maximum(-flat, 0)):
            # The worst activations: 255 where it hurts, 0 elsewhere.
            assert (255 * (part[:, :-1] + part[:, 1:])).max() <= 32767
    full, reduced = weight_scales(weights, "full"), weight_scales(weights, "reduced")
    assert (full <= scales).all()
    assert scales.mean() < 0.85 * reduced.mean(), "no better than 7 bits"


def test_depthwise_weights_keep_8_bits() -> None:
    weights = np.random.default_rng(0).normal(size=(8, 1, 3, 3)).astype(np.float32)
    expected = np.abs(weights).reshape(8, -1).max(axis=1) / 127
    for weight_range in ("paired", "reduced", "full"):
        np.testing.assert_allclose(weight_scales(weights, weight_range), expected, rtol=1e-6)


def test_dead_filters_get_a_usable_scale() -> None:
    weights = np.zeros((3, 4, 1, 1), np.float32)
    assert (weight_scales(weights) == 1).all()
    weights[0, 0] = 12.7
    np.testing.assert_allclose(weight_scales(weights), 0.1, rtol=1e-5)


def test_bias_correction_cancels_the_mean_error(images: list[np.ndarray]) -> None:
    """On an input equal to its own mean, a rounded layer answers as the exact one."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(6, 3, 1, 1)).astype(np.float32)
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [], [], [numpy_helper.from_array(weights, "w")])
    model = onnx.helper.make_model(graph)
    mean, scales = np.array([1.0, 2.0, 0.5], np.float32), np.full(6, 0.1, np.float32)
    corrected = correct_biases(model, {"w": scales}, {"x": mean})
    bias = numpy_helper.to_array(corrected.graph.initializer[-1])
    rounded = np.round(weights[:, :, 0, 0] / 0.1) * 0.1
    np.testing.assert_allclose(rounded @ mean + bias, weights[:, :, 0, 0] @ mean, atol=1e-5)
    assert np.abs(bias).max() > 0.01
    assert len(model.graph.node[0].input) == 2, "the original is untouched"


def test_mean_inputs_of_the_first_convolution(
    source: onnx.ModelProto, images: list[np.ndarray]
) -> None:
    scaling = find_input_quantization(source)
    assert scaling is not None
    expected = (np.mean(images, axis=(0, 1, 2)) - 127) / 128
    means = mean_conv_inputs(source, images)
    np.testing.assert_allclose(means[scaling.tensor], expected, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_ranges_behind_a_relu_start_at_zero(
    source: onnx.ModelProto, images: list[np.ndarray], tmp_path: Path, method: str
) -> None:
    calibrate(source, images, METHODS[method], tmp_path / "ranges.json")
    ranges = load_tensors_data(tmp_path / "ranges.json")
    clips = [node.output[0] for node in source.graph.node if node.op_type == "Clip"]
    for name in clips:
        low, high = (value.item() for value in ranges[name].range_value)
        assert low >= -0.06, "half of the 8 bits would go to values that never occur"
        assert 0 < high <= 6.06


def test_every_prefix_is_balanced(photos: Path) -> None:
    ordered = spread(list_photos(photos, "train", class_ids(photos)))
    assert len(ordered) == 32
    assert [photo.target for photo in ordered[:8]] == [0, 1, 2, 3] * 2


def test_wrong_words_are_refused(exported: Path, photos: Path) -> None:
    model = f"{exported}/fp32.onnx"
    with pytest.raises(SystemExit, match="no method"):
        main(model, data=str(photos), out="never.onnx", methods="magic")
    with pytest.raises(SystemExit, match="--weights"):
        main(model, data=str(photos), out="never.onnx", weights="4bit")
