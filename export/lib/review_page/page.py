"""The page as one HTML text; every text of photos and classes is escaped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from string import Template

from flowers_onnx.metadata import Label
from flowers_onnx.report.thumbnails import SIZE, Thumbnail
from flowers_onnx.serve.trace.review import CONFIRMED, CORRECTED, THROWN_OUT
from flowers_onnx.storage.uris import link
from flowers_onnx.web import assets
from flowers_onnx.web.words import Words, safe

_EN = Words("en", {})


@dataclass(frozen=True)
class Choice:
    """A class that the photo may show; ``confidence`` is None if the model doesn't say."""

    class_id: str
    confidence: float | None


@dataclass(frozen=True)
class Card:
    """A photo to look at: its place in the list, and what it may show, the likeliest first."""

    row: int
    choices: Sequence[Choice]


def page(
    folder: Path,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, str]],
    cards: Sequence[Card],
    pictures: Iterable[Thumbnail],
    labels: Sequence[Label],
    model: str,
    *,
    name: str,
    left_out: int,
) -> str:
    """The page for ``folder``; ``rows`` are the whole list, ``cards`` what is shown of it."""
    css = assets.style(__package__, "page.css")
    script = assets.read(__package__, "page.js")
    names = _names(labels)
    key = sha256(json.dumps([str(folder.resolve()), [row["file"] for row in rows]]).encode())
    data = {
        "columns": columns,
        "rows": rows,
        "words": {"confirmed": CONFIRMED, "corrected": CORRECTED, "out": THROWN_OUT},
        "key": f"flowers review {key.hexdigest()[:16]}",
    }
    note = f"<p>{left_out:,} more are left for another page: make it again after this one.</p>"
    return Template(assets.read(__package__, "page.html")).substitute(
        policy=assets.policy(css, script, {"img-src": "data:"}),
        title=safe(f"Review of {folder.resolve().name}"),
        css=css,
        script=script,
        list=safe(str(folder / name)),
        name=safe(name),
        model=safe(model),
        notes=note if left_out else "",
        cards="".join(
            _card(folder, rows[card.row], card, picture, names)
            for card, picture in zip(cards, pictures, strict=True)
        ),
        classes="".join(
            f'<option value="{safe(text)}" data-id="{safe(class_id)}"></option>'
            for class_id, text in names.items()
        ),
        data=json.dumps(data).replace("<", "\\u003c"),
    )


def _names(labels: Sequence[Label]) -> dict[str, str]:
    """What a class is called here, by its id: with the id where two have one name."""
    counts = Counter(label.label for label in labels)
    return {
        str(one.class_id): one.label if counts[one.label] == 1 else f"{one.label} ({one.class_id})"
        for one in labels
    }


def _card(
    folder: Path,
    row: Mapping[str, str],
    card: Card,
    picture: Thumbnail,
    names: Mapping[str, str],
) -> str:
    file = row["file"].replace("\\", "/")
    if picture.url:
        shown = f'<img src="{picture.url}" alt="" width="{SIZE}" height="{SIZE}" loading="lazy">'
    else:
        shown = '<span class="lack">can\'t be read here</span>'
    short = file.rpartition("/")[2]
    target = safe(link(str(folder / file), str(folder)))
    choices = "".join(_choice(card.row, choice, names) for choice in card.choices)
    return (
        f'<li data-row="{card.row}"><a href="{target}" target="_blank" '
        f'aria-label="the whole of {safe(file)}">{shown}</a>\n'
        f'<fieldset><legend title="{safe(file)}"><bdi>{safe(short)}</bdi></legend>\n'
        f"{choices}"
        f'<label><input type="radio" name="r{card.row}" value="other" aria-label="another class">'
        '<input list="classes" placeholder="another" aria-label="name of the other class">'
        "</label>\n"
        f'<label><input type="radio" name="r{card.row}" value="out">{THROWN_OUT}</label>\n'
        "</fieldset></li>\n"
    )


def _choice(row: int, choice: Choice, names: Mapping[str, str]) -> str:
    share = "" if choice.confidence is None else safe(_EN.percent(choice.confidence))
    return (
        f'<label><input type="radio" name="r{row}" value="class" data-id="{safe(choice.class_id)}">'
        f'<span class="named">{safe(names[choice.class_id])}</span>'
        f'<span class="share">{share}</span></label>\n'
    )
