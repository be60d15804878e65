"""The page as HTML, a piece at a time; every text of the results is escaped."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from string import Template
from typing import TypeVar

from flowers_onnx import __version__
from flowers_onnx.report.summary import Species, Summary, species_of
from flowers_onnx.report.thumbnails import SIZE, Thumbnail
from flowers_onnx.results import Failure, Prediction
from flowers_onnx.storage.uris import link, name_of, path_in_text
from flowers_onnx.web import assets, heat
from flowers_onnx.web.words import Words, safe

Thumbnails = Callable[[Iterable[Prediction]], Iterable[Thumbnail]]
K = TypeVar("K", Species, str)

#: Bars that are seen before the rest is unfolded.
_FIRST_BARS = 20
#: The group of what is no species of the model.
_UNKNOWN = "unknown"
#: What the filter calls the kinds of groups.
_KINDS = {"named": "ok", _UNKNOWN: "unknown", "wrong": "error"}
#: Of a name in a chart; longer ones are cut.
_MOST_LETTERS = 36

#: Between "nz" and "o".
_EGNE = "n\U0010ffff"
_APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}"


@dataclass(slots=True)
class Page:
    """One page about ``name``; ``folder`` is where it will be, None if that isn't known.

    ``edge`` is there if photos have heat maps: what these leave free at each side of a thumbnail,
    as a share of it. ``lacking`` counts the photos that couldn't be shown, once the parts have
    been written.
    """

    summary: Summary
    name: str
    folder: str | None
    words: Words
    edge: float | None = None
    lacking: int = field(default=0, init=False)

    def parts(self, thumbnails: Thumbnails) -> Iterator[str]:
        """The page from its first character to its last."""
        head, tail = assets.page(__package__, "report.html").split("$groups")
        values = self._values()
        yield Template(head).substitute(values)
        yield from self._photo_groups(thumbnails)
        yield from self._error_groups()
        yield Template(tail).substitute(values, after=self._lacking_note())

    def _values(self) -> dict[str, str]:
        words, counts = self.words, self.summary
        totals = {
            "images": counts.total,
            "species_found": len(counts.species),
            **({"not_known": counts.not_known} if counts.not_known else {}),
            "errors_found": counts.errors.total(),
        }
        shown = {species_of(photo) for photo in counts.photos}
        species = [(kind.label, count, kind in shown) for kind, count in _ranked(counts.species)]
        codes = {failure.code for failure in counts.failures}
        errors = [(code, count, code in codes) for code, count in _ranked(counts.errors)]
        charts = [_chart(words, "by_species", species, "s"), _chart(words, "by_error", errors, "e")]
        both = " both" if all(charts) else ""
        css = assets.style(__package__, "report.css") + "".join(
            f".bars.{prefix} {{ --name: {0.95 * _letters(names):.2f}ch; }}\n"
            for prefix, names in (("s", species), ("e", errors))
        )
        if self.edge is not None:
            css += assets.read(__package__, "why.css") + heat.style()
            css += f".heat {{ --edge: {self.edge:.2%}; }}\n"
        script = assets.read(__package__, "report.js")
        return {
            **words.all(),
            "css": css,
            "script": script,
            "policy": assets.policy(css, script, {"img-src": "data:"}),
            "lang": words.lang,
            "version": __version__,
            "title": words.text("title", name=self.name),
            "totals": "".join(
                f"<li>{words.text(key)} <strong>{words.number(count)}</strong></li>"
                for key, count in totals.items()
            ),
            "model": words.text("model", models=", ".join(sorted(counts.models))),
            "notes": self._head_notes(),
            **self._why(),
            "charts": f'<div class="charts{both}">\n{"".join(charts)}</div>',
        }

    def _why(self) -> dict[str, str]:
        """The tick for all maps, and what they mean."""
        if self.edge is None:
            return {"why_tick": "", "why_legend": ""}
        words, box = self.words, '<input type="checkbox" name="why">'
        tick = f'<label class="all">{box}{words.text("why_all")}</label>\n'
        meaning = f'<span class="scale"></span>{words.text("why_means")}'
        return {"why_tick": tick, "why_legend": f'<p class="legend">{meaning}</p>\n'}

    def _head_notes(self) -> str:
        words, counts = self.words, self.summary
        notes = ""
        if counts.left_out:
            figures = {
                "shown": counts.total - counts.left_out,
                "all": counts.total,
                "left_out": counts.left_out,
            }
            notes += _note(words.text("left_out", **figures))
        return notes

    def _lacking_note(self) -> str:
        return _note(self.words.text("lacking", count=self.lacking)) if self.lacking else ""

    def _photo_groups(self, thumbnails: Thumbnails) -> Iterator[str]:
        """One for each species, and behind them one for what is none of them."""
        members: defaultdict[Species | None, list[Prediction]] = defaultdict(list)
        for photo in self.summary.photos:
            members[species_of(photo)].append(photo)
        for photos in members.values():
            photos.sort(key=lambda photo: -photo.confidence)
        ranked: list[tuple[Species | None, int]] = [*_ranked(self.summary.species)]
        ranked.append((None, self.summary.not_known))
        pictures = iter(thumbnails([photo for kind, _ in ranked for photo in members[kind]]))
        for position, (kind, total) in enumerate(ranked):
            shown = len(members[kind])
            if not shown:
                continue
            name = f'<span class="name">{self._species_name(kind)}</span>'
            anchor, style = (f"s{position}", "named") if kind else (_UNKNOWN, _UNKNOWN)
            yield self._group_head(anchor, style, name, shown, total)
            yield '<ul class="photos">\n'
            for photo in members[kind]:
                yield self._card(photo, next(pictures))
            yield "</ul>\n</section>\n"

    def _species_name(self, kind: Species | None) -> str:
        if kind is None:
            return self.words.text("none_of_them")
        if kind.scientific_name:
            return f'{safe(kind.label)} <i lang="la">{safe(kind.scientific_name)}</i>'
        return safe(kind.label)

    def _error_groups(self) -> Iterator[str]:
        members: defaultdict[str, list[Failure]] = defaultdict(list)
        for failure in self.summary.failures:
            members[failure.code].append(failure)
        for position, (code, total) in enumerate(_ranked(self.summary.errors)):
            if not members[code]:
                continue
            name = f'<code class="name">{safe(code)}</code>'
            yield self._group_head(f"e{position}", "wrong", name, len(members[code]), total)
            yield '<ul class="failures">\n'
            yield from map(self._failure, members[code])
            yield "</ul>\n</section>\n"

    def _group_head(self, anchor: str, style: str, name: str, shown: int, total: int) -> str:
        words = self.words
        count = words.number(total)
        if shown < total:
            count = words.text("of", shown=shown, all=total)
        return (
            f'<section class="group {style}" id="{anchor}" data-kind="{_KINDS[style]}" '
            f'data-size="{shown}">\n'
            f'<h3>{name} <span class="count" data-total="{total}">{count}</span></h3>\n'
        )

    def _card(self, photo: Prediction, thumbnail: Thumbnail) -> str:
        words, path = self.words, photo.path or ""
        name, confidence = _name(path), words.percent(photo.confidence)
        # Beside the name, for those who hear the page.
        alt = words.text(
            "alt_none" if photo.known is False else "alt",
            label=photo.label, confidence=confidence, name=name,
        )  # fmt: skip
        tick = ""
        if thumbnail.url:
            picture = (
                f'<img src="{thumbnail.url}" alt="{alt}" width="{SIZE}" height="{SIZE}" '
                'loading="lazy" decoding="async">'
            )
            if thumbnail.map:
                place = words.text("why_place", place=heat.PLACES[words.lang][thumbnail.map.place])
                picture += f'<img class="heat" src="{thumbnail.map.url}" alt="{place}">'
                tick = f'<label class="why"><input type="checkbox">{words.text("why")}</label>'
        else:
            self.lacking += 1
            reason = words.text(thumbnail.lack or "gone")
            picture = f'<span class="lack" role="img" aria-label="{alt}, {reason}">{reason}</span>'
        local = path_in_text(path)
        if thumbnail.lack == "gone" or local is None:  # nothing to open: only its name to show
            opener = f'<button type="button">{picture}</button>'
        else:
            opener = f'<a href="{link(local, self.folder)}" target="_blank">{picture}</a>'
        candidates = "".join(
            f"<li><b>{safe(one.label)}</b> <span>{safe(words.percent(one.confidence))}</span></li>"
            for one in photo.top
        )
        latin = f'<p lang="la">{safe(photo.scientific_name)}</p>' if photo.scientific_name else ""
        return (
            f'<li data-confidence="{photo.confidence * 100:.4f}">{opener}'
            f'<div class="more"><ol>{candidates}</ol>{latin}'
            f'<p><bdi class="path">{safe(path)}</bdi></p></div>'
            f'<p class="caption">{tick}<b>{safe(confidence)}</b> {self._names(photo)}'
            f"<bdi>{safe(name)}</bdi></p></li>\n"
        )

    def _names(self, photo: Prediction) -> str:
        """All that a photo may show, or what is nearest to it where it shows none of it."""
        text = ""
        if photo.known is False:
            text = self.words.text("closest", label=photo.label)
        elif len(photo.prediction_set) > 1:
            labels = ", ".join(one.label for one in photo.prediction_set)
            text = self.words.text("one_of", labels=labels)
        return text and f'<span class="names">{text}</span> '

    def _failure(self, failure: Failure) -> str:
        path = failure.path or ""
        local = path_in_text(path)
        shown = f'<bdi class="path">{safe(path)}</bdi>'
        if local is not None and os.path.isfile(local):
            shown = f'<a href="{link(local, self.folder)}" target="_blank">{shown}</a>'
        return f"<li>{shown} <span>{safe(failure.message)}</span></li>\n"


def _ranked(counts: Counter[K]) -> list[tuple[K, int]]:
    """The most frequent first, equals by name."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], _as_listed(pair[0])))


def _as_listed(key: Species | str) -> tuple[list[str], str]:
    """What sorts as a dictionary does: by letters alone, é as e, but ñ behind n."""
    label = key if isinstance(key, str) else key.label
    text = unicodedata.normalize("NFKD", label.casefold()).replace("n\N{COMBINING TILDE}", _EGNE)
    letters = (one for one in text if not unicodedata.combining(one) and one not in _APOSTROPHES)
    words = "".join(one if one.isalnum() or one in _EGNE else " " for one in letters)
    return words.split(), repr(key)


def _note(text: str) -> str:
    return f'<p class="note">{text}</p>\n'


def _name(path: str) -> str:
    return name_of(path) or path or "-"


def _letters(counts: Sequence[tuple[str, int, bool]]) -> int:
    """How long the longest name is, if it isn't too long."""
    return min(max((len(name) for name, _, _ in counts), default=0), _MOST_LETTERS)


def _chart(words: Words, title: str, counts: Sequence[tuple[str, int, bool]], prefix: str) -> str:
    """A chart of names and their counts, the largest first; nothing for none.

    Bar ``i`` links to ``#{prefix}{i}`` if the third value says that this is on the page.
    """
    lines = []
    for position, (name, count, linked) in enumerate(counts):
        bar = (
            f'<span class="what">{safe(name)}</span><svg aria-hidden="true">'
            f'<rect width="{100 * count / counts[0][1]:.2f}%" height="100%" rx="2"/></svg>'
            f'<span class="count">{words.number(count)}</span>'
        )
        if linked:
            lines.append(f'<li><a href="#{prefix}{position}">{bar}</a></li>\n')
        else:
            lines.append(f'<li><span class="bar">{bar}</span></li>\n')
    if not lines:
        return ""
    chart = _bar_list(lines[:_FIRST_BARS], prefix)
    if rest := lines[_FIRST_BARS:]:
        label = words.text("more", count=len(rest))
        chart += f"<details><summary>{label}</summary>{_bar_list(rest, prefix)}</details>"
    anchor = title.replace("_", "-")
    heading = f'<h2 id="{anchor}">{words.text(title)}</h2>'
    return f'<section aria-labelledby="{anchor}">\n{heading}\n{chart}\n</section>\n'


def _bar_list(lines: list[str], prefix: str) -> str:
    return f'<ol class="bars {prefix}">\n{"".join(lines)}</ol>\n'
