"""Darwin Core: a row for what is known, valid for those who import it, and never touched again."""

# ruff: noqa: RUF001  the sign of hybrids is none of the letters
from __future__ import annotations

import csv
import io
import json
import math
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from exif_photos import photo
from fakes.server import Fake
from PIL import Image
from support import FLOWERS, PATIENCE, ROOT, SAMPLE, Row, Run, make_row, posix

from flowers_onnx.batch.output import Output
from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.exif import Taken
from flowers_onnx.metadata import Label, read_info
from flowers_onnx.onnx_file import find_model
from flowers_onnx.results import Candidate, Failure, Prediction
from flowers_onnx.storage.item import Item
from flowers_onnx.tables import Sink, sink_for
from flowers_onnx.tables.darwin_core import TERMS
from flowers_onnx.tables.plant_names import PlantName, plant_name
from flowers_onnx.tables.rows import RESULTS

#: The file says where they are from.
SIMPLE = {
    line
    for line in (ROOT / "tests" / "tables" / "darwin_core_terms.txt").read_text().splitlines()
    if not line.startswith("#")
}
RANKS = {
    *("kingdom", "order", "family", "subfamily", "genus", "species", "subspecies", "variety"),
    *("form", "nothogenus", "nothospecies", "nothosubspecies", "nothovariety"),
    *("cultivar", "cultivar group", "grex"),
}
LABELS = read_info(find_model(None)).labels
DAHLIA = Candidate("pink-yellow dahlia", 60, 0.97)
TAKEN = Taken("2024-05-17T14:03:22+02:00", 41.40338888888889, -2.174027777777778)


def row(number: int = 0, taken: Taken | None = None, **changes: Any) -> Row:
    top = (DAHLIA, Candidate("orange dahlia", 59, 0.02))
    result = Prediction(
        top, "Dahlia spp.", None, "ab" * 32, 3, 4, "flowers/1.0", known=True, prediction_set=top[:1]
    )
    item = Item(f"gs://bucket/{number:06}.jpg", str(number), 1234)
    return make_row(item, result, "run", "2026-11-23T12:00:00.120Z", taken) | changes


def failed(number: int) -> Row:
    failure = Failure("is_empty", "zero bytes", None, None, "flowers/1.0")
    return make_row(
        Item(f"gs://bucket/{number:06}.jpg"), failure, "run", "2026-11-23T12:00:01.000Z"
    )


def sink(place: str | Path) -> Sink:
    return sink_for(str(place), RESULTS, LABELS)


def occurrences(content: str) -> list[dict[str, str]]:
    """What a strict reader makes of it, and what every row must be."""
    lines = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    rows = list(lines)
    assert lines.fieldnames is not None
    assert set(TERMS) <= set(lines.fieldnames)
    ids = [each["occurrenceID"] for each in rows]
    assert len(set(ids)) == len(ids)
    for each in rows:
        assert None not in each  # no cell too many
        assert None not in each.values()  # and none too few
        assert uuid.UUID(each["occurrenceID"]).urn == each["occurrenceID"]
        assert (each["basisOfRecord"], each["occurrenceStatus"]) == (
            "MachineObservation",
            "present",
        )
        assert each["scientificName"][0].isupper() or each["scientificName"][0] == "×"
        assert "spp." not in each["scientificName"]
        assert each["taxonRank"] in RANKS
        assert each["kingdom"] == "Plantae"
        assert each["identifiedBy"]
        assert each["identificationRemarks"].startswith("classified by a machine: ")
        datetime.fromisoformat(each["dateIdentified"])
        if each["eventDate"]:
            time = datetime.fromisoformat(each["eventDate"])
            assert time.isoformat() == each["eventDate"]
        place = [each[name] for name in ("decimalLatitude", "decimalLongitude", "geodeticDatum")]
        if any(place):
            assert all(re.fullmatch(r"-?\d+\.\d{1,7}", number) for number in place[:2])
            assert abs(float(place[0])) <= 90
            assert abs(float(place[1])) <= 180
            assert place[2] == "EPSG:4326"
        assert json.loads(each["dynamicProperties"])["source_uri"]
    return rows


def read(path: Path) -> list[dict[str, str]]:
    content = path.read_bytes()
    assert not content.startswith(b"\xef\xbb\xbf")
    return occurrences(content.decode())


# Terms and names -------------------------------------------------------------------------------


def test_each_column_is_a_term() -> None:
    assert set(TERMS.values()) <= SIMPLE
    assert all(iri.rpartition("/")[2] == name for name, iri in TERMS.items())
    # What GBIF requires of an occurrence.
    required = {"occurrenceID", "basisOfRecord", "scientificName", "eventDate"}
    assert required <= set(TERMS)


def test_the_terms_are_those_on_the_page(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "biodiversity.md").read_text(encoding="utf-8")
    table = page.partition("## Columns")[2].partition("\n\n## ")[0]
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]+)\|", table, re.MULTILINE)))
    assert named == list(TERMS)


#: A text, its name, and the rank, genus and cultivar of that, none of them where a line ends.
NAMES = """
Helianthus annuus|Helianthus annuus|species|Helianthus
Tagetes erecta L.|Tagetes erecta L.|species|Tagetes
Quercus robur L. f.|Quercus robur L. f.|species|Quercus
Hibiscus rosa-sinensis|Hibiscus rosa-sinensis|species|Hibiscus
Dahlia spp.|Dahlia|genus|Dahlia
Dahlia sp|Dahlia|genus|Dahlia
Dahlia|Dahlia|genus|Dahlia
  Rosa   hybrids |Rosa|genus|Rosa
Rosa cf. canina|Rosa|genus|Rosa
Rosa (garden roses)|Rosa|genus|Rosa
Phalaenopsis «hyb.»|Phalaenopsis|genus|Phalaenopsis
Iris × germanica|Iris × germanica|nothospecies|Iris
Iris ×germanica|Iris × germanica|nothospecies|Iris
Iris x germanica|Iris × germanica|nothospecies|Iris
Rosa ×|Rosa|genus|Rosa
Salix alba × Salix fragilis|Salix alba × Salix fragilis|nothospecies|Salix
×Cuprocyparis leylandii|×Cuprocyparis leylandii|nothospecies|×Cuprocyparis
× Cuprocyparis|×Cuprocyparis|nothogenus|×Cuprocyparis
Dahlia 'Bishop of Llandaff'|Dahlia 'Bishop of Llandaff'|cultivar|Dahlia|Bishop of Llandaff
Rosa ‘Peace’|Rosa 'Peace'|cultivar|Rosa|Peace
Petunia × atkinsiana 'Night'|Petunia × atkinsiana 'Night'|cultivar|Petunia|Night
Brassica oleracea Capitata Group|Brassica oleracea Capitata Group|cultivar group|Brassica
Beta vulgaris subsp. maritima|Beta vulgaris subsp. maritima|subspecies|Beta
Brassica oleracea var. italica|Brassica oleracea var. italica|variety|Brassica
Poaceae|Poaceae|family
Poaceae sp.|Poaceae|family
|
×|
a flower|
sunflower|
ROSA|
"""


@pytest.mark.parametrize("line", NAMES.strip("\n").splitlines())
def test_a_name(line: str) -> None:
    text, name, *others = line.split("|")
    assert plant_name(text) == (PlantName(name, *others) if name else None)


def test_the_names_of_the_model_that_ships() -> None:
    for label in LABELS:
        assert label.scientific_name
        name = plant_name(label.scientific_name)
        assert name is not None
        assert name.genus == label.genus
        assert name.rank in {"genus", "species", "nothospecies", "cultivar"}
        told = name.name if name.rank != "genus" else f"{name.name} spp."
        assert told == label.scientific_name


# Rows ------------------------------------------------------------------------------------------


def test_a_row(tmp_path: Path) -> None:
    path = tmp_path / "r.dwc.csv"
    sink(path).publish([row(0, TAKEN), failed(1), row(2, known=False), row(3, known=None)])
    (found,) = read(path)
    assert json.loads(found.pop("dynamicProperties")) == {
        "schema": "1.1", "label": "pink-yellow dahlia", "class_id": 60,
        "scientific_name": "Dahlia spp.", "confidence": 0.97,
        "top": row()["top"], "sha256": "ab" * 32, "model": "flowers/1.0",
        "source_uri": "gs://bucket/000000.jpg", "source_version": "0", "source_id": None,
        "run_id": "run",
    }  # fmt: skip
    assert found == {
        "occurrenceID": "urn:uuid:99cda023-4441-54a6-bc52-8723e7a1b1e1",  # for good
        "basisOfRecord": "MachineObservation",
        "occurrenceStatus": "present",
        "eventDate": "2024-05-17T14:03:22+02:00",
        "decimalLatitude": "41.4033889",
        "decimalLongitude": "-2.1740278",
        "geodeticDatum": "EPSG:4326",
        "kingdom": "Plantae",
        "family": "Asteraceae",
        "genus": "Dahlia",
        "scientificName": "Dahlia",
        "taxonRank": "genus",
        "cultivarEpithet": "",
        "vernacularName": "pink-yellow dahlia",
        "verbatimIdentification": "Dahlia spp.",
        "identifiedBy": "flowers/1.0",
        "dateIdentified": "2026-11-23T12:00:00.120Z",
        "identificationVerificationStatus": "unverified",
        "identificationRemarks": "classified by a machine: flowers/1.0, confidence 0.9700",
        "associatedMedia": "gs://bucket/000000.jpg",
    }


def test_what_is_not_sure_says_so(tmp_path: Path) -> None:
    path = tmp_path / "r.dwc.csv"
    fewest = row()["top"]
    sink(path).publish([row(0, prediction_set=fewest), row(1, confidence=1.0)])
    first, second = read(path)
    assert first["identificationRemarks"].endswith("; one of: pink-yellow dahlia, orange dahlia")
    assert second["identificationRemarks"].endswith("confidence 0.9999")


@pytest.mark.parametrize(
    ("degrees", "text"),
    [(0.0, "0.0"), (-0.0, "0.0"), (1e-12, "0.0"), (-90.0, "-90.0"), (12.5, "12.5"),
     (1e-7, "0.0000001"), (-1.23456789, "-1.2345679")],
)  # fmt: skip
def test_coordinates_are_plain_decimals(tmp_path: Path, degrees: float, text: str) -> None:
    sink(tmp_path / "r.dwc.csv").publish([row(0, Taken(None, degrees, 2.0))])
    (found,) = read(tmp_path / "r.dwc.csv")
    assert found["decimalLatitude"].removeprefix("-") == text.removeprefix("-")
    assert math.isclose(float(found["decimalLatitude"]), degrees, abs_tol=1e-7)


def test_every_class_of_the_model_has_a_valid_row(tmp_path: Path) -> None:
    path = tmp_path / "r.dwc.csv"
    sink(path).publish(
        row(n, class_id=one.class_id, scientific_name=one.scientific_name, label=one.name("es"))
        for n, one in enumerate(LABELS)
    )
    found = read(path)
    assert [each["family"] for each in found] == [one.family for one in LABELS]
    assert [each["genus"] for each in found] == [one.genus for one in LABELS]
    assert [each["vernacularName"] for each in found] == [one.spanish_name for one in LABELS]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (Label(60, "a", None, None, "Rosa", "Rosaceae"), ("Rosa", "genus", "Rosa", "Rosaceae")),
        (Label(60, "a", None, None, None, "Rosaceae"), ("Rosaceae", "family", "", "Rosaceae")),
        (Label(60, "a", None), ("Plantae", "kingdom", "", "")),
        (Label(60, "a", "garden stuff"), ("Plantae", "kingdom", "", "")),
        (Label(1, "a", None), ("Plantae", "kingdom", "", "")),  # of another model
    ],
)
def test_a_class_without_a_scientific_name(
    tmp_path: Path, label: Label, expected: tuple[str, ...]
) -> None:
    path = tmp_path / "r.dwc.csv"
    made = sink_for(str(path), RESULTS, [label, Label(2, "b", "Rosa canina")])
    made.publish([row(label="a", scientific_name=label.scientific_name)])
    (found,) = read(path)
    names = ("scientificName", "taxonRank", "genus", "family")
    assert tuple(found[name] for name in names) == expected
    assert found["verbatimIdentification"] == (label.scientific_name or "a")


def test_a_model_without_any_scientific_name_is_refused() -> None:
    with pytest.raises(UsageError, match="the model has no scientific names"):
        sink_for("r.dwc.csv", RESULTS, [Label(1, "rose"), Label(2, "lily")])


def test_latin_names_are_not_vernacular(tmp_path: Path) -> None:
    sink(tmp_path / "r.dwc.csv").publish([row(label="Dahlia spp.")])
    assert read(tmp_path / "r.dwc.csv")[0]["vernacularName"] == ""


# What is there already -------------------------------------------------------------------------


def test_keys_come_back_and_nothing_is_added_twice(tmp_path: Path) -> None:
    path = tmp_path / "r.dwc.csv"
    odd = [row(0, source_uri='gs://b/a,"b".jpg', source_id='x\n"y"'), row(0, source_id="7")]
    sink(path).publish([*odd, *odd])
    before = path.read_bytes()
    assert len(read(path)) == 2
    made = sink(path)
    assert made.appends
    keys = ("source_uri", "source_version", "source_id", "status", "run_id")
    assert [[r[k] for k in keys] for r in made.existing()] == [[r[k] for k in keys] for r in odd]
    made.publish(odd)
    made.publish([])
    made.publish([failed(3)])
    assert path.read_bytes() == before
    made.publish([row(5), *odd])
    assert path.read_bytes().startswith(before)
    assert len(read(path)) == 3


def test_an_empty_result_has_a_header(tmp_path: Path) -> None:
    path = tmp_path / "r.dwc.csv"
    sink(path).publish([failed(1)])
    assert read(path) == []
    assert path.read_text() == ",".join(TERMS) + "\n"
    path.write_bytes(b"")
    sink(path).publish([row()])
    assert len(read(path)) == 1


def test_what_a_person_wrote_stays(tmp_path: Path) -> None:
    """Corrected cells, columns of their own and in another order, as a spreadsheet saves them."""
    path = tmp_path / "r.dwc.csv"
    sink(path).publish([row(0), row(1)])
    rows = read(path)
    rows[0] |= {"scientificName": "Dahlia pinnata", "identifiedBy": "Ana, of Kew"}
    rows[0] |= {"identificationVerificationStatus": "verified", "associatedMedia": "https://a/b"}
    names = ["recordedBy", *reversed(rows[0]), "country Code"]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        lines = csv.DictWriter(file, names, quoting=csv.QUOTE_ALL)  # ends in CR LF
        lines.writeheader()
        lines.writerows([{**each, "recordedBy": "Ana"} for each in rows])
    before = path.read_bytes()
    for number in (2, 3):
        sink(path).publish([row(0), row(1), row(number)])
    after = path.read_bytes()
    assert after.startswith(before)  # its mark too, which Excel wants
    assert after.count(b"\n") == after.count(b"\r\n") == 5
    assert after.count(b"\xef\xbb\xbf") == 1
    found = occurrences(after.decode("utf-8-sig"))
    assert [each["recordedBy"] for each in found] == ["Ana", "Ana", "", ""]
    assert [each["scientificName"] for each in found] == ["Dahlia pinnata", *["Dahlia"] * 3]


def test_a_photo_that_has_changed_has_no_second_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.dwc.csv"
    sink(path).publish([row(0), row(1), row(2)])
    before = path.read_bytes()
    touched = row(0, source_version="new")
    sink(path).publish([touched])
    assert capsys.readouterr().err == ""
    changed = row(1, source_version="new", sha256="cd" * 32)
    told = "flowers: 1 photo has changed since; its row stays: remove a row to have it made anew\n"
    for _ in range(2):  # the second time as after a kill
        sink(path).publish([touched, changed, failed(2)])
        assert capsys.readouterr().err == told
    unknown = row(2, sha256="cd" * 32, known=False)
    sink(path).publish([unknown, changed])
    assert "2 photos have changed since; their rows stay" in capsys.readouterr().err
    assert path.read_bytes() == before
    # Rows of a manifest are told apart by its ids; a row that is gone is made anew.
    path.write_bytes(b"".join(before.splitlines(keepends=True)[:2]))
    sink(path).publish([changed, row(0, source_id="7")])
    assert capsys.readouterr().err == ""
    found = read(path)
    kept = [json.loads(each["dynamicProperties"]) for each in found]
    assert [each["sha256"][:2] for each in kept] == ["ab", "cd", "ab"]
    assert [each["source_id"] for each in kept] == [None, None, "7"]


def test_a_torn_last_row_is_done_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.dwc.csv"
    sink(path).publish([row(0), row(1)])
    whole = path.read_bytes()
    begin = whole.rindex(b"\n", 0, -1) + 1
    for end in [*range(begin + 1, len(whole) - 1, 61), len(whole) - 2]:
        torn = tmp_path / f"{end}.dwc.csv"
        torn.write_bytes(whole[:end])
        assert len(list(sink(torn).existing())) == 1
        assert "its image will be done again" in capsys.readouterr().err
        sink(torn).publish([row(1)])
        assert torn.read_bytes() == whole
    path.write_bytes(whole[:-1])  # only the line's end is missing
    sink(path).publish([row(2)])
    assert len(read(path)) == 3


HEADER = ",".join(TERMS)
NEWER = json.dumps({**row(), "schema": "9.0"}).replace('"', '""')
FOREIGN = [
    (b"hello\n", "its header is another"),
    (b"a,b\n1,2\n", "its header is another"),
    (HEADER.partition(",")[2].encode(), "its header is another"),
    (f"{HEADER},{HEADER}\n".encode(), "its header is another"),
    (f"{HEADER};x\n".encode().replace(b",", b";"), "its header is another"),
    (f"{HEADER}\n1,2\n3\n".encode(), "row 1 has no dynamicProperties"),
    (f"{HEADER}\n{',' * 20}\n".encode(), "row 1 has no dynamicProperties"),
    (f'{HEADER}\n{"," * 20}"{{""a"": 1}}"\n'.encode(), "row 1 has no dynamicProperties"),
    (f"{HEADER}\n{',' * 20}[]\n".encode(), "row 1 has no dynamicProperties"),
    (f'{HEADER}\n{"," * 20}"{NEWER}"\n'.encode(), "its schema is 9.0"),
    (f"{HEADER}\n{',' * 20}\xff\n".encode("latin-1"), "row 1 has no dynamicProperties"),
    (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), ""),
    (bytes(3000), ""),
]


@pytest.mark.parametrize(("content", "why"), FOREIGN)
def test_a_foreign_file_is_refused_and_kept(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "r.dwc.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=f"{why}.*; it won't be overwritten"):
        list(sink(path).existing())
    with pytest.raises(UsageError, match="won't be overwritten"):
        sink(path).publish([row()])
    assert path.read_bytes() == content


def test_a_plain_result_is_not_taken_for_one(tmp_path: Path) -> None:
    sink(tmp_path / "r.csv").publish([row()])
    (tmp_path / "r.csv").rename(tmp_path / "r.dwc.csv")
    with pytest.raises(UsageError, match="its header is another"):
        list(sink(tmp_path / "r.dwc.csv").existing())
    sink(tmp_path / "s.dwc.csv").publish([row()])
    (tmp_path / "s.dwc.csv").rename(tmp_path / "s.csv")
    with pytest.raises(UsageError, match="its header is another"):
        list(sink(tmp_path / "s.csv").existing())


def test_a_failed_publication_leaves_the_earlier_result(tmp_path: Path) -> None:
    path = tmp_path / "r.dwc.csv"
    sink(path).publish([row(0)])
    before = path.read_bytes()

    def rows() -> Iterator[Row]:
        yield row(1)
        raise OutputError("the journal is gone")

    with pytest.raises(OutputError, match="the journal is gone"):
        sink(path).publish(rows())
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("published", [False, True])
def test_a_kill_while_publishing(tmp_path: Path, published: bool) -> None:
    """The journal says that all is there; whether it is in the file already, nobody knows."""
    path, journal = tmp_path / "r.dwc.csv", tmp_path / "j"
    sink(path).publish([row(9)])

    def output() -> Output:
        return Output(sink(path), str(journal), by_version=True, retry_errors=False)

    class KilledError(Exception):
        pass

    class Killed:
        def __init__(self, inner: Sink) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def publish(self, rows: Any) -> None:
            if published:
                self.inner.publish(rows)
            raise KilledError

    made = Output(Killed(sink(path)), str(journal), by_version=True, retry_errors=False)
    for number in (1, 2):
        assert made.claim(Item(f"gs://bucket/{number:06}.jpg", str(number)))
        made.add(row(number))
    with pytest.raises(KilledError):
        made.publish()
    made._journal.close()
    with output() as again:
        assert again.published.images == 2
        assert not again.claim(Item("gs://bucket/000001.jpg", "1"))
        assert not again.claim(Item("gs://bucket/000009.jpg", "9"))
        again.publish()
    assert [each["associatedMedia"][-5:] for each in read(path)] == ["9.jpg", "1.jpg", "2.jpg"]


# The command -----------------------------------------------------------------------------------


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    (folder / "a,b %.jpg").write_bytes(photo(Image.open(SAMPLE)))
    (folder / "-plain\n.jpg").write_bytes(SAMPLE.read_bytes())
    Image.new("RGB", (64, 64), (9, 9, 90)).save(folder / "blue.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    return folder


def test_a_folder(flowers: Run, album: Path, tmp_path: Path) -> None:
    words = ("batch", album, "--out", "records.dwc.csv", "--exif", "--lang", "es")
    done = flowers(*words)
    assert done.returncode == 1
    told = done.stderr.decode().splitlines()
    assert told[1] == (
        "flowers: failed or not known, and so without a row in records.dwc.csv: 2; the next run "
        "looks at them again"
    )
    assert told[2].startswith("flowers: 2 named, 1 not known, 1 failed")
    path = tmp_path / "records.dwc.csv"
    found = {each["associatedMedia"].rpartition("/")[2]: each for each in read(path)}
    assert sorted(found) == ["-plain%0A.jpg", "a%2Cb%20%25.jpg"]
    assert found["a%2Cb%20%25.jpg"]["eventDate"] == "2024-05-17T14:03:22+02:00"
    assert found["-plain%0A.jpg"]["eventDate"] == found["-plain%0A.jpg"]["geodeticDatum"] == ""
    assert {each["vernacularName"] for each in found.values()} == {"dalia"}
    before = path.read_bytes()
    again = flowers(*words)
    assert b"done before: 2" in again.stderr
    assert path.read_bytes() == before
    (album / "broken.jpg").write_bytes(SAMPLE.read_bytes())
    assert flowers(*words).returncode == 0
    assert path.read_bytes().startswith(before)
    assert len(read(path)) == 3
    refused = flowers(*words[:-1], "en")
    assert refused.returncode == 2
    assert b"was made with --lang es, this run has --lang en" in refused.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "album", "records.dwc.csv", "records.dwc.csv.run.json",
    ]  # fmt: skip


def test_one_sighting_is_one_row(flowers: Run, album: Path, tmp_path: Path) -> None:
    """Whatever is written into the photo, or beside it."""
    path, words = tmp_path / "r.dwc.csv", ("batch", album, "--out", "r.dwc.csv")
    flowers(*words)
    before = path.read_bytes()
    (album / "-plain\n.jpg").touch()
    assert b"changed since" not in flowers(*words).stderr
    with (album / "-plain\n.jpg").open("ab") as file:
        file.write(b"keywords")
    assert b"1 photo has changed since; its row stays" in flowers(*words).stderr
    assert path.read_bytes() == before


def test_place_is_in_its_columns_alone(tmp_path: Path) -> None:
    """Who blurs or drops these has blurred or dropped all."""
    sink(tmp_path / "r.dwc.csv").publish([row(0, TAKEN)])
    (found,) = read(tmp_path / "r.dwc.csv")
    others = {k: v for k, v in found.items() if k not in {"decimalLatitude", "eventDate"}}
    assert "41.4" not in str(others)
    assert "2024" not in str(others)


def test_shards(flowers: Run, album: Path, tmp_path: Path) -> None:
    for index in range(2):
        flowers("batch", album, "--out", "r.dwc.csv", "--shard", f"{index}/2")
    parts = [tmp_path / f"r-0000{index}-of-00002.dwc.csv" for index in range(2)]
    found = [each for part in parts for each in read(part)]
    assert len(found) == 2
    for each in found:  # without --exif
        assert not any(each[n] for n in ("eventDate", "decimalLatitude", "geodeticDatum"))


def test_none_is_known_where_nobody_can_tell(flowers: Run, album: Path, tmp_path: Path) -> None:
    done = flowers("batch", album, "--out", "r.dwc.csv", "--min_confidence", "1")
    assert b"without a row in r.dwc.csv: 4;" in done.stderr
    assert read(tmp_path / "r.dwc.csv") == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("classify", SAMPLE, "--out", "x.dwc.csv"), "flowers batch makes such files"),
        (("beam", SAMPLE, "--out", "x.dwc.csv"), "only flowers batch writes Darwin Core"),
        (("trace", "load", ".", "--to", "x.dwc.csv"), "x.dwc.csv: only flowers batch writes"),
        (("report", "y.dwc.csv", "--out", "r.html"), "flowers batch ... --out results.jsonl"),
        (("batch", SAMPLE, "--out", "x.tsv"), ".sqlite, .dwc.csv, not as x.tsv does"),
    ],
)
def test_where_it_is_refused(flowers: Run, tmp_path: Path, words: Any, told: str) -> None:
    (tmp_path / "y.dwc.csv").write_text(HEADER)
    done = flowers(*words)
    assert (done.returncode, done.stdout) == (2, b"")
    assert told in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["y.dwc.csv"]


def test_in_a_bucket(flowers: Run, album: Path, gcs: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in gcs.env.items():
        monkeypatch.setenv(name, value)
    gcs.create("darwin")
    place = "gs://darwin/records.dwc.csv"
    for _ in range(2):
        assert flowers("batch", album, "--out", place).returncode == 1
    assert len(list(sink(place).existing())) == 2


@posix
def test_killed_at_any_moment(album: Path, tmp_path: Path) -> None:
    for number in range(6):
        (album / f"{number}.jpg").write_bytes(SAMPLE.read_bytes())
    path = tmp_path / "r.dwc.csv"
    words = [str(FLOWERS), "batch", str(album), "--out", str(path), "--threads", "1"]
    for seconds in (0.7, 1.0):
        run = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        try:
            run.wait(seconds)
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
        if path.exists():
            read(path)
    subprocess.run(words, check=False, timeout=PATIENCE, stderr=subprocess.DEVNULL)
    assert len(read(path)) == 8
