"""``flowers trace export``: kept photos to look through and to train on."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_images import encode, gradient
from PIL import Image
from serve.traces import put, row
from support import ROOT, Run

from flowers_onnx.errors import UsageError
from flowers_onnx.serve.trace import export
from flowers_onnx.serve.trace.options import ExportOptions
from flowers_onnx.serve.trace.row import TraceRow
from flowers_onnx.storage.local import LocalStore
from lib.dataset import decode, reviewed_photos

HEADER = ["file", "label", "confidence", "request_id", "time", "review", "correct_class_id"]


class Kept:
    """Photos 1 to 5 of classes 60 and 77, sent in this order; 3 twice, 5 without an answer."""

    def __init__(self, root: Path) -> None:
        self.root, self.keep, self.trace = root, root / "kept", root / "trace"
        self.dataset = root / "dataset"
        self.keep.mkdir()
        self.rows = [
            self.row(1, 60, 0.9),
            self.row(2, 77, 0.3),
            self.row(3, 77, 0.5),
            self.row(4, 60, 0.4, photo=3),
            self.row(5, 60, 0.0625, photo=4),
            row(7),
        ]
        put(self.trace, self.rows, 0)

    def name(self, photo: int) -> str:
        return sha256(b"%d" % photo).hexdigest() + ".jpg"

    def row(self, number: int, class_id: int, confidence: float, photo: int = 0) -> TraceRow:
        photo = photo or number
        path = self.keep / self.name(photo)
        path.write_bytes(encode(gradient(30, 20).rotate(7 * photo), "JPEG"))
        return row(
            number,
            class_id=class_id,
            confidence=confidence,
            sha256=self.name(photo)[:64],
            photo=str(path),
            label=f"class, «{class_id}»",
            time=f"2026-11-25T12:00:{number:02}.000Z",
        )

    def file(self, photo: int, class_id: int) -> str:
        return f"train/{class_id}/{self.name(photo)}"

    def export(self) -> int:
        options = ExportOptions(str(self.keep), str(self.trace), str(self.dataset))
        return export.run(options)

    def list(self) -> list[dict[str, str]]:
        with open(self.dataset / "review.csv", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def edit(self, change: Callable[[dict[str, str]], Any]) -> None:
        """As a person with a spreadsheet does it."""
        rows = self.list()
        for each in rows:
            change(each)
        with open(self.dataset / "review.csv", "w", encoding="utf-8-sig", newline="") as file:
            lines = csv.DictWriter(
                file, dict.fromkeys(key for each in rows for key in each), delimiter=";"
            )
            lines.writeheader()
            lines.writerows(rows)

    def files(self) -> dict[str, int]:
        return {
            path.relative_to(self.dataset).as_posix(): path.stat().st_mtime_ns
            for path in self.dataset.rglob("*.jpg")
        }


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_folder_a_class_and_a_list(flowers: Run, kept: Kept) -> None:
    words = ("trace", "export", "kept", "trace", "--out", "dataset")
    assert flowers(*words, cwd=kept.root).returncode == 0
    found = kept.list()
    assert list(found[0]) == HEADER
    # The least sure first; a photo once, by its latest answer.
    files = [kept.file(4, 60), kept.file(2, 77), kept.file(3, 60), kept.file(1, 60)]
    assert [each["file"] for each in found] == files
    assert kept.files().keys() == set(files)
    assert found[0] == {
        "file": kept.file(4, 60),
        "label": "class, «60»",
        "confidence": "0.0625",
        "request_id": kept.rows[4]["request_id"],
        "time": "2026-11-25T12:00:05.000Z",
        "review": "",
        "correct_class_id": "",
    }
    for file in files:
        copy = kept.dataset / file
        assert copy.read_bytes() == (kept.keep / copy.name).read_bytes()


def test_what_a_person_wrote_stays(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.export()

    def judge(each: dict[str, str]) -> None:
        each["mine"] = "a note; of two\nlines"
        if each["file"] == kept.file(2, 77):
            each["review"] = "thrown out"

    kept.edit(judge)
    before = kept.files()
    (kept.dataset / kept.file(2, 77)).unlink()
    put(kept.trace, [kept.row(8, 77, 0.35, photo=6), kept.row(9, 60, 0.99, photo=2)], 1)
    asked: list[str] = []
    download = LocalStore.download

    def noted(store: LocalStore, uri: str) -> bytes | None:
        asked.append(uri)
        return download(store, uri)

    monkeypatch.setattr(LocalStore, "download", noted)
    assert kept.export() == 0
    assert [uri for uri in asked if str(kept.keep) in uri] == [str(kept.keep / kept.name(6))]
    del before[kept.file(2, 77)]
    after = kept.files()
    assert after.keys() - before.keys() == {kept.file(6, 77)}
    assert before.items() <= after.items()
    found = kept.list()
    assert [each["file"] for each in found][:3] == [
        kept.file(4, 60), kept.file(2, 77), kept.file(6, 77),
    ]  # fmt: skip
    assert [each["review"] for each in found] == ["", "thrown out", "", "", ""]
    assert [bool(each["mine"]) for each in found] == [True, True, False, True, True]
    assert found[0]["mine"] == "a note; of two\nlines"


def test_an_export_that_was_cut_off_goes_on(kept: Kept) -> None:
    kept.export()
    (kept.dataset / "review.csv").unlink()
    (kept.dataset / kept.file(1, 60)).unlink()
    before = kept.files()
    assert kept.export() == 0
    assert before.items() <= kept.files().items()
    assert len(kept.list()) == len(kept.files()) == 4


def test_photos_that_are_kept_no_longer(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    (kept.keep / kept.name(2)).unlink()
    assert kept.export() == 0
    assert "3 new photos, 0 were there, 1 are kept no longer" in capsys.readouterr().err
    assert kept.name(2) not in str(kept.list())


def test_nothing_to_export(tmp_path: Path) -> None:
    options = ExportOptions(str(tmp_path), str(tmp_path / "trace"), str(tmp_path / "out"))
    assert export.run(options) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["", "file,label\n", "a;b\n", "\0\n"])
def test_a_file_that_is_no_list_stays(kept: Kept, content: str) -> None:
    kept.dataset.mkdir()
    (kept.dataset / "review.csv").write_text(content)
    with pytest.raises(UsageError, match=r"is no list to review|not text"):
        kept.export()
    assert (kept.dataset / "review.csv").read_text() == content


def test_a_class_that_would_leave_the_folder(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    put(kept.trace, [kept.row(9, 0, 0.5, photo=9) | {"class_id": "../../x"}], 1)
    with pytest.raises(UsageError, match="can't name a folder"):
        kept.export()


# What export/train.py makes of it.


def judged(kept: Kept, words: dict[int, tuple[str, str]]) -> list[tuple[str, int]]:
    """What is trained on if the person says these words of the photos; classes 60, 77 and 5."""
    kept.export()

    def judge(each: dict[str, str]) -> None:
        for photo, (word, correct) in words.items():
            if kept.name(photo) in each["file"]:
                each["review"], each["correct_class_id"] = word, correct

    kept.edit(judge)
    photos = reviewed_photos(kept.dataset / "review.csv", ["5", "60", "77"])
    return sorted((photo.path.name, photo.target) for photo in photos)


def test_only_confirmed_and_corrected_photos_are_trained_on(kept: Kept) -> None:
    words = {1: ("confirmed", ""), 2: ("Corrected ", " 5"), 3: ("thrown out", "")}
    assert judged(kept, words) == sorted([(kept.name(1), 1), (kept.name(2), 0)])


@pytest.mark.parametrize(
    ("word", "correct", "why"),
    [
        ("yes", "", "line . review is 'yes'"),
        ("corrected", "", "which class it is"),
        ("corrected", "103", "class 103, of which DATA has none"),
    ],
)
def test_a_review_that_makes_no_sense(kept: Kept, word: str, correct: str, why: str) -> None:
    with pytest.raises(SystemExit, match=why.replace(". ", ".* ")):
        judged(kept, {1: (word, correct)})


def test_a_photo_that_somebody_took_away(kept: Kept) -> None:
    kept.export()
    (kept.dataset / kept.file(1, 60)).unlink()
    with pytest.raises(SystemExit, match="there is no"):
        judged(kept, {1: ("confirmed", "")})
    with pytest.raises(SystemExit, match="no such file"):
        reviewed_photos(kept.root / "none.csv", [])


def test_photos_are_trained_on_the_right_side_up(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "turned.png").write_bytes(encode(gradient(30, 20), "PNG", exif=exif))
    upright = gradient(30, 20).transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(decode(tmp_path / "turned.png"), np.asarray(upright))


def test_the_bucket_s_rule() -> None:
    """As ``gcloud storage buckets update --lifecycle-file`` takes it."""
    rules = json.loads((ROOT / "docs" / "deploy" / "lifecycle.json").read_text())
    assert rules.keys() == {"rule"}
    ages: dict[str, int] = {}
    for rule in rules["rule"]:
        assert rule.keys() == {"action", "condition"}
        assert rule["action"] == {"type": "Delete"}
        assert rule["condition"].keys() == {"age", "matchesPrefix"}
        ages |= dict.fromkeys(rule["condition"]["matchesPrefix"], rule["condition"]["age"])
    assert ages.keys() == {"keep/", "trace/dt=", "trace/idempotency/"}
    assert ages["trace/idempotency/"] == 1
    assert 1 < ages["keep/"] < ages["trace/dt="]  # a row is how a photo is found
