"""One picture of one explained photo: the photo, what speaks for its name, and the names."""

from __future__ import annotations

import functools
import os
import re

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flowers_onnx.explain.photos import SIDE, Explained
from flowers_onnx.explain.texts import TEXTS
from flowers_onnx.results import Candidate
from flowers_onnx.web.heat import colours, heated
from flowers_onnx.web.words import Words

_GAP, _NAMES, _BAR_HEIGHT = 20, 400, 8
_GREY = "#777"  # a photo below a heat map
_PAPER, _INK, _SOFT, _LINE, _BAR = "#fbfaf8", "#23211e", "#625d56", "#dfdad2", "#c8789f"
_TITLE, _TEXT, _SMALL = 28, 19, 15
_RAMP = 14
#: Candidates that are shown, if there is room.
_MOST_NAMES = 5
#: Letters that the font has.
_LETTERS = re.compile(r"[ -~\xa0-\u017f\u2010-\u2026\u2039\u203a\u2212]*")
#: Lines of a name that is too long for one.
_MOST_LINES = 2


def draw(photo: Explained, lang: str, classes: int) -> Image.Image:
    """RGB: the photo, the same with its heat map, and the names, side by side.

    ``lang`` is that of the names, ``classes`` how many the model has.
    """
    paper = Image.new("RGB", (2 * SIDE + _NAMES + 4 * _GAP, SIDE + 2 * _GAP), _PAPER)
    paper.paste(Image.fromarray(photo.pixels), (_GAP, _GAP))
    paper.paste(heated(photo.pixels, photo.explanation.heat.cells), (SIDE + 2 * _GAP, _GAP))
    column = _Column(paper, 2 * SIDE + 3 * _GAP, _GAP)
    _write_names(column, photo, Words.around(lang, TEXTS), classes)
    return paper


def can_write(photo: Explained) -> bool:
    """Whether there is a letter for all that is in its names."""
    prediction, candidate = photo.explanation.prediction, photo.explanation.candidate
    names = [one.label for one in (*prediction.top[:_MOST_NAMES], candidate)]
    return all(map(_LETTERS.fullmatch, [*names, prediction.scientific_name or ""]))


class _Column:
    """Writes from top to bottom."""

    def __init__(self, paper: Image.Image, left: int, top: int) -> None:
        self._paper, self._draw = paper, ImageDraw.Draw(paper)
        self.left, self.top = left, top

    def write(
        self, text: str, size: int, colour: str, width: int = _NAMES, *, lines: int = _MOST_LINES
    ) -> None:
        """So many lines at most; what is too long for these ends in three dots."""
        for line in _wrapped(text, _font(size), width, lines):
            self._draw.text((self.left, self.top), line, fill=colour, font=_font(size))
            self.top += round(size * 1.3)

    def write_right(self, text: str, size: int, colour: str) -> None:
        """At the right, beside what comes next."""
        place = (self.left + _NAMES, self.top)
        self._draw.text(place, text, fill=colour, font=_font(size), anchor="ra")

    def bar(self, share: float) -> None:
        """A bar of this share of the column."""
        right, bottom = self.left + _NAMES - 1, self.top + _BAR_HEIGHT - 1
        self._draw.rectangle((self.left, self.top, right, bottom), fill=_LINE)
        if length := round(share * _NAMES):
            self._draw.rectangle((self.left, self.top, self.left + length - 1, bottom), fill=_BAR)
        self.top += _BAR_HEIGHT

    def ramp(self) -> None:
        """The scale of the heat map, over grey."""
        strip = Image.new("RGBA", (_NAMES, _RAMP), _GREY)
        scale = Image.fromarray(colours()[np.newaxis], "RGBA").resize(strip.size)
        strip.alpha_composite(scale)
        self._paper.paste(strip, (self.left, self.top))
        self.top += _RAMP + 4


def _write_names(column: _Column, photo: Explained, words: Words, classes: int) -> None:
    prediction, candidate = photo.explanation.prediction, photo.explanation.candidate
    texts = words.texts
    if prediction.known is False:
        column.write(texts["not_known"].format(count=classes), _TITLE, _INK)
        column.top += 6
        column.write(f"{texts['closest']} {prediction.label}", _TEXT, _SOFT)
    else:
        column.write(prediction.label, _TITLE, _INK)
        latin = prediction.scientific_name
        column.write("" if latin in (None, prediction.label) else str(latin), _TEXT, _SOFT)
    column.top += 14
    shown: list[Candidate] = list(prediction.top[:_MOST_NAMES])
    if candidate not in shown:
        shown[_MOST_NAMES - 1 :] = [candidate]
    legend = SIDE + _GAP - _RAMP - 4 - 2 * round(_SMALL * 1.3)
    for one in shown:
        if column.top + 2 * round(_TEXT * 1.3) + _BAR_HEIGHT > legend:
            break  # after names of two lines
        colour = _INK if one == candidate else _SOFT
        column.write_right(words.percent(one.confidence), _TEXT, colour)
        column.write(one.label, _TEXT, colour, _NAMES - 110)
        column.bar(one.confidence)
        column.top += 12
    column.top = legend
    column.write(texts["speaks"].format(label=candidate.label), _SMALL, _SOFT, lines=1)
    column.top = SIDE + _GAP - _RAMP - 4 - round(_SMALL * 1.3)
    column.ramp()
    column.write_right(texts["much"], _SMALL, _SOFT)
    column.write(texts["little"], _SMALL, _SOFT)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int, most: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > most:
        lines[most - 1 :] = [f"{lines[most - 1]} ..."]
    return [_cut(line, font, width) for line in lines]


def _cut(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    while font.getlength(line) > width:
        line = f"{line.removesuffix('...')[:-1]}..."
    return line


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """One with the letters of Latin alphabets; Pillow's own has no accents."""
    # Not by importlib.resources, which takes 18 ms to import.
    return ImageFont.truetype(os.path.join(os.path.dirname(__file__), "DejaVuSans-latin.ttf"), size)
