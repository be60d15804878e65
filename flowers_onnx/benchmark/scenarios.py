"""What one run of each scenario is. The names are MLPerf's, except for ``cold``."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, TypedDict

from flowers_onnx.benchmark import processes
from flowers_onnx.classifier import Classifier
from flowers_onnx.environment import model_sha256
from flowers_onnx.errors import UsageError
from flowers_onnx.machine import peak_rss
from flowers_onnx.results import Failure

#: Milliseconds by stage, among them ``total`` (wall time) and, where it is known, ``cpu``.
Sample = dict[str, float]


class Stamps(TypedDict, total=False):
    """What ``cli/probe.py`` notes in its process, step by step.

    Seconds of ``time.perf_counter``; ``timing`` is the photo's, in ms; ``peak_rss`` is in MiB.
    """

    started: float
    accepted: float
    loading: float
    loaded: float
    timing: dict[str, float]
    returned: float
    peak_rss: float | None
    leaving: float


#: Shorter runs would measure little but how it is to begin one.
_FEWEST_PHOTOS = {"single-stream": 10, "offline": 32}


@dataclass(frozen=True, slots=True)
class Subject:
    """A loaded model at one number of threads; ``first`` has the ms of loading and of use."""

    classifier: Classifier
    sha256: str
    first: dict[str, float]

    @property
    def threads(self) -> int:
        """How many threads it uses."""
        return self.classifier.threads

    @classmethod
    def load(cls, model: str | None, threads: int, photo: str) -> Subject:
        """Load a model and classify one photo; raises ``ModelError`` or ``UsageError``."""
        started = time.perf_counter()
        classifier = Classifier(model, threads=threads)
        load = (time.perf_counter() - started) * 1e3
        (result,) = classifier.classify_many([photo])
        if isinstance(result, Failure):
            raise UsageError(f"can't measure with {result.path}: {result.message}")
        first = {"load": load, **asdict(result.timing)}
        return cls(
            classifier,
            model_sha256(classifier.info),
            {name: round(value, 4) for name, value in first.items()},
        )


class Scenario(Protocol):
    """A way of use. ``not_included`` says what its figures leave out."""

    not_included: str
    peak_rss: float | None

    def run(self) -> list[Sample]:
        """One run: as many samples every time."""


def scenario(name: str, subject: Subject, photos: Sequence[str]) -> Scenario:
    """The scenario of that name: ``cold``, ``single-stream`` or ``offline``."""
    match name:
        case "cold":
            return Cold(subject, itertools.cycle(photos))
        case "single-stream":
            return SingleStream(subject.classifier, _repeated(photos, _FEWEST_PHOTOS[name]))
        case "offline":
            least = max(_FEWEST_PHOTOS[name], 16 * subject.threads)
            return Offline(subject.classifier, _repeated(photos, least))
    raise ValueError(f"unknown scenario {name!r}")


@dataclass(slots=True)
class Cold:
    """New processes, one photo each: the real command for ``total``, a probe for the stages."""

    subject: Subject
    photos: Iterator[str]
    peak_rss: float | None = None
    not_included = (
        "the shell; reading program, model and photo from disk (they are cached); "
        "the stages are those of a second process that notes them"
    )

    def run(self) -> list[Sample]:
        """One photo, by each of the two processes."""
        photo = next(self.photos)
        words = [
            "classify",
            "--format=jsonl",
            f"--threads={self.subject.threads}",
            f"--model={self.subject.classifier.info.path}",
            "--",
            photo,
        ]
        traced = processes.run([*processes.probe_command(), *words])
        real = processes.run([*processes.flowers_command(), *words])
        stamps: Stamps = json.loads(traced.output.splitlines()[-1])
        if peak := stamps["peak_rss"]:
            self.peak_rss = max(self.peak_rss or 0, peak)
        sample = _cold_stages(traced, stamps)
        sample["total"] = (real.ended - real.spawned) * 1e3
        return [sample if real.cpu is None else sample | {"cpu": real.cpu}]


def _cold_stages(traced: processes.Finished, stamps: Stamps) -> Sample:
    photo = stamps["timing"]
    between = {
        "start": (traced.spawned, stamps["started"]),
        "arguments": (stamps["started"], stamps["accepted"]),
        "imports": (stamps["accepted"], stamps["loading"]),
        "load": (stamps["loading"], stamps["loaded"]),
        "output": (stamps["loaded"] + sum(photo.values()) / 1e3, stamps["returned"]),
        "exit": (stamps["leaving"], traced.ended),
    }
    return {**{name: (end - begin) * 1e3 for name, (begin, end) in between.items()}, **photo}


@dataclass(slots=True)
class SingleStream:
    """One photo after the other in this process."""

    classifier: Classifier
    photos: Sequence[str]
    peak_rss: float | None = None
    not_included = (
        "start-up and loading the model (given apart); reading from disk (the photos are "
        "cached); writing the result"
    )

    def run(self) -> list[Sample]:
        """One sample a photo; the first photo is done once more before, and not counted."""
        # Another case of the matrix ran before, so the CPU's caches hold what it needed.
        self.classifier.classify(self.photos[0])
        samples = [self._sample(photo) for photo in self.photos]
        self.peak_rss = peak_rss()
        return samples

    def _sample(self, photo: str) -> Sample:
        cpu, wall = time.process_time(), time.perf_counter()
        prediction = self.classifier.classify(photo)
        total, used = time.perf_counter() - wall, time.process_time() - cpu
        return asdict(prediction.timing) | {"total": total * 1e3, "cpu": used * 1e3}


@dataclass(slots=True)
class Offline:
    """All photos at once in this process, as for a folder; times are those of a photo."""

    classifier: Classifier
    photos: Sequence[str]
    peak_rss: float | None = None
    not_included = (
        "start-up and loading the model; reading from disk (the photos are cached); "
        "writing the results"
    )

    def run(self) -> list[Sample]:
        """One sample: the time of all photos, divided by their number."""
        cpu, wall = time.process_time(), time.perf_counter()
        for result in self.classifier.classify_many(self.photos):
            if isinstance(result, Failure):
                raise UsageError(f"can't measure with {result.path}: {result.message}")
        total, used = time.perf_counter() - wall, time.process_time() - cpu
        self.peak_rss = peak_rss()
        each = 1e3 / len(self.photos)
        return [{"total": total * each, "cpu": used * each}]


def _repeated(photos: Sequence[str], least: int) -> list[str]:
    """All photos, as often as it takes to be at least that many."""
    return list(photos) * -(-least // len(photos))
