"""Why a model file is wrong where it is wrong: a page, and sheets of photos to look at.

    python export/errors.py DATA --teacher FILE [--also FOLDER,...] [--model FILE]
        [--labels model/labels.json] [--notes docs/errors.csv] [--out run/errors]
        [--page docs/errors.md]

Of the photos of ``DATA/valid``, and of those of ``--also`` that training keeps out, it takes those
that the model names wrong, and asks the teacher, by a probe that has learned of neither: if it is
right, the error is the model's; if it agrees with the model and is sure, the label is in doubt.
Training photos that the teacher, who hasn't seen them, is sure are something else are doubtful too.
``--teacher`` is what ``teacher.py DATA FOLDER ... --cache FILE`` has written, of all these photos.

The sheets in ``--out`` have each such photo beside the training photos most like it of its own
class and of the other; they are made of other people's photos and not to be published. What was
seen on them stands in ``--notes``, a CSV of ``photo`` (``93/image_07303.jpg``) and ``note``, and
the page shows it beside the photo.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import fire
import numpy as np

from flowers_onnx import Classifier
from lib import contact_sheets, likeness
from lib.command_line import words
from lib.error_study import SURE, Study, key, opinions
from lib.model_metadata import read_labels
from lib.scores import ask, class_ids
from lib.tables import row
from lib.training_set import assemble

#: What stands at most in the tables of the page.
PAIRS, DOUBTS, ERRORS = 12, 20, 40


def errors(
    data: str,
    *,
    teacher: str,
    also: str = "",
    model: str = "",
    labels: str = "model/labels.json",
    notes: str = "docs/errors.csv",
    out: str = "run/errors",
    page: str = "docs/errors.md",
) -> None:
    """Find the errors, say whose they are, and lay the photos side by side.

    Args:
        teacher: what ``teacher.py`` has written of all these photos
        also: folders of photos from elsewhere that the model was trained on too
        labels: rows with the genus and the family of each class
        notes: what was seen on the sheets, a line a photo
    """
    classifier = Classifier(model or None)
    ids = class_ids(classifier.info)
    names = read_labels(Path(labels), ids)
    photos = assemble(Path(data), ids, also=words(also))
    elsewhere = [photo for photo in photos.calibration if photo.source]
    known = [*photos.train, *(photo for photo in photos.calibration if not photo.source)]
    looked_at = [*photos.valid, *elsewhere]
    of_known, of_looked_at = opinions(teacher, known, looked_at)
    answers = ask(classifier, looked_at)
    if answers.failures:
        raise SystemExit(f"errors: {answers.failures[0]['path']} can't be read")

    study = Study(names, known, of_known, answers, of_looked_at)
    folder = Path(out)
    contact_sheets.save(study.error_rows(), folder, "errors")
    contact_sheets.save(study.doubt_rows(), folder, "doubts")
    text = "\n".join(page_of(study, classifier.info.id, len(photos.valid), _notes(notes))) + "\n"
    Path(page).parent.mkdir(parents=True, exist_ok=True)
    Path(page).write_text(text, encoding="utf-8")
    print(text)


def page_of(study: Study, model: str, of_split: int, notes: dict[str, str]) -> Iterator[str]:
    """The page, in Markdown."""
    right = study.said == study.answers.truth
    yield "# Errors of the model, and of the data set\n"
    yield f"Made by `export/errors.py` ([Your own model](export.md#errors)) for {model}.\n"
    whose = Counter(study.whose(i) for i in study.wrong)
    near = Counter(
        study.relation(int(study.answers.truth[i]), int(study.said[i])) for i in study.wrong
    )
    family = sum(times for text, times in near.items() if text.startswith("both"))
    yield (
        f"Of {of_split} validation photos {int((~right[:of_split]).sum())} are named wrong, of "
        f"{len(right) - of_split} photos from elsewhere that were kept out of training "
        f"{int((~right[of_split:]).sum())}. A second opinion comes from the teacher, CLIP with "
        f"a linear probe, which had learned of none of them: it is right where the model is "
        f"wrong for {whose['model']} of these {len(study.wrong)}, agrees with the model, more "
        f"than {SURE:.0%} sure, for {whose['label']}, so that the label or the photo is in "
        f"doubt, and {whose['hard']} are hard for both. {family} of them stay in the family.\n"
    )
    yield from _error_table(study, notes)
    yield "\n## Classes that are taken for each other\n"
    yield "Photos that the model gives to the other class of the pair, in probability.\n"
    yield "| | | photos | |\n|---|---|---|---|"
    for a, b, mass in study.pairs(PAIRS):
        yield row(_name(study, a), _name(study, b), f"{mass:.1f}", study.relation(a, b))
    yield "\n## Labels in doubt\n"
    yield (
        f"Training photos of which the teacher, left alone with the others, is more than "
        f"{SURE:.0%} sure that they are something else: {len(study.doubts)} of "
        f"{len(study.known)}.\n"
    )
    yield "| photo | label | teacher | sure | seen |\n|---|---|---|---|---|"
    for i in study.doubts[:DOUBTS]:
        photo, sure = study.known[i], study.of_known.probabilities[i].max()
        names = _name(study, photo.target), _name(study, int(study.held[i]))
        yield row(key(photo), *names, f"{sure:.0%}", notes.get(key(photo), ""))
    yield "\n## Twins and bursts\n"
    yield from _likeness_lines(study, right[:of_split])


def _error_table(study: Study, notes: dict[str, str]) -> Iterator[str]:
    yield "| photo | is | taken for | sure | botanically | whose | seen |"
    yield "|---|---|---|---|---|---|---|"
    for i in study.wrong[:ERRORS]:
        photo, taken = study.answers.photos[i], int(study.said[i])
        yield row(
            key(photo),
            _name(study, photo.target),
            _name(study, taken),
            f"{study.answers.probabilities[i, taken]:.0%}",
            study.relation(photo.target, taken),
            study.whose(i),
            notes.get(key(photo), ""),
        )
    if len(study.wrong) > ERRORS:
        yield f"\nand {len(study.wrong) - ERRORS} more, which the command shows on its sheets."


def _likeness_lines(study: Study, right: np.ndarray) -> Iterator[str]:
    across, unlike = study.twins()
    yield f"The same photo, or nearly, is on both sides of the split {len(across)} times:"
    yield (", ".join(f"{key(a)} and {key(b)}" for a, b in across) or "never") + "."
    if unlike:
        yield "\nIt has two labels here: " + ", ".join(f"{key(a)} and {key(b)}" for a, b in unlike)
    split = study.of_looked_at.embeddings[: len(right)]
    twin = np.array([(study.of_known.embeddings @ one).max() for one in split])
    burst = twin >= likeness.BURST
    if burst.any() and not burst.all():
        yield (
            f"\n{burst.mean():.1%} of the validation photos have a training photo of the same "
            f"sitting, by the teacher's embedding (cosine of {likeness.BURST} or more): the "
            f"model is right on {right[burst].mean():.2%} of them, on "
            f"{right[~burst].mean():.2%} of the others."
        )


def _name(study: Study, target: int) -> str:
    label = study.names[target]
    return f"{label.label} (*{label.scientific_name}*)" if label.scientific_name else label.label


def _notes(path: str) -> dict[str, str]:
    if not Path(path).is_file():
        return {}
    with Path(path).open(encoding="utf-8", newline="") as file:
        return {row["photo"]: row["note"] for row in csv.DictReader(file)}


if __name__ == "__main__":
    fire.Fire(errors)
