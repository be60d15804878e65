"""Put a new model in the place of an old one, unless it is worse anywhere that matters.

    python export/promote.py run/flowers.onnx --against model/flowers.onnx
        --reference own=DATA/valid,elsewhere=FOLDER [--unknown FOLDER,...]
        [--max_loss 0.5] [--max_slower 1.1] [--max_refused 8] [--drop_classes]
        [--version 1.1] [--seconds 30] [--dry_run]

``--reference`` names folders of ``<class_id>/*`` that neither model has seen, ``--unknown``
folders of photos of none of the classes. Both models answer as users get them. Exit 1, and
nothing is changed, if more than ``--max_loss`` percentage points are lost of right answers, of
right answers that are not refused, or of unknown photos that are; if one photo takes more than
``--max_slower`` times as long; or if classes are gone.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import fire
from fire.decorators import SetParseFns

from flowers_onnx import Classifier, FlowersError
from flowers_onnx.metadata import read_info
from lib import comparison, placing
from lib.command_line import joined_flags, words
from lib.dataset import photos_below
from lib.pace import Pace, pace
from lib.scores import class_ids
from lib.verdict import Findings, Limits, losses, notes, table

#: Photos that times are taken on.
TIMED = 50


# Fire reads 1.10 as the number 1.1, and some lists as tuples.
@SetParseFns(reference=str, unknown=str, version=str)  # type: ignore[untyped-decorator]
def promote(
    new: str,
    *,
    against: str,
    reference: str,
    unknown: str = "",
    max_loss: float = 0.5,
    max_slower: float = 1.1,
    max_refused: float = 8.0,
    drop_classes: bool = False,
    version: str = "",
    seconds: float = 30.0,
    dry_run: bool = False,
) -> None:
    """Compare ``new`` with the model ``against`` and put it in its place.

    Args:
        new: the ONNX file of ``retrain.py``; what is beside it goes along.
        against: the model to replace; if there is none yet, nothing is compared.
        reference: NAME=FOLDER, several with commas or with the flag again.
        unknown: folders, or NAME=FOLDER.
        max_refused: percent of right answers that may be refused, where the old model
            can't tell what it doesn't know.
        drop_classes: the new model need not know all classes of the old one.
        version: of the new model (default: one above the old one's).
        seconds: the longest that times are measured.
        dry_run: only measure and say.
    """
    references, others = _named(reference), _named(unknown)
    if not references:
        raise SystemExit("promote: --reference NAME=FOLDER is what the models are compared on")
    try:
        beside = placing.siblings(Path(new))
        found = measure(new, against, references, others, max_slower, seconds)
        number = version or _version(new, against)
    except FlowersError as error:
        raise SystemExit(f"promote: {error}") from error
    print(table(found), *notes(found), sep="\n")
    limits = Limits(max_loss, max_slower, max_refused)
    if refused := losses(found, limits, may_drop=drop_classes):
        raise SystemExit("\n".join(f"promote: refused, {line}" for line in refused))
    if dry_run:
        print(f"nothing is changed; it would be version {number}")
        return
    info = read_info(new)
    found = replace(found, new=f"{info.name}/{placing.suffixed(number, info.version)}")
    _place(Path(new), beside, Path(against), number, found)


def measure(
    new: str,
    against: str,
    references: dict[str, Path],
    others: dict[str, Path],
    max_slower: float,
    seconds: float,
) -> Findings:
    """Both models on all sets of photos, and their times. Raises ``SystemExit``, ``ModelError``."""
    if Path(against).exists() and Path(against).samefile(new):
        raise SystemExit(f"promote: {new} and {against} are one file")
    newer = Classifier(new)
    older = Classifier(against) if Path(against).exists() else None
    before, after = class_ids(older.info) if older else [], class_ids(newer.info)
    known = [comparison.refer(name, path, older, newer) for name, path in references.items()]
    unknown = [comparison.refuse(name, path, older, newer) for name, path in others.items()]
    photos = [str(path) for folder in references.values() for path in photos_below(folder)]
    photos = [photo for photo in photos[:: max(1, len(photos) // TIMED)] if newer.result(photo).ok]
    return Findings(
        old=older.info.id if older else None,
        new=newer.info.id,
        references=known,
        unknown=unknown,
        pace=_pace(against, new, photos, max_slower, seconds) if older else None,
        old_megabytes=os.path.getsize(against) / 1e6 if older else None,
        new_megabytes=os.path.getsize(new) / 1e6,
        dropped=[name for name in before if name not in after],
        added=[name for name in after if name not in before] if older else [],
        old_tells=older is not None and older.info.rejection is not None,
        new_tells=newer.info.rejection is not None,
    )


def _pace(old: str, new: str, photos: list[str], limit: float, seconds: float) -> Pace:
    """Times without reading and decoding, which no model is to blame for."""

    def timed(classifier: Classifier, photo: str) -> float:
        timing = classifier.classify(photo, top_k=1).timing
        return timing.preprocess + timing.inference + timing.postprocess

    before, after = (partial(timed, Classifier(path, threads=1)) for path in (old, new))
    return pace(before, after, photos, limit=limit, seconds=seconds)


def _place(new: Path, beside: list[Path], target: Path, version: str, found: Findings) -> None:
    card = target.parent / placing.CARD
    text = placing.with_figures(
        card.read_text(encoding="utf-8") if card.exists() else "",
        found.new,
        placing.figures_text(table(found), notes(found)),
    )
    stays = placing.place(new, beside, target, version, text)
    print(f"{target} is {found.new} now, with {len(beside)} files beside it and {card}")
    print("left to do:")
    for path in stays:
        print(f"- {path} is still the old model's")
    print(f"- the prose of {card}: data, method, limits")
    print(f"- the recorded answers: answers.py record DATA --model {target}")
    print("- the changelog, the tests of your own that name the version, a commit")


def _version(new: str, against: str) -> str:
    old = read_info(against).version if Path(against).exists() else ""
    return placing.next_version(old, read_info(new).version)


def _named(given: str) -> dict[str, Path]:
    """``NAME=FOLDER`` or ``FOLDER``, by name. Raises ``SystemExit``."""
    found: dict[str, Path] = {}
    for word in words(given):
        name, equals, path = word.partition("=")
        folder = Path(path if equals else word)
        name = name if equals else folder.name
        if not folder.is_dir():
            raise SystemExit(f"promote: there is no folder {folder}")
        if name in found:
            raise SystemExit(f"promote: two sets of photos are named {name}")
        found[name] = folder
    return found


if __name__ == "__main__":
    sys.argv[1:] = joined_flags(sys.argv[1:], ("reference", "unknown"))
    fire.Fire(promote)
