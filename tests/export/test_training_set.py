"""Which photos are trained on, how often, and as what: by their folders, sources and hashes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.augment import mix, random_view
from lib.dataset import UNNAMED, digest, for_calibration
from lib.sampling import draw, weights
from lib.training_set import assemble

pytestmark = pytest.mark.export


def _photos(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes of 60 and 4 photos, 6 more from two places elsewhere, 5 of neither class."""
    root = tmp_path / "data"
    for split, counts in (("train", (60, 4)), ("valid", (3, 3))):
        for class_id, count in enumerate(counts, 1):
            _photos(root / split / str(class_id), count, 10 * class_id + (split == "valid"))
    _photos(tmp_path / "elsewhere" / "1", 6, 100)
    rows = [f"1/{index}.png,{'garden' if index < 4 else 'meadow'}" for index in range(6)]
    (tmp_path / "elsewhere" / "index.csv").write_text("\n".join(["path,source", *rows]))
    _photos(tmp_path / "others", 5, 200)
    return root


def test_a_photo_is_learned_of_or_judges_never_both(data: Path) -> None:
    also, others = str(data.parent / "elsewhere"), str(data.parent / "others")
    photos = assemble(data, ["1", "2"], also=[also], unnamed=[others])
    parts = [photos.train, photos.calibration, photos.valid]
    keys = [{digest(photo.path) for photo in part} for part in parts]
    assert sum(map(len, keys)) == len(set.union(*keys)) == 60 + 4 + 6 + 5 + 6
    assert photos.calibration
    assert all(for_calibration(key) for key in keys[1])
    # Few photos of a class are all needed, and what is none of the classes has no confidence.
    assert {photo.target for photo in photos.calibration} == {0}
    assert sum(photo.target == 1 for photo in photos.train) == 4
    assert sum(photo.target == UNNAMED for photo in photos.train) == 5
    assert "5 of none" in photos.describe()


def test_the_same_photos_are_kept_out_in_every_run(data: Path) -> None:
    alone = assemble(data, ["1", "2"])
    more = assemble(data, ["1", "2"], also=[str(data.parent / "elsewhere")])
    assert set(alone.calibration) <= set(more.calibration)


def test_a_source_is_left_out_whole(data: Path) -> None:
    also = str(data.parent / "elsewhere")
    without = assemble(data, ["1", "2"], also=[also], held_out={"meadow"})
    used = {photo.source for photo in [*without.train, *without.calibration]}
    assert used == {"", "garden"}


def test_a_copy_of_a_validation_photo_is_left_out(data: Path) -> None:
    (data / "train" / "1" / "copy.png").write_bytes((data / "valid" / "1" / "0.png").read_bytes())
    photos = assemble(data, ["1", "2"])
    assert not any(photo.path.name == "copy.png" for photo in [*photos.train, *photos.calibration])


def test_a_photo_is_what_it_shows(data: Path) -> None:
    corrections = data.parent / "errors.csv"
    corrections.write_text("photo,shows,note\n2/0.png,1,\n2/1.png,none,\n2/2.png,,a bud\n")
    photos = assemble(data, ["1", "2"], corrections=str(corrections))
    of_second = {
        photo.path.stem: photo.target for photo in photos.train if photo.path.parent.name == "2"
    }
    assert of_second == {"0": 0, "2": 1, "3": 1}
    assert all(photo.target == int(photo.path.parent.name) - 1 for photo in photos.valid)
    corrections.write_text("photo,shows\n2/0.png,3\n")
    with pytest.raises(SystemExit, match="3 is no class"):
        assemble(data, ["1", "2"], corrections=str(corrections))
    corrections.write_text("photo,shows\ntrain/2/0.png,1\n")
    with pytest.raises(SystemExit, match="no photo is there that it names, such as train/2/0"):
        assemble(data, ["1", "2"], corrections=str(corrections))


def test_the_official_split(data: Path) -> None:
    rows = ["path,class_id,official_split"]
    for path in sorted(data.rglob("*.png")):
        part = {"0": "train", "1": "valid"}.get(path.stem, "test")
        rows.append(f"{path.relative_to(data)},{path.parent.name},{part}")
    (data / "index.csv").write_text("\n".join(rows))
    photos = assemble(data, ["1", "2"], "official")
    assert len(photos.train) + len(photos.calibration) == 8
    assert {photo.path.stem for photo in photos.train} <= {"0", "1"}
    assert len(photos.test) == 62
    assert [photo.target for photo in photos.valid] == [0, 1]


def test_small_classes_and_small_collections_have_their_part(data: Path) -> None:
    also, others = str(data.parent / "elsewhere"), str(data.parent / "others")
    photos = assemble(data, ["1", "2"], also=[also], unnamed=[others])
    given = weights(photos.train, photos.collections)
    targets = np.array([photo.target for photo in photos.train])
    collections = np.array(photos.collections)
    assert given.mean() == pytest.approx(1)
    assert given[targets == UNNAMED].sum() == pytest.approx(0.1 * len(given))
    assert given[targets == 1].mean() > 2 * given[targets == 0].mean()
    first = targets == 0
    elsewhere = first & (collections == also)
    assert given[elsewhere].mean() > 2 * given[first & ~elsewhere].mean()
    order = draw(given, np.random.default_rng(0))
    assert abs(len(order) - len(given)) < 12
    assert set(order[np.isin(order, np.flatnonzero(targets == 1))])


def test_every_view_is_a_picture_of_the_size_asked_for() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    views = [random_view(pixels, 32, np.random.default_rng(seed)) for seed in range(300)]
    assert {view.shape for view in views} == {(32, 32, 3)}
    assert {view.dtype for view in views} == {np.dtype(np.uint8)}
    assert np.array_equal(views[7], random_view(pixels, 32, np.random.default_rng(7)))


def test_blended_photos_have_blended_targets() -> None:
    views = np.zeros((4, 16, 16, 3), np.uint8)
    views[:2] = 200
    truth = np.repeat(np.eye(2, dtype=np.float32), 2, axis=0)
    for seed in range(20):
        mixed, targets = mix(views, truth, rng=np.random.default_rng(seed))
        shares = mixed.mean(axis=(1, 2, 3)) / 200
        assert targets[:, 0] == pytest.approx(shares, abs=0.05)
