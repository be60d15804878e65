"""Rows to sidecars, without the cost of a process."""

from __future__ import annotations

import contextlib
import os
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from sidecars import DC, IN_STYLE_OF, LR, RDF
from support import SAMPLE, Row

from flowers_onnx.atomic import replacing
from flowers_onnx.metadata import Label, read_info
from flowers_onnx.onnx_file import find_model
from flowers_onnx.results import Query
from flowers_onnx.sidecar.files import Sidecars
from flowers_onnx.storage.local import version_of


def row_of(photo: Path, label: Label, *, known: bool | None = True) -> Row:
    return {
        "status": "ok",
        "known": known,
        "source_uri": photo.as_uri(),
        "source_version": version_of(photo.stat()),
        "sha256": "",
        "label": label.label,
        "class_id": label.class_id,
        "scientific_name": label.scientific_name,
    }


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return Path(shutil.copy(SAMPLE, tmp_path / "p.jpg"))


def write(photo: Path, *rows: Row, labels: list[Label], lang: str = "en") -> Sidecars:
    info = replace(read_info(find_model()), labels=tuple(labels))
    sidecars = Sidecars(info, Query(lang=lang))
    sidecars.write(lambda: rows)
    return sidecars


def words(photo: Path, name: str = f"{{{DC}}}subject") -> list[str]:
    items = ET.parse(f"{photo}.xmp").iterfind(f".//{name}/*/{{{RDF}}}li")
    return [item.text or "" for item in items]


@pytest.mark.parametrize(
    ("label", "flat", "tree"),
    [
        (Label(1, "a", "B c", None, None, "Dae"), ["a", "B c"], ["Flora|Dae|B c"]),
        (Label("x", "a", "B c"), ["a", "B c"], ["Flora|B c"]),
        (Label(1, "a", family="Dae"), ["a"], ["Flora|Dae"]),
        (Label(1, "a"), ["a"], []),
        (Label(1, "B", "B", family="D"), ["B"], ["Flora|D|B"]),
        (Label(1, "a", "B|c & <d>", family="D\n e"), ["a", "B|c & <d>"], ["Flora|D e|B/c & <d>"]),
    ],
)
def test_levels_that_are_unknown_are_left_out(
    photo: Path, label: Label, flat: list[str], tree: list[str]
) -> None:
    assert write(photo, row_of(photo, label), labels=[label]).written == 1
    assert words(photo) == flat
    assert words(photo, f"{{{LR}}}hierarchicalSubject") == tree


def test_a_row_of_another_model_keeps_its_names(photo: Path) -> None:
    row = row_of(photo, Label(1, "its", "Ipsa", family="Not ours"))
    write(photo, row, labels=[Label(1, "ours", "Nostra", "nuestra", None, "Fam")], lang="es")
    assert words(photo) == ["its", "Ipsa"]
    assert words(photo, f"{{{LR}}}hierarchicalSubject") == ["Flora|Ipsa"]


def test_of_several_rows_the_last_one_of_the_photo_as_it_is_counts(photo: Path) -> None:
    label, other = Label(1, "a", "A"), Label(2, "b", "B")
    outdated = row_of(photo, other) | {"source_version": "1-1"}
    rows = [row_of(photo, other), row_of(photo, label), outdated]
    for _ in range(2):
        sidecars = write(photo, *rows, labels=[label, other])
        assert sidecars.failed == sidecars.changed == 0
        assert words(photo) == ["a", "A"]
    # An error says nothing of the answer before, and "not known" takes it back.
    failed = {**row_of(photo, label), "status": "error", "label": None, "known": None}
    assert write(photo, *rows, failed, labels=[label]).removed == 0
    for known in (False, None):
        write(photo, *rows, labels=[label])
        assert write(photo, *rows, row_of(photo, label, known=known), labels=[label]).removed == 1


def test_what_another_program_writes_meanwhile_is_not_lost(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes just before ours takes the place; the second time it always does."""
    label, path = Label(1, "a", "A"), Path(f"{photo}.xmp")
    left = [IN_STYLE_OF["digikam"], IN_STYLE_OF["exiftool"]]

    def interrupted(place: str) -> contextlib.AbstractContextManager[str]:
        if left:
            path.write_bytes(left.pop())
        return replacing(place)

    monkeypatch.setattr("flowers_onnx.sidecar.files.replacing", interrupted)
    sidecars = write(photo, row_of(photo, label), labels=[label])
    assert (sidecars.changed, sidecars.failed) == (1, 0)
    assert words(photo) == ["Süd", "a", "A"]
    left += [IN_STYLE_OF["exiftool"], IN_STYLE_OF["digikam"]] * 2
    sidecars = write(photo, row_of(photo, Label(2, "b", "B")), labels=[])
    assert list(sidecars.failures()) == [f"no sidecar: another program writes to it: {path}"]
    assert path.read_bytes() == IN_STYLE_OF["digikam"]
    assert sorted(os.listdir(photo.parent)) == ["p.jpg", "p.jpg.xmp"]
