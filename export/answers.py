"""Record what a model answers in exact arithmetic, and check a processor against it.

    python export/answers.py record DATA [--model FILE] [--out tests/answers.json]
        [--photos 120] [--drawn 20]
    python export/answers.py check [DATA] [--model FILE] [--records FILE.jsonl]
        [--reference tests/answers.json] [--format text|json]
    python export/answers.py pictures FOLDER [DATA] [--reference tests/answers.json]

``check`` needs nothing but the program, its model and Fire: copy the checkout to a
Raspberry Pi and run it there. Without ``DATA`` it makes do with the sample photo and the
drawings. It exits 1 when the answers differ.

An int8 file can be right on one processor and wrong on the next: without VNNI the kernels
of x86 add products in a saturating int16. The reference is onnxruntime's slow mode that
never saturates; every processor must give its answers.
"""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib import import_module, metadata
from itertools import islice
from pathlib import Path
from typing import Any

import fire

from flowers_onnx import Classifier
from flowers_onnx.metadata import read_info
from flowers_onnx.onnx_file import find_model
from flowers_onnx.record import Record
from flowers_onnx.text import open_lines
from lib import drawings
from lib.dataset import class_ids, list_photos, spread
from lib.photo_classifier import PhotoClassifier, read_photo

#: Of a probability. Convolutions are exact everywhere, but Arm's kernel for residual additions
#: rounds in fixed point and AVX2's in float: a few sums differ by 1. That moves the answer by
#: more only where the network is unsure. Saturation moves it by 0.9, and one label in eight.
TOLERANCE = 0.02
#: The part of the pictures that may be moved by more than that.
MOVED = 0.02
REFERENCE = Path(__file__).resolve().parent.parent / "tests" / "answers.json"
SAMPLE = REFERENCE.parent.parent / "docs" / "sample" / "dahlia.jpg"

#: Smaller probabilities are left out of the file; a class without one counts as 0.
_SMALLEST = 0.0005
#: Only drawings whose best class leads by this much are kept, and so many of one class: an
#: unsure answer is one that rounding alone moves by 0.03.
_LEAD, _PER_LABEL, _SEEDS = 0.6, 3, 1000
#: Instruction sets by NumPy's names, the one that decides the int8 kernels first.
_LEVELS = ("AVX512VNNI", "AVX512F", "AVX2", "SSE42", "ASIMDDP", "ASIMD")

#: For each picture's name, its ``sha256`` and ``probabilities`` by class id (as text).
Answers = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """A processor's answers beside the reference: names of pictures, and probabilities.

    ``moved`` are the pictures with a probability that differs by more than ``TOLERANCE``.
    """

    pictures: int
    missing: tuple[str, ...]
    other_label: tuple[str, ...]
    moved: tuple[str, ...]
    max_difference: float

    @property
    def agrees(self) -> bool:
        """Whether the answers are the reference's."""
        complete = self.pictures > 0 and not self.missing
        return complete and not self.other_label and len(self.moved) <= MOVED * self.pictures

    def __str__(self) -> str:
        compared = self.pictures - len(self.missing)
        return (
            f"{self.pictures} pictures; same label for {compared - len(self.other_label)}; "
            f"probabilities within {TOLERANCE} for {compared - len(self.moved)}, "
            f"within {self.max_difference:.4f} for all"
        )


def compare(reference: Answers, records: Iterable[Mapping[str, Any]]) -> Comparison:
    """Match result records (``docs/result-record.md``, all classes) by the pictures' sha256."""
    tops = {record["sha256"]: record["top"] for record in records if record["status"] == "ok"}
    missing, other_label, moved, largest = [], [], [], 0.0
    for name, answer in reference.items():
        if answer["sha256"] not in tops:
            missing.append(name)
            continue
        expected = answer["probabilities"]
        given = {str(c["class_id"]): c["confidence"] for c in tops[answer["sha256"]]}
        if max(given, key=given.__getitem__) != max(expected, key=expected.__getitem__):
            other_label.append(name)
        classes = given.keys() | expected.keys()
        differences = [abs(given.get(c, 0) - expected.get(c, 0)) for c in classes]
        if not all(difference <= TOLERANCE for difference in differences):  # also true for NaN
            moved.append(name)
        largest = max(largest, *differences)
    return Comparison(len(reference), tuple(missing), tuple(other_label), tuple(moved), largest)


def read_reference(path: Path = REFERENCE, *, photos: bool) -> Answers:
    """The recorded answers, with or without those for photos of the data set."""
    answers: Answers = json.loads(path.read_text())["pictures"]
    return {name: a for name, a in answers.items() if photos or not name.startswith("data/")}


def simd_level() -> str:
    """The newest instruction set that this processor, real or emulated, says it has."""
    features = import_module("numpy._core._multiarray_umath").__cpu_features__
    return next((level for level in _LEVELS if features.get(level)), platform.machine())


def write_pictures(names: Iterable[str], folder: Path, data: Path) -> list[Path]:
    """Put the named pictures into ``folder``: drawn, or copied from where they are."""
    paths = []
    for name in names:
        kind, _, rest = name.partition("/")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "drawing":
            drawings.save(int(Path(rest).stem), path)
        else:
            shutil.copyfile(SAMPLE if kind == "sample" else data / rest, path)
        paths.append(path)
    return paths


def record(
    data: str, *, model: str = "", out: str = str(REFERENCE), photos: int = 120, drawn: int = 20
) -> None:
    """Write the answers in exact arithmetic.

    Args:
        data: a folder-per-class data set; ``photos`` of ``data/valid`` are used.
        model: an ONNX file of ``convert.py`` or ``quantize.py`` (default: the one that ships).
        drawn: how many drawings to add, of those that the model is sure about.
    """
    info, root = read_info(find_model(model or None)), Path(data)
    classifier = PhotoClassifier(str(info.path), exact=True)
    ids = [str(label.class_id) for label in info.labels]

    def answer(name: str, folder: Path) -> dict[str, Any]:
        (path,) = write_pictures([name], folder, root)
        values = classifier.probabilities(read_photo(path, info.preprocess))
        kept = {i: round(float(v), 6) for i, v in zip(ids, values, strict=True) if v >= _SMALLEST}
        return {"sha256": sha256(path.read_bytes()).hexdigest(), "probabilities": kept}

    chosen = spread(list_photos(root, "valid", class_ids(root)))[:photos]
    names = [f"data/{photo.path.relative_to(root).as_posix()}" for photo in chosen]
    seeds = (f"drawing/{seed}.bmp" for seed in range(_SEEDS))
    with tempfile.TemporaryDirectory() as folder:
        sure = _sure((name, answer(name, Path(folder))) for name in seeds)
        answers = dict(islice(sure, drawn))
        answers |= {name: answer(name, Path(folder)) for name in ["sample/dahlia.jpg", *names]}
    header = {"model": info.id, "onnxruntime": metadata.version("onnxruntime")}
    # A line a picture: a change of the model can be read in a diff.
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(a)}" for name, a in answers.items())
    Path(out).write_text(f'{json.dumps(header)[:-1]}, "pictures": {{\n{lines}\n}}}}\n')
    print(f"{out}: {len(answers)} pictures")


def check(
    data: str = "",
    *,
    model: str = "",
    records: str = "",
    reference: str = str(REFERENCE),
    format: str = "text",
) -> None:
    """Classify the recorded pictures here and compare; exit 1 unless the answers agree.

    Args:
        data: the data set of ``record``; without it its photos are left out.
        model: the ONNX file of ``record`` (default: the one that ships).
        records: compare these, of ``flowers classify PICTURES --top_k 1000 --format jsonl``,
            instead of classifying.
        format: text, or json for other programs.
    """
    answers = read_reference(Path(reference), photos=bool(data))
    if records:
        with open_lines(records) as lines:
            found, here = compare(answers, [json.loads(line) for line in lines]), {}
    else:
        started = time.perf_counter()
        found = compare(answers, _classify(answers, model, data))
        milliseconds = 1000 * (time.perf_counter() - started) / len(answers)
        here = {"simd": simd_level(), "ms_per_picture": round(milliseconds, 1)}
    if format == "json":
        print(json.dumps(asdict(found) | here | {"agrees": found.agrees}))
    else:
        print(found, *(f"{name} {value}" for name, value in here.items()), sep="; ")
    if not found.agrees:
        names = ", ".join([*found.missing, *found.other_label, *found.moved][:5])
        raise SystemExit(f"answers: not those of {reference}: {names}")


def pictures(folder: str, data: str = "", *, reference: str = str(REFERENCE)) -> None:
    """Write the recorded pictures to ``folder``, for ``flowers classify`` on any machine."""
    names = read_reference(Path(reference), photos=bool(data))
    write_pictures(names, Path(folder), Path(data))


def _classify(names: Iterable[str], model: str, data: str) -> list[Record]:
    """Records of the named pictures, from the program's own classifier with one thread."""
    classifier = Classifier(model or None, threads=1)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_pictures(names, Path(folder), Path(data))
        results = classifier.classify_many(paths, top_k=len(classifier.info.labels))
        return [result.to_record() for result in results]


def _sure(answers: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The answers that rounding can't tip over, a few for each label."""
    seen: Counter[str] = Counter()
    for name, answer in answers:
        ranked = sorted(answer["probabilities"].items(), key=lambda item: -item[1])
        label, lead = ranked[0][0], ranked[0][1] - sum(p for _, p in ranked[1:2])
        if lead >= _LEAD and seen[label] < _PER_LABEL:
            seen[label] += 1
            yield name, answer


if __name__ == "__main__":
    fire.Fire({"record": record, "check": check, "pictures": pictures})
