"""A page of explained photos as HTML, a piece at a time; it needs no script and no network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from string import Template

from PIL import Image

from flowers_onnx import __version__
from flowers_onnx.explain.photos import SIDE, Explained
from flowers_onnx.explain.texts import TEXTS
from flowers_onnx.metadata import ModelInfo
from flowers_onnx.photos import display_path
from flowers_onnx.results import Candidate, Failure
from flowers_onnx.web import assets, heat
from flowers_onnx.web.images import data_url
from flowers_onnx.web.words import Words, safe

#: Pixels a side of the heat map, which is smooth and lies over the photo, enlarged.
_HEAT_SIDE = 56


class Page:
    """A page with names in ``lang``, and words in English or Spanish."""

    def __init__(self, info: ModelInfo, lang: str) -> None:
        self._info = info
        self._words = Words.around(lang, TEXTS)

    def parts(self, photos: Iterable[Explained | Failure]) -> Iterator[str]:
        """The page from its first character to its last."""
        head, tail = assets.page(__package__, "explain.html").split("$photos")
        css = heat.style() + assets.style(__package__, "explain.css")
        values = {
            **self._words.all(),
            "css": css,
            "policy": assets.policy(css, "", {"img-src": "data:"}),
            "lang": self._words.lang,
            "version": __version__,
            "model": self._words.text("model", model=self._info.id),
        }
        yield Template(head).substitute(values)
        for photo in photos:
            if isinstance(photo, Failure):
                yield self._failure(photo)
            else:
                yield self._card(photo)
        yield Template(tail).substitute(values)

    def _card(self, photo: Explained) -> str:
        words, explanation = self._words, photo.explanation
        prediction, candidate = explanation.prediction, explanation.candidate
        speaks = words.text("speaks", label=candidate.label)
        name, marked = safe(display_path(photo.name)), words.text("heat_alt", label=candidate.label)
        small = heat.heat_rgba(explanation.heat.cells, (_HEAT_SIDE, _HEAT_SIDE))
        over = Image.fromarray(small, "RGBA")
        shown = list(prediction.top)
        if candidate not in shown:
            shown.append(candidate)
        names = "".join(self._line(one, is_it=one == candidate) for one in shown)
        return (
            '<section class="photo">\n<figure><div class="stack">'
            f'<img src="{data_url(Image.fromarray(photo.pixels))}" alt="{name}" '
            f'width="{SIDE}" height="{SIDE}">'
            f'<img class="heat" src="{data_url(over)}" alt="{marked}"></div>'
            f"<figcaption>{speaks} · <bdi>{name}</bdi></figcaption></figure>\n"
            f'<div class="names">{self._heading(photo)}<ol>{names}</ol></div>\n</section>\n'
        )

    def _heading(self, photo: Explained) -> str:
        words, prediction = self._words, photo.explanation.prediction
        if prediction.known is False:
            name = words.text("not_known", count=len(self._info.labels))
            closest = f"{words.text('closest')} {safe(prediction.label)}"
            return f"<h2>{name}</h2><p>{closest}</p>"
        latin = prediction.scientific_name
        below = f'<p lang="la">{safe(latin)}</p>' if latin and latin != prediction.label else ""
        return f"<h2>{safe(prediction.label)}</h2>{below}"

    def _line(self, one: Candidate, *, is_it: bool) -> str:
        mark = ' class="it"' if is_it else ""
        return (
            f"<li{mark}><span>{safe(one.label)}</span> "
            f"<b>{safe(self._words.percent(one.confidence))}</b>"
            f'<svg aria-hidden="true"><rect width="{100 * one.confidence:.2f}%" height="100%"/>'
            "</svg></li>"
        )

    def _failure(self, failure: Failure) -> str:
        return (
            f'<section class="failure"><h2>{self._words.text("failed")}</h2>'
            f"<p><bdi>{safe(failure.path or '-')}</bdi> {safe(failure.message)}</p></section>\n"
        )
