"""What stands on one side of a comparison: a species, or a photo and the species it is named as."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from flowers_onnx.classifier import Classifier
from flowers_onnx.errors import ImageError, UsageError, from_os_error
from flowers_onnx.explanation import Embedding
from flowers_onnx.image_formats import MAX_BYTES
from flowers_onnx.index.index import Index
from flowers_onnx.index.photo import IndexedPhoto
from flowers_onnx.metadata import Label, ModelInfo
from flowers_onnx.photos import display_path
from flowers_onnx.results import Failure, Prediction
from flowers_onnx.sources import Unreadable, named_file

#: Example photos of a species that are shown.
EXAMPLES = 6
#: Photos of a class that are asked for at first; more where too many of them are gone.
_ASKED = 24


@dataclass(frozen=True, slots=True)
class Subject:
    """One side, as it was ``given``.

    Of a photo ``source`` is the path, or the bytes of what can be read only once, and ``photo``
    what the network makes of it, or why it can't be read. ``position`` is that of the species in
    the model's labels, None if the photo can't be read.
    """

    given: str
    position: int | None
    source: str | bytes | None = None
    photo: Embedding | Failure | None = None

    @property
    def prediction(self) -> Prediction | None:
        """The answer for the photo, with all candidates."""
        return self.photo.prediction if isinstance(self.photo, Embedding) else None

    @property
    def failure(self) -> Failure | None:
        """Why the photo can't be read."""
        return self.photo if isinstance(self.photo, Failure) else None

    def confidence_of(self, label: Label) -> float | None:
        """What a class has of the probability of the photo."""
        top = self.prediction.top if self.prediction else ()
        return next((one.confidence for one in top if one.class_id == label.class_id), None)


def path_in(word: str) -> str | None:
    """The file that a word names, if there is one; raises ``UsageError`` for one elsewhere."""
    path = named_file(word)
    if isinstance(path, Unreadable):
        raise UsageError(f"{word}: {path.error}")
    return path if os.path.exists(path) and not os.path.isdir(path) else None


def species(word: str, info: ModelInfo) -> Subject:
    """The species that a word names; raises ``UsageError`` for what is neither that nor a file."""
    try:
        return Subject(display_path(word), info.find(word))
    except UsageError as error:
        if " means several classes" in str(error):
            raise
        what = f"{word!r} is a folder" if os.path.isdir(word) else f"there is no file {word!r}"
        raise UsageError(f"{what}, and {error}") from None


def photo(path: str, classifier: Classifier, lang: str) -> Subject:
    """A photo, and the species that it is most likely of."""
    given, labels = display_path(path), classifier.info.labels
    source: str | bytes = path
    try:
        if not os.path.isfile(path):
            source = _content(path)
        embedding = classifier.embed(source, top_k=len(labels), lang=lang)
    except ImageError as error:
        failed = Failure(error.code, str(error), given, None, classifier.info.id)
        return Subject(given, None, source, failed)
    embedding = replace(embedding, prediction=replace(embedding.prediction, path=given))
    ids = [label.class_id for label in labels]
    return Subject(given, ids.index(embedding.prediction.class_id), source, embedding)


def _content(path: str) -> bytes:
    """What comes through a pipe; a byte more than a photo may have is enough to refuse it."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise from_os_error(error) from error


def examples(index: Index, label: Label, but: Subject) -> Iterator[IndexedPhoto]:
    """Photos of a species that are there and known, the surest first, but for that of ``but``."""
    shown = {but.prediction.sha256} if but.prediction else set[str | None]()
    seen, asked = 0, _ASKED
    while True:
        found = index.photos_of(label.class_id, asked)
        for one in found[seen:]:
            if one.sha256 not in shown and one.known is not False and not one.is_gone:
                shown.add(one.sha256)
                yield one
        if len(found) < asked:
            return
        seen, asked = len(found), 4 * asked
