"""``export/retrain.py``: from photos in any form to a measured model, and on after a stop."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import fire
import keras
import numpy as np
import pytest
import retrain
from PIL import Image

from flowers_onnx import Classifier
from flowers_onnx.serve.trace import review
from lib import student
from lib.dataset import photos_below

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]

Calls = list[str]


def draw(folder: Path, count: int, seed: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng((seed, *folder.name.encode()))
    for index in range(count):
        pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed} {index}.png")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder a class, whose names are numbers and none."""
    for name in ("7", "007", "rosa_canina", ".thumbnails"):
        draw(tmp_path / "data" / name, 30)
    return tmp_path / "data"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The scripts that it runs; all that they do is to leave their files."""
    made: Calls = []

    def call(script: str, words: list[str]) -> int:
        made.append(script)
        flag = {"train.py": "--save", "verify.py": "--ship"}.get(script, "--out")
        Path(words[words.index(flag) + 1]).write_text(script)
        return 0

    monkeypatch.setattr(retrain, "call", call)
    return made


ALL = ["train.py", "convert.py", "quantize.py", "rejection.py", "rejection.py", "evaluate.py",
       "evaluate.py", "verify.py"]  # fmt: skip


def test_a_part_is_set_aside_by_hash(data: Path, tmp_path: Path, calls: Calls) -> None:
    retrain.retrain(str(data), out=str(tmp_path / "run"))
    laid = tmp_path / "run" / "data"
    assert {folder.name for folder in (laid / "train").iterdir()} == {"7", "007", "rosa_canina"}
    parts = [photos_below(laid / part) for part in ("train", "valid")]
    assert sum(map(len, parts)) == 90
    assert 3 <= len(parts[1]) <= 20
    assert not {path.name for path in parts[0]} & {path.name for path in parts[1]}
    names = json.loads((tmp_path / "run" / "labels.json").read_text())
    assert {row["class_id"]: row["label"] for row in names} == {
        "007": "007", "7": "7", "rosa_canina": "rosa canina"}  # fmt: skip
    # More photos later, and those set aside stay aside.
    draw(data / "7", 30, seed=1)
    retrain.retrain(str(data), out=str(tmp_path / "next"))
    later = {path.name for path in photos_below(tmp_path / "next" / "data" / "train")}
    assert not {path.name for path in parts[1]} & later


def test_a_reviewed_list_is_a_data_set(data: Path, tmp_path: Path, calls: Calls) -> None:
    rows = [
        dict.fromkeys(review.COLUMNS, "")
        | {"file": path.relative_to(data).as_posix(), "review": word, "correct_class_id": other}
        for name, word, other in (("7", "confirmed", ""), ("007", "corrected", "b"))
        for path in photos_below(data / name)
    ]
    review.write(str(data / "review.csv"), rows)
    retrain.retrain(str(data / "review.csv"), out=str(tmp_path / "run"))
    laid = tmp_path / "run" / "data"
    counts = {name: len(photos_below(laid / "train" / name)) for name in ("7", "b")}
    assert sum(counts.values()) + len(photos_below(laid / "valid")) == 60


def test_it_goes_on_where_it_stopped(
    data: Path, tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = retrain.call

    def dies(script: str, words: list[str]) -> int:
        return 1 if script == "quantize.py" else done(script, words)

    out = str(tmp_path / "run")
    monkeypatch.setattr(retrain, "call", dies)
    with pytest.raises(SystemExit, match="goes on from there"):
        retrain.retrain(str(data), out=out)
    monkeypatch.setattr(retrain, "call", done)
    retrain.retrain(str(data), out=out)
    assert calls == ALL
    retrain.retrain(str(data), out=out)
    assert calls == ALL
    (tmp_path / "run" / "flowers-fp32.onnx").unlink()
    retrain.retrain(str(data), out=out)
    assert calls == [*ALL, *ALL[1:]]
    with pytest.raises(SystemExit, match="another version"):
        retrain.retrain(str(data), out=out, version="2.0")
    draw(data / "7", 1, seed=2)
    with pytest.raises(SystemExit, match="another the content of"):
        retrain.retrain(str(data), out=out)


def test_float32_ships_where_int8_loses_too_much(
    data: Path, tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = {"failures": ["onnx int8 loses 1.00 points"], "ship": "onnx fp32"}
    done, out = retrain.call, tmp_path / "run"

    def refuses(script: str, words: list[str]) -> int:
        done(script, words)
        (out / "verify.json").write_text(json.dumps(report))
        return script == "verify.py"

    monkeypatch.setattr(retrain, "call", refuses)
    retrain.retrain(str(data), out=str(out))
    report["ship"] = None  # type: ignore[assignment]
    (out / "flowers.onnx").unlink()
    with pytest.raises(SystemExit, match=r"verify.py failed"):
        retrain.retrain(str(data), out=str(out))


def wrong(data: Path, name: str) -> dict[str, str]:
    """Flags for a data set in which something is wrong."""
    match name:
        case "one class":
            shutil.rmtree(data / "7")
            shutil.rmtree(data / "007")
        case "too many":
            for index in range(1000):
                draw(data / str(index), 2)
        case "one photo":
            draw(data / "lonely", 1)
        case "no photos":
            shutil.rmtree(data)
            data.mkdir()
        case "no name":
            (data / "labels.json").write_text('{"7": "seven"}')
            return {"labels": str(data / "labels.json")}
        case "inside":
            return {"out": str(data / "run")}
        case "missing":
            return {"review": "missing.csv"}
    return {}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("one class", "has 1 classes"),
        ("too many", "has 1002 classes"),
        ("one photo", "lonely has no photos"),
        ("no photos", "no photos in"),
        ("no name", "no name for the classes 007"),
        ("inside", "is inside"),
        ("missing", "there is no missing.csv"),
    ],
)
def test_what_is_wrong_is_told_before_the_training(
    data: Path, tmp_path: Path, calls: Calls, name: str, said: str
) -> None:
    flags = {"out": str(tmp_path / "run")} | wrong(data, name)
    with pytest.raises(SystemExit, match=said):
        retrain.retrain(str(data), **flags)
    assert calls == []


def untrained(path: str, classes: int) -> None:
    keras.utils.set_random_seed(1)
    layers = keras.layers
    keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(classes, activation="softmax"),
        ]
    ).save(path)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """All steps but the training, here: a process for each would take long to start."""

    def call(script: str, words: list[str], classes: int) -> int:
        if script == "train.py":
            untrained(words[words.index("--save") + 1], classes)
            return 0
        module = importlib.import_module(script.removesuffix(".py"))
        try:
            commands = {"convert.py": "convert", "rejection.py": "add", "evaluate.py": "evaluate"}
            words = words[1:] if script == "rejection.py" else words
            fire.Fire(getattr(module, commands.get(script, "main")), command=words)
        except SystemExit as refused:
            return 1 if refused.code else 0
        return 0

    def use(classes: int) -> None:
        monkeypatch.setattr(retrain, "call", lambda script, words: call(script, words, classes))

    return use


@pytest.mark.parametrize("ids", [["11", "7"], [f"genus species_{n}" for n in range(1000)]], ids=len)
def test_any_list_of_classes(
    tmp_path: Path, in_process: Callable[[int], None], ids: list[str]
) -> None:
    for name in ids:
        draw(tmp_path / "data" / name, 3)
    in_process(len(ids))
    retrain.retrain(str(tmp_path / "data"), out=str(tmp_path / "run"), version="1.10")
    classifier = Classifier(tmp_path / "run" / "flowers.onnx")
    known = [str(label.class_id) for label in classifier.info.labels]
    assert known == (["7", "11"] if len(ids) == 2 else sorted(ids))
    assert classifier.info.id.startswith("flowers/1.10")
    assert classifier.info.rejection is not None
    valid = photos_below(tmp_path / "run" / "data" / "valid")
    assert len(classifier.classify(valid[0], top_k=1000).top) == len(ids)
    (told,) = classifier.info.confusions()
    assert (told.name, len(told.photos), sum(told.photos)) == ("valid", len(ids), len(valid))


def test_a_short_run_moves_the_average() -> None:
    """Over 5 steps the memory of a long run would keep 99 % of the first weights."""
    assert student.optimizer(1e-3, 0.02, 5, 1).ema_momentum < 0.5
    assert student.optimizer(1e-3, 0.02, 200, 26).ema_momentum == student.EMA_MOMENTUM
    rate = student.optimizer(1e-3, 0.02, 5, 1).learning_rate
    assert np.isfinite(float(rate))
