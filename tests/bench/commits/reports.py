"""``flowers report`` over results of both programs, in both languages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.commits.masks import BATCH
from bench.commits.steps import Case, Step, Word, put, step

KINDS = ("jsonl", "json", "csv", "parquet", "sqlite")

MASKS = (BATCH,)

_MORE = {"jsonl": ("odd", "names"), "parquet": ("names",), "sqlite": ("names",)}

_RECORD: dict[str, Any] = {
    "schema": "1.0", "path": "none.jpg", "status": "ok", "label": "rose", "class_id": 74,
    "scientific_name": "Rosa spp.", "confidence": 0.5,
    "top": [{"label": "rose", "class_id": 74, "confidence": 0.5}], "sha256": "0" * 64,
    "width": 9, "height": 9, "model": "m/1", "error": None,
}  # fmt: skip


def cases(inputs: Path) -> Iterator[Case]:
    for kind in KINDS:
        for source in ("few", *_MORE.get(kind, ())):
            out = f"r.{kind}"
            steps = (
                *_made(inputs / source, out),
                *(step("report", out, "--lang", lang) for lang in ("en", "es")),
                step("report", out, "--out", "page.html"),
                step("report", out, "--max_photos", "3", "--out", "new.html", "--lang=es"),
            )
            yield Case(f"report of {source}, {kind}", steps, MASKS)
        yield Case(f"report by URI, {kind}", tuple(_by_uri(inputs, kind)), MASKS)
    yield Case("report of several", tuple(_several(inputs)), MASKS)
    yield Case("report of nothing", (put("a.jsonl", ""), put("b.json", "[]"), put("c.csv", ""),
                                     *_each(("a.jsonl", "b.json", "c.csv"))))  # fmt: skip
    yield from _gone(inputs)
    yield from _odd_rows()


def _made(source: Path, out: str) -> Iterator[Step]:
    """Results of ``classify`` and, where it can, of ``batch``."""
    kind = out.rpartition(".")[2]
    if kind in {"jsonl", "json", "csv"}:
        yield step("classify", source, "--format", kind, "--output", f"c-{out}")
        yield step("report", f"c-{out}", "--lang", "es")
    if kind == "json":
        yield step("classify", source, "--format", kind, "--output", out)
    else:
        yield step("batch", source, "--out", out, "--fetch", "1")


def _by_uri(inputs: Path, kind: str) -> Iterator[Step]:
    yield from _made(inputs / "few", f"r.{kind}")
    others = ("file://localhost$PWD", "FILE://$PWD") if kind in {"jsonl", "parquet"} else ()
    for prefix in ("file://$PWD", *others):
        yield step("report", shell=f'exec "$@" "{prefix}/r.{kind}"')
    yield step("report", shell=f'exec "$@" "file://$PWD/none.{kind}"')
    if kind in {"jsonl", "json", "csv"}:
        yield step("report", shell=f'exec "$@" "file://$PWD/c-r.{kind}"')
    yield step("report", f"r.{kind}", shell='exec "$@" --out "file://$PWD/page.html"')


def _several(inputs: Path) -> Iterator[Step]:
    for shard in range(3):
        yield step("batch", inputs / "few", inputs / "album", "--out", "r.csv", "--fetch", "1",
                   "--shard", f"{shard}/3")  # fmt: skip
    yield step("report", *(f"r-0000{shard}-of-00003.csv" for shard in range(3)))
    yield step("report", *(f"r-0000{shard}-of-00003.csv" for shard in (2, 1, 1, 0, 2)))
    yield step("report", "r-*.csv")
    yield step("report", "r-00000-of-00003.csv", "none.csv", "--out", "page.html")


def _each(names: tuple[Word, ...]) -> Iterator[Step]:
    for name in names:
        yield step("report", name)
        yield step("report", name, "--lang", "es", "--out", "page.html")


def _gone(inputs: Path) -> Iterator[Case]:
    album = inputs / "album"
    photos = [put(f"p/{name}.png", album / f"{name}.png") for name in ("00", "01", "02")]
    yield Case(
        "report of photos that are gone or changed",
        (*photos, step("classify", "p", "--format", "jsonl", "--output", "r.jsonl"),
         put("p/01.png", album / "03.png"), lambda folder: (folder / "p/02.png").unlink(),
         step("report", "r.jsonl"), step("report", "r.jsonl", "--out", "p/page.html"),
         step("report", "r.jsonl", "--out", "r.jsonl"),
         step("report", "r.jsonl", "--out", "./r.jsonl"),
         step("report", "r.jsonl", "--out", "none/page.html"),
         step("report", "r.jsonl", "--out", "p/00.png"), step("report", "r.jsonl", "--out", "p"),
         step("report", "r.jsonl", "--out", "-"), step("report", "r.jsonl", "--out", "/dev/full")),
    )  # fmt: skip
    places = [
        "gs://bucket/a.jpg", "s3://bucket/a.jpg", "nowhere://bucket/a.jpg", "GS://b/a",
        f"file://{album}/00.png", f"FILE://{album}/00.png", f"file://localhost{album}/00.png",
        f"file://elsewhere{album}/00.png", f"file://{album}/0%30.png", f"{album}/0%30.png",
        f"{album}/00.png", str(album), str(inputs / "pipes" / "pipe.jpg"), "/dev/null", "-", "",
        "../x.jpg", "http://x/y.jpg", "a\nb<i>.jpg", "\ud800.jpg", "C:\\x.jpg", "javascript:a(1)",
    ]  # fmt: skip
    lines = [json.dumps(_RECORD | {"path": place, "sha256": None}) for place in places]
    yield Case(
        "report of photos in odd places",
        (put("r.jsonl", "\n".join(lines)), step("report", "r.jsonl"),
         step("report", "r.jsonl", "--out", "page.html")),
    )  # fmt: skip


def _odd_rows() -> Iterator[Case]:
    error = {"code": "<b>", "message": "\ud800 & \u2028"}
    changes: list[dict[str, Any]] = [
        {"confidence": None, "top": []}, {"top": [{"label": "x", "class_id": 1, "confidence": 2}]},
        {"top": [{"label": 3, "class_id": 1, "confidence": 1}]}, {"status": "perhaps"},
        {"schema": "2.0"}, {"schema": "1.9"}, {"width": None}, {"path": 7}, {"path": None},
        {"model": None}, {"sha256": 5}, {"scientific_name": None}, {"scientific_name": "<i>"},
        {"status": "error", "error": error}, {"status": "error", "error": None}, {"more": 1},
        {"status": "error", "error": error, "top": [], "label": None}, {"source_uri": "file:///x"},
        {"source_uri": ""}, {"top": None}, {"confidence": 0.9}, {"label": "another"},
    ]  # fmt: skip
    for number, change in enumerate(changes):
        row = json.dumps(_RECORD | change)
        name = ("r.jsonl", "r.json")[number % 2]
        text = f"[{row}]" if number % 2 else f"{json.dumps(_RECORD)}\n{row}\n"
        yield Case(f"report of an odd row {number}", (put(name, text), step("report", name)))
    texts = {
        "a.jsonl": "{}\n", "b.jsonl": "[]\n", "c.jsonl": "\n", "d.json": "{}", "e.json": "null",
        "f.json": "[1]", "g.csv": "a,b\n1,2\n", "h.csv": '"', "i.parquet": "PAR1",
        "j.sqlite": "x", "k.jsonl": "no JSON", "l.JSONL": "", "m.txt": "", "n.json": "[" * 9999,
        "o.jsonl": "\ufeff" + json.dumps(_RECORD),
    }  # fmt: skip
    for name, text in texts.items():
        yield Case(f"report of a foreign {name}", (put(name, text), step("report", name)))
