"""Darwin Core: what is known in a photo as an occurrence, for GBIF and whoever reads it.

A person has to look at these rows, and may well change them or add columns, so that a row which is
in the file stays as it is, to the byte: ``publish`` adds rows behind. What was made of which image
stands in ``dynamicProperties``. A photo that failed or isn't known has no row, and one that has
changed no second one: what it shows is the same sighting, unless a person says otherwise.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from flowers_onnx.console import say
from flowers_onnx.errors import UsageError
from flowers_onnx.metadata import Label
from flowers_onnx.record import Field, to_json
from flowers_onnx.tables.files import LocalFile, ObjectFile
from flowers_onnx.tables.lines import cells, is_torn, quoted, records, tell_torn
from flowers_onnx.tables.plant_names import PlantName, plant_name
from flowers_onnx.tables.rows import RESULTS
from flowers_onnx.tables.schema import SAMPLE_ROWS, AnyRow, Schema
from flowers_onnx.text import open_utf8

_DWC: Final = "http://rs.tdwg.org/dwc/terms/"
#: The columns, each a term of Darwin Core, by its IRI.
TERMS: Final = {
    name: _DWC + name
    for name in (
        *("occurrenceID", "basisOfRecord", "occurrenceStatus"),
        *("eventDate", "decimalLatitude", "decimalLongitude", "geodeticDatum"),
        *("kingdom", "family", "genus", "scientificName", "taxonRank", "cultivarEpithet"),
        *("vernacularName", "verbatimIdentification", "identifiedBy", "dateIdentified"),
        *("identificationVerificationStatus", "identificationRemarks"),
        *("associatedMedia", "dynamicProperties"),
    )
}
_PROPERTIES: Final = "dynamicProperties"

_MARK: Final = codecs.BOM_UTF8.decode()  # Excel wants one, and writes it

#: Of a row, what the next run has to know. Not time and place, which may be blurred or left out.
_KEPT: Final = frozenset(
    {"schema", "label", "class_id", "scientific_name", "confidence", "top", "sha256", "model"}
    | {"source_uri", "source_version", "source_id", "run_id"}
)
_FIELDS: Final = tuple(field for field in RESULTS.fields if field.name in _KEPT)
#: What is the same in all rows that are written.
_ALWAYS: Final = {"status": "ok", "known": True}


class DarwinCore:
    """A sink that adds to ``file``, which holds lines of ``Occurrences``.

    Photos that have changed since they got their row are told in a line. Raises ``UsageError``
    for ``labels`` of which none has a scientific name.
    """

    appends = True
    tells_names = True

    def __init__(self, file: LocalFile | ObjectFile, labels: Sequence[Label]) -> None:
        self._file = file
        self._labels = {label.class_id: label for label in labels}
        if labels and not any(label.scientific_name for label in labels):
            raise UsageError(
                "the model has no scientific names, without which there is no Darwin Core: give "
                "another --out, or labels with scientific_name to export/convert.py"
            )

    def existing(self) -> Iterator[AnyRow]:
        for line in self._file.existing():
            if line["result"]:
                yield {**line["result"], **_ALWAYS}

    def sample(self) -> Iterator[AnyRow]:
        return islice(self.existing(), SAMPLE_ROWS)

    def publish(self, rows: Iterable[AnyRow]) -> None:
        earlier = self._file.existing()
        found = next(earlier, None)
        header: str = found["line"] if found else ",".join(TERMS) + "\n"
        columns = _columns(header.removeprefix(_MARK))
        end = header[len(header.rstrip("\r\n")) :]
        seen = {_id_of(line["result"]).int: _hash_of(line["result"]) for line in earlier}
        changed = 0

        def added() -> Iterator[AnyRow]:
            nonlocal changed
            for row in rows:
                number = _id_of(row).int
                if number in seen:
                    changed += row["sha256"] is not None and seen[number] != _hash_of(row)
                elif row["status"] == "ok" and row.get("known") is True:
                    seen[number] = _hash_of(row)
                    made = self._occurrence(row)
                    row_cells = (quoted(made.get(name or "")) for name in columns)
                    yield _line(",".join(row_cells) + end)

        new = added()
        first = next(new, None)
        if first is not None or not found:  # else there is nothing to add
            lines = self._file.existing() if found else [_line(header)]
            self._file.publish(chain(lines, [first] if first else [], new))
        if changed:
            photos, their = (
                ("photo has", "its row stays")
                if changed == 1
                else ("photos have", "their rows stay")
            )
            say(
                f"flowers: {changed:,} {photos} changed since; {their}: remove a row to have it "
                "made anew"
            )

    def close(self) -> None:
        self._file.close()

    def _occurrence(self, row: AnyRow) -> dict[str, str | None]:
        label = self._labels.get(row["class_id"])
        if label and label.scientific_name != row["scientific_name"]:
            label = None  # another model's class of the same id
        name = _name(row["scientific_name"], label)
        has_place = row.get("latitude") is not None
        return {
            "occurrenceID": _id_of(row).urn,
            "basisOfRecord": "MachineObservation",
            "occurrenceStatus": "present",
            "eventDate": row.get("taken_at"),
            "decimalLatitude": _decimal(row["latitude"]) if has_place else None,
            "decimalLongitude": _decimal(row["longitude"]) if has_place else None,
            "geodeticDatum": "EPSG:4326" if has_place else None,
            "kingdom": "Plantae",
            "family": (label and label.family) or (name.name if name.rank == "family" else None),
            "genus": (label and label.genus) or name.genus,
            "scientificName": name.name,
            "taxonRank": name.rank,
            "cultivarEpithet": name.cultivar,
            "vernacularName": row["label"] if row["label"] != row["scientific_name"] else None,
            "verbatimIdentification": row["scientific_name"] or row["label"],
            "identifiedBy": row["model"],
            "dateIdentified": row["processed_at"],
            "identificationVerificationStatus": "unverified",
            "identificationRemarks": _remarks(row),
            "associatedMedia": row["source_uri"],
            _PROPERTIES: to_json({field.name: row[field.name] for field in _FIELDS}),
        }


class Occurrences:
    """The file: its lines as they are, the header first, and what each says of its result."""

    schema = Schema(
        name="occurrences",
        title="Flowers named by flowers batch (flowers-onnx), a row a known one",
        version="1.0",
        fields=(
            Field("line", "string", "with its end"),
            Field("result", "record", "none of the header", nullable=True, fields=_FIELDS),
        ),
        keys=("line",),
        time="",
        group="",
    )

    def read(self, path: str) -> Iterator[AnyRow]:
        with open_utf8(path) as file:
            lines = records(file)
            header = next(lines, b"").decode()
            columns = _columns(header)
            yield _line(_MARK + header if _is_marked(path) else header)
            for number, record in enumerate(lines, 1):
                if not record.strip():
                    continue
                try:
                    result = _result(record.decode(), columns)
                except (ValueError, TypeError, RecursionError):
                    if is_torn(file, record):
                        tell_torn(path)
                        return
                    raise ValueError(
                        f"row {number} has no {_PROPERTIES} of flowers batch"
                    ) from None
                RESULTS.of(result["schema"])  # or it is a newer one's
                yield _line(record.decode(), result)

    def write(self, rows: Iterable[AnyRow], path: str) -> None:
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.writelines(row["line"] for row in rows)


def _line(text: str, result: AnyRow | None = None) -> AnyRow:
    return {"line": text if text.endswith("\n") else f"{text}\n", "result": result}


def _is_marked(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8


def _columns(header: str) -> list[str | None]:
    """Ours, in whatever order, among others; raises ``ValueError`` for another table's."""
    names = list(cells(header.rstrip("\r\n")))
    if not set(TERMS) <= set(names) or len(set(names)) < len(names):
        raise ValueError("its header is another")
    return names


def _result(record: str, columns: Sequence[str | None]) -> dict[str, Any]:
    """What ``dynamicProperties`` tells; raises ``ValueError`` or ``TypeError``."""
    row = dict(zip(columns, cells(record.rstrip("\r\n")), strict=True))
    told = json.loads(row[_PROPERTIES] or "")
    if not isinstance(told, dict) or not told.keys() >= _KEPT:
        raise ValueError("another program's")
    return {name: told[name] for name in _KEPT}


def _id_of(row: AnyRow) -> UUID:
    """The same for the same photo, whenever it is named and whatever was written into it."""
    return uuid5(NAMESPACE_URL, to_json([row["source_uri"], row["source_id"]]))


def _hash_of(row: AnyRow) -> int:
    """64 bits of that of the content."""
    return int((row["sha256"] or "0")[:16], 16)


def _name(scientific_name: str | None, label: Label | None) -> PlantName:
    """As much as is known: a flower is a plant."""
    told = (scientific_name, *((label.genus, label.family) if label else ()))
    names = (plant_name(each) for each in told if each)
    return next(filter(None, names), PlantName("Plantae", "kingdom"))


def _decimal(degrees: float) -> str:
    """A centimetre is enough."""
    whole, _, part = f"{degrees + 0.0:.7f}".partition(".")
    return f"{whole}.{part.rstrip('0') or '0'}"


def _remarks(row: AnyRow) -> str:
    sure = f"{min(row['confidence'], 0.9999):.4f}"  # no model is certain
    text = f"classified by a machine: {row['model']}, confidence {sure}"
    names = [each["label"] for each in row.get("prediction_set") or ()]
    return f"{text}; one of: {', '.join(names)}" if len(names) > 1 else text
