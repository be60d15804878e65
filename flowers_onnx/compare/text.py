"""A comparison for a terminal: two columns, and what is said of both below them."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from flowers_onnx.compare.comparison import Comparison, Told
from flowers_onnx.compare.subject import Subject
from flowers_onnx.confusion import ELSEWHERE, VALIDATION
from flowers_onnx.figures import percent
from flowers_onnx.metadata import Label
from flowers_onnx.photos import display_path
from flowers_onnx.writers import printable

#: Of a terminal, less one: some break the line in the last column.
_WIDTH = 79
_HEAD, _GAP = 14, 2
_COLUMN = (_WIDTH - _HEAD - _GAP) // 2
_LANGUAGES = {"en": "English", "es": "Spanish", "la": "Latin"}
#: Candidates of a photo behind its answer.
_CANDIDATES = 2
_SETS = {VALIDATION: "validation", ELSEWHERE: "elsewhere"}

Row = tuple[str, list[str], list[str]]


def lines(comparison: Comparison, lang: str) -> Iterator[str]:
    """The lines, none longer than 79 characters but for a word that is."""
    for head, a, b in _table(comparison, lang):
        left, right = _cell(a), _cell(b)
        for first, one, other in zip_longest([head], left, right, fillvalue=""):
            yield f"{first:<{_HEAD}}{one:<{_COLUMN + _GAP}}{other}".rstrip()
    yield ""
    for sentence in _sentences(comparison, lang):
        indent = "  " if sentence.startswith("  ") else ""
        yield from textwrap.wrap(sentence, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _table(comparison: Comparison, lang: str) -> Iterator[Row]:
    """The rows that have something in one of the columns."""
    labels = [comparison.label(side) for side in comparison.sides]
    rows: dict[str, Sequence[Sequence[str | None]]] = {
        "": [_title(label, lang) for label in labels],
        **{
            language: [[_name(label, code)] for label in labels]
            for code, language in _LANGUAGES.items()
            if code != lang
        },
        "genus": [[label.genus if label else None] for label in labels],
        "family": [[label.family if label else None] for label in labels],
        "photo": [[_photo(side)] for side in comparison.sides],
        "answer": [_answer(comparison, side) for side in comparison.sides],
        "as the other": [[_as_other(comparison, side)] for side in comparison.sides],
        "named next": [
            [", ".join(one.name(lang) for one in comparison.next(side))]
            for side in comparison.sides
        ],
        "examples": [_examples(comparison, side) for side in comparison.sides],
    }
    for head, (a, b) in rows.items():
        left, right = ([printable(text) for text in cell if text] for cell in (a, b))
        if left or right:
            yield head, left, right


def _cell(texts: list[str]) -> list[str]:
    return [line for text in texts for line in textwrap.wrap(text, _COLUMN)]


def _title(label: Label | None, lang: str) -> list[str]:
    return ["(not read)"] if label is None else [label.name(lang)]


def _name(label: Label | None, code: str) -> str | None:
    return None if label is None else {
        "en": label.label, "es": label.spanish_name, "la": label.scientific_name
    }[code]  # fmt: skip


def _photo(side: Subject) -> str | None:
    if side.photo is None:
        return None
    prediction = side.prediction
    size = f" ({prediction.width} x {prediction.height})" if prediction else ""
    return os.path.basename(side.given) + size


def _answer(comparison: Comparison, side: Subject) -> list[str]:
    if side.failure:
        return [side.failure.message]
    prediction = side.prediction
    if prediction is None:
        return []
    confidence = percent(prediction.confidence)
    told = f"not one of the {len(comparison.info.labels)} species (closest: {confidence})"
    others = (
        f"{one.label} {percent(one.confidence)}" for one in prediction.top[1 : _CANDIDATES + 1]
    )
    return [told if prediction.known is False else confidence, *others]


def _as_other(comparison: Comparison, side: Subject) -> str | None:
    label = comparison.label(comparison.other(side))
    confidence = side.confidence_of(label) if label and comparison.positions else None
    return None if confidence is None else percent(confidence)


def _examples(comparison: Comparison, side: Subject) -> list[str]:
    if comparison.examples is None:
        return []
    found = comparison.examples[side is comparison.b]
    names = (os.path.basename(display_path(one.path)) for one in found)
    return [", ".join(names) or "none in the index"]


def _sentences(comparison: Comparison, lang: str) -> Iterator[str]:
    yield from _kinship(comparison, lang)
    if (alike := comparison.photos_alike) is not None:
        mark = {"copy": ": the same bytes", "near-duplicate": ": most likely the same picture"}
        yield (
            f"The photos are {alike:.1%} alike".replace("%", " %")
            + mark.get(comparison.mark or "", "")
            + "."
        )
    yield from _alike(comparison, lang)
    yield from _told(comparison, lang)


def _kinship(comparison: Comparison, lang: str) -> Iterator[str]:
    a = comparison.label(comparison.a)
    if a is None:
        return
    match comparison.kinship:
        case "species":
            yield f"Both are {a.name(lang)}."
        case "genus":
            yield f"Same genus, {a.genus}."
        case "family":
            yield f"Same family, {a.family}; different genera."
        case "none":
            yield "Different families."


def _alike(comparison: Comparison, lang: str) -> Iterator[str]:
    alike = comparison.species_alike
    if alike is None:
        return
    pairs = int(100 * (comparison.pairs_less_alike or 0))
    yield (
        f"Typical photos of the two are {100 * alike:.0f} % alike to the model, more than {pairs} "
        "of 100 pairs of species."
    )
    others = len(comparison.info.labels) - 1
    a, b = (comparison.info.labels[n].name(lang) for n in comparison.positions or ())
    first, second = (_ordinal(comparison.place(side) or 0) for side in comparison.sides)
    yield (
        f"If it weren't {a}, the model would say {b} {first} of the {others} others; if it "
        f"weren't {b}, {a} {second}."
    )


def _told(comparison: Comparison, lang: str) -> Iterator[str]:
    if comparison.confusions is None:
        yield "There is no evaluation in this model file."
        return
    sides = [comparison.label(side) for side in comparison.sides]
    if None in sides:
        return
    a, b = (label.name(lang) for label in sides if label)
    sets, same = comparison.told(), comparison.positions is None
    yield "When it was evaluated:" if sets else "It was evaluated on photos of neither."
    for one in sets:
        yield f"  {_SETS.get(one.name, one.name)}: {'; '.join(_counts(one, a, b, same=same))}"


def _counts(told: Told, a: str, b: str, *, same: bool) -> Iterator[str]:
    if same:
        yield f"{a} named so: {told.a[1]} of {told.a[0]} photos"
        return
    for (photos, _, taken), name, other in ((told.a, a, b), (told.b, b, a)):
        counted = f"{taken} of {photos} photos" if photos else "no photos"
        yield f"{name} taken for {other}: {counted}"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"{number}{ending or 'th'}"
