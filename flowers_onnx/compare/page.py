"""A comparison as a page for a class-room, to show or to print; it needs no script, no network."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from itertools import islice
from string import Template

from PIL import Image

from flowers_onnx import __version__
from flowers_onnx.compare.comparison import Comparison, Told
from flowers_onnx.compare.drawings import bar, dot, dots
from flowers_onnx.compare.pictures import Pictures, Shown
from flowers_onnx.compare.subject import EXAMPLES, Subject
from flowers_onnx.compare.texts import TEXTS
from flowers_onnx.confusion import ELSEWHERE, VALIDATION
from flowers_onnx.metadata import Label
from flowers_onnx.results import Prediction
from flowers_onnx.web import assets
from flowers_onnx.web.images import data_url
from flowers_onnx.web.words import Words, safe

#: Pixels a side of example photos, but for the first one.
_SMALL = 240
_CANDIDATES = 3


class Page:
    """A page with names in ``lang`` first, and words in English or Spanish."""

    def __init__(self, comparison: Comparison, lang: str, pictures: Pictures) -> None:
        self._comparison, self._lang, self._pictures = comparison, lang, pictures
        self._words = Words.around(lang, TEXTS)
        self._labels = [comparison.label(side) for side in comparison.sides]

    def parts(self) -> Iterator[str]:
        """The page from its first character to its last."""
        head, tail = assets.page(__package__, "compare.html").split("$sides")
        css = assets.style(__package__, "compare.css")
        values = {
            **self._words.all(),
            "css": css,
            "policy": assets.policy(css, "", {"img-src": "data:"}),
            "lang": self._words.lang,
            "version": __version__,
            "title": self._title(),
            "model": self._words.text("model", model=self._comparison.info.id),
            "note": self._note(),
            "kinship": self._kinship(),
            "likeness": self._likeness(),
            "confusions": "".join(self._confusions()),
            "meaning": "".join(f"<p>{text}</p>\n" for text in self._meaning()),
        }
        yield Template(head).substitute(values)
        for side in self._comparison.sides:
            yield from self._side(side)
        yield Template(tail).substitute(values)

    def _side_of(self, side: Subject) -> str:
        return "b" if side is self._comparison.b else "a"

    def _name(self, label: Label | None) -> str:
        return label.name(self._lang) if label else self._words.texts["no_name"]

    def _title(self) -> str:
        a, b = map(self._name, self._labels)
        same = self._comparison.kinship == "species"
        return self._words.text("title_same" if same else "title", a=a, b=b)

    def _side(self, side: Subject) -> Iterator[str]:
        label, words = self._comparison.label(side), self._words
        yield f'<section class="{self._side_of(side)}">\n'
        if label is None:
            message = side.failure.message if side.failure else ""
            yield f"<h2>{words.text('failed')}</h2>\n"
            yield f"<p><bdi>{safe(side.given)}</bdi> {safe(message)}</p>\n</section>\n"
            return
        yield f"<h2{_lang_of(self._lang, label)}>{safe(self._name(label))}</h2>\n"
        yield f'<p class="names">{self._other_names(label)}</p>\n'
        shown = self._pictures.of(side)
        examples = islice(self._pictures.examples(side), EXAMPLES)
        if shown is None:
            shown = next(examples, None)
        if shown is not None:
            name = safe(os.path.basename(shown.name))
            yield _figure(shown.image, f"<bdi>{name}</bdi>", name)
        if side.prediction is not None:
            yield self._answer(side.prediction, label, shown)
        yield self._groups(label)
        yield self._more(examples, shown, label)
        yield "</section>\n"

    def _other_names(self, label: Label) -> str:
        names = {code: label.name(code) for code in ("la", "es", "en") if code != self._lang}
        seen = {label.name(self._lang)}
        found = []
        for code, name in names.items():
            if name not in seen:
                found.append(f"<span{_lang_of(code, label)}>{safe(name)}</span>")
                seen.add(name)
        return " · ".join(found)

    def _groups(self, label: Label) -> str:
        rows = {"genus": label.genus, "family": label.family}
        cells = "".join(
            f'<div><dt>{self._words.text(key)}</dt><dd lang="la">{safe(value)}</dd></div>'
            for key, value in rows.items()
            if value
        )
        return f"<dl>{cells}</dl>\n" if cells else ""

    def _answer(self, prediction: Prediction, label: Label, shown: Shown | None) -> str:
        words, name = self._words, self._name(label)
        if prediction.known is False:
            said = words.text("not_known", count=len(self._comparison.info.labels), label=name)
        else:
            said = words.text("says", label=name)
        rows = "".join(
            f"<li>{safe(one.label)} <b>{safe(words.percent(one.confidence))}</b>"
            f"{bar(one.confidence)}</li>"
            for one in prediction.top[:_CANDIDATES]
        )
        heat = ""
        if shown is not None and shown.heat is not None:
            told = {key: words.text(key, label=name) for key in ("heat", "heat_alt")}
            heat = _figure(shown.heat, told["heat"], told["heat_alt"])
        return (
            f'<div class="answer">{heat}<div><p class="says">{said}</p>\n'
            f'<ol class="bars" aria-label="{words.text("chances")}">{rows}</ol></div></div>\n'
        )

    def _more(self, examples: Iterable[Shown], shown: Shown | None, label: Label) -> str:
        small = "".join(map(_small, examples))
        if small:
            title = self._words.text("more", label=self._name(label))
            return f'<h3>{title}</h3>\n<div class="more">{small}</div>\n'
        if shown is None and self._pictures.has_index:
            return f'<p class="soft">{self._words.text("none", label=self._name(label))}</p>\n'
        return ""

    def _note(self) -> str:
        if self._pictures.has_index:
            return ""
        asked = " ".join(shlex.quote(side.given) for side in self._comparison.sides)
        typed = (
            "flowers similar --index photos.index --add PHOTOS\n"
            f"flowers compare {asked} --index photos.index --out page.html"
        )
        return (
            f'<aside class="note"><p>{self._words.text("no_index")}</p>'
            f"<pre><code>{safe(typed)}</code></pre></aside>"
        )

    def _kinship(self) -> str:
        a, b = self._labels
        if a is None or b is None or self._comparison.kinship is None:
            return f"<p>{self._words.text('kin_unknown')}</p>"
        values = {
            "a": self._name(a), "b": self._name(b),
            "genus": a.genus or "", "genus_a": a.genus or "", "genus_b": b.genus or "",
            "family": a.family or "", "family_a": a.family or "", "family_b": b.family or "",
        }  # fmt: skip
        return f"<p>{self._words.text(f'kin_{self._comparison.kinship}', **values)}</p>"

    def _likeness(self) -> str:
        comparison, words = self._comparison, self._words
        found = []
        if (alike := comparison.photos_alike) is not None:
            found.append(self._meter("photos_alike", alike, "photo"))
            if comparison.mark:
                key = "copy" if comparison.mark == "copy" else "near"
                found.append(f"<p>{words.text(key)}</p>")
        if (alike := comparison.species_alike) is not None:
            found.append(self._meter("species_alike", alike, "species"))
            share = comparison.pairs_less_alike or 0
            found.append(f"<p>{words.text('pairs', count=int(100 * share))}</p>")
        if comparison.likeness is not None:
            sides = comparison.sides if comparison.positions else comparison.sides[:1]
            found.append(f'<div class="next">{"".join(map(self._next, sides))}</div>')
        return "\n".join(found) or f"<p>{words.text('no_likeness')}</p>"

    def _next(self, side: Subject) -> str:
        """What the model would say if it weren't the species of a side."""
        comparison, words = self._comparison, self._words
        label, other = comparison.label(side), comparison.label(comparison.other(side))
        if label is None:
            return ""
        rows = "".join(
            f"<li>{f'<b>{name}</b>' if one == other else name}</li>"
            for one in comparison.next(side)
            if (name := safe(self._name(one)))
        )
        told = f"<h3>{words.text('next', a=self._name(label))}</h3><ol>{rows}</ol>"
        place = comparison.place(side)
        if place is not None and other not in comparison.next(side):
            others = len(comparison.info.labels) - 1
            told += f"<p>{words.text('place', b=self._name(other), place=place, others=others)}</p>"
        return f'<div class="{self._side_of(side)}">{told}</div>'

    def _meter(self, key: str, alike: float, kind: str) -> str:
        number = f"{100 * alike:.0f}\N{NO-BREAK SPACE}%"
        return (
            f'<p class="meter {kind}"><span>{self._words.text(key)}</span> <b>{number}</b>'
            f"{bar(max(alike, 0))}</p>"
        )

    def _confusions(self) -> Iterator[str]:
        comparison, words = self._comparison, self._words
        if comparison.confusions is None:
            yield f"<p>{words.text('no_evaluation')}</p>"
            return
        sets = comparison.told()
        yield f'<p class="soft">{words.text("mixed_text")}</p>\n'
        if not sets:
            yield f"<p>{words.text('no_set')}</p>"
            return
        for one in sets:
            known = one.name in {VALIDATION, ELSEWHERE}
            title = words.text(one.name) if known else safe(one.name)
            yield f"<h3>{title}</h3>\n"
            yield from self._set(one)
        keys = ["right", *(["taken"] if comparison.positions else []), "else"]
        legend = "".join(
            f'<li><svg viewBox="0 0 10 10" aria-hidden="true">{dot(key)}</svg> '
            f"{words.text(f'key_{key}')}</li>"
            for key in keys
        )
        yield f'<ul class="key">{legend}</ul>\n'

    def _set(self, told: Told) -> Iterator[str]:
        a, b = map(self._name, self._labels)
        sides = [("a", told.a, a, b), ("b", told.b, b, a)]
        for side, counts, name, other in sides if self._comparison.positions else sides[:1]:
            photos, right, taken = counts
            if not self._comparison.positions:
                text = self._words.text("right", photos=photos, a=name, count=right)
                taken = 0
            elif not photos:
                text = self._words.text("no_photos", a=name)
            else:
                text = self._words.text(
                    _taken_key(photos, taken), photos=photos, a=name, b=other, count=taken
                )
            drawn = dots(right, taken, photos - right - taken)
            sentence = text.replace("..", ".")  # of a name that ends with one
            yield f'<div class="count {side}"><p>{sentence}</p>{drawn}</div>\n'

    def _meaning(self) -> Iterator[str]:
        comparison = self._comparison
        if (comparison.photos_alike, comparison.species_alike) != (None, None):
            yield self._words.text("about_photos")
        if comparison.species_alike is not None:
            yield self._words.text("about_species")
        if comparison.likeness is not None:
            yield self._words.text("about_place")


def _taken_key(photos: int, taken: int) -> str:
    if photos == 1:
        return "taken_one" if taken else "taken_one_none"
    return {0: "taken_none", 1: "taken_single"}.get(taken, "taken")


def _figure(image: Image.Image, caption: str, alt: str) -> str:
    """Both texts are HTML."""
    return (
        f'<figure><img src="{data_url(image)}" alt="{alt}" width="{image.width}" '
        f'height="{image.height}"><figcaption>{caption}</figcaption></figure>\n'
    )


def _small(shown: Shown) -> str:
    name = safe(os.path.basename(shown.name))
    image = shown.image.resize((_SMALL, _SMALL), Image.Resampling.LANCZOS)
    return _figure(image, f"<bdi>{name}</bdi>", name)


def _lang_of(code: str, label: Label) -> str:
    """The attribute of a name in a language, which an English one may stand in for."""
    real = code if label.name(code) != label.label else "en"
    return f' lang="{real}"'
