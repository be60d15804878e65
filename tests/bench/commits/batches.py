"""``flowers batch``: sources, lists, sinks, shards, and runs that go on.

Most runs fetch one photo at a time, so that even the order of rows has to be the same.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from bench.commits.masks import BATCH, ORDER, PROGRESS
from bench.commits.steps import Case, Step, Stop, Word, append, put, step

KINDS = ("jsonl", "csv", "parquet", "sqlite")
MASKS = (BATCH,)


def batch(*words: Word, **options: object) -> Step:
    return step("batch", *words, "--fetch", "1", **options)


def cases(inputs: Path) -> Iterator[Case]:
    for kind in KINDS:
        yield from _of_a_kind(inputs, kind)
    yield from _sources(inputs)
    yield from _lists(inputs)
    yield from _results(inputs)
    yield from _journals(inputs)
    yield from _logs(inputs)
    yield from _stopped(inputs)


def _of_a_kind(inputs: Path, kind: str) -> Iterator[Case]:
    out, album, few = f"r.{kind}", inputs / "album", inputs / "few"
    yield Case(f"batch of odd files, {kind}", (batch(inputs / "odd", "--out", out),), MASKS)
    yield Case(f"batch of odd names, {kind}", (batch(inputs / "names", "--out", out),), MASKS)
    yield Case(
        f"batch with threads, {kind}",
        (step("batch", few, "--out", out),
         step("batch", album, "--out", f"s.{kind}", "--threads", "3")),
        (BATCH, ORDER),
    )  # fmt: skip
    photos = [put(f"p/{name}.png", album / f"{name}.png") for name in ("00", "01", "02")]
    yield Case(
        f"batch again, {kind}",
        (*photos, put("p/bad.jpg", album / "broken.jpg"), batch("p", "--out", out),
         batch("p", "--out", out), put("p/new.png", album / "03.png"),
         put("p/00.png", album / "04.png"), batch("p", "--out", out),
         batch("p", "--out", out, "--retry_errors"), put("p/bad.jpg", album / "05.png"),
         batch("p", "--out", out, "--retry_errors"), batch("p/none*", "p/01.png", "--out", out)),
        MASKS,
    )  # fmt: skip
    words = ("--from", "list.txt", "--out", out)
    yield Case(
        f"batch that tries again, {kind}",
        (put("p/a.png", album / "00.png"), put("list.txt", "p/a.png\np/b.png\np/c.png\np/a.png\n"),
         batch(*words), put("p/b.png", album / "01.png"), batch(*words),
         batch(*words, "--retry_errors"), batch(*words, "--retry_errors", "--max_errors", "0"),
         batch(*words, "--max_errors", "0")),
        MASKS,
    )  # fmt: skip
    for shard in range(3):
        one = batch(inputs / "odd", "--out", out, "--shard", f"{shard}/3")
        if kind in {"csv", "sqlite"}:
            one = batch(album, "--out", f"x.y/s.{kind}", env={
                "CLOUD_RUN_TASK_INDEX": str(shard), "CLOUD_RUN_TASK_COUNT": "3",
                "CLOUD_RUN_JOB": "job", "CLOUD_RUN_EXECUTION": "job-1"})  # fmt: skip
        yield Case(f"batch, shard {shard} of 3, {kind}", (one,), MASKS)
    for first, second in (("old", ""), ("", "old")):
        yield Case(
            f"batch begun by {first or 'it'} and continued by {second or 'it'}, {kind}",
            (*photos, batch("p", few, "--out", out, "--max_errors", "0", by=first),
             batch("p", few, "--out", out, by=second), put("p/new.png", album / "03.png"),
             batch("p", few, "--out", out, "--retry_errors", by=first),
             step("report", out, by=second)),
            MASKS,
        )  # fmt: skip
    ten = "".join(f"{path}\n" for path in sorted(inputs.glob("album/*.png"))[:10])
    line = f"{album}/10.png\n"
    yield Case(
        f"batch killed and continued, {kind}",
        (put("list.txt", ten + line),
         batch("--from", "-", "--out", out, stdin=ten.encode(), unseen=("*.journal",),
               stop=Stop(signal.SIGKILL, 4, "r.*.journal")),
         batch("--from", "list.txt", "--out", out)),
        (BATCH, PROGRESS),
    )  # fmt: skip


def _sources(inputs: Path) -> Iterator[Case]:
    album, photo = inputs / "album", inputs / "sample.jpg"
    sources: dict[str, tuple[Word, ...]] = {
        "a file": (photo,),
        "a file by URI": (f"file://{photo}",),
        "a pattern": (f"{album}/0?.png",),
        "a pattern of folders": (f"{inputs}/**/*.jpg",),
        "a pattern by URI": (f"file://{album}/0*.png",),
        "overlapping": (album, photo, f"{album}/../album", f"file://{album}", photo),
        "nested": (inputs / "nested",),
        "pipes": (inputs / "pipes",),
        "a folder with a slash": (f"{album}/",),
        "percent": (f"file://{album}/0%30.png",),
        "percent in a path": (f"{album}/0%30.png",),
        "missing by URI": (f"file://{album}/none.png",),
        "no photo": (inputs / "lists" / "plain.txt",),
        "loops": (inputs / "loops",),
        "uri, localhost": (f"file://localhost{photo}",),
        "uri, upper case": (f"FILE://{photo}",),
        "uri, another host": (f"file://elsewhere{photo}",),
        "uri, relative": ("file://sample.jpg",),
        "uri, no host": (f"file:{photo}",),
        "uri, upper case bucket": ("GS://bucket/a",),
    }
    for name, words in sources.items():
        yield Case(f"batch from {name}", (batch(*words, "--out", "r.jsonl"),), MASKS)
    relative = (put("p/a b.png", album / "00.png"), put("-x.png", album / "01.png"))
    yield Case(
        "batch from a relative place",
        (*relative, batch("p", "--out", "r.jsonl"), batch("p/a b.png", "--out", "s.jsonl"),
         batch("--out", "t.jsonl", "--", "-x.png"), batch(".", "--out", "u.jsonl"),
         batch("--out", "v.jsonl", "./-x.png", "p")),
        MASKS,
    )  # fmt: skip


def _lists(inputs: Path) -> Iterator[Case]:
    here = put("00.png", inputs / "album" / "00.png")
    for path in sorted((inputs / "lists").iterdir()):
        words = ("--from", path, "--out", "r.jsonl")
        again = (batch(*words, "--retry_errors"),) if path.name.startswith(("ids", "plain")) else ()
        yield Case(f"batch of the list {path.name}", (here, batch(*words), *again), MASKS)
    plain = (inputs / "lists" / "plain.txt").read_bytes()
    album = inputs / "album"
    yield Case(
        "batch of a list from a pipe",
        (batch("--from", "-", "--out", "r.csv", stdin=plain),
         batch("--from", "-", "--out", "r.csv", stdin=plain),
         batch("--from", "-", "--out", "s.csv"),
         batch("--from", "-", "--out", "s.csv", stdin=b"\n"),
         batch("--from", "-", "--out", "t.csv", stdin=b"latin-\xe9.jpg\n" + plain),
         batch("--from", inputs / "lists" / "ids.csv", album, "--out", "u.csv"),
         batch("--from", "/dev/null", "--out", "v.csv")),
        MASKS,
    )  # fmt: skip


def _results(inputs: Path) -> Iterator[Case]:
    photo, few, album = inputs / "sample.jpg", inputs / "few", inputs / "album"
    yield Case(
        "batch with flags",
        (batch(few, "--out", "a.jsonl", "--lang", "es", "--top_k", "2"),
         batch(few, "--out", "b.csv", "--lang=la", "--top-k=102", "--threads", "1"),
         batch(few, "--out", "c.parquet", "--max_pixels", "50000"),
         batch(photo, "--out", "d.JSONL", "--model", inputs / "models" / "flowers.onnx"),
         batch(photo, "--out", "a b#%20?ñ.jsonl"), batch(photo, "--out", "e.jsonl.csv"),
         batch(photo, "--out", "new/folder/f.jsonl")),
        MASKS,
    )  # fmt: skip
    uri = 'exec "$@" --out "file://$PWD/{}"'
    for number, name in enumerate(("r.jsonl", "r%20.jsonl", "r.parquet", "new/r.csv", "r.sqlite")):
        shell = uri.format(name)
        yield Case(
            f"batch into a URI {number}",
            (batch(photo, shell=shell), batch(photo, album / "00.png", shell=shell)),
            MASKS,
        )
    for number, prefix in enumerate(("file://localhost$PWD", "FILE://$PWD", "file://elsewhere")):
        shell = f'exec "$@" --out "{prefix}/r.csv"'
        yield Case(f"batch into a URI, odd {number}", (batch(photo, shell=shell),), MASKS)
    for place in ("/proc/none/r.jsonl", "/dev/null/r.csv", "/dev/full", "/dev/null"):
        yield Case(f"batch into {place}", (batch(photo, "--out", place),), MASKS)
    tables = ("BigQuery://project.dataset.table", "bigquery://p.d.t/x", "bigquery://1p.d.t",
              "bigquery://project.data-set.table", "bigquery://my:project.d.t", "bigquery://p.d.t$1",
              "bigquery://Project.d.t", "bigquery://", "GS://b/r.csv", "s3:///r.csv")  # fmt: skip
    for table in tables:
        yield Case(
            f"batch into {table}",
            (batch(photo, "--out", table, "--shard", "0/2"), step("beam", photo, "--out", table)),
            MASKS,
        )
    for kind in ("jsonl", "csv", "parquet", "sqlite"):
        out = f"r.{kind}"
        foreign = ("a,b\n1,2\n", "", "{}\n", "SQLite format 3\0", '{"schema": "2.0"}\n', photo)
        steps = [(put(out, content), batch(photo, "--out", out)) for content in foreign]
        yield Case(f"batch over what is not its own, {kind}", tuple(chain(*steps)), MASKS)
    yield Case(
        "batch over a folder and over a result of classify",
        (put("r.csv/x", "x"), batch(photo, "--out", "r.csv"),
         *(step("classify", photo, "--format", f, "--output", f"c.{f}") for f in ("jsonl", "csv")),
         batch(photo, "--out", "c.jsonl"), batch(photo, "--out", "c.csv")),
        MASKS,
    )  # fmt: skip


def _journals(inputs: Path) -> Iterator[Case]:
    album, photo = inputs / "album", inputs / "sample.jpg"
    whole = f"{album}/00.png\n{album}/broken.jpg\n{album}/01.png\n"
    stop, go = (
        ("--from", "list.txt", "--out", "r.csv", "--max_errors", "0"),
        ("--from", "list.txt", "--out", "r.csv"),
    )
    ends = {
        "as it is": b"",
        "with half a line": b'{"schema": "1.0", "pa',
        "with no JSON": b"nonsense\n",
        "complete": b'{"complete": true}\n',
        "complete, half": b'{"complete": tr',
        "published": b'{"published": true}\n',
    }
    for name, end in ends.items():
        yield Case(
            f"batch that stopped, its journal {name}",
            (put("list.txt", whole), batch(*stop), append("r.csv.journal", end), batch(*go),
             batch(*go)),
            MASKS,
        )  # fmt: skip
    journals = ('{"journal": 1, "schema": "0.9"}\n', '{"journal": 2, "schema": "1.0"}\n', "a,b\n",
                '{"journal": 1, "sch', "", '{"journal": 1, "schema": "1.0"}\n', "[]\n")  # fmt: skip
    for number, text in enumerate(journals):
        yield Case(
            f"batch with a journal that was there {number}",
            (put("j", text), batch(photo, "--out", "r.jsonl", "--journal", "j")),
            MASKS,
        )
    yield Case(
        "batch with a journal elsewhere",
        (put("list.txt", whole), batch(*stop, "--journal", "j/"), put("k/x", ""),
         batch(*stop, "--journal", "k/j"), batch(*go, "--journal", "k/j"),
         batch(*stop, "--journal", "k"), batch(*stop, "--journal", "none/j"),
         batch(*stop, "--retry_errors", "--journal", "l", "--shard", "0/2"),
         batch(*stop, "--retry_errors", shell='exec "$@" --journal "file://$PWD/m%20n"'),
         batch(*go, "--retry_errors", shell='exec "$@" --journal "file://localhost$PWD/m%20n"'),
         batch(*go, "--journal", "r.csv/")),
        MASKS,
    )  # fmt: skip


def _logs(inputs: Path) -> Iterator[Case]:
    album, few = inputs / "album", inputs / "few"
    json = ("--log_format", "json")
    yield Case(
        "batch with a log for machines",
        (batch(few, "--out", "r.csv", *json), batch(few, "--out", "r.csv", *json),
         batch("none", "--out", "r.csv", *json), batch(album, "--out", "r.txt", *json),
         batch(album, "--out", "s.csv", *json, "--max_errors", "0"),
         batch(album, "--out", "s.csv", *json), batch(few, "--out", "/proc/none/r.csv", *json),
         batch(inputs / "loops", "--out", "t.csv", *json),
         batch("--from", inputs / "lists" / "scheme.txt", "--out", "u.csv", *json)),
        MASKS,
    )  # fmt: skip
    for most in ("0", "3"):
        words = ("--from", inputs / "lists" / "odd.txt", "--out", "r.jsonl", "--threads", "1")
        yield Case(
            f"batch with at most {most} errors",
            (batch(*words, "--max_errors", most), batch(*words, "--max-errors", most),
             batch(*words)),
            MASKS,
        )  # fmt: skip


def _stopped(inputs: Path) -> Iterator[Case]:
    ten = "".join(f"{path}\n" for path in sorted(inputs.glob("album/*.png"))[:10])
    for number in (signal.SIGINT, signal.SIGTERM):
        for form in ("text", "json"):
            words = ("--from", "-", "--out", "r.jsonl", "--log_format", form)
            yield Case(
                f"batch and {number.name}, {form}",
                (batch(*words, stdin=ten.encode(), unseen=("*.journal",),
                       stop=Stop(number, 4, "r.*.journal")),
                 batch(*words, stdin=ten.encode())),
                (BATCH, PROGRESS),
            )  # fmt: skip
