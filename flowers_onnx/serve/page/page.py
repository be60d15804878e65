"""The page in each of its languages, with the headers that go with it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from string import Template
from unicodedata import normalize
from urllib.parse import quote

from flowers_onnx.metadata import Label
from flowers_onnx.serve.page.texts import LANGUAGES, SCRIPT, TEXTS
from flowers_onnx.web import assets, heat
from flowers_onnx.web.words import Words, safe

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-50 -50 100 100">'
    '<g fill="#c8789f"><ellipse id="p" cy="-28" rx="14" ry="20"/>'
    + "".join(f'<use href="#p" transform="rotate({turn})"/>' for turn in range(60, 360, 60))
    + '</g><circle r="12" fill="#f2c14e"/></svg>'
)

#: What the page may do beside running its own style and script.
_MORE = {
    "connect-src": "'self'",
    "img-src": "blob: data:",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
}


class Page:
    """The page of one server, made once, when it is wanted.

    ``auth`` is ``keys``, ``iam`` or ``none``: a field for the key is there only if one is wanted.
    ``keeps`` (photos), ``traces`` (answers) and ``keep_exif`` are what the page says is kept;
    ``max_body`` (bytes) is told before anything is sent; ``labels`` are what the model knows, and
    ``rejects`` says whether it tells a photo that shows none of them, ``explains`` whether it can
    tell why.
    """

    def __init__(
        self,
        *,
        auth: str,
        keeps: bool,
        traces: bool,
        keep_exif: bool,
        max_body: int,
        version: str,
        model: str,
        labels: Sequence[Label],
        explains: bool,
        rejects: bool = False,
    ) -> None:
        self._auth, self._max_body, self._labels = auth, max_body, labels
        self._explains = explains
        self._about_key = "about_rejects" if rejects else "about"
        self._kept = "traced" if traces else "not_kept"
        if keeps:
            self._kept = "kept_exif" if keep_exif else "kept"
        self._given = {"version": safe(version), "model": safe(model)}

    def render(
        self, accept_language: str | None, lang: str | None = None
    ) -> tuple[bytes, dict[str, str]]:
        """The body and its headers, in ``lang`` or else in the language that is accepted most."""
        return self._answers[lang if lang in LANGUAGES else negotiate(accept_language)]

    @cached_property
    def _answers(self) -> dict[str, tuple[bytes, dict[str, str]]]:
        return {lang: self._answer(Words(lang, TEXTS[lang])) for lang in LANGUAGES}

    def _answer(self, words: Words) -> tuple[bytes, dict[str, str]]:
        css = assets.style(__package__, "page.css") + heat.style()
        script = "".join(assets.read(__package__, name) for name in ("heat.js", "page.js"))
        html = Template(assets.read(__package__, "page.html")).substitute(
            words.all(),
            **self._given,
            css=css,
            script=script,
            lang=words.lang,
            icon=f"data:image/svg+xml,{quote(_ICON)}",
            data=safe(self._data(words.lang)),
            switch=_switch(words.lang),
            key=self._key(words),
            formats=words.text("formats", size=_size(self._max_body)),
            kept=words.text(self._kept),
            about=self._about(words),
        )
        body = html.encode()
        return body, {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Language": words.lang,
            "Content-Security-Policy": assets.policy(css, script, _MORE),
            "Referrer-Policy": "no-referrer",
            "Vary": "Accept-Language",
            "Cache-Control": "no-cache",
            "ETag": f'"{sha256(body).hexdigest()[:32]}"',
        }

    def _data(self, lang: str) -> str:
        """What the script needs to know."""
        data = {
            "lang": lang,
            "auth": self._auth,
            "maxBody": self._max_body,
            "size": _size(self._max_body),
            "count": len(self._labels),
            "scale": heat.ANCHORS if self._explains else None,
            "words": SCRIPT[lang],
        }
        return json.dumps(data, ensure_ascii=False, allow_nan=False)

    def _key(self, words: Words) -> str:
        if self._auth == "none":
            return ""
        texts = words.all()
        if self._auth == "iam":
            texts |= {f"key_{part}": texts[f"token_{part}"] for part in ("name", "help", "set")}
        return Template(assets.read(__package__, "key.html")).substitute(texts)

    def _about(self, words: Words) -> str:
        count = len(self._labels)
        named = sorted(self._labels, key=lambda each: _plain(each.name(words.lang)))
        kinds = "".join(
            f'<li>{safe(each.name(words.lang))} <i lang="la">{safe(each.scientific_name or "")}</i>'
            for each in named
        )
        return (
            f"<p>{words.text(self._about_key, count=count)}</p>\n<details><summary>"
            f'{words.text("kinds", count=count)}</summary><ul class="kinds">{kinds}</ul></details>'
        )


_RANGE = re.compile(
    r"\s*([a-z]{1,8})(?:-[a-z0-9-]*)?\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?))?\s*", re.IGNORECASE
)


def negotiate(accept_language: str | None) -> str:
    """The page's language that an Accept-Language header weighs most; English where none is."""
    best, found = 0.0, "en"
    for part in (accept_language or "").split(","):
        match = _RANGE.fullmatch(part)
        if match is None or (lang := match[1].lower()) not in LANGUAGES:
            continue
        weight = float(match[2] or 1)
        if weight > best:
            best, found = weight, lang
    return found


def _switch(lang: str) -> str:
    """A link to each other language."""
    return " ".join(
        f'<a href="?lang={other}" lang="{other}" hreflang="{other}">{name}</a>'
        for other, name in LANGUAGES.items()
        if other != lang
    )


def _size(count: int) -> str:
    """``32 MB``, for people: rounded down."""
    space = "\N{NO-BREAK SPACE}"
    return f"{count >> 20}{space}MB" if count >= 1 << 20 else f"{count >> 10}{space}KB"


def _plain(name: str) -> str:
    """To sort by: without accents."""
    decomposed = normalize("NFD", name)
    return "".join(one for one in decomposed if "a" <= one.lower() <= "z")
