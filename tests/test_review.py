"""``export/review.py``: the list and the page on which a person says what photos show."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe
import numpy as np
import pytest
from chromium import Chromium, Look, Tab
from PIL import Image
from support import PATIENCE, ROOT, wait_until

from flowers_onnx.serve.trace import review
from lib.dataset import reviewed_photos

Review = Callable[..., str]
IDS = [str(number) for number in range(1, 103)]


@pytest.fixture
def folder(tmp_path: Path, sample: Path) -> Path:
    """A dahlia in no class's folder and in a wrong one, two other pictures, and no picture."""
    root = tmp_path / "photos"
    for name in ("trip/a b#1 ñ.jpg", "1/dahlia.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample, root / name)
    for seed, name in enumerate(("'><script>document.title=1</script>.png", '77/x,"y".png')):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(root / name)
    (root / "broken.jpg").write_bytes(b"")
    return root


@pytest.fixture
def run_review() -> Review:
    def run(*words: object) -> str:
        command = [sys.executable, str(ROOT / "export" / "review.py"), *map(str, words)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / review.NAME).open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def card(file: str) -> str:
    """The card of a photo, in JavaScript."""
    return (
        "[...document.querySelectorAll('#photos > li')]"
        f".find((one) => one.querySelector('legend').title === {json.dumps(file)})"
    )


def choose(tab: Tab, file: str, selector: str) -> None:
    tab.evaluate(f"{card(file)}.querySelector({json.dumps(selector)}).click()")


def type_class(tab: Tab, file: str, name: str) -> None:
    field = f"{card(file)}.querySelector('input[list]')"
    event = "new InputEvent('input', {bubbles: true})"
    tab.evaluate(f"{field}.value = {json.dumps(name)}; {field}.dispatchEvent({event})")


def text(tab: Tab, selector: str) -> Any:
    return tab.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


def download(browser: Chromium, tab: Tab, folder: Path) -> Path:
    folder.mkdir()
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    tab.evaluate("document.getElementById('download').click()")
    wait_until((folder / "review.csv").exists)
    return folder / "review.csv"


def test_from_a_folder_through_the_page_to_training(
    folder: Path, run_review: Review, browser: Chromium
) -> None:
    said = run_review(folder)
    assert "4 photos to look at" in said
    assert "1 photos can't be read" in said
    rows = rows_of(folder)
    # What a folder claims and the model doubts is asked first.
    assert next(iter(rows)) in {"broken.jpg", "1/dahlia.jpg", '77/x,"y".png'}
    assert rows["1/dahlia.jpg"]["label"] == "pink primrose"
    assert rows["trip/a b#1 ñ.jpg"]["label"] == "pink-yellow dahlia"
    assert float(rows["trip/a b#1 ñ.jpg"]["confidence"]) > 0.9

    tab = browser.open(folder / "review.html")
    hostile = next(name for name in rows if "script" in name)
    odd = '77/x,"y".png'
    choose(tab, "1/dahlia.jpg", "[data-id='60']")
    choose(tab, "trip/a b#1 ñ.jpg", "[data-id='60']")
    choose(tab, hostile, "[value=out]")
    type_class(tab, odd, "passion flow")
    assert text(tab, "#progress") == "3 of 4 looked at"
    assert tab.evaluate(f"{card(odd)}.querySelector('input[list]').ariaInvalid") == "true"
    type_class(tab, odd, "passion flower")
    tab = browser.open(folder / "review.html")  # closed by mistake: nothing is lost
    assert text(tab, "#progress") == "4 of 4 looked at"
    assert (tab.complaints, tab.requests) == ([], [(folder / "review.html").as_uri()])
    assert tab.evaluate("document.title") == "Review of photos"

    shutil.move(download(browser, tab, folder.parent / "downloads"), folder / review.NAME)
    reviewed = reviewed_photos(folder / review.NAME, IDS)
    found = {one.path.relative_to(folder).as_posix(): IDS[one.target] for one in reviewed}
    assert found == {"1/dahlia.jpg": "60", "trip/a b#1 ñ.jpg": "60", odd: "77"}
    rows = rows_of(folder)
    assert rows[hostile]["review"] == "thrown out"
    assert rows[odd]["review"] == "confirmed"
    assert rows["broken.jpg"]["review"] == ""


def test_what_was_looked_at_is_not_asked_again(
    folder: Path, run_review: Review, sample: Path
) -> None:
    """A list of `flowers trace export`, with a column that a person has added."""
    name = "train/60/abc.jpg"
    (folder / "train" / "60").mkdir(parents=True)
    shutil.copy(sample, folder / name)
    row = dict.fromkeys(review.COLUMNS, "") | {"file": name, "label": "pink-yellow dahlia"}
    row |= {"confidence": "0,97", "request_id": "r", "review": "confirmed", "who": "Ana"}
    review.write(str(folder / review.NAME), [row])
    assert "4 photos to look at" in run_review(folder)
    assert rows_of(folder)[name] == row
    page = (folder / "review.html").read_text(encoding="utf-8")
    assert page.count("<legend") == 4
    assert f'title="{name}"' not in page
    before = rows_of(folder)
    assert "2 left for another page" in run_review(folder, "--max_photos", 2)
    assert rows_of(folder) == before


@pytest.mark.parametrize(
    "look", [Look(1280, 900), Look(360, 740, dark=True, touch=True)], ids=["desk", "phone"]
)
def test_the_page_can_be_used_by_anybody(
    folder: Path, run_review: Review, browser: Chromium, look: Look
) -> None:
    program = axe.script()
    run_review(folder)
    tab = browser.open(folder / "review.html", look)
    assert axe.findings(tab, program) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= look.width
    choose(tab, "1/dahlia.jpg", "[value=out]")
    tab.evaluate("document.getElementById('open').click()")
    hidden = "[...document.querySelectorAll('#photos > li')].filter((one) => one.hidden).length"
    assert tab.evaluate(hidden) == 1
    assert axe.findings(tab, program) == []
