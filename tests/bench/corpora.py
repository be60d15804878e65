"""Folders of odd images, by the program and by decoders that know nothing of Pillow.

    python -m venv v && v/bin/pip install . pyvips pyvips-binary opencv-python-headless \
        imagecodecs tifffile imageio-ffmpeg && apt-get install imagemagick
    PYTHONPATH=tests v/bin/python tests/bench/corpora.py FOLDER... --out found.json

Printed are, by folder, how many of each outcome there are, and then the files to look at:

    traceback   anything but an answer or an error with a code
    wrong       an answer, from other pixels than all who read the file whole
    disputed    an answer, from the pixels of half of them or fewer
    size        an answer, whose width and height nobody else gives
    refused     corrupt or truncated, where two others read the same picture, and all of it
    declined    the same, but unsupported or too large
    lenient     an answer, where two others complain and none reads it whole
    truncated   told to be, with what the others say
    doors       another answer as bytes, as a stream, or by the installed command
    slow, large more than 5 seconds, more than 320 MB
    text        a message that isn't for people

Corpora that were tried: the test images of python-pillow/Pillow, image-rs/image, libvips, wuffs,
libavif, exiftool, TwelveMonkeys, drewnoakes/metadata-extractor-images, ianare/exif-samples.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import fire
from bench.images.independent import decoders
from bench.images.squares import Distance, distance
from bench.images.workers import Answer, Seen, Worker, independent, program
from words import raw_text

from flowers_onnx.image_formats import HEADER_SIZE, READABLE, claims_image, sniff

_SLOW, _LARGE = 5.0, 320.0


@dataclass
class File:
    """One, and what was found out."""

    path: str
    format: str
    ours: Answer
    others: dict[str, Seen] = field(default_factory=dict)
    distances: dict[str, Distance] = field(default_factory=dict)
    verdicts: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """For the JSON."""
        others: dict[str, Any] = {}
        for name, seen in self.others.items():
            others[name] = {
                "state": seen.state,
                "text": seen.text,
                "size": [seen.width, seen.height],
                "distance": self.distances.get(name),
            }
        ours = {key: value for key, value in vars(self.ours).items() if key != "square"}
        return {"path": self.path, "format": self.format, "verdicts": self.verdicts,
                "ours": ours, "others": others}  # fmt: skip


def main(*folders: str, out: str = "", pictures: str = "", jobs: int = 2) -> None:
    """Look at all images in FOLDERS.

    OUT is a JSON of all that was found. PICTURES is a folder for pictures side by side of what is
    wrong, disputed, refused or lenient: the program's, then the others'. JOBS decoders at a time.
    """
    if not folders:
        sys.exit("give the folders with the images")
    names = _available()
    found: list[File] = []
    with ThreadPoolExecutor(jobs) as pool:
        ours = Worker(program)
        others = {name: Worker(independent, name) for name in names}
        for folder in folders:
            here = [_looked_at(path, ours, others, pool, pictures) for path in _files(folder)]
            _command(folder, here)
            found += here
            _print_counts(folder, here)
            if out:
                with open(out, "w", encoding="utf-8") as file:
                    json.dump([one.row() for one in found], file, indent=1)
        for worker in (ours, *others.values()):
            worker.close()
    _print_findings(found)


def _available() -> list[str]:
    names = []
    for name, decoder in decoders().items():
        try:
            print(f"{name}: {decoder.version()}")
            names.append(name)
        except (ImportError, OSError, subprocess.CalledProcessError) as error:
            print(f"{name}: not there ({error})")
    return names


def _files(folder: str) -> Iterator[str]:
    """The images in a folder; a file is one itself."""
    if os.path.isfile(folder):
        yield folder
    for place, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(place, name)
            if not name.startswith(".") and os.path.isfile(path):
                with open(path, "rb") as file:
                    if claims_image(name) or sniff(file.read(HEADER_SIZE)):
                        yield path


def _looked_at(
    path: str, ours: Worker, others: dict[str, Worker], pool: ThreadPoolExecutor, pictures: str
) -> File:
    with open(path, "rb") as file:
        format = sniff(file.read(HEADER_SIZE)) or ""
    answer = ours.ask(path)
    if isinstance(answer, str):
        answer = Answer("traceback", answer)
    one = File(path, format, answer)
    if format in READABLE or answer.status not in ("unsupported", "is_empty"):
        looks = pool.map(lambda worker: worker.ask(path, format), others.values())
        for name, seen in zip(others, looks, strict=True):
            one.others[name] = Seen("died", seen) if isinstance(seen, str) else seen
    if (managed := one.others.get("vips+icc")) and managed.square is None:
        del one.others["vips+icc"]
    if answer.square is not None:
        for name, seen in one.others.items():
            if seen.square is not None:
                one.distances[name] = distance(answer.square, seen.square)
    one.verdicts = list(_verdicts(one))
    if pictures and {"wrong", "disputed", "refused", "lenient", "size"}.intersection(one.verdicts):
        _draw(one, pictures)
    one.ours = replace(one.ours, square=None)
    one.others = {name: replace(seen, square=None) for name, seen in one.others.items()}
    return one


def _verdicts(one: File) -> Iterator[str]:
    ours = one.ours
    found = {
        "traceback": ours.status.startswith("traceback"),
        "doors": ours.doors,
        "slow": ours.seconds > _SLOW,
        "large": ours.megabytes > _LARGE,
        "truncated": ours.status == "truncated",
        "text": ours.status != "ok" and raw_text(ours.text),
    }
    if ours.status == "ok":
        found |= _of_an_answer(one)
    elif _two_agree(one):
        found["declined" if ours.status in ("unsupported", "too_large") else "refused"] = True
    return (verdict for verdict, holds in found.items() if holds)


def _of_an_answer(one: File) -> dict[str, bool]:
    whole = {name: seen for name, seen in one.others.items() if seen.state == "ok"}
    agree = sum(one.distances[name].same for name in whole)
    managed = one.distances.get("vips+icc")  # who converts colours is right against all others
    sizes = {(seen.width, seen.height) for seen in whole.values()}
    complaints = sum(seen.state in ("damaged", "error") for seen in one.others.values())
    return {
        "wrong": bool(whole) and not agree,
        "disputed": 0 < agree * 2 <= len(whole) and not (managed and managed.same),
        "size": bool(whole) and (one.ours.width, one.ours.height) not in sizes,
        "lenient": not whole and complaints > 1,
    }


def _two_agree(one: File) -> bool:
    """Whether two of the others read the same picture, and all of it."""
    whole = [
        seen.square
        for name, seen in one.others.items()
        if seen.state == "ok" and seen.square is not None and name != "vips+icc"
    ]
    return any(distance(*pair).same for pair in itertools.combinations(whole, 2))


def _command(folder: str, found: list[File]) -> None:
    """The installed command says the same."""
    done = subprocess.run(
        [sys.executable, "-m", "flowers_onnx", "classify", "--format", "jsonl", folder],
        capture_output=True,
        check=False,
        timeout=3600,
    )
    rows = {row["path"]: row for row in map(json.loads, done.stdout.splitlines())}
    if b"Traceback" in done.stderr or done.returncode not in (0, 1):
        print(f"{folder}: exit code {done.returncode}: {done.stderr.decode()[-500:]}")
    for one in found:
        row = rows.pop(one.path, None)
        if row is None:
            if one.ours.status == "unsupported" and one.format not in READABLE:
                continue  # no photo, and so left out of a folder
            said = ("not listed", "", 0)
        elif row["error"]:
            said = (row["error"]["code"], "", 0)
        else:
            said = ("ok", row["label"], row["width"])
        if said != (one.ours.status, one.ours.label, one.ours.width):
            one.verdicts.append(f"doors: the command says {said[0]} {said[1]}")
    for path in rows:
        print(f"{path}: listed by the command only")


def _print_counts(folder: str, found: list[File]) -> None:
    outcomes = Counter(one.ours.status.partition(":")[0] for one in found)
    verdicts = Counter(verdict.partition(":")[0] for one in found for verdict in one.verdicts)
    print(f"\n{folder}: {len(found)} images")
    for title, counter in (("outcomes", outcomes), ("to look at", verdicts)):
        print(f"  {title}: " + (", ".join(f"{n} {k}" for k, n in counter.most_common()) or "none"))
    sys.stdout.flush()


def _print_findings(found: list[File]) -> None:
    kinds = sorted({verdict.partition(":")[0] for one in found for verdict in one.verdicts})
    for kind in kinds:
        print(f"\n## {kind}")
        for one in found:
            if any(verdict.partition(":")[0] == kind for verdict in one.verdicts):
                size = f"{one.ours.width}x{one.ours.height}"
                print(f"{one.path}: {one.ours.status} {size} {one.ours.text[:160]}")
                for name, seen in one.others.items():
                    mean, coarse = one.distances.get(name, ("", ""))
                    apart = f"{mean} {coarse} {seen.text[:90]!r}"
                    print(f"    {name}: {seen.state} {seen.width}x{seen.height} {apart}")
    print("\n## messages")
    shapes = Counter(
        (one.ours.status, re.sub(r"\d+", "N", one.ours.text))
        for one in found
        if one.ours.status != "ok"
    )
    for (status, text), count in shapes.most_common():
        print(f"{count:6} {status}: {text}")


def _draw(one: File, folder: str) -> None:
    """The squares of all, in a row: the program's first, and then in the order of ``row``."""
    import numpy as np
    from PIL import Image

    parts = [np.zeros((224, 224, 3), np.uint8) if one.ours.square is None else one.ours.square]
    parts += [s.square for s in one.others.values() if s.square is not None]
    gap = np.full((parts[0].shape[0], 6, 3), (255, 0, 255), np.uint8)
    row = np.concatenate([piece for part in parts for piece in (part, gap)], 1)
    os.makedirs(folder, exist_ok=True)
    name = "-".join(sorted(v.partition(":")[0] for v in one.verdicts))
    Image.fromarray(row).save(os.path.join(folder, f"{name}__{one.path.replace('/', '_')}.png"))


if __name__ == "__main__":
    fire.Fire(main)
