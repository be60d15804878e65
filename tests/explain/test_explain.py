"""``flowers explain``: pictures, folders, a page and numbers, by the installed command."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import axe
import numpy as np
import pytest
from chromium import Chromium, Look
from models import constant_model, head_model
from PIL import Image
from support import Run, posix

from flowers_onnx.explain.texts import TEXTS
from flowers_onnx.onnx_file import find_model, read_properties
from flowers_onnx.pixels import crop_and_resize
from flowers_onnx.web.heat import faded


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def photos(sample: Path, tmp_path: Path) -> Path:
    """A folder whose photos have odd names, one of them broken."""
    folder = tmp_path / "photos"
    for name in ("a,b.jpg", "-x.jpg", "in/a,b.jpg", "in/é %20.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample, folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    return folder


@pytest.mark.parametrize(
    ("name", "kind"), [("why.png", "PNG"), ("why.jpg", "JPEG"), ("WHY.WEBP", "WEBP")]
)
def test_a_picture(flowers: Run, sample: Path, tmp_path: Path, name: str, kind: str) -> None:
    done = flowers("explain", sample, "--out", name)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    with Image.open(tmp_path / name) as picture:
        assert (picture.format, picture.size) == (kind, (1280, 440))


def test_what_is_in_a_picture(flowers: Run, sample: Path, tmp_path: Path) -> None:
    """The photo; the photo, marked; names."""
    flowers("explain", sample, "--out", "why.png")
    drawn = np.asarray(Image.open(tmp_path / "why.png")).astype(int)
    with Image.open(sample) as image:
        image.load()
        side = 280 * 0.875
        box = ((280 - side) / 2, (280 - side) / 2, (280 + side) / 2, (280 + side) / 2)
        seen = image.convert("RGB").resize((400, 400), Image.Resampling.LANCZOS, box=box)
    plain, marked, names = drawn[20:420, 20:420], drawn[20:420, 440:840], drawn[20:420, 860:]
    assert np.abs(plain - np.asarray(seen)).mean() < 1
    below = faded(np.asarray(seen)).astype(int)
    difference = np.abs(marked - below).max(2)
    assert (difference < 3).mean() > 0.3  # what says nothing is faded, and no more
    assert (difference > 60).mean() > 0.1
    assert difference[160:260, 50:350].mean() > 3 * difference[:50].mean()
    assert (names.sum(2) < 200).mean() > 0.005  # ink


def test_other_classes_give_other_pictures(flowers: Run, sample: Path, tmp_path: Path) -> None:
    for number, words in enumerate([[], ["--label", "rosa"], ["--lang", "es"]]):
        assert flowers("explain", sample, "--out", f"{number}.png", *words).returncode == 0
    pictures = [(tmp_path / f"{number}.png").read_bytes() for number in range(3)]
    assert len(set(pictures)) == 3


def test_a_folder(flowers: Run, photos: Path, tmp_path: Path) -> None:
    done = flowers("explain", photos / "a,b.jpg", photos, "--out", "why/")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        f"{photos}/broken.jpg: the file is damaged: its picture can't be decoded (corrupt)",
        "flowers: 1 of 6 inputs failed",
    ]
    made = sorted(path.relative_to(tmp_path / "why") for path in (tmp_path / "why").rglob("*.*"))
    assert list(map(str, made)) == [
        "a,b.jpg.why.jpg",
        "photos/-x.jpg.why.jpg",
        "photos/a,b.jpg.why.jpg",
        "photos/in/a,b.jpg.why.jpg",
        "photos/in/é %20.jpg.why.jpg",
    ]
    again = flowers("explain", photos / "a,b.jpg", photos, "--out", "why")
    assert again.returncode == 1  # and each in the place of the first
    assert len([*(tmp_path / "why").rglob("*.why.jpg")]) == 5


def test_no_picture_takes_the_place_of_another(flowers: Run, sample: Path, tmp_path: Path) -> None:
    for name in ("c1/x.jpg", "c2/x.jpg", "c2/x.jpg.2", "d/c1/x.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample, tmp_path / name)
    words = ["c1", "c2", "d/c1", "c1/x.jpg", "c2/x.jpg", "c2/x.jpg.2"]
    assert flowers("explain", *words, "--out", "why").returncode == 0
    made = sorted(str(p.relative_to(tmp_path / "why")) for p in (tmp_path / "why").rglob("*.jpg"))
    assert made == [
        *("c1/x.jpg.2.why.jpg", "c1/x.jpg.why.jpg", "c2/x.jpg.2.why.jpg", "c2/x.jpg.why.jpg"),
        *("x.jpg.2.2.why.jpg", "x.jpg.2.why.jpg", "x.jpg.why.jpg"),
    ]


def test_pictures_beside_their_photos_are_not_explained(
    flowers: Run, sample: Path, tmp_path: Path
) -> None:
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(sample, tmp_path / name)
    for _ in range(2):
        names = sorted(path.name for path in tmp_path.glob("*.jpg"))
        assert flowers("explain", *names, "--out", ".").returncode == 0
        assert flowers("explain", "*.jpg", "--out", ".").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("a.jpg", "a.jpg.why.jpg", "b.jpg", "b.jpg.why.jpg"),
    ]
    assert flowers("explain", "a.jpg.why.jpg", "--out", "one.png").returncode == 0  # as it was told


def test_one_picture_that_cannot_be_written_costs_the_others_nothing(
    flowers: Run, sample: Path, tmp_path: Path
) -> None:
    (tmp_path / "why").mkdir()
    (tmp_path / "why/a.jpg.why.jpg").write_text("mine")
    names = ["a.jpg", "b.jpg", f"{'l' * 251}.jpg", "z.jpg"]
    for name in names:
        shutil.copy(sample, tmp_path / name)
    done = flowers("explain", *names, "--out", "why")
    first, second, last = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert first == "why/a.jpg.why.jpg wasn't made by flowers explain; it won't be overwritten"
    assert second.endswith(".why.jpg: File name too long")
    assert last == "flowers: 2 of 4 inputs failed"
    made = sorted(path.name for path in (tmp_path / "why").iterdir())
    assert made == ["a.jpg.why.jpg", "b.jpg.why.jpg", "z.jpg.why.jpg"]


def test_a_page_says_what_its_maps_show(flowers: Run, sample: Path, tmp_path: Path) -> None:
    assert flowers("explain", sample, "--label", "rose", "--out", "why.html").returncode == 0
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert "<h2>pink-yellow dahlia</h2>" in page
    assert "<figcaption>What speaks for rose · <bdi>dahlia.jpg</bdi>" in page


@pytest.mark.parametrize(("letters", "says"), [("ñ Ž é", False), ("薔薇", True)])
def test_names_of_any_length_and_letters(
    flowers: Run, sample: Path, tmp_path: Path, letters: str, says: bool
) -> None:
    told = json.loads(read_properties(find_model())["labels"])
    labels = [{**one, "label": f"{letters} " + "very long name " * 9} for one in told]
    model = tmp_path / "long.onnx"
    head_model(model, labels=json.dumps(labels))
    words = ["--model", str(model), "--label", "60", "--top_k", "1"]
    done = flowers("explain", sample, "--out", "why.png", *words)
    assert done.returncode == 0
    assert (b"Latin letters only" in done.stderr) == says
    drawn = np.asarray(Image.open(tmp_path / "why.png")).astype(int).sum(2)
    assert (drawn[355:362, 860:1260] > 700).mean() > 0.5  # free paper above the legend


@posix
def test_names_that_are_no_text(flowers: Run, sample: Path, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "photos")
    os.mkdir(folder)
    with open(folder + b"/\xff\n.jpg", "wb") as file:
        file.write(sample.read_bytes())
    assert flowers("explain", folder, "--out", "why").returncode == 0
    assert os.listdir(os.fsencode(tmp_path / "why")) == [b"\xff\n.jpg.why.jpg"]
    assert flowers("explain", folder, "--out", "why.html").returncode == 0
    assert r"\xff" in (tmp_path / "why.html").read_text(encoding="utf-8")


def test_numbers(flowers: Run, photos: Path, tmp_path: Path) -> None:
    assert flowers("explain", photos, "--out", "why.jsonl", "--top_k", "2").returncode == 1
    expected = flowers("classify", photos, "--format", "jsonl", "--top_k", "2").stdout
    records = lines(tmp_path / "why.jsonl")
    told = [record.pop("explanation", None) for record in records]
    assert [one is None for one in told] == [record["status"] == "error" for record in records]
    for record, one in zip(records, map(json.loads, expected.splitlines()), strict=True):
        assert record == one
    first = told[0]
    assert first["label"] == records[0]["label"]
    assert first["confidence"] == records[0]["confidence"]
    assert [len(row) for row in first["cells"]] == [7] * 7
    assert first["area"] == [17.5, 17.5, 262.5, 262.5]


def test_standard_input(flowers: Run, sample: Path, tmp_path: Path) -> None:
    done = flowers("explain", "-", "--out", "why.jsonl", stdin=sample.read_bytes())
    assert done.returncode == 0, done.stderr
    record = lines(tmp_path / "why.jsonl")[0]
    assert record["label"] == "pink-yellow dahlia"
    assert flowers("explain", "-", "--out", "w", stdin=sample.read_bytes()).returncode == 0
    assert (tmp_path / "w/photo.why.jpg").exists()
    done = flowers("explain", "-", "--out", "why.png", stdin=b"")
    assert (done.returncode, done.stderr) == (1, b"-: the file is empty (is_empty)\n")
    assert not (tmp_path / "why.png").exists()


def test_a_page(flowers: Run, photos: Path, tmp_path: Path, browser: Chromium) -> None:
    assert flowers("explain", photos, "--out", "why.html").returncode == 1
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert len(re.findall("<section class=.photo", page)) == 4
    assert len(re.findall("<section class=.failure", page)) == 1
    assert "<script" not in page
    tab = browser.open((tmp_path / "why.html").as_uri())
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith(("file:", "data:"))] == []
    seen = "getComputedStyle(document.querySelector('.heat')).visibility"
    photo = "getComputedStyle(document.querySelector('.stack img')).filter"
    assert tab.evaluate(seen) == "visible"
    assert "grayscale" in tab.evaluate(photo)
    tab.evaluate("document.querySelector('#overlay').click()")
    assert (tab.evaluate(seen), tab.evaluate(photo)) == ("hidden", "none")
    program = axe.script()
    for look in (Look(), Look(width=320), Look(dark=True)):
        tab.look(look)
        assert axe.findings(tab, program) == []
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_hostile_names_stay_text(flowers: Run, sample: Path, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>&$title.jpg"
    shutil.copy(sample, tmp_path / name)
    assert flowers("explain", name, "--out", "why.html").returncode == 0
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;&amp;$title.jpg" in page


def test_both_languages_say_the_same() -> None:
    english, spanish = TEXTS["en"], TEXTS["es"]
    assert english.keys() == spanish.keys()
    fields = re.compile(r"\{\w+\}")
    for key, text in english.items():
        assert fields.findall(text) == fields.findall(spanish[key])


def test_a_spanish_page(flowers: Run, sample: Path, tmp_path: Path) -> None:
    assert flowers("explain", sample, "--out", "why.html", "--lang", "es").returncode == 0
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert '<html lang="es">' in page
    assert "<h2>dalia</h2>" in page
    assert "99,2\N{NO-BREAK SPACE}%" in page


def test_what_is_not_known_is_told(flowers: Run, sample: Path, tmp_path: Path) -> None:
    assert flowers("explain", sample, "--out", "w.html", "--min_confidence", "1").returncode == 0
    page = (tmp_path / "w.html").read_text(encoding="utf-8")
    assert "<h2>not one of the 102 species</h2><p>closest: pink-yellow dahlia</p>" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["photo.jpg"], "explain needs --out"),
        (["photo.jpg", "--out", "-"], "explain needs --out"),
        (["--out", "a.png"], "explain needs a PHOTO"),
        (["-", "-", "--out", "a.png"], "can be read only once"),
        (["photo.jpg", "--out", "why.pdf"], "a picture ends in .png"),
        (["photo.jpg", "--out", "why.png", "--label", "rosse"], "did you mean rose"),
        (["photos", "--out", "photos/why"], "whose photos are explained: give another folder"),
        (["photos", "--out", "photos"], "whose photos are explained: give another folder"),
        (["photos", "--out", "why.png"], "is a picture of one photo"),
        (["photo.jpg", "--out", "photo.jpg"], "wasn't made by flowers explain"),
        (["photo.jpg", "--out", "text.png"], "wasn't made by flowers explain"),
        (["photo.jpg", "--out", "bomb.png"], "wasn't made by flowers explain"),
        (["photo.jpg", "--out", "s3://b/why.png"], "needs a file on this machine"),
    ],
)
def test_wrong_usage_changes_nothing(
    flowers: Run, sample: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.jpg"):
        shutil.copy(sample, tmp_path / name)
    (tmp_path / "text.png").write_text("mine")
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">2I5B", 100_000, 100_000, 8, 2, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(bomb + struct.pack(">I", zlib.crc32(bomb[12:])))
    done = flowers("explain", *words)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "photo.jpg").read_bytes() == sample.read_bytes()
    assert (tmp_path / "text.png").read_text() == "mine"
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"photos", "photo.jpg", "photos/a.jpg", "photos/b.jpg", "text.png", "bomb.png"}


def test_our_own_picture_is_replaced(flowers: Run, sample: Path, tmp_path: Path) -> None:
    for name in ("why.png", "why.jpg", "why.webp"):
        for _ in range(2):
            assert flowers("explain", sample, "--out", name).returncode == 0
        (tmp_path / name).write_bytes(b"")
        assert flowers("explain", sample, "--out", name).returncode == 0


def test_a_network_without_a_map(flowers: Run, sample: Path, tmp_path: Path) -> None:
    model = constant_model(tmp_path / "m.onnx", [1 / 102] * 102, [1, 102])
    done = flowers("explain", sample, "--out", "why.png", "--model", model)
    assert (done.returncode, done.stderr.count(b"\n")) == (3, 1)
    assert b"can't be explained" in done.stderr


def test_what_cannot_be_written(flowers: Run, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in ("file/why.png", "file/why/", "nowhere/why.html"):
        done = flowers("explain", sample, "--out", out)
        assert (done.returncode, done.stderr.count(b"\n")) == (4, 1)
        assert done.stderr.startswith(b"flowers: can't write to ")


def test_the_square_is_the_one_that_the_network_sees(sample: Path) -> None:
    """``crop_and_resize`` is what both take it from."""
    from flowers_onnx.metadata import Preprocess

    with Image.open(sample) as image:
        large = crop_and_resize(image, Preprocess(480, 0.875, "lanczos"))
        small = crop_and_resize(image, Preprocess(208, 0.875, "bilinear"))
    again = large.resize((208, 208), Image.Resampling.BILINEAR)
    assert np.abs(np.asarray(again, int) - np.asarray(small, int)).mean() < 4
