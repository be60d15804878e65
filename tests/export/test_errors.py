"""Whose an error is: the model's, or that of the data set; on drawings with two wrong labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from colours import COLOURS, colour_model, draw, run
from PIL import Image

from flowers_onnx.metadata import Label
from lib import likeness
from lib.dataset import Photo, digest, photos_below
from lib.error_study import Study, Teacher
from lib.scores import Answers

pytestmark = pytest.mark.export


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three colours; a blue photo among the greens of each part; one photo in both, resaved."""
    root = tmp_path / "data"
    for class_id, colour in COLOURS.items():
        for split, count in (("train", 12), ("valid", 2)):
            for index in range(count):
                seed = 100 * int(class_id) + 10 * index + (split == "valid")
                draw(root / split / class_id / f"{index}.png", colour, seed)
    draw(root / "train" / "2" / "blue.png", COLOURS["3"], 7)
    draw(root / "valid" / "2" / "blue.png", COLOURS["3"], 8)
    with Image.open(root / "train" / "1" / "0.png") as opened:
        opened.save(root / "valid" / "1" / "twin.jpg", quality=95)
    return root


def teacher(data: Path) -> Path:
    """Embeddings that see the mean colour, nothing else."""
    keys, embeddings = [], []
    for path in photos_below(data):
        with Image.open(path) as opened:
            mean = np.asarray(opened.convert("RGB"), float).mean(axis=(0, 1)) / 255
        keys.append(digest(path))
        embeddings.append(np.r_[mean, 0.1])
    np.savez(data / "teacher.npz", keys=keys, embeddings=np.array(embeddings, np.float32))
    return data / "teacher.npz"


def test_a_wrong_label_is_found_and_shown(data: Path) -> None:
    labels, notes, page = data / "labels.json", data / "notes.csv", data / "page" / "errors.md"
    labels.write_text(
        '[{"class_id": 1, "label": "red", "genus": "Rosa", "family": "Rosaceae"},'
        '{"class_id": 2, "label": "green", "genus": "Viola", "family": "Violaceae"},'
        '{"class_id": 3, "label": "blue", "genus": "Viola", "family": "Violaceae"}]'
    )
    notes.write_text('photo,note\n2/blue.png,"blue, by eye"\n')
    words = ["--model", colour_model(data / "model.onnx"), "--teacher", teacher(data)]
    words += ["--labels", labels, "--notes", notes, "--out", data / "sheets", "--page", page]
    done = run("errors.py", data, *words)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert "Of 8 validation photos 1 are named wrong" in text
    assert "| 2/blue.png | green | blue |" in text
    assert "| both Viola | label | blue, by eye |" in text
    doubts, _, twins = text.partition("## Labels in doubt")[2].partition("## Twins")
    assert "| 2/blue.png | green | blue |" in doubts
    assert "both sides of the split 1 times:\n1/0.png and 1/twin.jpg." in twins
    with Image.open(data / "sheets" / "errors-1.jpg") as sheet:
        assert sheet.width == 7 * 180  # the photo, three of its class, three of the other
    assert (data / "sheets" / "doubts-1.jpg").is_file()

    draw(data / "valid" / "1" / "new.png", COLOURS["1"], 99)
    done = run("errors.py", data, *words)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("lacks 1 of the photos; see teacher.py")


def test_whose_an_error_is() -> None:
    photos = [Photo(Path(f"{i}.png"), 0) for i in range(3)]
    said = np.array([[0.1, 0.9, 0.0]] * 3)
    answers = Answers(photos, np.zeros(3, int), said, None, [])
    opinion = np.array([[0.8, 0.2, 0.0], [0.0, 0.95, 0.05], [0.2, 0.5, 0.3]])
    names = [Label(i, f"{i}", genus="G", family=f) for i, f in enumerate(("A", "A", "B"))]
    known = Teacher(np.eye(3), np.eye(3))
    study = Study(names, photos, known, answers, Teacher(opinion, np.eye(3)))
    assert [study.whose(i) for i in study.wrong] == ["model", "label", "hard"]
    ((one, other, photos_given),) = study.pairs(5)
    assert (one, other) == (0, 1)
    assert photos_given == pytest.approx(2.7)


def test_the_same_photo_is_found_mirrored_and_in_another_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
    image = Image.fromarray(pixels).resize((300, 200), Image.Resampling.BICUBIC)
    image.save(tmp_path / "a.png")
    image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((150, 100)).save(tmp_path / "b.jpg")
    other = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
    other.resize((300, 200)).save(tmp_path / "c.png")
    thumbs = likeness.thumbnails([tmp_path / "a.png", tmp_path / "b.jpg", tmp_path / "c.png"])
    alike = np.array([[1.0, 0.0], [0.9, 0.4359], [1.0, 0.0]])
    assert likeness.same_photos(thumbs, alike) == [(0, 1)]
    assert likeness.same_photos(thumbs, np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])) == []
