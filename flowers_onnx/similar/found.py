"""What was found for one photo, and its form as a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self, cast

from flowers_onnx.index.photo import Neighbour
from flowers_onnx.photos import display_path
from flowers_onnx.record import ClassId, Record
from flowers_onnx.results import Prediction

#: The fields of a neighbour in a record.
FIELDS = (
    "path",
    "uri",
    "likeness",
    "mark",
    "gone",
    "label",
    "class_id",
    "scientific_name",
    "confidence",
    "known",
    "sha256",
    "width",
    "height",
)


@dataclass(frozen=True, slots=True)
class Found(Prediction):
    """The answer for a photo, and the photos that look most like it, the nearest first.

    ``in_index`` says whether the index has the photo itself; ``names`` has the names of classes
    in the language that was asked for.
    """

    neighbours: tuple[Neighbour, ...] = ()
    in_index: bool = False
    names: Mapping[ClassId, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, prediction: Prediction, **more: Any) -> Self:
        """A prediction with the other fields besides."""
        return cls(
            **{one.name: getattr(prediction, one.name) for one in fields(Prediction)}, **more
        )

    def name_of(self, neighbour: Neighbour) -> str:
        """The name of a neighbour's class."""
        return self.names.get(neighbour.photo.class_id, neighbour.photo.label)

    def rows(self) -> Iterator[dict[str, Any]]:
        """``FIELDS`` of each neighbour."""
        for neighbour in self.neighbours:
            photo = neighbour.photo
            given = {
                "path": display_path(photo.path),
                "likeness": neighbour.likeness,
                "mark": neighbour.mark,
                "gone": photo.is_gone,
                "label": self.name_of(neighbour),
            }
            yield {name: given[name] if name in given else getattr(photo, name) for name in FIELDS}

    def to_record(self) -> Record:
        """The result record, and behind it ``in_index`` and ``similar``; for ``json.dumps``."""
        record = Prediction.to_record(self)
        more = {"in_index": self.in_index, "similar": list(self.rows())}
        return cast("Record", {**record, **more})
