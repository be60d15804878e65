"""The flags that several commands have, and what makes values of texts.

Each of these ``Check``s raises ``UsageError`` for what makes no sense.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Annotated, Any

from flowers_onnx.cli.command import Check, Flag
from flowers_onnx.errors import UsageError
from flowers_onnx.image_formats import MAX_PIXELS
from flowers_onnx.machine import MAX_THREADS
from flowers_onnx.metadata import LANGUAGES


def count(least: int = 1, most: int = 10**12) -> Check:
    """A whole number from ``least`` to ``most``."""

    def check(flag: str, text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
        if not least <= number <= most:
            bound = f" and at most {most}" if most < 10**12 else ""
            raise UsageError(
                f"--{flag} needs a whole number of at least {least}{bound}, not {text!r}"
            )
        return number

    return check


def choice(*choices: str) -> Check:
    """One of ``choices``."""

    def check(flag: str, text: str) -> str:
        if text not in choices:
            raise UsageError(f"--{flag} must be one of {', '.join(choices)}, not {text!r}")
        return text

    return check


def listed(check: Check) -> Check:
    """What ``check`` makes of each text between commas, as a tuple; the same one only once."""

    def check_all(flag: str, text: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(check(flag, part) for part in text.split(",")))

    return check_all


def positive(flag: str, text: str) -> float:
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not (number > 0 and math.isfinite(number)):
        raise UsageError(f"--{flag} needs a number above 0, not {text!r}")
    return number


def share(flag: str, text: str) -> float:
    """A number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 1:  # nor is NaN
        raise UsageError(f"--{flag} needs a number from 0 to 1, such as 0.6, not {text!r}")
    return number


def read_stdin_once(words: Sequence[str]) -> None:
    """Raise ``UsageError`` where ``words`` name standard input twice."""
    if words.count("-") > 1:
        raise UsageError("standard input (-) can be read only once")


def new_file(flag: str, text: str) -> str:
    """The name of a file here, to be written; - is standard output."""
    from flowers_onnx.file_uris import is_file_uri, path_of_file

    if is_file_uri(text):
        return path_of_file(text)
    if "://" in text:
        raise UsageError(f"--{flag} needs a file on this machine, not {text!r}")
    return text


def form_of(format: str | None, out: str | None, forms: tuple[str, ...]) -> str:
    """What --format says, else what the name after --out ends in, else the first of ``forms``."""
    suffix = os.path.splitext(out or "")[1][1:].lower()
    return format or (suffix if suffix in forms else forms[0])


#: Of photos in work.
thread_count = count(most=MAX_THREADS)

TopK = Annotated[int, Flag("N", "candidates a photo (5)", count())]
Lang = Annotated[
    str, Flag("L", "names in en, es or la: English, Spanish, Latin (en)", choice(*LANGUAGES))
]
MinConfidence = Annotated[
    float | None,
    Flag("P", "confidence from which an answer is known, 0 to 1 (the model's own rule)", share),
]
Model = Annotated[
    str | None,
    Flag(
        "FILE",
        "ONNX file made by export/convert.py ($FLOWERS_ONNX_MODEL, else the model that ships)",
    ),
]
Threads = Annotated[
    int | None,
    Flag("N", "photos in work at a time (the CPUs that this process is allowed)", thread_count),
]
Exif = Annotated[
    bool,
    Flag("", "when and where a photo was taken, by its EXIF: taken_at, latitude, longitude"),
]
MaxPixels = Annotated[int, Flag("N", f"most pixels decoded for one image ({MAX_PIXELS})", count())]
Keys = Annotated[
    str | None,
    Flag("PLACE", "the file of keys: a path, gs://... or s3://... ($FLOWERS_KEYS)"),
]
FORMS = ("text", "json", "jsonl", "csv")
Format = Annotated[str, Flag("F", "text, json, jsonl or csv (text)", choice(*FORMS))]
#: The same where the name of a file decides, and that file.
FormatOfOut = Annotated[
    str | None,
    Flag(
        "F",
        "text, json, jsonl or csv (what the name of --out ends in, else text)",
        choice(*FORMS),
    ),
]
Results = Annotated[
    str | None,
    Flag("FILE", "write the results to FILE, all at once when done (standard output)", new_file),
]
