"""``flowers classify`` over odd photos, names, folders, patterns and inputs."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from bench.commits.inputs import ODD_NAMES
from bench.commits.masks import BATCH, STREAM
from bench.commits.steps import Case, Step, Stop, mode, put, step

FORMATS = ("text", "json", "jsonl", "csv")


def cases(inputs: Path) -> Iterator[Case]:
    odd, few, photo = inputs / "odd", inputs / "few", inputs / "sample.jpg"
    for form in FORMATS:
        yield Case(f"odd files, {form}", (step("classify", odd, "--format", form),))
        for lang in ("en", "es", "la"):
            words = ("--format", form, f"--lang={lang}", "--top_k", "3")
            yield Case(f"few files, {form} in {lang}", (step("classify", few, *words),))
        yield Case(f"result in a file, {form}", tuple(_outputs(inputs, form)))
        yield Case(f"odd names, {form}", (step("classify", inputs / "names", "--format", form),))
        yield Case(
            f"nothing but failures, {form}",
            (step("classify", "none.jpg", "--format", form),
             step("classify", "a.jpg", inputs / "empty", "--format", form),
             step("classify", "-", stdin=b"no image", shell='"$@" --format ' + form)),
        )  # fmt: skip
        yield Case(f"reader left, {form}", (_reader_left(photo, form),))
    every = sorted(odd.iterdir())
    yield Case("every odd file by name", (step("classify", "--format", "jsonl", *every),))
    for form in ("text", "jsonl"):
        yield Case(f"candidates, {form}", tuple(_candidates(photo, form)))
    yield Case(
        "threads and pixels",
        (step("classify", odd, "--format", "jsonl", "--threads", "1"),
         step("classify", odd, "--format", "csv", "--threads", "5"),
         step("classify", odd, "--format", "jsonl", "--max_pixels", "50000"),
         step("classify", odd, "--format", "text", "--max-pixels=1")),
    )  # fmt: skip
    yield from _one_by_one(every)
    yield from _names(inputs)
    yield from _places(inputs)
    yield from _descriptors(inputs)


def _candidates(photo: Path, form: str) -> Iterator[Step]:
    for count in ("1", "2", "102", "1000"):
        yield step("classify", photo, "--top_k", count, "--format", form)
    yield step("classify", photo, "--top-k=2", "--format", form)


def _outputs(inputs: Path, form: str) -> Iterator[Step]:
    photo = inputs / "sample.jpg"
    yield step("classify", photo, "none.jpg", "--format", form, "--output", f"out.{form}")
    if form in {"text", "jsonl"}:
        for place in ("-", "/dev/stdout", "none/out", "."):
            yield step("classify", photo, "--format", form, "--output", place)


def _reader_left(photo: Path, form: str) -> Step:
    return step("classify", *[photo] * 30, "--format", form,
                shell='"$@" | head -c 20; echo " ${PIPESTATUS[0]}"')  # fmt: skip


def _one_by_one(odd: list[Path]) -> Iterator[Case]:
    """A file alone takes another way than one of many; and as standard input yet another."""
    for path in odd[::7]:
        yield Case(
            f"alone {path.name}",
            (step("classify", path, "--format", "jsonl"),
             step("classify", "-", "--format", "jsonl", stdin=path.read_bytes())),
        )  # fmt: skip


def _names(inputs: Path) -> Iterator[Case]:
    names = inputs / "names"
    for number, name in enumerate(ODD_NAMES):
        dashes = [b"--"] if name.startswith(b"--") else []
        place = os.fsdecode(name)
        yield Case(
            f"name {number}",
            (put(place, names / place), step("classify", "--format", "jsonl", *dashes, name)),
        )
    copies = [
        put(name, names / "123") for name in ("1.jpg", "2.jpg", "3.png", "[1].jpg", "d/4.jpg")
    ]
    patterns = ("*.jpg", "[12].jpg", "[1].jpg", "?.*", "**", "**/*.jpg", "d/*", "./*", "no*", "[")
    yield Case(
        "patterns",
        (*copies, *(step("classify", word, "--format", "jsonl") for word in patterns),
         step("classify", "*.jpg", "no*", "1.jpg", "d", "--format", "csv")),
    )  # fmt: skip
    yield Case(
        "words of Fire",
        (step("classify", "--", "--interactive", "--trace", "--completion"),
         step("classify", "--format=jsonl", "--", "--help", "-h", "--"),
         step("classify", "None", "True", "[1,2]", "1e5", "--format", "jsonl")),
    )  # fmt: skip


def _places(inputs: Path) -> Iterator[Case]:
    photo, nested = inputs / "sample.jpg", inputs / "nested"
    for form in ("text", "jsonl"):
        flags = ("--format", form)
        yield Case(
            f"places, {form}",
            (step("classify", nested, *flags), step("classify", inputs / "empty", photo, *flags),
             step("classify", f"{nested}/", f"{nested}/b/../b", *flags),
             step("classify", nested / "self.jpg", nested / "dangling.jpg", *flags),
             step("classify", nested / "loop", *flags), step("classify", "/dev/null", *flags),
             step("classify", inputs / "lists" / "plain.txt", photo / "x", *flags),
             step("classify", "x" * 300, "none/none.jpg", photo, photo, *flags),
             step("classify", f"file://{photo}", "gs://bucket/a.jpg", "https://a/b.jpg", *flags),
             step("classify", "-", photo, *flags, stdin=photo.read_bytes()),
             step("classify", "-", *flags, stdin=b""), step("classify", "./-", *flags)),
        )  # fmt: skip
    locked = "setpriv --bounding-set=-dac_override,-dac_read_search"
    if shutil.which("setpriv") and os.geteuid() == 0:
        yield Case(
            "no permission",
            (put("x.jpg", photo), put("f/y.jpg", photo), mode("x.jpg", 0), mode("f", 0),
             step("classify", "x.jpg", photo, shell=f'{locked} "$@"'),
             step("classify", "f", ".", "--format", "jsonl", shell=f'{locked} "$@"'),
             mode("f", 0o700)),
        )  # fmt: skip


def _descriptors(inputs: Path) -> Iterator[Case]:
    photo, bad = inputs / "sample.jpg", inputs / "odd" / "080-cut-0.5.tif"
    for closed in "012":
        shell = f'"$@" {closed}>&-'
        yield Case(
            f"descriptor {closed} closed",
            (step("classify", photo, bad, "--format", "jsonl", "--output", "out", shell=shell),
             step("classify", photo, bad, shell=shell), step("classify", "-", shell=shell),
             step("labels", shell=shell), step("--version", shell=shell),
             step("--help", shell=shell), step("nonsense", shell=shell),
             step("stream", shell=shell),
             step("batch", photo, "--out", "r.csv", shell=shell + "; rm r.*")),
            (BATCH, STREAM),
        )  # fmt: skip
    full = '"$@" > /dev/full'
    yield Case(
        "a full disk",
        (*(step("classify", photo, bad, "--format", form, shell=full) for form in FORMATS),
         step("labels", shell=full), step("info", shell=full), step("--version", shell=full),
         step("--help", shell=full), step("stream", shell=full),
         step("report", "none.jsonl", shell=full),
         step("classify", photo, "--output", "/dev/full")),
    )  # fmt: skip
    yield Case(
        "what is there already",
        (put("a.jpg", photo), step("classify", photo, "--output", "a.jpg"),
         put("out.txt", "older"), mode("out.txt", 0o600),
         step("classify", photo, "--output", "out.txt"),
         put("read.txt", "older"), mode("read.txt", 0o400),
         step("classify", photo, "--output", "read.txt"),
         step("classify", photo, "--output", "new.txt", shell='umask 077; "$@"')),
    )  # fmt: skip
    for number in (signal.SIGINT, signal.SIGTERM):
        yield Case(
            f"{number.name} while standard input is waited for",
            (step("classify", photo, "-", "--format", "jsonl", stop=Stop(number)),
             step("classify", photo, "-", "--format", "jsonl", "--output", "out",
                  stop=Stop(number, 1, ".*"))),
        )  # fmt: skip
