"""``flowers compare``: species and photos side by side, as text, JSON and a page."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import axe
import numpy as np
import pytest
from chromium import Chromium, Look
from models import constant_model, field, onnx_file
from PIL import Image, ImageEnhance
from support import FLOWERS, Run, posix

from flowers_onnx import Classifier
from flowers_onnx.compare.likeness import Likeness
from flowers_onnx.compare.texts import TEXTS
from flowers_onnx.confusion import Confusions, dumps
from flowers_onnx.metadata import read_info
from flowers_onnx.onnx_file import find_model, read_properties

#: A name that ends no element and no attribute of a page, and is no template.
HOSTILE = "<img src=x onerror=alert(1)>&$title {a}.jpg"


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """A folder with eight photos of a dahlia and one of nothing, and their index."""
    folder = tmp_path_factory.mktemp("album")
    with Image.open(sample) as photo:
        for number in range(8):
            brighter = ImageEnhance.Brightness(photo).enhance(1 + number / 50)
            brighter.save(folder / f"dahlia{number}.jpg", quality=90)
    Image.new("RGB", (64, 64), "red").save(folder / "red.png")
    done = subprocess.run(
        [FLOWERS, "similar", "--index", "photos.index", "--add", "."],
        cwd=folder, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def record(flowers: Run, *words: str | bytes | Path, code: int = 0) -> Any:
    done = flowers("compare", *words, "--format", "json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def with_confusion(path: Path, text: str) -> Path:
    """The shipped model with another evaluation: of a key that occurs twice the last one counts."""
    entry = field(1, b"confusion") + field(2, text.encode())
    path.write_bytes(Path(find_model()).read_bytes() + field(14, entry))
    return path


def told(path: Path) -> Path:
    """The shipped model, evaluated on photos of two species."""
    photos = [0] * 102
    photos[73], photos[30] = 12, 1  # rose, carnation
    wrong = {(73, 30): 3, (73, 5): 1, (30, 73): 1}
    return with_confusion(path, dumps([Confusions("valid", tuple(photos), wrong)]))


def test_two_species(flowers: Run) -> None:
    done = flowers("compare", "barbeton daisy", "Gazania")
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert lines[0].split() == ["barbeton", "daisy", "gazania"]
    rows = {line.split()[0]: line for line in lines[1:] if line and line[0] != " "}
    for row, a, b in (
        ("Spanish", "gerbera", "gazania"),
        ("Latin", "Gerbera jamesonii", "Gazania spp."),
        ("genus", "Gerbera", "Gazania"),
        ("family", "Asteraceae", "Asteraceae"),
    ):
        assert re.fullmatch(rf"{row} +{re.escape(a)}  +{re.escape(b)}", rows[row])
    text = " ".join(lines)
    assert "Same family, Asteraceae; different genera." in text
    assert re.search(r"are \d\d % alike to the model, more than 99 of 100 pairs of species", text)
    assert "When it was evaluated:   validation: barbeton daisy taken for gazania: " in text
    assert "  elsewhere: " in text
    # All of it is on the smallest of terminals, the prompt below it.
    assert len(lines) <= 22
    assert max(map(len, lines)) < 80


@pytest.mark.parametrize("lang", ["en", "es", "la"])
def test_any_two_species_fit_a_small_terminal(flowers: Run, lang: str) -> None:
    labels = sorted(read_info(find_model()).labels, key=lambda one: len(one.label))
    a, b = labels[-2:]
    done = flowers("compare", str(a.class_id), str(b.class_id), "--lang", lang)
    lines = done.stdout.decode().splitlines()
    assert lines[0].split() == [*a.name(lang).split(), *b.name(lang).split()]
    assert len(lines) <= 23
    assert max(map(len, lines)) < 80


def test_a_name_in_any_language_and_an_id(flowers: Run) -> None:
    found = [record(flowers, *pair) for pair in (("rose", "31"), ("Rosa", "clavel"))]
    assert [one["a"].pop("given") for one in found] == ["rose", "Rosa"]
    assert [one["b"].pop("given") for one in found] == ["31", "clavel"]
    assert found[0] == found[1]


def test_two_species_as_json(flowers: Run, tmp_path: Path) -> None:
    found = record(flowers, "rose", "carnation", "--model", told(tmp_path / "m.onnx"))
    assert (found["schema"], found["classes"]) == ("1.0", 102)
    assert found["a"]["species"] == {
        "class_id": 74, "label": "rose", "spanish_name": "rosa",
        "scientific_name": "Rosa spp.", "genus": "Rosa", "family": "Rosaceae",
    }  # fmt: skip
    assert (found["a"]["photo"], found["a"]["examples"]) == (None, None)
    assert [found[f"same_{rank}"] for rank in ("species", "genus", "family")] == [False] * 3
    assert 0.4 < found["species_likeness"] < 0.7
    assert found["pairs_less_alike"] > 0.98
    assert (found["photo_likeness"], found["photo_mark"]) == (None, None)
    place = found["a"]["place_of_other"]
    assert found["a"]["next"][place - 1]["label"] == "carnation"
    assert found["confusions"] == [
        {
            "set": "valid",
            "a": {"photos": 12, "right": 8, "named_other": 3},
            "b": {"photos": 1, "right": 0, "named_other": 1},
        }
    ]


def test_what_was_taken_for_what(flowers: Run, tmp_path: Path) -> None:
    model = told(tmp_path / "m.onnx")
    text = flowers("compare", "rose", "carnation", "--model", model).stdout.decode()
    said = "rose taken for carnation: 3 of 12 photos; carnation taken for rose: 1 of 1 photos"
    assert f"validation: {said}" in " ".join(text.split())
    text = flowers("compare", "rose", "daffodil", "--model", model).stdout.decode()
    assert "daffodil taken for rose: no photos" in " ".join(text.split())
    text = flowers("compare", "sunflower", "daffodil", "--model", model).stdout.decode()
    assert "It was evaluated on photos of neither." in text


def test_a_file_without_an_evaluation(flowers: Run, tmp_path: Path) -> None:
    properties = read_properties(find_model())
    del properties["confusion"]
    (tmp_path / "m.onnx").write_bytes(onnx_file(properties))
    words = ("rose", "daffodil", "--model", "m.onnx")
    done = flowers("compare", *words)
    assert done.returncode == 0
    text = done.stdout.decode()
    assert text.endswith("\nDifferent families.\nThere is no evaluation in this model file.\n")
    found = record(flowers, *words)
    assert (found["confusions"], found["species_likeness"]) == (None, None)
    assert (found["a"]["place_of_other"], found["a"]["next"]) == (None, [])
    assert flowers("compare", *words, "--out", "page.html").returncode == 0
    page = unescape((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert TEXTS["en"]["no_evaluation"] in page
    assert TEXTS["en"]["no_likeness"] in page


def test_a_broken_evaluation_is_told(flowers: Run, tmp_path: Path, sample: Path) -> None:
    model = with_confusion(tmp_path / "m.onnx", '[{"name": "valid"}]')
    done = flowers("compare", "rose", "daffodil", "--model", model)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (3, b"", 1)
    assert b"m.onnx is broken" in done.stderr
    assert flowers("classify", sample, "--model", model).returncode == 0  # which needs none of it


def test_likeness_is_of_the_network(tmp_path: Path) -> None:
    info = read_info(find_model())
    likeness = Likeness.of(info)
    assert likeness is not None
    rose, carnation, camellia, daffodil = map(
        info.find, ("rose", "carnation", "camellia", "daffodil")
    )
    assert likeness.alike(rose, carnation) == likeness.alike(carnation, rose)
    assert likeness.alike(rose, rose) == pytest.approx(1)
    assert likeness.alike(rose, carnation) > 0.4
    assert likeness.alike(rose, daffodil) < 0.2
    assert {carnation, camellia} <= set(likeness.next(rose))
    places = [likeness.place(rose, other) for other in range(102) if other != rose]
    assert sorted(places) == list(range(1, 102))
    assert likeness.share_below(1.1) == 1
    bare = read_info(constant_model(tmp_path / "m.onnx", [0.5] * 102, [1, 102]))
    assert Likeness.of(bare) is None


def test_two_photos(flowers: Run, sample: Path, album: Path, tmp_path: Path) -> None:
    shutil.copy(sample, tmp_path / "a,b.jpg")
    done = flowers("compare", "a,b.jpg", album / "dahlia3.jpg")
    assert (done.returncode, done.stderr) == (0, b"")
    text = " ".join(done.stdout.decode().split())
    assert "photo a,b.jpg (280 x 280) dahlia3.jpg (280 x 280) answer 99." in text
    assert "Both are pink-yellow dahlia." in text
    assert re.search(r"The photos are 9\d\.\d % alike: most likely the same picture\.", text)
    assert "validation: pink-yellow dahlia named so: 14 of 14 photos" in text
    assert "Typical photos" not in text

    found = record(flowers, "a,b.jpg", album / "dahlia3.jpg")
    assert (found["same_species"], found["photo_mark"]) == (True, "near-duplicate")
    classifier = Classifier()
    first, second = (classifier.embed(path).features for path in (sample, album / "dahlia3.jpg"))
    cosine = float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))
    assert found["photo_likeness"] == pytest.approx(cosine, abs=1e-4)
    (classified,) = json.loads(flowers("classify", "a,b.jpg", "--format", "json").stdout)
    assert found["a"]["photo"] == classified
    assert found["confusions"][0]["a"]["named_other"] is None
    assert record(flowers, "a,b.jpg", sample)["photo_mark"] == "copy"


def test_a_photo_and_a_species(flowers: Run, sample: Path) -> None:
    found = record(flowers, sample, "rosa")
    assert (found["a"]["species"]["label"], found["b"]["species"]["label"]) == (
        "pink-yellow dahlia", "rose",
    )  # fmt: skip
    assert 0 < found["a"]["confidence_of_other"] < 0.01
    assert (found["b"]["photo"], found["b"]["confidence_of_other"]) == (None, None)
    assert found["species_likeness"] < 0.3
    text = " ".join(flowers("compare", sample, "rosa", "--lang", "es").stdout.decode().split())
    assert text.startswith("dalia rosa English pink-yellow dahlia rose")
    assert "as the other < 0.1 %" in text


def test_a_photo_that_is_not_known(flowers: Run, album: Path) -> None:
    text = flowers("compare", album / "red.png", "rose").stdout.decode()
    assert "not one of the 102 species" in " ".join(text.split())
    assert flowers("compare", album / "red.png", "rose", "--out", "page.html").returncode == 0


def test_examples_are_known_and_there(flowers: Run, album: Path, tmp_path: Path) -> None:
    shutil.copytree(album, tmp_path / "here")
    for number in (0, 1):
        (tmp_path / "here" / f"dahlia{number}.jpg").unlink()
    # Where the index was made, there still are all of them.
    index = tmp_path / "here" / "photos.index"
    words = ("dahlia", "rose", "--index", index)
    kept = sorted(Path(one["path"]).name for one in record(flowers, *words)["a"]["examples"])
    assert len(kept) == 6
    album.rename(album.with_name("away"))
    try:
        found = record(flowers, *words)
        text = flowers("compare", *words).stdout.decode()
    finally:
        album.with_name("away").rename(album)
    examples = found["a"]["examples"]
    assert sorted(Path(one["path"]).name for one in examples) == [
        f"dahlia{number}.jpg" for number in range(2, 8)
    ]
    confidences = [one["confidence"] for one in examples]
    assert confidences == sorted(confidences, reverse=True)
    assert all(one["known"] for one in examples)
    assert found["b"]["examples"] == []
    assert "none in the index" in text
    # A photo is no example of itself, under whatever name.
    shutil.copy(tmp_path / "here" / "dahlia5.jpg", tmp_path / "mine.jpg")
    shown = record(flowers, "mine.jpg", "rose", "--index", index)["a"]["examples"]
    assert "dahlia5.jpg" not in {Path(one["path"]).name for one in shown}


def test_a_file_comes_before_a_species(flowers: Run, sample: Path, tmp_path: Path) -> None:
    for name in ("rose", "31", "-x.jpg"):
        shutil.copy(sample, tmp_path / name)
    assert record(flowers, "rose", "31")["same_species"] is True
    done = flowers("compare", "--format", "json", "--", "-x.jpg", "carnation")
    assert json.loads(done.stdout)["a"]["species"]["label"] == "pink-yellow dahlia"
    (tmp_path / "tulip").mkdir()
    found = record(flowers, (tmp_path / "rose").as_uri(), "Daffodil")
    assert found["a"]["species"]["label"] == "pink-yellow dahlia"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["roze", "daffodil"], "the model has no class 'roze': did you mean rose"),
        (["rose", "iris"], "no class 'iris': did you mean yellow iris, Iris pseudacorus, "),
        (["rose", "no/such photo.jpg"], "there is no file 'no/such photo.jpg', and"),
        (["rose", "."], "'.' is a folder, and the model has no class '.'"),
        (["rose", "rosa"], "'rose' and 'rosa' are one species, rose: name another"),
        (["rose"], "compare needs two species or photos, not 1"),
        (["rose", "gs://b/a.jpg"], "in a bucket"),
        (["rose", "-"], "there is no file '-'"),
        (["rose", "daffodil", "--index", "none.index"], "there is no index none.index"),
        (["rose", "daffodil", "--format", "csv"], "--format must be one of text, json, html"),
        (["rose", ""], "there is no file ''"),
        (["rose", "a\nb"], r"there is no file 'a\nb'"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(flowers: Run, words: list[str], said: str) -> None:
    done = flowers("compare", *words)
    assert (done.returncode, done.stdout) == (2, b""), done.stderr
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_a_photo_that_cannot_be_read(flowers: Run, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "cut.jpg").write_bytes(sample.read_bytes()[:2000])
    for other in ("rose", str(sample)):
        done = flowers("compare", "empty.jpg", other)
        assert (done.returncode, done.stderr) == (1, b"empty.jpg: the file is empty (is_empty)\n")
        assert "(not read)" in done.stdout.decode()  # and the other one is shown
        assert flowers("compare", other, "empty.jpg", "--out", "page.html").returncode == 1
        page = unescape((tmp_path / "page.html").read_text(encoding="utf-8"))
        assert TEXTS["en"]["failed"] in page
        assert ("pink-yellow dahlia" if other == str(sample) else "Rosa spp.") in page
    (tmp_path / "page.html").unlink()
    done = flowers("compare", "empty.jpg", "cut.jpg", "--out", "page.html")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 2)
    assert not (tmp_path / "page.html").exists()
    found = record(flowers, "empty.jpg", "cut.jpg", code=1)
    assert [found[side]["photo"]["error"]["code"] for side in "ab"] == ["is_empty", "truncated"]
    assert found["a"]["species"] is None


def test_the_output_replaces_no_input(flowers: Run, album: Path, tmp_path: Path) -> None:
    shutil.copytree(album, tmp_path / "here")
    words = ("compare", "here/dahlia1.jpg", "rose", "--index", "here/photos.index")
    for name in ("here/dahlia1.jpg", "here/../here/photos.index", "here/dahlia2.jpg"):
        before = (tmp_path / name).read_bytes()
        assert flowers(*words, "--format", "html", "--out", name).returncode == 2
        assert (tmp_path / name).read_bytes() == before
    assert flowers(*words, "--out", "missing/page.html").returncode == 4


@posix
def test_a_terminal_gets_no_page(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    done = subprocess.run(
        [FLOWERS, "compare", "rose", "daffodil", "--format", "html"],
        stdout=theirs, stderr=subprocess.PIPE, cwd=tmp_path, check=False,
    )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)


@posix
def test_a_pipe_and_a_name_that_is_no_text(flowers: Run, sample: Path, tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff\n.jpg", "wb") as file:
        file.write(sample.read_bytes())
    done = flowers("compare", b"\xff\n.jpg", "rose", "--index", "photos.index")
    assert done.returncode == 2
    assert record(flowers, b"\xff\n.jpg", "rose")["a"]["given"] == "\\xff\n.jpg"
    assert r"\xff" in flowers("compare", b"\xff\n.jpg", "rose").stdout.decode()
    assert flowers("compare", b"\xff\n.jpg", "rose", "--out", "page.html").returncode == 0
    typed = f"'{FLOWERS}' compare <(cat '{sample}') rose --out pipe.html"
    done = subprocess.run(["bash", "-c", typed], capture_output=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(images(tmp_path / "pipe.html")) == 2


def images(page: Path) -> list[Image.Image]:
    found = re.findall(r'<img src="data:image/webp;base64,([^"]*)"', page.read_text("utf-8"))
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


def test_the_photos_of_a_page(flowers: Run, sample: Path, album: Path, tmp_path: Path) -> None:
    index = album / "photos.index"
    assert flowers("compare", "dahlia", "rose", "--index", index, "--out", "a.HTM").returncode == 0
    assert [one.size for one in images(tmp_path / "a.HTM")] == [(480, 480)] + 5 * [(240, 240)]
    page = (tmp_path / "a.HTM").read_text(encoding="utf-8")
    assert "dahlia" in page
    assert "--add PHOTOS" not in page
    assert "The index has no photo of rose." in page
    # One that was changed since isn't shown.
    shutil.copytree(album, tmp_path / "here")
    for path in (tmp_path / "here").glob("*.jpg"):
        Image.new("RGB", (60, 60), "blue").save(path)
    index = tmp_path / "here" / "photos.index"
    flowers("compare", sample, "dahlia", "--index", index, "--out", "b.html")
    assert len(images(tmp_path / "b.html")) == 2


def test_photos_beside_what_speaks_for_their_names(
    flowers: Run, sample: Path, tmp_path: Path
) -> None:
    words = (sample, "rose", "--out", "page.html")
    assert flowers("compare", *words).returncode == 0
    photo, heat = (
        np.asarray(one.convert("RGB")).astype(int) for one in images(tmp_path / "page.html")
    )
    assert photo.shape == heat.shape == (480, 480, 3)
    assert np.abs(photo - heat).mean() > 20
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "flowers similar --index photos.index --add PHOTOS" in page
    assert "<script" not in page
    # A network without a map, and one without features, which photos can't do without.
    constant_model(tmp_path / "m.onnx", [0.5] * 102, [1, 102])
    assert flowers("compare", *words, "--model", "m.onnx").returncode == 3


def test_hostile_names_stay_text(
    flowers: Run, browser: Chromium, sample: Path, tmp_path: Path
) -> None:
    properties = read_properties(find_model())
    rows = json.loads(properties["labels"])[:2]
    for row, ending in zip(rows, "ab", strict=True):
        names = ("label", "spanish_name", "family", "genus")
        row.update(dict.fromkeys(names, HOSTILE + ending))
    counts = [Confusions(name, (2, 2), {(0, 1): 1}) for name in (HOSTILE, "taken", "")]
    sets = dumps(counts)
    told = properties | {"labels": json.dumps(rows), "confusion": sets, "model_name": HOSTILE}
    (tmp_path / "m.onnx").write_bytes(onnx_file(told))
    ids = [str(row["class_id"]) for row in rows]
    for lang in ("en", "es"):
        words = (*ids, "--model", "m.onnx", "--lang", lang, "--out", "page.html")
        assert flowers("compare", *words).returncode == 0
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert "<img" not in page
        assert page.count("&lt;img src=x") > 8
    shutil.copy(sample, tmp_path / HOSTILE)
    assert flowers("compare", HOSTILE, "rose", "--out", "page.html").returncode == 0
    tab = browser.open(tmp_path / "page.html")
    assert tab.complaints == []
    assert tab.evaluate("document.images[0].alt") == HOSTILE


@pytest.mark.parametrize("lang", ["en", "es"])
def test_the_page_in_a_browser(  # noqa: PLR0917  fixtures
    flowers: Run, browser: Chromium, sample: Path, album: Path, tmp_path: Path, lang: str
) -> None:
    model = told(tmp_path / "m.onnx")
    pages = [("rose", "carnation"), (sample, album / "dahlia4.jpg")]
    program = axe.script()
    for number, words in enumerate(pages):
        page = tmp_path / f"{number}.html"
        done = flowers("compare", *words, "--lang", lang, "--out", page, "--model", model)
        assert (done.returncode, done.stderr) == (0, b"")
        tab = browser.open(page)
        assert tab.complaints == []
        assert tab.requests == [page.as_uri()]
        assert tab.evaluate("document.documentElement.lang") == lang
        drawn = "[...document.images].every((one) => one.complete && one.naturalWidth === 480)"
        assert tab.evaluate(drawn)
        for look in (Look(), Look(width=320, dark=True)):
            tab.look(look)
            assert axe.findings(tab, program) == []
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), look
        sides = "[...document.querySelectorAll('.sides > section')]"
        left, right = tab.evaluate(f"{sides}.map((one) => one.getBoundingClientRect().left)")
        assert left < right  # on a phone as well
        assert tab.evaluate("getComputedStyle(document.querySelector('.lines')).display") == "none"
        tab.call("Emulation.setEmulatedMedia", media="print")
        assert tab.evaluate("getComputedStyle(document.querySelector('.lines')).display") == "block"
        assert tab.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


def test_confusions_are_drawn(flowers: Run, browser: Chromium, tmp_path: Path) -> None:
    words = ("rose", "carnation", "--model", told(tmp_path / "m.onnx"), "--out", "page.html")
    assert flowers("compare", *words).returncode == 0
    tab = browser.open(tmp_path / "page.html")
    rows = tab.evaluate(
        "[...document.querySelectorAll('.count')].map((one) => [one.textContent.trim(),"
        " ...['right', 'taken', 'else'].map((kind) => one.querySelectorAll('.' + kind).length)])"
    )
    assert rows == [
        ["Of 12 photos of rose, 3 were taken for carnation.", 8, 3, 1],
        ["One photo of carnation: taken for rose.", 0, 1, 0],
    ]


def test_the_page_is_in_two_languages() -> None:
    assert TEXTS["en"].keys() == TEXTS["es"].keys()
    for key, english in TEXTS["en"].items():
        fields = set(re.findall(r"\{\w+\}", english))
        assert fields == set(re.findall(r"\{\w+\}", TEXTS["es"][key])), key


def test_latin_names_stand_among_english_words(flowers: Run, tmp_path: Path) -> None:
    assert flowers("compare", "rose", "dahlia", "--lang", "la", "--out", "p.html").returncode == 0
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert '<html lang="en">' in page
    assert '<h2 lang="la">Rosa spp.</h2>\n<p class="names"><span lang="es">rosa</span>' in page
    assert "spp.." not in page
