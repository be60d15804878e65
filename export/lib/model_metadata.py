"""``metadata_props``: all that a reader of the ONNX file needs to know, inside the file.

Written here, read by ``flowers_onnx.metadata.read_info``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx

from flowers_onnx.atomic import replacing
from flowers_onnx.confusion import Confusions, dumps
from flowers_onnx.metadata import OPTIONAL_NAMES, SCHEMA, Label, ModelInfo
from flowers_onnx.text import read_text


def write(model: onnx.ModelProto, info: ModelInfo) -> None:
    """Replace the ``metadata_props`` of ``model``."""
    rule = {
        "resize": "center_crop",
        "crop_fraction": info.preprocess.crop_fraction,
        "kernel": info.preprocess.kernel,
    }
    props = {
        "schema": SCHEMA,
        "labels": _json([asdict(label) for label in info.labels]),
        "input_size": str(info.preprocess.size),
        "preprocess": _json(rule),
        "model_name": info.name,
        "model_version": info.version,
        "dataset": info.dataset,
        "date": info.date,
        "metrics": _json(info.metrics),
        "license": info.license,
    }
    for name in ("rejection", "prediction_set"):
        if (rule := getattr(info, name)) is not None:
            props[name] = _json(asdict(rule))
    if info.confusion is not None:
        props["confusion"] = info.confusion
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, props)


def write_confusion(path: Path, sets: Sequence[Confusions]) -> None:
    """Have the file say what its model took the photos of ``sets`` for; all else stays."""
    model = onnx.load(path)
    others = [entry for entry in model.metadata_props if entry.key != "confusion"]
    told = onnx.StringStringEntryProto(key="confusion", value=dumps(sets))
    del model.metadata_props[:]
    model.metadata_props.extend([*others, told])
    with replacing(str(path)) as draft:
        onnx.save(model, draft)


def read_labels(path: Path, class_order: list[str] | None = None) -> list[Label]:
    """Labels in output order, from a JSON list of rows or an ``{id: name}`` mapping.

    ``class_order`` lists the class ids (folder names) that the network knows, in its
    output order; without it all rows count, sorted as numbers if all ids are numeric.
    Raises ``ValueError``.
    """
    content = json.loads(read_text(str(path)))
    match content:
        case dict():
            labels = [label({"class_id": key, "label": name}) for key, name in content.items()]
        case list():
            labels = [label(row) for row in content]
        case _:
            raise ValueError(f"{path}: neither a list of rows nor an {{id: name}} mapping")
    by_id = {str(found.class_id): found for found in labels}
    if len(by_id) != len(labels):
        raise ValueError(f"{path}: a class_id occurs twice")
    if class_order is None:
        class_order = sorted(by_id, key=int) if all(map(str.isdecimal, by_id)) else sorted(by_id)
    unnamed = [class_id for class_id in class_order if class_id not in by_id]
    if unnamed:
        raise ValueError(f"{path}: no name for the classes {', '.join(unnamed)}")
    return [by_id[class_id] for class_id in class_order]


def label(row: Any) -> Label:
    """One row of a labels file; raises ``ValueError`` if it lacks an id or a name."""
    try:
        class_id, name = str(row["class_id"]), row["label"]
        extra = [row.get(column) for column in OPTIONAL_NAMES]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a label row needs class_id and label: {row!r}") from error
    if not isinstance(name, str):
        raise ValueError(  # noqa: TRY004 - a wrong file, not a wrong call
            f"the label of class {class_id} is not a text: {name!r}"
        )
    is_number = class_id.isdecimal() and str(int(class_id)) == class_id  # 007 is a name
    return Label(int(class_id) if is_number else class_id, name, *extra)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
