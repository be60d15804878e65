"""The scientific names of labels, as the codes of nomenclature and Darwin Core have them.

Labels say ``Dahlia spp.`` where no species is told; in a record that is the genus ``Dahlia``.
"""

from __future__ import annotations

import re
from itertools import pairwise, takewhile
from typing import Final, NamedTuple


class PlantName(NamedTuple):
    """``rank`` is that of ``name``; ``cultivar`` is the epithet without its quotes."""

    name: str
    rank: str
    genus: str | None = None
    cultivar: str | None = None


_HYBRID: Final = "\N{MULTIPLICATION SIGN}"
#: A cultivar's epithet is one word, quotes included.
_WORD: Final = re.compile(r"'[^']+'|\S+")
_QUOTES: Final = str.maketrans(dict.fromkeys("\u2018\u2019", "'"))
#: Says that no more is told than what stands before it.
_UNTOLD: Final = re.compile(
    r"(spp?|spec|species|cf|aff|agg|hort|cvs?|hyb|hybrids?|cultivars?|indet|sect|subg)\.?",
    re.IGNORECASE,
)
#: Ranks below the species by their abbreviations, and of groups of cultivars by the last word.
_LOWER: Final = {
    "subsp.": "subspecies", "ssp.": "subspecies", "var.": "variety", "f.": "form",
    "nothosubsp.": "nothosubspecies", "nothovar.": "nothovariety",
}  # fmt: skip
_GROUPS: Final = {"Group": "cultivar group", "grex": "grex"}
#: Ranks above the genus by what their names end in.
_HIGHER: Final = {"aceae": "family", "oideae": "subfamily", "ales": "order"}


def plant_name(text: str) -> PlantName | None:
    """The name in a label's scientific name; None if there is none in it."""
    words = _words(text)
    sign = _HYBRID if words[:1] == [_HYBRID] else ""  # of two genera: it is part of the name
    first, *others = words[len(sign) :] or [""]
    if not (first[:1].isupper() and first[1:].islower() and _is_word(first)):
        return None
    genus = sign + first
    told = list(takewhile(lambda word: not _UNTOLD.fullmatch(word), others))
    while told and told[-1] == _HYBRID:
        told.pop()
    full = " ".join([genus, *told])
    cultivar = next((word for word in told if word.startswith("'") and word.endswith("'")), None)
    if cultivar:
        name = full[: full.index(cultivar) + len(cultivar)]
        return PlantName(name, "cultivar", genus, cultivar[1:-1])
    if told and told[-1] in _GROUPS:
        return PlantName(full, _GROUPS[told[-1]], genus)
    if not told or not (told[0] == _HYBRID or _is_epithet(told[0])):
        return _of_one_word(genus)
    rank = "nothospecies" if sign or _HYBRID in told else "species"
    for word, following in pairwise(told):
        if word in _LOWER and _is_epithet(following):
            rank = _LOWER[word]
    return PlantName(full, rank, genus)


def _of_one_word(word: str) -> PlantName:
    for end, rank in _HIGHER.items():
        if word.endswith(end):
            return PlantName(word, rank)
    return PlantName(word, "nothogenus" if word.startswith(_HYBRID) else "genus", word)


def _words(text: str) -> list[str]:
    """The sign of a hybrid is one by itself, however it was typed."""
    text = re.sub(r"(?<!\S)[xX](?=\s)", _HYBRID, text.translate(_QUOTES))
    return _WORD.findall(text.replace(_HYBRID, f" {_HYBRID} "))


def _is_epithet(word: str) -> bool:
    return word.islower() and _is_word(word)


def _is_word(word: str) -> bool:
    return len(word) > 1 and word.replace("-", "").isalpha()
