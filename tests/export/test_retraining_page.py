"""The page on retraining, walked as a stranger with other species would."""

from __future__ import annotations

import csv
import json
import math
import os
import random
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from pages import shell_lines
from PIL import Image, ImageDraw
from support import ROOT

from flowers_onnx import Classifier
from flowers_onnx.metadata import read_info
from lib.dataset import photos_below

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]

PAGE = (ROOT / "docs" / "retraining.md").read_text(encoding="utf-8")
#: Petals and their colour.
SPECIES = {
    "bellis_perennis": (12, (240, 240, 235)),
    "papaver_rhoeas": (4, (210, 40, 30)),
    "viola": (5, (110, 60, 200)),
}
OTHERS = {"linum": (5, (70, 120, 230)), "caltha": (8, (240, 220, 30))}


def draw(path: Path, petals: int, colour: tuple[int, int, int]) -> None:
    """A flower somewhere in the grass, another one for each path."""
    chance = random.Random(str(path.parts[-3:]))
    grass = tuple(chance.randint(*ends) for ends in ((20, 70), (90, 150), (20, 60)))
    image = Image.new("RGB", (96, 80), grass)
    pen, turn = ImageDraw.Draw(image), chance.random()
    x, y = 48 + chance.randint(-6, 6), 40 + chance.randint(-5, 5)
    size = 13 if petals < 6 else 6
    for petal in range(petals):
        angle = 2 * math.pi * petal / petals + turn
        left, top = x + 16 * math.cos(angle) - size, y + 16 * math.sin(angle) - size
        shade = tuple(min(255, max(0, part + chance.randint(-15, 15))) for part in colour)
        pen.ellipse([left, top, left + 2 * size, top + 2 * size], fill=shade)
    pen.ellipse([x - 7, y - 7, x + 7, y + 7], fill=(230, 190, 40))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=92)


def typed(script: str) -> list[str]:
    """The words of the page's command that begins so."""
    (line,) = [line for line in shell_lines(PAGE) if line.startswith(f"python {script} ")]
    return shlex.split(line)[1:]


def run(words: list[str], *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words, *more]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the scripts, where the page's commands can be typed as they are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "export").symlink_to(ROOT / "export")
    return tmp_path


def review(path: Path) -> None:
    """What a person writes into the list."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file)
        columns, rows = list(lines.fieldnames or ()), list(lines)
    for row in rows:
        row["review"], row["correct_class_id"] = person(row["file"])
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(rows)


def collect(desk: Path) -> None:
    """The photos that the page speaks of, and the names of the classes."""
    for part, count in (("DATA/train", 10), ("DATA/valid", 5), ("ELSEWHERE", 4)):
        for name, kind in SPECIES.items():
            for index in range(count):
                draw(desk / part / name / f"{index}.jpg", *kind)
    for name, kind in OTHERS.items():
        draw(desk / "UNKNOWN" / f"{name}.jpg", *kind)
    # Some as a server has answered, one of them wrongly, and some in no order.
    for index in range(4):
        draw(desk / "COLLECTED" / "train" / "viola" / f"{index}.jpg", *SPECIES["viola"])
        draw(desk / "COLLECTED" / f"poppy {index}.jpg", *SPECIES["papaver_rhoeas"])
    draw(desk / "COLLECTED" / "train" / "viola" / "daisy.jpg", *SPECIES["bellis_perennis"])
    names = [{"class_id": name, "label": name.replace("_", " ")} for name in SPECIES]
    (desk / "labels.json").write_text(json.dumps(names))


def person(file: str) -> tuple[str, str]:
    """What somebody who knows flowers says of a photo."""
    if "daisy" in file:
        return "corrected", "bellis_perennis"
    return ("corrected", "papaver_rhoeas") if "poppy" in file else ("confirmed", "")


def test_the_page_is_walked(desk: Path) -> None:
    collect(desk)
    done = run(typed("export/review.py"))
    assert done.returncode == 0, done.stderr
    assert "9 photos to look at" in done.stdout
    assert (desk / "COLLECTED" / "review.html").read_text(encoding="utf-8").count("<legend") == 9

    review(desk / "COLLECTED" / "review.csv")
    # Small, for the test's sake; all else is as on the page.
    done = run(typed("export/retrain.py"), "--phases", "64x1")
    assert done.returncode == 0, done.stderr
    assert " photos to train on" in done.stderr
    made = desk / "run" / "1.1"
    info = read_info(made / "flowers.onnx")
    assert [label.label for label in info.labels] == ["bellis perennis", "papaver rhoeas", "viola"]
    for name in ("flowers.keras", "flowers-fp32.onnx", "flowers-int8.onnx", "labels.json"):
        assert (made / name).exists(), name
    assert json.loads((made / "history.json").read_text())["history"]
    again = run(typed("export/retrain.py"), "--phases", "64x1")
    assert again.returncode == 0
    assert " of 4: " not in again.stderr  # nothing is done twice
    other = run(typed("export/retrain.py"), "--phases", "64x2")
    assert other.returncode == 1
    assert "was begun with another phases" in other.stderr

    promote = [*typed("export/promote.py"), "--seconds", "1"]
    done = run(promote)
    assert done.returncode == 0, done.stderr
    shipped = desk / "mine" / "flowers.onnx"
    assert Classifier(shipped).classify(desk / "ELSEWHERE" / "viola" / "0.jpg").ok
    for part in ("own: right | 15", "elsewhere: right | 12"):
        assert part in (desk / "mine" / "MODEL_CARD.md").read_text()

    # Photos by what the model says of them: nobody is better at these.
    said = Classifier(shipped)
    for photo in photos_below(desk / "DATA"):
        answered = desk / "ANSWERED" / str(said.classify(photo).class_id)
        answered.mkdir(parents=True, exist_ok=True)
        (answered / "-".join(photo.parts[-3:])).symlink_to(photo)
    before = files(desk / "mine")
    worse = [word.replace("run/1.1", "worse") for word in promote]
    (desk / "worse").mkdir()
    shuffle_head(shipped, desk / "worse" / "flowers.onnx")
    done = run(worse, "--reference", "answered=ANSWERED")
    assert done.returncode == 1
    assert "promote: refused, answered: 100.00 points fewer photos right" in done.stderr
    assert files(desk / "mine") == before


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def shuffle_head(source: Path, target: Path) -> None:
    """The same network, in which each class has the probability of its neighbour."""
    model = onnx.load(source)
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name == "probabilities":
                node.output[index] = "in order"
    neighbours = np.roll(np.arange(len(SPECIES)), 1)
    model.graph.initializer.append(numpy_helper.from_array(neighbours, "neighbours"))
    nodes = [helper.make_node("Gather", ["in order", "neighbours"], ["probabilities"], axis=1)]
    model.graph.node.extend(nodes)
    onnx.save(model, target)
