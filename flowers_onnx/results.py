"""What is asked of a classification, what it gives, and its form as a record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast

from flowers_onnx.errors import UsageError
from flowers_onnx.metadata import LANGUAGES
from flowers_onnx.record import (
    RECORD_SCHEMA,
    CandidateRecord,
    ClassId,
    ErrorRecord,
    Field,
    Record,
    fields_of,
)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of each photo: how many candidates, in which language, and how sure.

    ``top_k`` is at most the number of classes; ``lang`` is ``en``, ``es`` or ``la``.
    ``min_confidence``, 0 to 1, is from where on an answer is ``known``, in place of the model's
    own rule. Raises ``UsageError`` for what makes no sense.
    """

    top_k: int = 5
    lang: str = "en"
    min_confidence: float | None = None

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise UsageError(f"top_k must be at least 1, not {self.top_k}")
        if self.lang not in LANGUAGES:
            raise UsageError(f"lang must be one of {', '.join(LANGUAGES)}, not {self.lang!r}")
        if self.min_confidence is not None and not _is_share(self.min_confidence):
            raise UsageError(f"min_confidence must be from 0 to 1, not {self.min_confidence!r}")


def _is_share(value: object) -> bool:
    try:
        return not isinstance(value, bool) and bool(0 <= value <= 1)  # type: ignore[operator]
    except (TypeError, ValueError):  # no number, or several
        return False


@dataclass(frozen=True, slots=True)
class Candidate:
    """One class that the photo may show.

    ``confidence`` is the network's probability, 0 to 1; ``class_id`` is the data set's
    own id (1 to 102 for the model that ships), not the position in the output.
    """

    label: str
    class_id: ClassId
    confidence: float

    def to_record(self) -> CandidateRecord:
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

    ``known`` says whether the photo shows one of the model's classes at all; ``None`` where
    the model can't tell and no ``min_confidence`` was asked for. ``prediction_set`` holds the
    fewest candidates, best first, that have the right one among them as often as the model's
    file says; it is empty unless ``known`` is true and the file has a rule for it.
    """

    top: tuple[Candidate, ...]
    scientific_name: str | None
    path: str | None
    sha256: str | None
    width: int
    height: int
    model: str
    timing: Timing = field(default=Timing(), compare=False, repr=False)
    known: bool | None = None
    prediction_set: tuple[Candidate, ...] = ()

    @property
    def label(self) -> str:
        """The name of the best candidate, in the language that was asked for."""
        return self.top[0].label

    @property
    def class_id(self) -> ClassId:
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

    def to_record(self) -> Record:
        """The result record, ready for ``json.dumps``."""
        given = {
            "schema": RECORD_SCHEMA,
            "status": "ok",
            "top": [candidate.to_record() for candidate in self.top],
            "prediction_set": [candidate.to_record() for candidate in self.prediction_set],
            "error": None,
        }
        return cast(
            Record, {name: given[name] if name in given else getattr(self, name) for name in _NAMES}
        )


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

    def to_record(self) -> Record:
        """The result record, ready for ``json.dumps``."""
        given: dict[str, Any] = {
            "schema": RECORD_SCHEMA,
            "path": self.path,
            "status": "error",
            "top": [],
            "prediction_set": [],
            "sha256": self.sha256,
            "model": self.model,
            "error": {"code": self.code, "message": self.message},
        }
        return cast(Record, dict.fromkeys(_NAMES) | given)


Result = Prediction | Failure

_NAMES = tuple(Record.__annotations__)


def result_of(record: Mapping[str, Any]) -> Result:
    """The reverse of ``to_record``; fields that this version doesn't know are left out.

    Those that came after 1.0 may be missing, and numbers may be given as text. Raises one of
    Python's errors of look-up, type or value for what is no record of this major version.
    """
    if not record["schema"].startswith(RECORD_SCHEMA.partition(".")[0] + "."):
        raise ValueError(f"schema {record['schema']}")
    if record["status"] == "error":
        error = _values(record["error"], ErrorRecord, Failure)
        return Failure(**error, **_values(record, Record, Failure))
    if record["status"] != "ok":
        raise ValueError(f"status {record['status']}")
    top = _candidates(record["top"])
    if not top:
        raise ValueError("no candidates")
    values = _values(record, Record, Prediction)
    if None in (values["width"], values["height"]):
        raise ValueError("no size")
    fewest = _candidates(record.get("prediction_set", ()))
    return Prediction(**values | {"top": top, "prediction_set": fewest})


def _candidates(records: Iterable[Mapping[str, Any]]) -> tuple[Candidate, ...]:
    made = tuple(Candidate(**_values(one, CandidateRecord, Candidate)) for one in records)
    if not all(0 <= candidate.confidence <= 1 for candidate in made):
        raise ValueError("no probabilities")
    return made


def _values(record: Mapping[str, Any], declared: type, wanted: Any) -> dict[str, Any]:
    """The fields of ``record`` that an object of the class ``wanted`` is made of."""
    names = {one.name for one in fields(wanted)}
    return {
        one.name: _value(record.get(one.name), one)
        for one in fields_of(declared)
        if one.name in names
    }


def _value(value: Any, expected: Field) -> Any:
    if expected.fields or (value is None and expected.nullable):
        return value
    match expected.type:
        case "integer":
            return int(value)
        case "float":
            return float(value)
        case "class_id" if isinstance(value, int | str):
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "boolean":
            raise TypeError(f"{expected.name} is {value!r}")
    if not isinstance(value, str):
        raise TypeError(f"{expected.name} is {value!r}")
    return value.encode("utf-8", "replace").decode()  # JSON can hold half a character
