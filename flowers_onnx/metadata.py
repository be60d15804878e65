"""What a model file says of itself: labels, input size, preprocessing, version.

Reading it needs neither onnxruntime nor the graph, so ``flowers labels`` answers without
loading either.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowers_onnx.errors import ModelError
from flowers_onnx.onnx_file import read_properties

if TYPE_CHECKING:  # seldom needed
    from flowers_onnx.confusion import Confusions

#: The metadata schema that this version reads; ``export/convert.py`` writes it.
SCHEMA = "1"
#: The languages of `Label.name`: English, Spanish, Latin.
LANGUAGES = ("en", "es", "la")
#: What a row of labels may have besides ``class_id`` and ``label``, in the order of `Label`.
OPTIONAL_NAMES = ("scientific_name", "spanish_name", "genus", "family")
#: Pillow's resampling filters by name.
KERNELS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")


@dataclass(frozen=True, slots=True)
class Label:
    """One class: the data set's id and its names in English, Latin and Spanish.

    ``genus`` and ``family`` are for grouping answers; no answer is ever one of them.
    """

    class_id: int | str
    label: str
    scientific_name: str | None = None
    spanish_name: str | None = None
    genus: str | None = None
    family: str | None = None

    def name(self, lang: str) -> str:
        """The name in ``lang`` (``en``, ``es`` or ``la``); English where there is no other."""
        names = {"es": self.spanish_name, "la": self.scientific_name}
        return names.get(lang) or self.label

    def to_row(self, lang: str) -> dict[str, Any]:
        """The class as ``flowers labels`` and ``/v1/labels`` list it."""
        return {
            "class_id": self.class_id,
            "label": self.name(lang),
            "scientific_name": self.scientific_name,
            "genus": self.genus,
            "family": self.family,
        }


@dataclass(frozen=True, slots=True)
class Preprocess:
    """From a photo to the network's input.

    The centred square whose side is ``crop_fraction`` of the short side is resized to
    ``size`` pixels with Pillow's ``kernel``.
    """

    size: int
    crop_fraction: float
    kernel: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """A photo is known if the network's ``known_score`` is at least ``threshold``."""

    threshold: float
    method: str


@dataclass(frozen=True, slots=True)
class SetRule:
    """The best class and all of a probability of at least ``threshold``: a prediction set.

    It holds the right class in the share ``coverage`` of cases.
    """

    coverage: float
    threshold: float


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The metadata of one model file; ``labels`` are in the order of the network's output.

    ``rejection`` and ``prediction_set`` are ``None`` in a file that has no such rule;
    ``confusion`` is what its evaluation left, as it stands in the file; ``stamp`` changes with the
    file, whatever else stays: its number in the file system, size and time.
    """

    path: str
    name: str
    version: str
    labels: tuple[Label, ...]
    preprocess: Preprocess
    dataset: str
    date: str
    license: str
    metrics: dict[str, Any]
    rejection: Rejection | None = None
    prediction_set: SetRule | None = None
    confusion: str | None = field(default=None, repr=False)
    stamp: tuple[int, int, int] | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """``name/version``, as results carry it."""
        return f"{self.name}/{self.version}"

    def find(self, name: str) -> int:
        """The position of the class of this id or name, in any of ``LANGUAGES``, in the labels.

        Letters count alike in upper and lower case. Raises ``UsageError`` for a name that no
        class has, or several have.
        """
        from flowers_onnx.names import find_class  # seldom needed

        return find_class(self.labels, name)

    def confusions(self) -> tuple[Confusions, ...]:
        """What the model took the photos of its evaluation for; empty in a file without it.

        Raises ``ModelError`` for what is no such thing: it isn't looked at before.
        """
        from flowers_onnx.confusion import loads  # seldom needed

        if self.confusion is None:
            return ()
        try:
            return loads(self.confusion, len(self.labels))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"the metadata of {self.path} is broken: {error!r}") from error


def read_info(path: str | os.PathLike[str]) -> ModelInfo:
    """Read and check the metadata of an ONNX file; raises ``ModelError``."""
    try:
        found = os.stat(path)  # first, so that it is never newer than what is read
        properties = read_properties(path)
    except OSError as error:
        raise ModelError(f"can't read the model {path}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path} is not an ONNX model") from error
    if (schema := properties.get("schema")) != SCHEMA:
        told = f"metadata schema {schema}" if schema else "no flowers-onnx metadata"
        raise ModelError(f"{path} has {told}; schema {SCHEMA} is needed (see export/convert.py)")
    try:
        return ModelInfo(
            path=os.fspath(path),
            name=properties["model_name"],
            version=properties["model_version"],
            labels=_labels(properties),
            preprocess=_preprocess(properties),
            dataset=properties.get("dataset", ""),
            date=properties.get("date", ""),
            license=properties.get("license", ""),
            metrics=_json(properties.get("metrics", "{}")),
            rejection=_rejection(properties),
            prediction_set=_set_rule(properties),
            confusion=properties.get("confusion"),
            stamp=(found.st_ino, found.st_size, found.st_mtime_ns),
        )
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise ModelError(f"the metadata of {path} is broken: {error!r}") from error


def _json(text: str) -> Any:
    """JSON in which every number is one: Python's own would take NaN, and 1e999 for infinity."""
    value = json.loads(text)
    json.dumps(value, allow_nan=False)
    return value


def _labels(properties: dict[str, str]) -> tuple[Label, ...]:
    rows = _json(properties["labels"])
    if not rows:
        raise ValueError("no labels")
    return tuple(_label(row) for row in rows)


def _label(row: dict[str, Any]) -> Label:
    names = (row["label"], *(row.get(column) for column in OPTIONAL_NAMES))
    if not isinstance(names[0], str) or not all(isinstance(name, str | None) for name in names):
        raise ValueError(f"names must be text: {row}")
    if not isinstance(row["class_id"], int | str):
        raise TypeError(f"class_id must be a whole number or text: {row}")
    return Label(row["class_id"], *names)


def _preprocess(properties: dict[str, str]) -> Preprocess:
    rule = _json(properties["preprocess"])
    found = Preprocess(int(properties["input_size"]), float(rule["crop_fraction"]), rule["kernel"])
    known = rule["resize"] == "center_crop" and found.kernel in KERNELS
    if not known or found.size < 1 or not 0 < found.crop_fraction <= 1:
        raise ValueError(f"unknown preprocessing {rule} to {found.size} pixels")
    return found


def _rejection(properties: dict[str, str]) -> Rejection | None:
    if "rejection" not in properties:
        return None
    rule = _json(properties["rejection"])
    if not isinstance(rule["method"], str):
        raise TypeError(f"method must be text: {rule}")
    return Rejection(_number(rule, "threshold"), rule["method"])


def _set_rule(properties: dict[str, str]) -> SetRule | None:
    if "prediction_set" not in properties:
        return None
    rule = _json(properties["prediction_set"])
    found = SetRule(_number(rule, "coverage"), _number(rule, "threshold"))
    if not (0 < found.coverage <= 1 and 0 <= found.threshold <= 1):
        raise ValueError(f"coverage and threshold must be shares: {rule}")
    return found


def _number(rule: dict[str, Any], name: str) -> float:
    if type(rule[name]) not in {int, float}:  # a bool is an int too
        raise TypeError(f"{name} must be a number: {rule}")
    return float(rule[name])
