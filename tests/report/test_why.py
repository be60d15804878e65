"""``flowers report --why``: heat maps over the photos of the page."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe
import numpy as np
import pytest
from chromium import Chromium, Look, Tab
from fakes.gcs import fake_gcs
from models import constant_model
from PIL import Image
from support import Run, posix, wait_until

from flowers_onnx import Classifier
from flowers_onnx.report.texts import TEXTS
from flowers_onnx.web.heat import heat_rgba

#: Changes of records, and words -> the page and what was said.
Make = Callable[..., tuple[str, str]]


@pytest.fixture
def make(flowers: Run, classifier: Classifier, sample: Path, tmp_path: Path) -> Make:
    """A page of two photos, of which one may have another record."""
    record = classifier.classify(sample).to_record()
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(sample, tmp_path / name)

    def page(change: dict[str, Any], *words: str, **more: Any) -> tuple[str, str]:
        rows = [{**record, "path": "a.jpg"}, {**record, "path": "b.jpg", **change}]
        (tmp_path / "results.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        done = flowers("report", "results.jsonl", "--out", "report.html", *words, **more)
        assert done.returncode == 0, done.stderr
        return (tmp_path / "report.html").read_text(), done.stderr.decode()

    return page


def maps(page: str) -> list[str]:
    return re.findall(r'<img class="heat" src="data:image/webp;base64,([^"]*)"', page)


def test_each_photo_has_its_map(make: Make, classifier: Classifier, sample: Path) -> None:
    plain, _ = make({})
    page, said = make({}, "--why")
    assert said == ""
    first, second = maps(page)
    assert first == second
    with Image.open(io.BytesIO(base64.b64decode(first))) as picture:
        drawn = np.asarray(picture.convert("RGBA")).astype(int)
    expected = heat_rgba(classifier.explain(sample).heat.cells, drawn.shape[:2])
    assert np.array_equal(drawn[..., 3], expected[..., 3])
    assert np.array_equal(drawn[drawn[..., 3] > 0], expected[expected[..., 3] > 0])
    # Over what the network saw: seven eighths of the middle square.
    assert "--edge: 6.25%" in page
    assert page.count('alt="mostly the middle"') == 2
    one, two = (re.findall(r"<li data-confidence.*", text) for text in (plain, page))
    assert len(two[0]) - len(one[0]) <= 500


def test_without_the_switch_there_is_nothing_of_it(make: Make) -> None:
    page, said = make({})
    assert said == ""
    assert not re.search(r"heat|why|faded|legend", page)


@pytest.mark.parametrize(
    ("change", "count", "says"),
    [
        ({"sha256": "0" * 64}, 1, "flowers: photos gone, changed or out of reach: 1"),
        ({"path": "gone.jpg"}, 1, "flowers: photos gone, changed or out of reach: 1"),
        ({"known": False}, 1, ""),
        (
            {"model": "other/2"},
            1,
            "flowers: --why: no maps for 1 results of other/2: the model is flowers-lite0/1.1-int8",
        ),
    ],
)
def test_a_photo_without_a_map_costs_the_others_nothing(
    make: Make, change: dict[str, Any], count: int, says: str
) -> None:
    page, said = make(change, "--why")
    assert len(maps(page)) == count
    assert said.startswith(says)
    assert said.count("\n") == bool(says)


def test_a_model_without_a_map(make: Make, tmp_path: Path) -> None:
    model = constant_model(tmp_path / "constant.onnx", [1 / 102] * 102, [1, 102])
    page, said = make({}, "--why", "--model", str(model))
    assert maps(page) == []
    assert said.count("\n") == 1
    assert "no maps: flowers-lite0/1.1-int8 has none that would tell why" in said
    assert "why" not in page


def test_what_it_refuses(flowers: Run, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("")
    for words, why in (
        (["--model", "other.onnx"], b"add --why"),
        (["--why", "--model", "none.onnx"], b"none.onnx"),
    ):
        done = flowers("report", "results.jsonl", "--out", "report.html", *words)
        assert done.returncode in {2, 3}
        assert why in done.stderr
        assert done.stderr.count(b"\n") == 1
        assert not (tmp_path / "report.html").exists()


def test_photos_in_a_bucket_have_maps(make: Make, sample: Path) -> None:
    with fake_gcs() as server:
        server.create("photos")
        server.load("photos", sample.parent, "")
        page, said = make({"path": f"gs://photos/{sample.name}"}, "--why", env=server.env)
    assert (len(maps(page)), said) == (2, "")


# In a browser


def seen(tab: Tab) -> list[bool]:
    """Of which photos the map is seen."""
    found: list[bool] = tab.evaluate(
        "[...document.querySelectorAll('.heat')]"
        ".map((one) => getComputedStyle(one).visibility === 'visible')"
    )
    return found


def point(tab: Tab, selector: str) -> None:
    x, y = tab.evaluate(
        f"(() => {{const one = document.querySelector({json.dumps(selector)});"
        "one.scrollIntoView({block: 'center'}); const box = one.getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]})()"
    )
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


_VEIL = "getComputedStyle(document.querySelector('.photos .more')).opacity"


@posix
def test_maps_are_seen_where_they_are_wanted(browser: Chromium, make: Make, tmp_path: Path) -> None:
    make({}, "--why")
    tab = browser.open(tmp_path / "report.html")
    assert tab.complaints == []
    assert seen(tab) == [False, False]
    point(tab, ".why")
    wait_until(lambda: seen(tab) == [True, False])
    assert tab.evaluate(_VEIL) == "0"  # it would hide the map
    point(tab, ".photos img")
    wait_until(lambda: tab.evaluate(_VEIL) == "1")
    assert seen(tab) == [False, False]
    point(tab, "h1")
    tab.evaluate("document.querySelector('.why input').click()")
    assert seen(tab) == [True, False]
    tab.evaluate("document.querySelector('.why input').click()")
    # The keyboard is enough.
    for _ in range(30):
        tab.press("Tab")
        if tab.evaluate("document.activeElement.closest('.why') !== null"):
            break
    assert seen(tab) == [True, False]
    assert tab.evaluate(_VEIL) == "0"
    tab.evaluate("document.querySelector('[name=why]').click()")
    assert seen(tab) == [True, True]
    tab.evaluate("document.querySelector('[type=reset]').click()")
    tab.evaluate("document.activeElement.blur()")
    assert seen(tab) == [False, False]
    # A map lies on the part of its thumbnail that the network saw.
    boxes = tab.evaluate(
        "[...document.querySelectorAll('.photos li:first-child img')].map((one) => {"
        "const {x, y, width, height} = one.getBoundingClientRect(); return [x, y, width, height]})"
    )
    (x, y, side, _), heat = boxes
    edge = side / 16
    assert heat == pytest.approx([x + edge, y + edge, side - 2 * edge, side - 2 * edge], abs=0.1)


@posix
@pytest.mark.parametrize("look", [Look(), Look(dark=True), Look(320, 568, touch=True)])
def test_everybody_can_use_it(browser: Chromium, make: Make, tmp_path: Path, look: Look) -> None:
    make({}, "--why", "--lang", "es")
    tab = browser.open(tmp_path / "report.html", look, trace=False)
    tab.evaluate("document.querySelector('[name=why]').click()")
    assert TEXTS["es"]["why_means"] in tab.evaluate("document.querySelector('.legend').innerText")
    assert not tab.evaluate(f"document.documentElement.scrollWidth > {look.width}")
    assert axe.findings(tab, axe.script()) == []
