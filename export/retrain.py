"""From photos to a model that is measured: train, convert, quantise, reject, evaluate, verify.

    python export/retrain.py DATA --out run/1.1
        [--labels labels.json] [--name flowers] [--version 1.0]
        [--dataset TEXT] [--license_note TEXT] [--review DATASET/review.csv]
        [--corrections FILE.csv] [--also FOLDER,...] [--unnamed FOLDER,...]
        [--teacher teacher.npz] [--init model/flowers.keras]
        [--phases 128x8,160x8,192x10] [--image_size 208] [--batch 32]

``DATA`` is ``train/<class>/*`` and ``valid/<class>/*``; or ``<class>/*``, or a reviewed list,
of which one photo in ten is set aside to look at. 2 to 1,000 classes, by numbers or by names.
The same command again goes on where it stopped. ``--out`` gets what ``promote.py`` takes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fire
from fire.decorators import SetParseFns

from lib.command_line import joined_flags, words
from lib.dataset import digest, photos_below
from lib.layout import counted, laid_out
from lib.model_metadata import read_labels
from lib.run_state import RunState

INT8 = "flowers-int8.onnx"
EXPORT = Path(__file__).resolve().parent
#: `train.py` takes so many photos at a time; fewer where an epoch would have hardly a step.
BATCH, LEAST_STEPS = 32, 4


@dataclass(frozen=True)
class Step:
    """One script with its words; ``makes`` is the file that is there when it is done."""

    script: str
    words: list[str]
    makes: str
    #: Whether it counts as done although the script said no.
    forgives: Callable[[], str] = str

    @property
    def name(self) -> str:
        """What it goes by: a script may run for several files."""
        return f"{self.script} {self.makes}"


# Fire reads 1.10 as the number 1.1; these are text whatever they look like.
@SetParseFns(  # type: ignore[untyped-decorator]
    **dict.fromkeys(
        ("name", "version", "dataset", "license_note", "also", "unnamed", "phases"), str
    )
)
def retrain(
    data: str,
    *,
    out: str,
    labels: str = "",
    name: str = "flowers",
    version: str = "1.0",
    dataset: str = "",
    license_note: str = "",
    review: str = "",
    corrections: str = "",
    also: str = "",
    unnamed: str = "",
    teacher: str = "",
    init: str = "",
    phases: str = "",
    image_size: int = 0,
    batch: int = 0,
) -> None:
    """Make every file of a model in ``out``.

    Args:
        data: the photos.
        out: a folder for this model; with other photos or flags take another.
        labels: names of the classes (default: of their folders).
        version: of the model; ``promote.py`` raises it.
        review: a list of ``flowers trace export`` or ``review.py``, to train on as well.
        corrections: a list of photos that show another class, or none, as ``docs/errors.csv``.
    """
    folder = Path(out)
    given = {
        "review": review,
        "corrections": corrections,
        "also": also,
        "unnamed": unnamed,
        "teacher": teacher,
        "init": init,
        "phases": phases,
        "image_size": str(image_size or ""),
        "batch": str(batch or ""),
    }
    flags = {flag: value for flag, value in given.items() if value}
    told = {"name": name, "version": version, "dataset": dataset}
    told["license_note"] = license_note
    sources = [data, labels, review, corrections, teacher, *words(also), *words(unnamed), init]
    if Path(data).resolve() in [folder.resolve(), *folder.resolve().parents]:
        raise SystemExit(f"retrain: --out {out} is inside {data}, whose photos would count twice")
    folder.mkdir(parents=True, exist_ok=True)
    state = RunState(folder / "retrain.json", {"data": data, **flags, **told, **_prints(sources)})
    root = laid_out(Path(data), folder / "data")
    ids, photos = counted(root)
    _write_labels(labels, ids, folder / "labels.json")
    if not batch and photos < BATCH * LEAST_STEPS:
        flags["batch"] = str(max(2, photos // LEAST_STEPS))
    steps = _steps(root, folder, flags, told)
    for number, step in enumerate(steps, 1):
        if not state.has(step.name, folder / step.makes):
            _say(f"{number} of {len(steps)}: {step.script}")
            _run(step)
            state.add(step.name)
    for made, kept in (("metrics.json", "history.json"), ("curves.png", "curves.png")):
        if (folder / "training" / made).exists():
            shutil.copyfile(folder / "training" / made, folder / kept)
    print(f"{folder / 'flowers.onnx'}: {len(ids)} classes; next: promote.py")


def _steps(root: Path, out: Path, flags: dict[str, str], told: dict[str, str]) -> list[Step]:
    data, names = str(root), str(out / "labels.json")
    keras, fp32, int8 = (
        str(out / f"flowers{end}") for end in (".keras", "-fp32.onnx", "-int8.onnx")
    )
    report = out / "verify.json"
    measured = [data, *_flags({"also": flags.get("also", "")}), "--calibration", "--keep"]
    convert = [keras, data, "--labels", names, *_flags(told), "--out", fp32]
    verify = [data, "--keras_model", keras, "--fp32", fp32, "--int8", int8]
    verify += ["--ship", str(out / "flowers.onnx"), "--out", str(report)]
    shared = ("also", "unnamed", "review", "corrections")
    others = {flag: value for flag, value in flags.items() if flag in shared}
    training = ["--out", str(out / "training"), "--save", keras]
    return [
        Step("train.py", [data, *training, *_flags(flags)], "flowers.keras"),
        Step("convert.py", convert, "flowers-fp32.onnx"),
        Step("quantize.py", [fp32, data, "--out", int8], INT8),
        # Both, since either may ship.
        *(
            Step("rejection.py", ["add", file, data, *_flags(others), "--out", file], made)
            for file, made in ((fp32, "flowers-fp32.onnx"), (int8, INT8))
        ),
        *(
            Step("evaluate.py", [*measured, "--model", file, "--out", str(out / made)], made)
            for file, made in ((fp32, "evaluation-fp32"), (int8, "evaluation-int8"))
        ),
        Step("verify.py", verify, "flowers.onnx", lambda: _ships_anyway(report)),
    ]


def _ships_anyway(report: Path) -> str:
    """Why ``verify.py`` said no, if what it chose is sound: int8 lost too much, float32 ships."""
    try:
        found = json.loads(report.read_text())
    except (OSError, ValueError):
        return ""
    return "; ".join(found["failures"]) + f": {found['ship']} ships" if found["ship"] else ""


def call(script: str, words: list[str]) -> int:
    """Run a script of this folder in a process of its own; its exit status."""
    command = [sys.executable, str(EXPORT / script), *words]
    return subprocess.run(command, check=False).returncode


def _run(step: Step) -> None:
    try:
        code = call(step.script, step.words)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    if code and (pardon := step.forgives()):
        _say(pardon)
    elif code:
        raise SystemExit(
            f"retrain: {step.script} failed, as told above; the same command goes on from there"
        )


def _write_labels(labels: str, ids: list[str], target: Path) -> None:
    """The names as they were given, known to be enough; else the folders' names."""
    if labels:
        try:
            read_labels(Path(labels), ids)
        except (OSError, ValueError) as error:
            raise SystemExit(f"retrain: {error}") from error
        if not (target.exists() and target.samefile(labels)):
            shutil.copyfile(labels, target)
        return
    rows = [{"class_id": name, "label": name.replace("_", " ")} for name in ids]
    target.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _prints(sources: list[str]) -> dict[str, str]:
    """What tells whether photos and lists are those that the run was begun with."""
    return {f"the content of {source}": _print(Path(source)) for source in sources if source}


def _print(source: Path) -> str:
    if not source.exists():
        raise SystemExit(f"retrain: there is no {source}")
    if source.is_file():
        return digest(source)[:16]
    files = photos_below(source)
    told = [(path.relative_to(source).as_posix(), path.stat().st_size) for path in files]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _flags(values: dict[str, str]) -> list[str]:
    return [f"--{flag}={value}" for flag, value in values.items() if value]


def _say(text: Any) -> None:
    print(f"retrain: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.argv[1:] = joined_flags(sys.argv[1:], ("also", "unnamed"))
    fire.Fire(retrain)
