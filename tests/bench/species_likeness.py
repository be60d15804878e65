"""How well the likeness of species tells what a model takes for what.

    python tests/bench/species_likeness.py DATA/train ELSEWHERE/train

Each folder holds ``<class_id>/*``. Asked are the photos that training keeps out, one in twelve by
hash; what is compared with is the mean probability that the model gives to each species on the
photos of each. Prints a table for docs/compare.md.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flowers_onnx import Classifier, Failure
from flowers_onnx.compare.likeness import Likeness
from flowers_onnx.onnx_graph import read_head
from flowers_onnx.results import Query
from flowers_onnx.runtime import OUTPUT

#: As `export/lib/training_set.py` has it.
PART, FEW = 12, 5

Floats = npt.NDArray[np.float64]


def main(*folders: str) -> None:
    """Ask, compare, print."""
    classifier = Classifier()
    means, wrong = _asked(classifier, [*map(Path, folders)])
    likeness = Likeness.of(classifier.info)
    assert likeness is not None
    weights = read_head(Path(classifier.info.path).read_bytes(), OUTPUT).weights.T.astype(
        np.float64
    )
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    classes = range(len(classifier.info.labels))
    typical = np.array([[likeness.alike(a, b) for b in classes] for a in classes])
    places = np.array(
        [[-likeness.place(a, b) if a != b else 0 for b in classes] for a in classes], float
    )
    figures = {
        "class weights, cosine": weights @ weights.T,
        "typical photos, cosine": typical,
        "typical photos, what would be named next": places,
    }
    print("| | rank correlation | the most probable among the nearest 3 | rank of wrong names |")
    print("|---|---|---|---|")
    for name, table in figures.items():
        print(f"| {name} | {' | '.join(_scores(table, means, wrong))} |")


def _asked(classifier: Classifier, folders: list[Path]) -> tuple[Floats, list[tuple[int, int]]]:
    """Mean probabilities ``[C, C]`` by what photos show, and the wrong answers."""
    labels = classifier.info.labels
    photos = [
        (position, path)
        for folder in folders
        for position, label in enumerate(labels)
        if len(found := sorted((folder / str(label.class_id)).glob("*"))) >= FEW
        for path in found
        if int(hashlib.sha256(path.read_bytes()).hexdigest()[:8], 16) % PART == 0
    ]
    ids = [label.class_id for label in labels]
    sums, counts = np.zeros((len(ids), len(ids))), np.zeros(len(ids))
    wrong = []
    query = Query(top_k=len(ids))
    for (true, _), result in zip(
        photos, classifier.results((path for _, path in photos), query), strict=True
    ):
        if isinstance(result, Failure):
            continue
        for candidate in result.top:
            sums[true, ids.index(candidate.class_id)] += candidate.confidence
        counts[true] += 1
        if ids.index(result.class_id) != true:
            wrong.append((true, ids.index(result.class_id)))
    print(f"{int(counts.sum())} photos, {len(wrong)} of them named wrong\n")
    return sums / np.where(counts, counts, np.nan)[:, None], wrong


def _scores(table: Floats, means: Floats, wrong: list[tuple[int, int]]) -> list[str]:
    correlations, first = [], []
    for a in np.flatnonzero(np.isfinite(means[:, 0])).tolist():
        others = np.arange(len(means)) != a
        mine, theirs = _ranks(table[a][others]), _ranks(means[a][others])
        correlations.append(np.corrcoef(mine, theirs)[0, 1])
        first.append(mine[theirs.argmax()] > len(mine) - 3)
    ranks = [int((np.delete(table[a], a) >= table[a, b]).sum()) for a, b in wrong]
    return [f"{np.mean(correlations):.2f}", f"{np.mean(first):.0%}", f"{np.median(ranks):.0f}"]


def _ranks(values: Floats) -> Floats:
    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = np.arange(1, len(values) + 1)
    return ranks


if __name__ == "__main__":
    main(*sys.argv[1:])
