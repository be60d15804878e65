"""What a network makes of photos: logits and features, computed once and kept in a file."""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnx
import onnxruntime as ort
from PIL import Image, ImageOps

from flowers_onnx.atomic import replacing
from flowers_onnx.metadata import Preprocess
from flowers_onnx.pixels import Pixels, decode
from lib import augment, dataset
from lib.onnx_gates import FEATURES, INPUT, KNOWN_SCORE, softmax_of
from lib.photo_classifier import read_photo

_BATCH = 8
_KEEP_EVERY = 500
#: Of the JPEG that a shrunk photo is kept as, like the thumbnails of a web page.
_THUMBNAIL_QUALITY = 80


@dataclass(frozen=True)
class Outputs:
    """``logits`` float32 ``[N, C]`` and ``features`` float32 ``[N, D]``, a row a photo.

    ``score`` is the ``known_score`` float32 ``[N]`` of a model that has one.
    """

    logits: np.ndarray
    features: np.ndarray
    score: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.logits)

    def __getitem__(self, rows: Any) -> Outputs:
        score = None if self.score is None else self.score[rows]
        return Outputs(self.logits[rows], self.features[rows], score)


class Extractor:
    """Runs ``model`` on photos; what it has seen is kept in the folder ``cache``, if one is given.

    The cache goes by the bytes of the photo and of the model, so that it is never out of date.
    """

    def __init__(self, model: onnx.ModelProto, preprocess: Preprocess, cache: str = "") -> None:
        probed = onnx.ModelProto()
        probed.CopyFrom(model)
        del probed.metadata_props[:]
        logits = softmax_of(probed.graph).input[0]
        value = onnx.helper.make_tensor_value_info(logits, onnx.TensorProto.FLOAT, None)
        probed.graph.output.append(value)
        content = probed.SerializeToString(deterministic=True)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._tensors = {"logits": logits, "features": FEATURES}
        if any(output.name == KNOWN_SCORE for output in model.graph.output):
            self._tensors["score"] = KNOWN_SCORE
        self._preprocess = preprocess
        self._rows: dict[str, tuple[np.ndarray, ...]] = {}
        self._file: Path | None = None
        if cache:
            recipe = content + repr(preprocess).encode()
            self._file = Path(cache, f"{hashlib.sha256(recipe).hexdigest()[:16]}.npz")
            self._read()

    def outputs(self, photos: Sequence[Path], *, shrunk_to: int = 0) -> Outputs:
        """The outputs for ``photos``, in their order.

        ``shrunk_to`` first makes a thumbnail of each with this short side, in pixels.
        """
        if not shrunk_to:
            return self._outputs(photos, "", lambda path: read_photo(path, self._preprocess))
        return self._outputs(photos, f"@{shrunk_to}", lambda path: self._shrunk(path, shrunk_to))

    def view_outputs(self, photos: Sequence[Path], seed: int) -> Outputs:
        """The outputs for a random view of each, as a network is trained on."""

        def view(path: Path) -> Pixels:
            rng = np.random.default_rng((seed, int(dataset.digest(path)[:8], 16)))
            return augment.random_view(dataset.decode(path), self._preprocess.size, rng)

        return self._outputs(photos, f"@view{seed}", view)

    def _outputs(
        self, photos: Sequence[Path], suffix: str, pixels: Callable[[Path], Pixels]
    ) -> Outputs:
        keys = [dataset.digest(path) + suffix for path in photos]
        todo = {k: path for k, path in zip(keys, photos, strict=True) if k not in self._rows}
        for done, (key, row) in enumerate(self._run(todo, pixels), 1):
            self._rows[key] = row
            if done % _KEEP_EVERY == 0 or done == len(todo):
                print(f"{done} of {len(todo)} photos", file=sys.stderr, flush=True)
                self._write()
        columns = zip(*(self._rows[key] for key in keys), strict=True)
        return Outputs(**dict(zip(self._tensors, map(np.stack, columns), strict=True)))

    def _run(
        self, photos: dict[str, Path], pixels: Callable[[Path], Pixels]
    ) -> Iterator[tuple[str, tuple[np.ndarray, ...]]]:
        keys = list(photos)
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            image = np.stack([pixels(photos[key]) for key in batch])
            columns = self._session.run(list(self._tensors.values()), {INPUT: image})
            yield from zip(batch, zip(*columns, strict=True), strict=True)

    def _shrunk(self, path: Path, side: int) -> Pixels:
        with Image.open(path) as opened:
            photo = ImageOps.exif_transpose(opened).convert("RGB")
        scale = min(1.0, side / min(photo.size))
        size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
        file = io.BytesIO()
        small = photo.resize(size, Image.Resampling.LANCZOS)
        small.save(file, "JPEG", quality=_THUMBNAIL_QUALITY)
        file.seek(0)
        return decode(file, self._preprocess).pixels

    def _read(self) -> None:
        if self._file is not None and self._file.is_file():
            with np.load(self._file) as kept:
                columns = [kept[name] for name in self._tensors]
                keys = kept["keys"].tolist()
            self._rows = dict(zip(keys, zip(*columns, strict=True), strict=True))

    def _write(self) -> None:
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        columns = dict(zip(self._tensors, zip(*self._rows.values(), strict=True), strict=True))
        stacked: dict[str, Any] = {name: np.stack(column) for name, column in columns.items()}
        with replacing(str(self._file)) as draft, open(draft, "wb") as file:
            np.savez(file, keys=np.array(list(self._rows)), **stacked)
