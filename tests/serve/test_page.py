"""The page of ``flowers serve``: its HTML and headers, and what people do with it in a browser."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import axe
import numpy as np
import pytest
from chromium import Chromium, Look, Tab
from fakes.serve import Desk, make_page, page_server
from PIL import Image
from serving import Server, StartServer
from support import Run, noise_pictures, posix, wait_until

from flowers_onnx import Classifier
from flowers_onnx.metadata import Label
from flowers_onnx.serve.page.page import Page, negotiate
from flowers_onnx.serve.page.texts import LANGUAGES, SCRIPT, TEXTS
from flowers_onnx.serve.problems import Problem
from flowers_onnx.web import assets
from flowers_onnx.web.heat import heat_rgba

PHONE = Look(390, 844, touch=True)
SMALL = Look(320, 568, touch=True)
WALL = Look(3840, 2160)

pytestmark = posix

MakePage = Callable[..., Page]
MakeHtml = Callable[..., str]
#: Options of ``Page`` -> a server of that page.
Serve = Callable[..., Desk]


@pytest.fixture(scope="module")
def page(classifier: Classifier) -> MakePage:
    return functools.partial(make_page, classifier)


@pytest.fixture(scope="module")
def html(page: MakePage) -> MakeHtml:
    return lambda lang="en", **options: page(**options).render(None, lang)[0].decode()


# The answer to GET /


@pytest.mark.parametrize(
    ("accepted", "lang"),
    [
        (None, "en"),
        ("", "en"),
        ("es", "es"),
        ("es-MX,es;q=0.9,en;q=0.8", "es"),
        ("ES-es", "es"),
        ("en;q=0.5, es;q=0.7", "es"),
        ("de, fr;q=0.9, es;q=0.1", "es"),
        ("en, es", "en"),
        ("es;q=0", "en"),
        ("*", "en"),
        ("de", "en"),
        ("est, eso", "en"),
        ("es;q=high, \x00,,;;=", "en"),
        ("es;q=0.5;x=y", "en"),
        ("," * 10_000 + "es", "es"),
    ],
)
def test_the_language_is_the_one_that_is_accepted_most(
    page: MakePage, accepted: str | None, lang: str
) -> None:
    assert negotiate(accepted) == lang
    body, headers = page().render(accepted)
    assert headers["Content-Language"] == lang
    assert f'<html lang="{lang}">' in body.decode()
    assert "Accept-Language" in headers["Vary"]


def test_the_switch_says_more_than_the_browser(page: MakePage, html: MakeHtml) -> None:
    assert page().render("es", "en")[1]["Content-Language"] == "en"
    assert page().render("es", "<la>")[1]["Content-Language"] == "es"
    assert 'href="?lang=es"' in html("en")
    assert 'href="?lang=en"' in html("es")


def test_the_policy_names_this_style_and_this_script_and_no_place(page: MakePage) -> None:
    for lang in LANGUAGES:
        body, headers = page().render(None, lang)
        policy = dict(
            one.split(" ", 1) for one in headers["Content-Security-Policy"].split("; ")
        )  # fmt: skip
        text = body.decode()
        for name, directive in (("style", "style-src"), ("script", "script-src")):
            (inside,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
            digest = base64.b64encode(sha256(inside.encode()).digest()).decode()
            assert policy.pop(directive) == f"'sha256-{digest}'"
        assert policy == {
            "default-src": "'none'",
            "connect-src": "'self'",
            "img-src": "blob: data:",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
            "require-trusted-types-for": "'script'",
        }
        markup = re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.DOTALL)
        assert not re.search(r"<[^>]*\s(style|on\w+)\s*=", markup)
        assert "//" not in re.sub(r'<link rel="icon"[^>]*>', "", markup)


def test_the_etag_changes_with_the_page(page: MakePage, server: Server) -> None:
    tags = {page(keeps=keeps).render(None, lang)[1]["ETag"]
            for keeps in (True, False) for lang in LANGUAGES}  # fmt: skip
    assert len(tags) == 4
    assert page().render(None, "es")[1]["ETag"] in tags
    first = server.ask("GET", "/")
    again = server.ask("GET", "/", headers={"If-None-Match": first.headers["etag"]})
    assert (first.status, again.status, again.body) == (200, 304, b"")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "not_kept"),
        ({"keep_exif": True}, "not_kept"),
        ({"traces": True}, "traced"),
        ({"keeps": True}, "kept"),
        ({"keeps": True, "traces": True, "keep_exif": True}, "kept_exif"),
    ],
)
def test_it_says_what_is_kept(html: MakeHtml, lang: str, options: dict[str, Any], key: str) -> None:
    assert f'<p id="kept">{TEXTS[lang][key]}</p>' in html(lang, **options)


def test_it_asks_for_a_key_only_where_one_is_wanted(html: MakeHtml) -> None:
    assert 'type="password"' not in html(auth="none")
    for lang in LANGUAGES:
        assert TEXTS[lang]["key_help"] in html(lang, auth="keys")
        assert TEXTS[lang]["token_help"] in html(lang, auth="iam")
        assert TEXTS[lang]["key_help"] not in html(lang, auth="iam")


def test_names_are_escaped(html: MakeHtml) -> None:
    evil = "</script><script>alert(1)</script>\"'&"
    labels = [Label(1, evil, evil, evil)]
    text = html(version=evil, model=evil, labels=labels)
    assert text.count("<script") == text.count("</script") == 1
    assert text.count("alert(1)") == 4


def test_every_text_is_there_in_both_languages_and_used() -> None:
    fields = re.compile(r"\{\w+\}")
    for table in (TEXTS, SCRIPT):
        assert table["en"].keys() == table["es"].keys()
        for key, text in table["en"].items():
            assert sorted(fields.findall(text)) == sorted(fields.findall(table["es"][key])), key
    module = "flowers_onnx.serve.page"
    used = "".join(assets.read(module, name) for name in ("page.html", "key.html", "page.py"))
    for key in TEXTS["en"]:
        part = key.removeprefix("token_")
        assert f"${key}" in used or f'"{key}"' in used or f'"{part}"' in used, key
    script = assets.read(module, "page.js")
    codes = {"408", "not_an_image", "unsupported", "truncated", "corrupt", "too_large"}
    for key in SCRIPT["en"].keys() - codes:
        assert f"words.{key}" in script or f"words[{key}]" in script, key


# In a browser


@pytest.fixture
def serve(classifier: Classifier) -> Iterator[Serve]:
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(page_server(classifier, **options))


def texts(tab: Tab, selector: str) -> list[str]:
    """What is seen of the elements."""
    found: list[str] = tab.evaluate(
        f"[...document.querySelectorAll({json.dumps(selector)})]"
        ".filter((one) => one.checkVisibility()).map((one) => one.innerText)"
    )
    return found


def until(tab: Tab, selector: str, text: str) -> None:
    """Wait for a text to be seen."""
    wait_until(lambda: any(text in one for one in texts(tab, selector)))


def wait_for_answers(tab: Tab, count: int = 1) -> None:
    done = "document.querySelectorAll('#cards > li:not([aria-busy])').length"
    wait_until(lambda: tab.evaluate(done) == count)


def foreign(tab: Tab) -> list[str]:
    """What the page asked for elsewhere; its own photos have ``blob:`` URLs of their own."""
    own = tab.url.rstrip("/") + "/"
    return [url for url in tab.requests if not url.removeprefix("blob:").startswith(own)]


def use_key(tab: Tab, key: str) -> None:
    tab.evaluate(f"document.getElementById('secret').value = {json.dumps(key)}")
    tab.evaluate("document.getElementById('secret').focus()")
    tab.press("Enter")


def test_a_photo_gets_its_name(browser: Chromium, server: Server, sample: Path) -> None:
    sure = round(100 * server.classify(sample.read_bytes()).json["confidence"])
    tab = browser.open(server.url, lang="en")
    assert tab.evaluate("document.getElementById('results').checkVisibility()") is False
    tab.choose("#files", sample)
    wait_for_answers(tab)
    assert texts(tab, "h3") == ["Pink-yellow dahlia"]
    assert texts(tab, ".latin") == ["Dahlia spp."]
    assert texts(tab, ".best b") == [f"{sure}\N{NO-BREAK SPACE}%"]
    assert len(texts(tab, ".others li")) == 4
    assert tab.evaluate("document.querySelector('.best rect').getAttribute('width')")[:2] == str(
        sure
    )
    assert texts(tab, ".file") == ["dahlia.jpg"]
    assert tab.evaluate("document.querySelector('#cards img').naturalWidth") == 280
    said = "document.getElementById('said').textContent"
    assert tab.evaluate(said) == f"dahlia.jpg: pink-yellow dahlia, {sure}\N{NO-BREAK SPACE}%"
    assert f"{server.url}/v1/classify?lang=en&top_k=5" in tab.requests
    assert foreign(tab) == []
    assert tab.complaints == []


def test_many_photos_and_what_is_none(
    browser: Chromium, server: Server, sample: Path, tmp_path: Path
) -> None:
    noise_pictures(tmp_path, 12, seed=3)
    (tmp_path / "cut.jpg").write_bytes(sample.read_bytes()[:3000])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "x.psd").write_bytes(b"8BPS\0\1" + bytes(200))
    (tmp_path / "<b>notes.txt").write_text("no photo")
    tab = browser.open(server.url, lang="en")
    files = [sample, *sorted(tmp_path.iterdir())]
    tab.choose("#files", *files)
    wait_for_answers(tab, len(files))
    assert texts(tab, ".file") == [file.name for file in files]
    reasons = dict(zip(texts(tab, ".wrong .file"), texts(tab, ".wrong .message"), strict=True))
    words = SCRIPT["en"]
    assert reasons == {
        "broken.jpg": reasons["broken.jpg"],
        "cut.jpg": words["truncated"],
        "empty.png": words["is_empty"],
        "x.psd": words["unsupported"],
        "<b>notes.txt": words["not_an_image"],
    }
    assert reasons["broken.jpg"] in {words["truncated"], words["corrupt"]}
    progress = f"{len(files)} in all, 5 without an answer"
    assert texts(tab, "#progress") == [progress]
    assert tab.evaluate("document.getElementById('said').textContent") == progress
    assert foreign(tab) == []
    # More come on top; then all are cleared away.
    tab.choose("#files", sample)
    wait_for_answers(tab, len(files) + 1)
    assert texts(tab, ".file")[:2] == ["dahlia.jpg", "dahlia.jpg"]
    tab.evaluate("document.getElementById('clear').click()")
    assert texts(tab, "#results") == []
    assert tab.evaluate("document.activeElement.id") == "choose"
    assert all("Failed to load resource" in one["entry"]["text"] for one in tab.complaints)


def candidates(*shares: float) -> list[dict[str, Any]]:
    names = ("marigold", "daisy", "gazania")
    return [
        {"label": name, "class_id": number, "confidence": share}
        for number, (name, share) in enumerate(zip(names, shares, strict=False))
    ]


def test_what_is_none_of_them(browser: Chromium, serve: Serve, sample: Path) -> None:
    desk = serve(rejects=True)
    for lang, title, closest, nearest in (
        ("en", "Not one of the 102 species", "Closest: marigold", "What comes closest"),
        ("es", "No es una de las 102 especies", "La más parecida: marigold", "Las más parecidas"),
    ):
        desk.changes.append({"known": False, "label": "marigold", "top": candidates(0.31, 0.2)})
        tab = browser.open(desk.url, lang=lang)
        tab.choose("#files", sample)
        wait_for_answers(tab)
        assert texts(tab, "h3") == [title]
        assert texts(tab, ".message") == [f"{closest}, 31\N{NO-BREAK SPACE}%"]
        assert texts(tab, "summary")[0] == nearest
        assert texts(tab, ".others .why") == ["marigold", "daisy"]
        assert texts(tab, ".latin") == texts(tab, ".best") == []
        said = tab.evaluate("document.getElementById('said').textContent").lower()
        assert said.startswith(f"dahlia.jpg: {title} ({closest}".lower())
        assert tab.complaints == []


def test_the_fewest_names_that_hold_the_right_one(
    browser: Chromium, serve: Serve, sample: Path
) -> None:
    desk = serve(rejects=True)
    top = candidates(0.55, 0.3, 0.1)
    for fewest, title, message in (
        (top, "Perhaps marigold", ["It is one of: marigold, daisy, or gazania."]),
        (top[:1], "Marigold", []),  # whatever the others have
        ([], "Perhaps marigold", ["Not sure: it could also be daisy or gazania."]),  # no rule
    ):
        about = {"known": True, "label": "marigold", "top": top, "prediction_set": fewest}
        desk.changes.append(about)
        tab = browser.open(desk.url, lang="en")
        tab.choose("#files", sample)
        wait_for_answers(tab)
        assert texts(tab, "h3") == [title]
        assert texts(tab, ".message") == message
        assert len(texts(tab, ".best")) == 1


def test_what_it_is_not_sure_of(browser: Chromium, serve: Serve, sample: Path) -> None:
    desk = serve()
    for top, message in (
        (candidates(0.4, 0.3, 0.05), "Not sure: it could also be daisy."),
        (candidates(0.4, 0.05), "Not sure: none of the names that it knows fits well."),
    ):
        desk.changes.append({"known": None, "label": "marigold", "top": top})
        tab = browser.open(desk.url, lang="en")
        tab.choose("#files", sample)
        wait_for_answers(tab)
        assert texts(tab, "h3") == ["Perhaps marigold"]
        assert texts(tab, ".message") == [f"{message} {SCRIPT['en']['closer']}"]
        assert tab.evaluate("document.querySelector('details').open")


# Why


#: Red, green, blue and opacity in the middle of each cell, row by row.
_DRAWN = """(() => {
  const canvas = document.querySelector("canvas");
  const [cell, side] = [24, 24 * 7];
  const [left, top] = [(canvas.width - side) / 2, (canvas.height - side) / 2];
  const {data} = canvas.getContext("2d").getImageData(left, top, side, side);
  return Array.from({length: 49}, (_, i) => {
    const pixel = side * cell * (Math.floor(i / 7) + 0.5) + cell * (i % 7 + 0.5);
    return [...data.slice(4 * pixel, 4 * pixel + 4)];
  });
})()"""


def test_why_a_photo_has_its_name(
    browser: Chromium, server: Server, classifier: Classifier, sample: Path
) -> None:
    tab = browser.open(server.url, lang="en")
    tab.choose("#files", sample)
    wait_for_answers(tab)
    assert texts(tab, "canvas") == texts(tab, ".legend") == []
    (button,) = texts(tab, ".picture .why")
    assert button.startswith("Why?")
    name = tab.evaluate("document.querySelector('.picture .why').textContent")
    assert name == "Why? pink-yellow dahlia"
    tab.evaluate("document.querySelector('.picture .why').focus()")
    tab.press("Enter")
    until(tab, ".legend", "What is marked spoke for pink-yellow dahlia, the brighter the more.")
    assert tab.evaluate("document.querySelector('.why').getAttribute('aria-pressed')") == "true"
    said = "What spoke for pink-yellow dahlia: mostly the middle of the photo."
    assert tab.evaluate("document.getElementById('said').textContent") == said
    assert tab.evaluate("document.querySelector('canvas').getAttribute('aria-label')") == said
    # Its colours are those of every such picture.
    colours = heat_rgba(classifier.explain(sample).heat.cells).reshape(-1, 4)
    drawn = np.array(tab.evaluate(_DRAWN))
    assert abs(drawn - colours)[colours[:, 3] > 100].max() < 25
    assert drawn[colours[:, 3] == 0, 3].max() < 40
    boxes = "['img', 'canvas'].map((one) => JSON.stringify(document.querySelector(one)"
    photo, canvas = tab.evaluate(f"{boxes}.getBoundingClientRect()))")
    assert photo == canvas
    # Away, and there again without another request.
    tab.press("Enter")
    assert texts(tab, ".legend") == texts(tab, "canvas") == []
    tab.press("Enter")
    until(tab, ".legend", "spoke for pink-yellow dahlia")
    assert len([url for url in tab.requests if "/v1/explain" in url]) == 1
    assert foreign(tab) == []
    assert tab.complaints == []


def test_why_not_another_name(browser: Chromium, serve: Serve, sample: Path) -> None:
    desk = serve()
    tab = browser.open(desk.url, lang="es")
    tab.choose("#files", sample)
    wait_for_answers(tab)
    second = texts(tab, ".others .why")[0]
    tab.evaluate("document.querySelector('.picture .why').click()")
    until(tab, ".legend", "habló a favor de dalia")
    tab.evaluate("document.querySelector('.others .why').click()")
    until(tab, ".legend", f"habló a favor de {second}")
    pressed = "[...document.querySelectorAll('[aria-pressed=true]')].map((one) => one.innerText)"
    assert tab.evaluate(pressed) == [second]
    ids = [str(one.class_id) for one in desk.classifier.classify(sample).top]
    assert desk.explained == ids[:2]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([[0, 0, 9], [0, 0, 0], [0, 0, 0]], "mostly the upper right of the photo."),
        ([[0, 0, 0], [1, 0, 0], [9, 0, 0]], "mostly the lower left of the photo."),
        ([[-1, -2], [-1, 0]], "Nothing in the photo spoke for pink-yellow dahlia."),
    ],
)
def test_who_sees_no_map_is_told(
    browser: Chromium, serve: Serve, sample: Path, cells: list[list[float]], said: str
) -> None:
    desk = serve()
    desk.maps.append({"cells": cells})
    tab = browser.open(desk.url, lang="en")
    tab.choose("#files", sample)
    wait_for_answers(tab)
    tab.evaluate("document.querySelector('.picture .why').click()")
    wait_until(lambda: said in tab.evaluate("document.getElementById('said').textContent"))
    assert tab.complaints == []


def test_a_map_that_cannot_be_had(browser: Chromium, serve: Serve, sample: Path) -> None:
    desk = serve(auth="keys")
    tab = browser.open(desk.url, lang="en")
    use_key(tab, "flw_any_key")
    tab.choose("#files", sample)
    wait_for_answers(tab)
    click = "document.querySelector('.picture .why').click()"
    for problem, text in (
        (Problem(500, "internal_error", "no"), SCRIPT["en"]["failed"].format(id="0-0")),
        (Problem(401, "unauthorized", "no"), SCRIPT["en"]["needs_key"]),
    ):
        desk.refusals.append(problem)
        tab.evaluate(click)
        until(tab, ".legend", text)
        assert texts(tab, "canvas") == texts(tab, "[aria-pressed=true]") == []
    assert texts(tab, "#key-wrong") == [SCRIPT["en"]["key_wrong"]]
    desk.refusals.append(Problem(429, "too_many_requests", "later", {"Retry-After": "1"}))
    tab.evaluate(click)
    until(tab, ".legend", "What is marked spoke for")
    assert texts(tab, "h3") == ["Pink-yellow dahlia"]


def test_nobody_can_ask_where_there_is_no_map(
    browser: Chromium, serve: Serve, sample: Path, tmp_path: Path
) -> None:
    desk = serve(explains=False)
    tab = browser.open(desk.url, lang="en")
    tab.choose("#files", sample)
    wait_for_answers(tab)
    assert texts(tab, ".why") == []
    assert len(texts(tab, ".others .plain")) == 4
    # Nor of a photo that the browser can't show, for there is nothing to lay a map over.
    tiff = tmp_path / "photo.tif"
    with Image.open(sample) as photo:
        photo.save(tiff)
    tab = browser.open(serve().url, lang="en")
    tab.choose("#files", tiff)
    wait_for_answers(tab)
    until(tab, ".lack", TEXTS["en"]["no_preview"])
    wait_until(lambda: texts(tab, ".why") == [])


def test_it_says_whether_it_always_answers(html: MakeHtml) -> None:
    assert "always answers" in html()
    assert "always answers" not in html(rejects=True)
    assert "looks like none of them" in html(rejects=True)
    assert "no se parece a ninguna" in html("es", rejects=True)


def test_drop_and_paste(browser: Chromium, server: Server, sample: Path, tmp_path: Path) -> None:
    tab = browser.open(server.url, lang="en")
    folder = tmp_path / "folder"
    folder.mkdir()
    noise_pictures(folder, 2, seed=1)
    (folder / "Thumbs.db").write_bytes(b"x")

    def drag(kind: str, *files: Path) -> None:
        data = {"items": [], "files": list(map(str, files)), "dragOperationsMask": 1}
        tab.call("Input.dispatchDragEvent", type=kind, x=300, y=300, data=data)

    drag("dragEnter")
    drag("drop")
    assert texts(tab, "#dropped") == [SCRIPT["en"]["no_file"]]
    drag("dragEnter", sample)
    drag("dragOver", sample)
    assert tab.evaluate("document.body.classList.contains('over')")
    drag("drop", sample)
    wait_for_answers(tab)
    assert texts(tab, "#dropped") == [""]
    assert not tab.evaluate("document.body.classList.contains('over')")
    assert texts(tab, "h3") == ["Pink-yellow dahlia"]
    tab.evaluate(
        "const data = new DataTransfer();"
        "data.items.add(new File(['no'], 'pasted.png', {type: 'image/png'}));"
        "document.body.dispatchEvent("
        "new ClipboardEvent('paste', {clipboardData: data, bubbles: true}))"
    )
    wait_for_answers(tab, 2)
    assert texts(tab, ".file") == ["pasted.png", "dahlia.jpg"]
    drag("dragEnter", folder)
    drag("drop", folder)
    wait_for_answers(tab, 5)  # two pictures and broken.jpg
    assert sorted(texts(tab, ".file"))[:3] == ["00.png", "01.png", "broken.jpg"]


def test_in_spanish(browser: Chromium, server: Server, sample: Path) -> None:
    tab = browser.open(server.url, lang="es-MX")
    assert texts(tab, "h1") == [TEXTS["es"]["title"]]
    tab.choose("#files", sample)
    wait_for_answers(tab)
    assert texts(tab, "h3") == ["Dalia"]
    tab.load(lambda: tab.evaluate("document.querySelector('nav a').click()"))
    assert texts(tab, "h1") == [TEXTS["en"]["title"]]
    assert tab.evaluate("document.documentElement.lang") == "en"


def test_a_key_is_wanted(
    browser: Chromium, start_server: StartServer, flowers: Run, sample: Path, tmp_path: Path
) -> None:
    def make(name: str, *words: str) -> str:
        return flowers("keys", "add", name, "--keys", "k.json", *words).stdout.decode().strip()

    key, other = make("page"), make("prometheus", "--scopes", "metrics")
    server = start_server("--auth", "keys", "--keys", tmp_path / "k.json")
    tab = browser.open(server.url, lang="en")
    tab.choose("#files", sample, sample)
    until(tab, "h3", "Waiting for a key")
    assert tab.evaluate("document.activeElement.id") == "secret"
    assert [url for url in tab.requests if "classify" in url] == []
    for wrong, text in (
        ("no key at all", SCRIPT["en"]["key_odd"]),
        (key[:-1] + "!", SCRIPT["en"]["key_wrong"]),
        (other, SCRIPT["en"]["key_forbidden"]),
    ):
        use_key(tab, wrong)
        until(tab, "#key-wrong", text)
        assert tab.evaluate("document.activeElement.id") == "secret"
    use_key(tab, f"  {key} ")
    wait_for_answers(tab, 2)
    assert texts(tab, "h3") == ["Pink-yellow dahlia"] * 2
    assert texts(tab, "#key") == []
    assert not any(key in url for url in tab.requests)
    assert key not in tab.evaluate("location.href + document.documentElement.outerHTML")
    assert tab.evaluate("localStorage.length + document.cookie.length") == 0
    # For this tab, until it is closed.
    tab.load()
    assert TEXTS["en"]["key_set"] in texts(tab, "#key-set")[0]
    tab.choose("#files", sample)
    wait_for_answers(tab)
    assert texts(tab, "h3") == ["Pink-yellow dahlia"]
    another = browser.open(server.url, lang="en")
    assert texts(another, "#key-set") == []
    assert texts(another, "label") == [TEXTS["en"]["key_name"]]


def test_a_busy_server_is_asked_again(browser: Chromium, serve: Serve, sample: Path) -> None:
    desk = serve()
    desk.refusals.append(Problem(429, "too_many_requests", "later", {"Retry-After": "1"}))
    desk.refusals.append(Problem(503, "spool_full", "later", {"Retry-After": "1"}))
    tab = browser.open(desk.url, lang="en")
    tab.choose("#files", sample)
    until(tab, "h3", "Busy: next try in ")
    wait_for_answers(tab)
    assert texts(tab, "h3") == ["Pink-yellow dahlia"]
    assert desk.answered == 1


def test_refusals_are_told(browser: Chromium, serve: Serve, sample: Path) -> None:
    desk = serve(max_body=sample.stat().st_size)
    words = SCRIPT["en"]
    tab = browser.open(desk.url, lang="en")
    for problem, text in (
        (Problem(500, "internal_error", "no"), words["failed"].format(id="0-0")),
        (Problem(422, "too_large", "no"), words["too_large"]),
        (Problem(403, "forbidden", "by a proxy"), "The server refused it (403). by a proxy"),
        (Problem(413, "body_too_large", "no"), "The file is larger than "),
    ):
        desk.refusals.append(problem)
        tab.choose("#files", sample)
        until(tab, "li:first-child .message", text)
        assert len(texts(tab, "li:first-child .again")) == (problem.status == 500)
    tab.evaluate("document.querySelector('.again:not([hidden])').click()")
    until(tab, "h3", "Pink-yellow dahlia")
    assert desk.answered == 1


def test_what_is_too_large_is_never_sent(browser: Chromium, serve: Serve, sample: Path) -> None:
    desk = serve(max_body=sample.stat().st_size - 1)
    tab = browser.open(desk.url, lang="en")
    tab.choose("#files", sample)
    until(tab, ".message", "The file is larger than ")
    assert [url for url in tab.requests if "classify" in url] == []


def test_without_a_network(browser: Chromium, server: Server, sample: Path) -> None:
    tab = browser.open(server.url, lang="en")
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    tab.call("Network.emulateNetworkConditions", offline=True, **network)
    tab.choose("#files", sample)
    until(tab, ".message", SCRIPT["en"]["offline"])
    assert len(texts(tab, ".again")) == 1
    tab.call("Network.emulateNetworkConditions", offline=False, **network)
    until(tab, "h3", "Pink-yellow dahlia")  # by itself, when the network is back
    assert texts(tab, ".again") == texts(tab, ".message") == []


def test_clearing_stops_what_is_under_way(browser: Chromium, serve: Serve, sample: Path) -> None:
    desk = serve()
    desk.gate.clear()
    tab = browser.open(desk.url, lang="en")
    tab.choose("#files", *[sample] * 8)
    until(tab, "h3", "Looking")
    assert texts(tab, "#progress") == ["0 of 8"]
    assert len([text for text in texts(tab, "h3") if text.startswith("Waiting")]) == 5
    tab.evaluate("document.getElementById('clear').click()")
    desk.gate.set()
    tab.choose("#files", sample)
    wait_for_answers(tab)
    assert texts(tab, "h3") == ["Pink-yellow dahlia"]


def test_the_keyboard_is_enough(browser: Chromium, serve: Serve) -> None:
    tab = browser.open(serve(auth="keys").url, lang="en")
    tab.call("Page.setInterceptFileChooserDialog", enabled=True)
    order = []
    for _ in range(6):
        tab.press("Tab")
        name = "document.activeElement.id || document.activeElement.textContent"
        order.append(tab.evaluate(name).strip())
        outline = "getComputedStyle(document.activeElement).outlineWidth"
        assert tab.evaluate(outline) == "3px", order
        if order[-1] == "choose":
            break
    assert order == ["Skip to choosing photos", "Español", "secret", "Use it", "choose"]
    tab.press("Enter")
    browser.wait_for("Page.fileChooserOpened", tab.session)


def test_a_phone_offers_its_camera(browser: Chromium, server: Server, sample: Path) -> None:
    assert texts(browser.open(server.url, lang="en"), "#take") == []
    tab = browser.open(server.url, PHONE, lang="en")
    assert texts(tab, "#take") == [TEXTS["en"]["take"]]
    assert texts(tab, ".mouse") == []
    tab.choose("#camera", sample)
    wait_for_answers(tab)
    assert texts(tab, "h3") == ["Pink-yellow dahlia"]


def test_the_policy_lets_nothing_else_run(browser: Chromium, server: Server) -> None:
    tab = browser.open(server.url, lang="en")
    assert tab.complaints == []
    tab.evaluate(
        "(() => {try {document.body.insertAdjacentHTML('beforeend',"
        "`<img src=x onerror=\"document.title='run'\">`)} catch {}"
        "const one = document.createElement('script');"
        "try {one.text = \"document.title = 'run'\"} catch {} document.body.append(one);"
        "const image = new Image(); image.src = 'https://example.org/a.png';"
        "document.body.append(image);"
        "return fetch('https://example.org').catch(() => null).then(() => null)})()"
    )
    assert tab.evaluate("document.title") == TEXTS["en"]["title"]
    assert foreign(tab) == []
    assert len(tab.complaints) >= 3


@pytest.mark.parametrize("look", [SMALL, PHONE, WALL], ids=["small", "phone", "wall"])
def test_nothing_sticks_out(
    browser: Chromium, serve: Serve, sample: Path, tmp_path: Path, look: Look
) -> None:
    long = tmp_path / f"{'a' * 200}.txt"
    long.write_text("no photo")
    tab = browser.open(serve(auth="keys", keeps=True).url, look, lang="es")  # the longer words
    # On a phone innerWidth grows with what sticks out.
    too_wide = f"document.documentElement.scrollWidth > {look.width}"
    assert not tab.evaluate(too_wide)
    use_key(tab, "flw_any_key")
    for step in range(2):
        tab.choose("#files", sample, long, *[sample] * (13 * step))
        wait_for_answers(tab, 2 + 15 * step)
        assert not tab.evaluate(too_wide)
        tab.evaluate("document.querySelectorAll('details').forEach((one) => {one.open = true})")
        tab.evaluate("document.querySelector('.picture .why:not([hidden])').click()")
        wait_until(lambda: texts(tab, "canvas"))
        assert not tab.evaluate(too_wide)


@pytest.mark.parametrize(
    "look", [Look(), Look(dark=True), SMALL], ids=["light", "dark", "phone"]
)  # fmt: skip
def test_axe_finds_nothing_serious(
    browser: Chromium, serve: Serve, sample: Path, tmp_path: Path, look: Look
) -> None:
    program = axe.script()
    noise_pictures(tmp_path, 2, seed=5)
    tab = browser.open(serve(auth="keys", keeps=True).url, look, lang="es", trace=False)
    assert axe.findings(tab, program) == []
    tab.choose("#files", sample, *sorted(tmp_path.iterdir()))
    until(tab, "h3", SCRIPT["es"]["needs_key"])
    assert axe.findings(tab, program) == []
    use_key(tab, "flw_any_key")
    wait_for_answers(tab, 4)
    tab.evaluate("document.querySelectorAll('details').forEach((one) => {one.open = true})")
    tab.evaluate("document.querySelectorAll('.picture .why').forEach((one) => one.click())")
    wait_until(lambda: len(texts(tab, "canvas")) == 3)
    assert axe.findings(tab, program) == []
