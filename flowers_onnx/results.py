"""What is asked of a classification, what it gives, and its form as a record.

The record is the one shape in which results leave this program, whatever the door:
``docs/result-record.md`` describes it and gives its JSON Schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flowers_onnx.errors import UsageError
from flowers_onnx.metadata import LANGUAGES

#: Version of the record: a minor step adds fields, a major step changes or removes some.
RECORD_SCHEMA = "1.0"


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of each photo: how many candidates, and in which language their names.

    ``top_k`` is at most the number of classes; ``lang`` is ``en``, ``es`` or ``la``. Raises
    ``UsageError`` for what makes no sense.
    """

    top_k: int = 5
    lang: str = "en"

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise UsageError(f"top_k must be at least 1, not {self.top_k}")
        if self.lang not in LANGUAGES:
            raise UsageError(f"lang must be one of {', '.join(LANGUAGES)}, not {self.lang!r}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One class that the photo may show.

    ``confidence`` is the network's probability, 0 to 1; ``class_id`` is the data set's
    own id (1 to 102 for the model that ships), not the position in the output.
    """

    label: str
    class_id: int | str
    confidence: float

    def to_record(self) -> dict[str, Any]:
        """The candidate in a result record."""
        return {"label": self.label, "class_id": self.class_id, "confidence": self.confidence}


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the wall time of one photo went, in milliseconds; 0 for what was not reached.

    ``read`` is opening, reading and hashing the file, ``decode`` from its bytes to pixels,
    ``preprocess`` the crop, the resize and the orientation, ``inference`` the network,
    ``postprocess`` the choice of the best labels.
    """

    read: float = 0
    decode: float = 0
    preprocess: float = 0
    inference: float = 0
    postprocess: float = 0

    @property
    def total(self) -> float:
        """The sum: from the source to the prediction."""
        return self.read + self.decode + self.preprocess + self.inference + self.postprocess


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one photo; ``top`` holds the best candidates, best first.

    ``width`` and ``height`` are in pixels, as displayed (EXIF orientation applied).
    ``sha256`` is of the bytes as given, in hexadecimal; ``None`` where the photo came as
    decoded pixels. ``path`` is ``None`` for anything but a path. ``timing`` is no part of
    the record, and equal predictions may differ in it.
    """

    top: tuple[Candidate, ...]
    scientific_name: str | None
    path: str | None
    sha256: str | None
    width: int
    height: int
    model: str
    timing: Timing = field(default=Timing(), compare=False, repr=False)

    @property
    def label(self) -> str:
        """The name of the best candidate, in the language that was asked for."""
        return self.top[0].label

    @property
    def class_id(self) -> int | str:
        """The id of the best candidate."""
        return self.top[0].class_id

    @property
    def confidence(self) -> float:
        """The probability of the best candidate, 0 to 1."""
        return self.top[0].confidence

    @property
    def ok(self) -> bool:
        """True: the photo was classified."""
        return True

    def to_record(self) -> dict[str, Any]:
        """The result record, ready for ``json.dumps``."""
        return {
            "schema": RECORD_SCHEMA,
            "path": self.path,
            "status": "ok",
            "label": self.label,
            "class_id": self.class_id,
            "scientific_name": self.scientific_name,
            "confidence": self.confidence,
            "top": [candidate.to_record() for candidate in self.top],
            "sha256": self.sha256,
            "width": self.width,
            "height": self.height,
            "model": self.model,
            "error": None,
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """One input that has no prediction, and why; ``sha256`` if its bytes could be read."""

    code: str
    message: str
    path: str | None
    sha256: str | None
    model: str

    @property
    def ok(self) -> bool:
        """False: there is no prediction."""
        return False

    def to_record(self) -> dict[str, Any]:
        """The result record, ready for ``json.dumps``."""
        return {
            "schema": RECORD_SCHEMA,
            "path": self.path,
            "status": "error",
            "label": None,
            "class_id": None,
            "scientific_name": None,
            "confidence": None,
            "top": [],
            "sha256": self.sha256,
            "width": None,
            "height": None,
            "model": self.model,
            "error": {"code": self.code, "message": self.message},
        }


Result = Prediction | Failure
