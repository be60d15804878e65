"""``export/promote.py``: a new model takes the place of an old one unless it is worse anywhere."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from promote import promote

from flowers_onnx import Classifier
from flowers_onnx.metadata import Label, ModelInfo, Preprocess, read_info
from lib import model_metadata, placing
from lib.command_line import joined_flags
from lib.comparison import Reference, Shares, Unknown
from lib.pace import pace
from lib.placing import next_version, with_figures
from lib.verdict import Findings, Limits, losses

pytestmark = pytest.mark.export

#: Classes of the photos in `conftest.py`, and how bright they are.
BRIGHT = {"1": 30, "2": 90, "10": 160, "21": 220}


def network(
    path: Path,
    classes: Sequence[str] = tuple(BRIGHT),
    *,
    brightness: Sequence[int] = (),
    known_from: float | None = None,
    slow: bool = False,
    version: str = "1.0",
) -> Path:
    """A model that tells photos apart by how bright they are.

    It is right unless ``brightness`` says other than what classes have. ``known_from`` is the
    brightness of which it knows photos. ``slow``: it thinks for long, to no avail.
    """
    levels = np.array(brightness or [BRIGHT[name] for name in classes], np.float32)
    weights = {
        "slope": (2 * levels / 300)[None],
        "offset": -(levels**2) / 300,
        "large": np.array([1000, 1000], np.int64),
        "nothing": np.float32(0),
        "all": np.array([1, 2, 3], np.int64),
        "flat": np.array([-1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "all"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "flat"], ["features"]),
        helper.make_node("MatMul", ["features", "slope"], ["sloped"]),
        helper.make_node("Add", ["sloped", "offset"], ["logits"]),
    ]
    last = "logits"
    if slow:
        nodes += [
            helper.make_node("ReduceMean", ["mean"], ["one"], keepdims=0),
            helper.make_node("Expand", ["one", "large"], ["wide"]),
            helper.make_node("Sin", ["wide"], ["waves"]),
            helper.make_node("ReduceMean", ["waves"], ["wave"], keepdims=0),
            helper.make_node("Mul", ["wave", "nothing"], ["silence"]),
            helper.make_node("Add", ["logits", "silence"], ["late"]),
        ]
        last = "late"
    nodes.append(helper.make_node("Softmax", [last], ["probabilities"]))
    outputs = [("probabilities", ["N", len(classes)]), ("features", ["N", 1])]
    if known_from is not None:
        nodes.append(helper.make_node("Identity", ["mean"], ["known_score"]))
        outputs.append(("known_score", ["N"]))
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 32, 32, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    labels = tuple(
        Label(int(name) if name.isdecimal() else name, f"no. {name}") for name in classes
    )
    rule = Preprocess(32, 0.875, "bilinear")
    info = ModelInfo(str(path), "bright", version, labels, rule, "", "", "", {})
    model_metadata.write(model, info)
    if known_from is not None:
        entry = model.metadata_props.add()
        entry.key, entry.value = "rejection", f'{{"threshold": {known_from}, "method": "light"}}'
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


Promote = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> Promote:
    """Promote ``new`` over ``mine/flowers.onnx``; what was said, in which a refusal is."""

    def run(new: Path, **flags: object) -> str:
        words = {"reference": f"own={photos}/valid", "max_slower": 5.0, "seconds": 1.0} | flags
        try:
            promote(str(new), against=str(tmp_path / "mine" / "flowers.onnx"), **words)
        except SystemExit as refusal:
            return str(refusal)
        return capsys.readouterr().out

    return run


@pytest.fixture
def dark(tmp_path: Path) -> Path:
    """Ten photos of no class: the night."""
    folder = tmp_path / "dark"
    folder.mkdir()
    for index in range(10):
        Image.new("RGB", (40, 40), (index, 0, 0)).save(folder / f"{index}.png")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_as_good_takes_the_place(run: Promote, tmp_path: Path) -> None:
    old, new = network(tmp_path / "mine/flowers.onnx"), network(tmp_path / "run/flowers.onnx")
    for name, content in {"labels.json": "[]", "history.json": "{}", "flowers.keras": "k"}.items():
        (tmp_path / "run" / name).write_text(content)
    (tmp_path / "mine" / "curves.png").write_text("old")
    network(tmp_path / "run/flowers-int8.onnx", version="1.0-int8")
    card = tmp_path / "mine" / placing.CARD
    card.write_text(f"# Ours\n\n{placing.BEGIN}\nold figures\n{placing.END}\n\n## Limits\n")
    before = files(tmp_path / "mine")
    said = run(new, dry_run=True)
    assert "it would be version 1.1" in said
    assert files(tmp_path / "mine") == before
    said = run(new)
    assert "100.00 % | 100.00 %" in said
    assert f"{tmp_path}/mine/curves.png is still the old model's" in said
    assert read_info(old).id == "bright/1.1"
    assert read_info(tmp_path / "mine/flowers-int8.onnx").id == "bright/1.1-int8"
    assert Classifier(old).classify(np.full((32, 32, 3), 160, np.uint8)).class_id == 10
    assert (tmp_path / "mine" / "flowers.keras").read_text() == "k"
    text = card.read_text()
    assert text.startswith("# Ours\n")
    assert text.endswith(f"{placing.END}\n\n## Limits\n")
    assert "old figures" not in text
    assert "| own: right | 12 | 100.00 % | 100.00 % |" in text
    assert "`bright/1.1`" in text
    assert not list((tmp_path / "mine").glob(".*"))


def test_one_made_worse_is_refused(run: Promote, tmp_path: Path) -> None:
    network(tmp_path / "mine/flowers.onnx")
    worse = network(tmp_path / "run/flowers.onnx", brightness=(90, 30, 160, 220))
    before = files(tmp_path / "mine")
    said = run(worse)
    assert "refused, own: 50.00 points fewer photos right (100.00 to 50.00 % of 12)" in said
    assert files(tmp_path / "mine") == before


def test_each_set_counts(run: Promote, tmp_path: Path, photos: Path) -> None:
    """Better at home and worse elsewhere is worse."""
    shutil.copytree(photos / "valid" / "1", tmp_path / "elsewhere" / "2")
    shutil.copytree(photos / "valid" / "21", tmp_path / "elsewhere" / "21")
    network(tmp_path / "mine/flowers.onnx", brightness=(90, 30, 160, 220))
    said = run(
        network(tmp_path / "run/flowers.onnx"),
        reference=f"own={photos}/valid,elsewhere={tmp_path}/elsewhere",
    )
    assert "elsewhere: 50.00 points fewer" in said
    assert "own" not in said


def test_a_slower_one_is_refused(run: Promote, tmp_path: Path) -> None:
    network(tmp_path / "mine/flowers.onnx")
    said = run(network(tmp_path / "run/flowers.onnx", slow=True), max_slower=1.5)
    assert re.search(r"refused, speed: [\d.]+ times the time of before, more than 1.5$", said)


def test_what_is_not_known(run: Promote, tmp_path: Path, dark: Path) -> None:
    old, new = tmp_path / "mine/flowers.onnx", tmp_path / "run/flowers.onnx"
    network(old)
    # The old one can't tell. One that refuses a class of its own knows too little.
    said = run(network(new, known_from=60), unknown=str(dark))
    assert "own: 25.0 % of the right answers refused, more than 8" in said
    said = run(network(new, known_from=15), unknown=str(dark))
    assert "| dark: refused | 10 |  | 100.00 % |" in said
    assert "only the new one can tell what it doesn't know" in said
    # From now on the old one can.
    assert read_info(old).rejection is not None
    said = run(network(new, known_from=1.5), unknown=f"night={dark}")
    assert re.search(r"night: \d+.00 points fewer unknown photos refused", said)
    assert "own: 25.00 points fewer photos right and not refused" in run(
        network(new, known_from=60)
    )
    assert "it can't tell what it doesn't know" in run(network(new))


def test_other_classes(run: Promote, tmp_path: Path) -> None:
    network(tmp_path / "mine/flowers.onnx", ["1", "2", "10"])
    more = run(network(tmp_path / "run/flowers.onnx"))
    assert "| own: right | 9 | 100.00 % | 100.00 % |" in more
    assert "| own: right, of classes that are new | 3 | | 100.00 % |" in more
    assert "classes that are new: 21" in more
    fewer = network(tmp_path / "run/flowers.onnx", ["2", "21"])
    assert "it no longer knows 1, 10; --drop_classes" in run(fewer)
    assert "classes that are gone: 1, 10" in run(fewer, drop_classes=True)
    assert read_info(tmp_path / "mine/flowers.onnx").version == "1.2"


def test_the_first_model_of_other_species(run: Promote, tmp_path: Path) -> None:
    said = run(network(tmp_path / "run/flowers.onnx"))
    assert "| own: right | 12 |  | 100.00 % |" in said
    assert read_info(tmp_path / "mine/flowers.onnx").version == "1.0"
    assert (tmp_path / "mine" / placing.CARD).read_text().startswith("# Model card: bright/1.0\n")


def test_wrong_words_are_told(run: Promote, tmp_path: Path, photos: Path, dark: Path) -> None:
    old, new = network(tmp_path / "mine/flowers.onnx"), network(tmp_path / "run/flowers.onnx")
    wrong = [
        ("there is no folder missing", new, "own=missing"),
        ("no photos in folders named by", new, f"own={dark}"),
        ("two sets of photos are named own", new, f"own={dark},own={photos}/valid"),
        ("are one file", old, f"own={photos}/valid"),
        ("can't read the model", tmp_path / "none.onnx", f"own={photos}/valid"),
    ]
    for said, model, reference in wrong:
        assert said in run(model, reference=reference)
    network(tmp_path / "run/flowers-fp32.onnx", ["1", "2"])
    assert "knows other classes" in run(new)


WAS = Shares(98.0, 96.0)


def findings(**changes: object) -> Findings:
    one = Reference("own", 400, WAS, WAS, 0, 0, 0, None)
    other = Unknown("others", 400, 75.0, 75.0)
    kept = Findings(
        "a/1", "a/1", [one], [other], None, 1.0, 1.0, [], [], old_tells=True, new_tells=True
    )
    return replace(kept, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("right", "answered", "refused", "lost"),
    [
        (98.0, 96.0, 75.0, 0),
        (97.5, 95.5, 74.5, 0),  # half a point is not more than half a point
        (97.49, 96.0, 75.0, 1),
        (98.0, 95.49, 75.0, 1),
        (98.0, 96.0, 74.49, 1),
        (90.0, 88.0, 10.0, 3),
        (99.0, 97.0, 99.0, 0),
    ],
)
def test_more_than_half_a_point_is_a_loss(
    right: float, answered: float, refused: float, lost: int
) -> None:
    one = Reference("own", 400, WAS, Shares(right, answered), 0, 0, 0, None)
    found = findings(references=[one], unknown=[Unknown("others", 400, 75.0, refused)])
    assert len(losses(found, Limits(), may_drop=False)) == lost


def test_disturbed_times_are_no_slower_model() -> None:
    """A third of the pairs is hit by something else, mostly while the new one is at work."""
    turns = itertools.cycle([10.0, 90.0, 10.1])
    found = pace(lambda _: 10.0, lambda _: next(turns), ["photo"], limit=1.1, seconds=60)
    assert not found.exceeds(1.1)
    assert found.is_clear(1.1)
    slower = pace(lambda _: 10.0, lambda _: 11.5, ["photo"], limit=1.1, seconds=60)
    assert slower.exceeds(1.1)
    assert slower.ratio == pytest.approx(1.15)


def test_versions_rise() -> None:
    assert next_version("1.0-int8", "1.0-int8") == "1.1"
    assert next_version("1.9", "1.0-int8") == "1.10"
    assert next_version("1.9", "2.0-int8") == "2.0"
    assert next_version("3", "1") == "4"
    assert next_version("", "1.0-int8") == "1.0"
    with pytest.raises(SystemExit, match="--version"):
        next_version("spring", "1.0")


def test_a_card_without_marks_gets_them_at_its_end() -> None:
    once = with_figures("# Ours\n\nProse.\n", "x", "first")
    assert once.startswith("# Ours\n\nProse.\n")
    twice = with_figures(once, "x", "second")
    assert twice == once.replace("first", "second")


def test_a_repeated_flag_is_a_list() -> None:
    line = ["new.onnx", "--reference", "a=b", "--dry_run", "--reference=c=d", "--unknown", "e"]
    joined = ["new.onnx", "--dry_run", "--reference=a=b,c=d", "--unknown=e"]
    assert joined_flags(line, ("reference", "unknown")) == joined
