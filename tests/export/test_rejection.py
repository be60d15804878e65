"""A file that says what it doesn't know: the score in the graph, and the rules for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from optimize import main as optimize
from PIL import Image
from quantize import main as quantize
from rejection import add, compare, measure

from flowers_onnx import Classifier, Query
from flowers_onnx.confusion import Confusions
from flowers_onnx.metadata import read_info
from lib import onnx_gates
from lib.model_metadata import write_confusion
from lib.photo_classifier import PhotoClassifier, read_photo
from lib.photo_features import Extractor, Outputs
from lib.rejection import graph as rejection_graph
from lib.rejection.figures import auroc, mass_threshold, prediction_sets, quantile, softmax
from lib.rejection.known_score import LARGEST_WEIGHT
from lib.rejection.photos import Judged, Material
from lib.rejection.rules import Limits, find
from lib.rejection.scores import Reference

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]

LIMITS = Limits(own_refused=0.02, right_refused=0.06, coverage=0.99)
WIDTH, CLASSES = 32, 6


def drawn(
    rng: np.random.Generator, count: int, *, blur: float, known: bool = True
) -> tuple[Outputs, np.ndarray]:
    """Features around a middle a class, or anywhere else, and the logits of a linear head."""
    middles = np.random.default_rng(5).normal(size=(CLASSES, WIDTH))
    targets = np.arange(count) % CLASSES
    features = rng.normal(size=(count, WIDTH)) * (blur if known else 1.0)
    features += middles[targets] if known else rng.normal(size=WIDTH)
    logits = features @ middles.T / 4
    return Outputs(logits.astype(np.float32), (features + 3).astype(np.float32)), targets


def material(*, unnamed: bool) -> Material:
    rng = np.random.default_rng(1)
    named, targets = drawn(rng, 600, blur=0.5)
    own, of_own = drawn(rng, 300, blur=0.5)
    other, of_other = drawn(rng, 120, blur=0.9)
    outputs = Outputs(
        np.concatenate([own.logits, other.logits]), np.concatenate([own.features, other.features])
    )
    calibration = Judged(
        outputs, np.concatenate([of_own, of_other]), np.arange(len(outputs)) >= len(own)
    )
    kinds = ("flowers", "others") if unnamed else ()
    strange = {kind: drawn(rng, 200, blur=1, known=False)[0] for kind in kinds}
    return Material(Reference(named, targets, strange), calibration)


@pytest.mark.parametrize("unnamed", [True, False])
def test_rules_part_known_from_others_and_keep_their_limits(unnamed: bool) -> None:
    given = material(unnamed=unnamed)
    rules, figures = find(given, 2, LIMITS)
    assert len(rules.score.planes) == 2 * unnamed
    rng = np.random.default_rng(9)
    known, others = drawn(rng, 900, blur=0.5), drawn(rng, 300, blur=1, known=False)
    values, strange = (
        rules.score.of(rules.score.parts(outputs, rules.temperature))
        for outputs in (known[0], others[0])
    )
    assert auroc(values, strange) > 0.99
    assert (values < rules.threshold).mean() <= 0.05
    assert (strange < rules.threshold).mean() > 0.8
    assert figures["own"]["refused"] <= 0.03
    assert figures["elsewhere"]["right_refused"] <= 0.1
    sets = prediction_sets(softmax(known[0].logits / rules.temperature), rules.set_threshold)
    assert sets[np.arange(900), known[1]].mean() > 0.97
    assert figures["own"]["ece"] < 0.1


def test_threshold_is_that_of_the_kind_that_scores_lowest() -> None:
    given = material(unnamed=False)
    both, _ = find(given, 2, LIMITS)
    own, _ = find(
        Material(given.reference, given.calibration[~given.calibration.elsewhere]), 2, LIMITS
    )
    parts = own.score.parts(given.calibration.outputs, own.temperature)
    refused = own.score.of(parts) < own.threshold
    right = given.calibration.outputs.logits.argmax(axis=1) == given.calibration.targets
    assert refused[given.calibration.elsewhere & right].mean() > LIMITS.right_refused
    parts = both.score.parts(given.calibration.outputs, both.temperature)
    refused = both.score.of(parts) < both.threshold
    assert refused[given.calibration.elsewhere & right].mean() <= LIMITS.right_refused


def test_few_photos_promise_no_set() -> None:
    given = material(unnamed=False)
    few = Material(given.reference, given.calibration[np.arange(420) % 8 == 0])
    assert find(few, 2, LIMITS)[0].set_threshold is None


def test_figures_of_small_cases() -> None:
    assert auroc(np.array([2.0, 3.0]), np.array([1.0, 2.0])) == pytest.approx(0.875)
    scores = np.arange(100.0)
    assert 1.9 < quantile(scores, 0.02) < 2
    assert quantile(scores, 0.0) == 0
    # 0.01 of all probability is that of the 0.02 of one of two photos.
    assert mass_threshold(np.array([[0.9, 0.08, 0.02], [0.95, 0.05, 0.0]]), 0.01) == 0.05
    chosen = prediction_sets(np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]]), 0.3)
    assert chosen.tolist() == [[True, True, False], [False, False, True]]
    assert prediction_sets(np.array([[0.6, 0.4]]), None).tolist() == [[True, False]]


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 8 photos of stripes."""
    folder, rng = tmp_path_factory.mktemp("strangers"), np.random.default_rng(8)
    for index in range(8):
        pixels = np.zeros((48, 60, 3), np.uint8)
        pixels[:: 2 + index % 3] = rng.integers(100, 255, 3)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def knowing(
    exported: Path, photos: Path, strangers: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A float32 file and the int8 file of it that know, with and without strange photos."""
    folder = tmp_path_factory.mktemp("knowing")
    quantize(f"{exported}/fp32.onnx", data=str(photos), out=f"{folder}/int8.onnx", count=16)
    cache = str(folder / "cache")
    for name, source, unnamed in (
        ("fp32", exported / "fp32.onnx", str(strangers)),
        ("quantized", folder / "int8.onnx", str(strangers)),
        ("plain", exported / "fp32.onnx", ""),
    ):
        add(str(source), str(photos), unnamed=unnamed, out=f"{folder}/{name}.onnx", cache=cache)
    return {path.stem: path for path in folder.glob("*.onnx")}


@pytest.mark.parametrize("name", ["fp32", "quantized", "plain"])
def test_file_knows_in_the_program(knowing: dict[str, Path], photos: Path, name: str) -> None:
    path = knowing[name]
    info = read_info(path)
    assert info.rejection is not None
    assert info.rejection.method.endswith(f", {int(name != 'plain')} planes")
    assert info.metrics["temperature"] > 0
    assert {"ece", "refused"} <= info.metrics["calibrated"]["own"].keys()
    onnx_gates.check(onnx.load(path))
    classifier = Classifier(str(path))
    answers = [
        classifier.result(str(photo), Query(top_k=4)) for photo in sorted(photos.glob("train/*/*"))
    ]
    known = [answer.known for answer in answers]  # type: ignore[union-attr]
    assert set(known) <= {True, False}
    assert known.count(True) >= 24


@pytest.mark.parametrize("name", ["fp32", "quantized"])
def test_score_is_the_same_in_the_graph_in_numpy_and_fused(
    knowing: dict[str, Path], photos: Path, tmp_path: Path, name: str
) -> None:
    path, fused = knowing[name], tmp_path / "fused.onnx"
    graph, info = onnx.load(path), read_info(path)
    constants = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.graph.initializer
    }
    paths = sorted(photos.glob("valid/*/*"))
    found = Extractor(graph, info.preprocess).outputs(paths)
    unit = found.features - constants["known/centre"]
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    steps = np.clip(np.round(unit / constants["known/step"]), -128, 127)
    cosines = (steps @ constants["known/prototypes"].astype(np.float32)) * constants["known/scales"]
    expected = (
        np.log(softmax(found.logits).max(axis=1)) * constants["known/confidence_factor"]
        + constants["known/confidence_shift"]
        + cosines.max(axis=1) * constants["known/prototypes_factor"]
        + constants["known/prototypes_shift"]
        + (
            unit @ constants["known/planes"] * constants["known/plane_factor"]
            + constants["known/plane_shift"]
        ).min(axis=1)
    )
    assert found.score is not None
    np.testing.assert_allclose(found.score, expected, atol=5e-3)
    assert np.ptp(expected) > 0.1
    optimize(str(path), out=str(fused))
    after = PhotoClassifier(str(fused))
    scores = [after.known_score(read_photo(photo, info.preprocess)) for photo in paths]
    np.testing.assert_allclose(scores, found.score, atol=5e-3)
    assert read_info(fused).rejection == info.rejection


def test_no_processor_can_saturate(knowing: dict[str, Path]) -> None:
    for tensor in onnx.load(knowing["quantized"]).graph.initializer:
        if tensor.name == "known/prototypes":
            values = onnx.numpy_helper.to_array(tensor)
            assert np.abs(values.astype(int)).max() == LARGEST_WEIGHT
            assert 4 < len(values.T) <= 2 * 4


def test_added_twice_is_added_once(
    knowing: dict[str, Path], photos: Path, strangers: Path, tmp_path: Path, exported: Path
) -> None:
    again = tmp_path / "again.onnx"
    add(str(knowing["fp32"]), str(photos), unnamed=str(strangers), out=str(again))
    first, second = onnx.load(knowing["fp32"]), onnx.load(again)
    assert [node.name for node in first.graph.node] == [node.name for node in second.graph.node]
    assert read_info(again).rejection == read_info(knowing["fp32"]).rejection
    rejection_graph.strip(second)
    assert second.graph == onnx.load(exported / "fp32.onnx").graph


def test_int8_file_of_a_file_that_knows_does_not(
    knowing: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    fp32 = tmp_path / "fp32.onnx"
    shutil.copy(knowing["fp32"], fp32)
    write_confusion(fp32, [Confusions("valid", (1, 1, 1, 1), {})])
    quantize(str(fp32), data=str(photos), out=f"{tmp_path}/int8.onnx", count=8)
    info = read_info(tmp_path / "int8.onnx")
    assert (info.rejection, info.confusion) == (None, None)
    names = {output.name for output in onnx.load(tmp_path / "int8.onnx").graph.output}
    assert names == {"probabilities", "features"}


def test_figures_of_the_file_and_of_methods(
    knowing: dict[str, Path],
    photos: Path,
    strangers: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    others = tmp_path_factory.mktemp("others")
    for index in range(3):
        colour = Image.new("RGB", (40, 40), (250, 40 * index, 10))
        colour.save(others / f"{index}.png")
    given: dict[str, Any] = {"unnamed": str(strangers), "unknown": f"{others},{strangers}"}
    report = tmp_path_factory.mktemp("report") / "report.json"
    measure(str(knowing["quantized"]), str(photos), out=str(report), **given)
    found = json.loads(report.read_text())
    assert found.keys() == {
        "valid",
        "valid, shrunk",
        others.name,
    }  # what was trained on is no judge
    assert found["valid"]["photos"] == 12
    assert found[others.name]["photos"] == 3
    capsys.readouterr()
    compare(str(knowing["plain"]), str(photos), **given)
    table = capsys.readouterr().out
    assert "| max probability |" in table
    assert "| confidence + 2 prototypes + planes |" in table


def test_a_photo_a_class_will_do(exported: Path, tmp_path: Path) -> None:
    for class_id in ("1", "2", "10", "21"):
        for split in ("train", "valid"):
            folder = tmp_path / "few" / split / class_id
            folder.mkdir(parents=True)
            green = 5 if split == "train" else 200
            Image.new("RGB", (40, 40), (int(class_id) * 9, green, 5)).save(folder / "0.png")
    add(f"{exported}/fp32.onnx", f"{tmp_path}/few", out=f"{tmp_path}/out.onnx")
    info = read_info(tmp_path / "out.onnx")
    assert info.rejection is not None
    assert info.prediction_set is None


def test_keras_models_are_compared_and_files_that_do_not_know_refused(
    exported: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare(f"{exported}/net.keras", str(photos))
    assert "| 2 prototypes a class |" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="has no known score"):
        measure(f"{exported}/fp32.onnx", str(photos))
