"""What a model file says of itself: labels, input size, preprocessing, version.

An ONNX file is a protocol buffer whose top level holds the graph and, beside it, a map of
strings. Reading that map needs neither onnxruntime nor the graph, so ``flowers labels``
and ``flowers --version`` answer without loading either.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from flowers_onnx.errors import ModelError

#: The metadata schema that this version reads; ``export/convert.py`` writes it.
SCHEMA = "1"
MODEL_VARIABLE = "FLOWERS_ONNX_MODEL"
#: The languages of `Label.name`: English, Spanish, Latin.
LANGUAGES = ("en", "es", "la")
#: Pillow's resampling filters by name.
KERNELS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")

_METADATA_PROPS = 14  # field numbers of onnx.proto: ModelProto.metadata_props,
_KEY, _VALUE = 1, 2  # StringStringEntryProto.key and .value
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf wire types
#: Far above any real label table; keeps a hostile length from filling the memory.
_MAX_ENTRY = 64 << 20


@dataclass(frozen=True, slots=True)
class Label:
    """One class: the data set's id and its names in English, Latin and Spanish."""

    class_id: int | str
    label: str
    scientific_name: str | None = None
    spanish_name: str | None = None

    def name(self, lang: str) -> str:
        """The name in ``lang`` (``en``, ``es`` or ``la``); English where there is no other."""
        names = {"es": self.spanish_name, "la": self.scientific_name}
        return names.get(lang) or self.label


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
class ModelInfo:
    """The metadata of one model file; ``labels`` are in the order of the network's output."""

    path: Path
    name: str
    version: str
    labels: tuple[Label, ...]
    preprocess: Preprocess
    dataset: str
    date: str
    license: str
    metrics: dict[str, Any]

    @property
    def id(self) -> str:
        """``name/version``, as results carry it."""
        return f"{self.name}/{self.version}"


def find_model(model: str | os.PathLike[str] | None = None) -> Path:
    """The model file: the argument, ``FLOWERS_ONNX_MODEL``, or the one that ships."""
    if chosen := model or os.environ.get(MODEL_VARIABLE):
        return Path(chosen)
    package = Path(__file__).parent
    shipped = package / "flowers.onnx"  # put there when the wheel is built
    return shipped if shipped.exists() else package.parent / "model" / "flowers.onnx"


def read_info(path: Path) -> ModelInfo:
    """Read and check the metadata of an ONNX file; raises ``ModelError``."""
    try:
        with path.open("rb") as file:
            properties = dict(_properties(file, os.fstat(file.fileno()).st_size))
    except OSError as error:
        raise ModelError(f"can't read the model {path}: {error.strerror}") from error
    except (ValueError, IndexError) as error:
        raise ModelError(f"{path} is not an ONNX model") from error
    if (schema := properties.get("schema")) != SCHEMA:
        found = f"metadata schema {schema}" if schema else "no flowers-onnx metadata"
        raise ModelError(f"{path} has {found}; schema {SCHEMA} is needed (see export/convert.py)")
    try:
        return ModelInfo(
            path=path,
            name=properties["model_name"],
            version=properties["model_version"],
            labels=_labels(properties),
            preprocess=_preprocess(properties),
            dataset=properties.get("dataset", ""),
            date=properties.get("date", ""),
            license=properties.get("license", ""),
            metrics=json.loads(properties.get("metrics", "{}")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"the metadata of {path} is broken: {error!r}") from error


def _labels(properties: dict[str, str]) -> tuple[Label, ...]:
    rows = json.loads(properties["labels"])
    if not rows:
        raise ValueError("no labels")
    return tuple(_label(row) for row in rows)


def _label(row: dict[str, Any]) -> Label:
    names = (row["label"], row.get("scientific_name"), row.get("spanish_name"))
    if not isinstance(names[0], str) or not all(isinstance(name, str | None) for name in names):
        raise ValueError(f"names must be text: {row}")
    return Label(row["class_id"], *names)


def _preprocess(properties: dict[str, str]) -> Preprocess:
    rule = json.loads(properties["preprocess"])
    found = Preprocess(int(properties["input_size"]), float(rule["crop_fraction"]), rule["kernel"])
    known = rule["resize"] == "center_crop" and found.kernel in KERNELS
    if not known or found.size < 1 or not 0 < found.crop_fraction <= 1:
        raise ValueError(f"unknown preprocessing {rule} to {found.size} pixels")
    return found


def _properties(file: BinaryIO, size: int) -> Iterator[tuple[str, str]]:
    """The key-value pairs of a serialised ``ModelProto``; skips the graph unread."""
    while file.tell() < size:
        tag = _varint(file)
        field, wire = tag >> 3, tag & 7
        if wire == _BYTES:
            length = _varint(file)
            if file.tell() + length > size:
                raise ValueError("a field is longer than the file")
            if field == _METADATA_PROPS and length <= _MAX_ENTRY:
                entry = _strings(file.read(length))
                yield entry.get(_KEY, ""), entry.get(_VALUE, "")
            else:
                file.seek(length, os.SEEK_CUR)
        elif wire == _VARINT:
            _varint(file)
        elif wire in (_FIXED64, _FIXED32):
            file.seek(8 if wire == _FIXED64 else 4, os.SEEK_CUR)
        else:
            raise ValueError(f"wire type {wire}")


def _strings(entry: bytes) -> dict[int, str]:
    """The string fields of a small message, by field number."""
    from io import BytesIO

    file, fields = BytesIO(entry), {}
    while file.tell() < len(entry):
        tag = _varint(file)
        if tag & 7 != _BYTES:
            raise ValueError("a metadata entry holds more than strings")
        fields[tag >> 3] = file.read(_varint(file)).decode()
    return fields


def _varint(file: BinaryIO) -> int:
    """A base-128 integer, at most 64 bits."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise ValueError("a varint of more than ten bytes")
