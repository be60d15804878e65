"""``flowers batch --sidecar``: what is known, beside the photo, and nothing else touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fakes.bigquery import BigQueryFake
from models import constant_model
from sidecars import DC, IN_STYLE_OF, LR, RDF
from support import (
    FLOWERS,
    ROOT,
    SAMPLE,
    Run,
    blocks,
    job,
    needs,
    noise_pictures,
    posix,
    result_sink,
    wait_until,
)

from flowers_onnx.errors import UsageError

FLAT = ["pink-yellow dahlia", "Dahlia spp."]
TREE = ["Flora|Asteraceae|Dahlia spp."]
NO_ONE = ("--min_confidence", "1")
is_root = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A photo that is known, and a picture that isn't."""
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(SAMPLE, folder / "dahlia.jpg")
    noise_pictures(folder, 1, seed=3)
    (folder / "broken.jpg").unlink()
    return folder


def beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.xmp")


def words(path: Path, name: str = f"{{{DC}}}subject") -> list[str]:
    items = ET.parse(path).iterfind(f".//{name}/*/{{{RDF}}}li")
    return [item.text or "" for item in items]


class Done(NamedTuple):
    """How a run ended."""

    code: int
    stderr: str

    @property
    def told(self) -> str:
        """The last part of the last line, which is about sidecars."""
        return self.stderr.splitlines()[-1].rpartition("; ")[2]


Batch = Callable[..., Done]


@pytest.fixture
def batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Batch:
    """``flowers batch ... --sidecar`` in this process, whose start takes most of its time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("flowers_onnx.machine.share_one_heap", lambda: None)

    def run(*words: str | Path, sidecar: bool = True) -> Done:
        code = job("batch", *words, *(["--sidecar"] if sidecar else [])).work()
        return Done(code, capsys.readouterr().err)

    return run


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        os.fsdecode(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@posix
def test_each_known_photo_has_one_whatever_its_name(
    batch: Batch, photos: Path, tmp_path: Path
) -> None:
    names = ["a,b.jpg", "-x.jpg", "a b%20.jpg", "new\nline.jpg", os.fsdecode(b"caf\xe9.jpg"), "no"]
    for name in [*names, "ü" * 100 + ".JPEG"]:
        shutil.copy(SAMPLE, photos / name)
    before = everything(photos)
    done = batch("photos", "--out", "r.jsonl")
    assert (done.code, done.told) == (0, "sidecars: 8 written")
    after = everything(photos)
    assert {path: after[path] for path in before} == before
    made = set(after) - set(before)
    assert made == {f"{path}.xmp" for path in before if not path.endswith("00.png")}
    for path in made:
        assert words(Path(path)) == FLAT
        assert words(Path(path), f"{{{LR}}}hierarchicalSubject") == TREE
    counts = json.loads((tmp_path / "r.jsonl.run.json").read_text())["counts"]
    assert (counts["sidecars_written"], counts["sidecars_failed"]) == (8, 0)
    # What was written is no image, by whichever way the folder is given.
    for words_ in (["photos"], ["photos/*"], sorted(photos.iterdir())):
        again = batch(*words_, "--out", "r.jsonl")
        assert (again.code, again.told) == (0, "sidecars: all as they were")
    assert everything(photos) == after
    assert len((tmp_path / "r.jsonl").read_bytes().splitlines()) == 9


@pytest.mark.parametrize(
    "words_",
    [
        ("classify", "--out", "r.txt"),
        ("similar", "--add", "--index", "r.npz"),
        ("explain", "--out", "r.html"),
    ],
)
def test_no_command_takes_them_for_photos(
    batch: Batch, photos: Path, words_: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    batch("photos", "--out", "r.jsonl")
    by_shell = sorted(photos.glob("dahlia.jpg*"))
    assert len(by_shell) == 2
    assert job(*words_, *by_shell).work() == 0
    assert ".xmp" not in capsys.readouterr().err


def test_a_list_may_name_them(batch: Batch, photos: Path, tmp_path: Path) -> None:
    batch("photos", "--out", "r.jsonl")
    names = [str(path) for path in sorted(photos.iterdir())]
    (tmp_path / "list.txt").write_text("\n".join(names))
    (tmp_path / "list.csv").write_text("id,path\n" + "".join(f"7,{name}\n" for name in names))
    for name in ("list.txt", "list.csv"):
        done = batch("--from", name, "--out", f"{name}.jsonl")
        assert (done.code, done.told) == (0, "sidecars: all as they were")
        assert len((tmp_path / f"{name}.jsonl").read_bytes().splitlines()) == 2
    (tmp_path / "only.txt").write_text(f"{photos}/dahlia.jpg.xmp\n" * 2)
    for given, said in (
        (("--from", "only.txt"), "only.txt has no images, only sidecars"),
        (("photos/*.xmp",), "no images in photos/*.xmp"),
    ):
        with pytest.raises(UsageError, match=re.escape(said)):
            batch(*given, "--out", "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.parametrize("kind", ["csv", "parquet", "sqlite", "dwc.csv"])
def test_what_was_done_before_gets_one_later(batch: Batch, photos: Path, kind: str) -> None:
    batch("photos", "--out", f"r.{kind}", sidecar=False)
    assert not beside(photos / "dahlia.jpg").exists()
    done = batch("photos", "--out", f"r.{kind}")
    assert (done.code, done.told) == (0, "sidecars: 1 written")
    assert words(beside(photos / "dahlia.jpg")) == FLAT


def test_others_keep_what_they_wrote(batch: Batch, photos: Path) -> None:
    for style, content in IN_STYLE_OF.items():
        shutil.copy(SAMPLE, photos / f"{style}.jpg")
        beside(photos / f"{style}.jpg").write_bytes(content)
        beside(photos / f"{style}.jpg").chmod(0o640)
    done = batch("photos", "--out", "r.jsonl")
    assert (done.code, done.told) == (0, "sidecars: 1 written, 10 changed")
    for style in IN_STYLE_OF:
        assert stat.S_IMODE(beside(photos / f"{style}.jpg").stat().st_mode) == 0o640
    done = batch("photos", "--out", "no.jsonl", *NO_ONE)
    assert (done.code, done.told) == (0, "sidecars: 10 changed, 1 removed")
    for style, content in IN_STYLE_OF.items():
        assert beside(photos / f"{style}.jpg").read_bytes() == content


@needs("exiftool")
def test_exiftool_reads_them(batch: Batch, photos: Path) -> None:
    # It knows no UTF-32, and RDF only by the prefix of its namespace.
    styles = {name: IN_STYLE_OF[name] for name in IN_STYLE_OF if name not in {"utf-32", "odd"}}
    for style, content in styles.items():
        shutil.copy(SAMPLE, photos / f"{style}.jpg")
        beside(photos / f"{style}.jpg").write_bytes(content)
    before = read_by_exiftool(photos)
    batch("photos", "--out", "r.jsonl")
    after = read_by_exiftool(photos)
    assert len(after) == len(before) + 1 == len(styles) + 1
    for name, tags in after.items():
        theirs = before.get(name, {})
        for key, ours in (("XMP-dc:Subject", FLAT), ("XMP-lr:HierarchicalSubject", TREE)):
            kept = [word for word in listed(theirs.pop(key, [])) if word]
            assert listed(tags[key]) == [*kept, *ours]
        assert theirs.items() <= tags.items()


def read_by_exiftool(folder: Path) -> dict[str, dict[str, Any]]:
    """All of XMP in the sidecars of a folder."""
    command: list[str | Path] = [
        "exiftool",
        "-j",
        "-G1",
        "-a",
        "-struct",
        "-ext",
        "xmp",
        "-XMP:all",
        folder,
    ]
    done = subprocess.run(command, capture_output=True, check=True)
    return {one.pop("SourceFile"): one for one in json.loads(done.stdout)}


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


@needs("exiftool")
def test_another_answer_takes_the_place_of_ours_alone(batch: Batch, photos: Path) -> None:
    path = beside(photos / "dahlia.jpg")
    batch("photos", "--out", "r.jsonl")
    subprocess.run(
        ["exiftool", "-q", "-overwrite_original", "-XMP-dc:Subject+=mine", path], check=True
    )
    rewritten = path.read_bytes()
    batch("photos", "--out", "r.jsonl")
    assert path.read_bytes() == rewritten
    done = batch("photos", "--out", "es.jsonl", "--lang", "es")
    assert done.told == "sidecars: 1 changed"
    assert words(path) == ["mine", "dalia", "Dahlia spp."]
    batch("photos", "--out", "la.jsonl", "--lang", "la")
    assert words(path) == ["mine", "Dahlia spp."]
    batch("photos", "--out", "no.jsonl", *NO_ONE)
    assert words(path) == ["mine"]
    assert words(path, f"{{{LR}}}hierarchicalSubject") == []


def test_what_is_all_ours_goes_with_the_answer(batch: Batch, photos: Path) -> None:
    batch("photos", "--out", "r.jsonl")
    done = batch("photos", "--out", "no.jsonl", *NO_ONE)
    assert (done.code, done.told) == (0, "sidecars: 1 removed")
    assert sorted(os.listdir(photos)) == ["00.png", "dahlia.jpg"]


@needs("exiftool")
def test_what_exiftool_has_rewritten_is_left_without_empty_lists(
    batch: Batch, photos: Path
) -> None:
    path = beside(photos / "dahlia.jpg")
    command = ["exiftool", "-q", "-overwrite_original", "-XMP-dc:Title=mine", str(path)]
    batch("photos", "--out", "r.jsonl")
    subprocess.run(command, check=True)
    assert batch("photos", "--out", "no.jsonl", *NO_ONE).told == "sidecars: 1 changed"
    kept = path.read_bytes()
    assert (kept.count(b"mine"), kept.count(b"Bag"), kept.count(b"<rdf:Description")) == (1, 0, 1)
    path.unlink()
    batch("photos", "--out", "r.jsonl")
    for title in ("mine", ""):  # all that is left of it is ours
        subprocess.run([*command[:3], f"-XMP-dc:Title={title}", str(path)], check=True)
    assert batch("photos", "--out", "no.jsonl", *NO_ONE).told == "sidecars: 1 removed"
    assert not path.exists()


@posix
def test_what_cannot_be_written_costs_the_others_nothing(
    batch: Batch, photos: Path, tmp_path: Path
) -> None:
    for name in ("folder", "pipe", "large", "bomb", "torn", "loop", "photo", "n" * 250):
        shutil.copy(SAMPLE, photos / f"{name}.jpg")
    beside(photos / "folder.jpg").mkdir()
    os.mkfifo(beside(photos / "pipe.jpg"))
    beside(photos / "large.jpg").touch()
    os.truncate(beside(photos / "large.jpg"), 1 << 40)
    beside(photos / "bomb.jpg").write_text("<!DOCTYPE x [<!ENTITY a 'ha'>]><x>&a;</x>")
    beside(photos / "torn.jpg").write_bytes(IN_STYLE_OF["digikam"][:500])
    beside(photos / "loop.jpg").symlink_to("loop.jpg.xmp")
    shutil.copy(photos / "00.png", beside(photos / "photo.jpg"))
    beside(photos / "00.png").write_bytes(b"theirs")  # not known: nothing of ours in it
    kept = {path: path.read_bytes() for name in ("bomb", "torn") for path in photos.glob(name)}
    done = batch("photos", "--out", "r.jsonl")
    assert (done.code, done.told) == (1, "sidecars: 1 written, 8 failed")
    lines = done.stderr.splitlines()[:-1]
    start = "flowers: no sidecar: "
    assert sorted(line.removeprefix(start).replace(f"{photos}/", "") for line in lines) == [
        "File name too long: " + "n" * 250 + ".jpg.xmp",
        "Is a directory: folder.jpg.xmp",
        "Too many levels of symbolic links: loop.jpg.xmp",
        "it has a document type: bomb.jpg.xmp",
        "it is larger than 4 MiB: large.jpg.xmp",
        "it is not UTF-8: photo.jpg.xmp",
        "it is not a regular file: pipe.jpg.xmp",
        "it is not well-formed XML: torn.jpg.xmp",
    ]
    assert {path: path.read_bytes() for path in kept} == kept
    assert words(beside(photos / "dahlia.jpg")) == FLAT
    known = [row["known"] for row in result_sink(tmp_path / "r.jsonl").existing()]
    assert known.count(True) == 9


@posix
def test_a_folder_for_reading_is_one_line(photos: Path, tmp_path: Path) -> None:
    for number in range(7):
        shutil.copy(SAMPLE, photos / f"{number}.jpg")
    photos.chmod(0o555)
    as_anyone = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if is_root else []
    if is_root and shutil.which("setpriv") is None:
        pytest.skip("root may write")
    done = subprocess.run(
        [*as_anyone, FLOWERS, "batch", "photos", "--out", "r.jsonl", "--sidecar"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    photos.chmod(0o755)
    first, summary = done.stderr.decode().splitlines()
    assert first.startswith("flowers: no sidecar: Permission denied: ")
    assert first.endswith(" and 3 more")
    assert summary.endswith("sidecars: 8 failed")
    assert done.returncode == 1
    assert len((tmp_path / "r.jsonl").read_bytes().splitlines()) == 9


@needs("unshare")
@pytest.mark.skipif(not is_root, reason="mounts need root")
def test_a_full_disk_costs_no_result(photos: Path, tmp_path: Path) -> None:
    script = (
        "mount -t tmpfs -o size=400k none photos && cp dahlia.jpg photos && "
        "cp digikam.xmp photos/dahlia.jpg.xmp && cat /dev/zero > photos/rest 2>/dev/null; "
        '"$@"; code=$?; cmp digikam.xmp photos/dahlia.jpg.xmp && exit $code'
    )
    shutil.copy(SAMPLE, tmp_path / "dahlia.jpg")
    (tmp_path / "digikam.xmp").write_bytes(IN_STYLE_OF["digikam"])
    command: list[str | Path] = [FLOWERS, "batch", "photos", "--out", "r.jsonl", "--sidecar"]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *command],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert b"no sidecar: No space left on device: " in done.stderr
    assert len((tmp_path / "r.jsonl").read_bytes().splitlines()) == 1


@posix
def test_a_link_stays_one_and_a_protected_file_as_it_is(
    batch: Batch, photos: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    link = beside(photos / "dahlia.jpg")
    link.symlink_to("../store/kept.xmp")
    assert batch("photos", "--out", "r.jsonl").told.endswith("1 written")
    assert link.is_symlink()
    assert words(store / "kept.xmp") == FLAT
    if is_root:
        return
    (store / "kept.xmp").write_bytes(IN_STYLE_OF["digikam"])
    (store / "kept.xmp").chmod(0o444)
    done = batch("photos", "--out", "r.jsonl")
    assert (done.code, done.told) == (1, "sidecars: 1 failed")
    assert "it is write-protected" in done.stderr
    assert (store / "kept.xmp").read_bytes() == IN_STYLE_OF["digikam"]


@pytest.mark.skipif(not is_root, reason="only root gives files away")
def test_its_owner_stays(batch: Batch, photos: Path) -> None:
    path = beside(photos / "dahlia.jpg")
    path.write_bytes(IN_STYLE_OF["lightroom"])
    os.chown(path, 12345, 12346)
    batch("photos", "--out", "r.jsonl")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)
    assert FLAT[0] in words(path)


@posix
def test_a_killed_run_goes_on_and_none_is_missing(flowers: Run, photos: Path) -> None:
    for number in range(20):
        os.link(photos / "dahlia.jpg", photos / f"{number:02}.jpg")
    left = photos / ".07.jpg.xmp.0123abcd.tmp"
    left.write_bytes(b"what a killed run was about to write")
    others = photos / ".other.xmp.0123abcd.tmp"
    others.write_bytes(b"")
    command = ("batch", "photos", "--out", "r.jsonl", "--sidecar")
    for wanted in (1, 12):
        with subprocess.Popen([FLOWERS, *command], cwd=photos.parent) as process:
            wait_until(lambda: process.poll() is not None or made(photos) >= wanted)  # noqa: B023
            process.send_signal(signal.SIGKILL)
    done = flowers(*command)
    assert done.returncode == 0
    assert {path.name for path in photos.glob("*.xmp")} == {
        f"{path.name}.xmp" for path in photos.glob("*.jpg")
    }
    for path in photos.glob("*.xmp"):
        assert words(path) == FLAT
    assert [path.name for path in photos.glob(".*")] == [others.name]


def made(folder: Path) -> int:
    return sum(name.endswith(".xmp") and name[0] != "." for name in os.listdir(folder))


def test_each_shard_writes_its_own(batch: Batch, photos: Path) -> None:
    for number in range(6):
        shutil.copy(SAMPLE, photos / f"{number}.jpg")
    counts = []
    for shard in ("0/2", "1/2"):
        done = batch("photos", "--out", "r.csv", "--shard", shard)
        counts.append(int(done.told.split()[1]))
    assert min(counts) > 0
    assert sum(counts) == made(photos) == 7


def test_only_a_row_of_the_photo_as_it_is_counts(batch: Batch, photos: Path) -> None:
    (photos.parent / "list.txt").write_text("photos/dahlia.jpg\nphotos/00.png\n")
    command = ("--from", "list.txt", "--out", "r.jsonl")
    batch(*command, sidecar=False)
    os.utime(photos / "dahlia.jpg", ns=(1, 1))  # a copy of it
    assert batch(*command).told == "sidecars: 1 written"
    shutil.copy(photos / "00.png", photos / "dahlia.jpg")
    done = batch(*command)
    assert (done.code, done.told) == (1, "sidecars: 1 failed")
    assert "the photo has changed since it was named: " in done.stderr
    # A folder's photos are done again; of two rows the newer one counts, and none is told.
    done = batch("photos", "--out", "r.jsonl")
    assert (done.code, done.told) == (0, "sidecars: 1 removed")
    os.unlink(photos / "dahlia.jpg")
    assert batch("photos", "--out", "r.jsonl").code == 0


def test_a_table_gets_those_of_its_new_rows(
    batch: Batch, photos: Path, bigquery: BigQueryFake
) -> None:
    command = ("photos", "--out", "bigquery://project.dataset.results")
    assert batch(*command, sidecar=False).code == 0
    shutil.copy(SAMPLE, photos / "new.jpg")
    done = batch(*command)
    assert (done.code, done.told) == (0, "sidecars: 1 written")
    assert words(beside(photos / "new.jpg")) == FLAT


def test_a_model_that_cannot_tell_is_refused(flowers: Run, photos: Path, tmp_path: Path) -> None:
    names = [{"class_id": 1, "label": "a", "family": "Dae"}, {"class_id": 2, "label": "b"}]
    model = constant_model(tmp_path / "m.onnx", [0.9, 0.1], [1, 2], labels=json.dumps(names))
    command = ("batch", "photos", "--out", "r.jsonl", "--model", model, "--sidecar")
    refused = flowers(*command)
    assert refused.returncode == 2
    assert b"can't tell: give --min_confidence" in refused.stderr
    assert not (tmp_path / "r.jsonl").exists()
    flowers(*command, "--min_confidence", "0.5")
    for photo in ("dahlia.jpg", "00.png"):
        assert words(beside(photos / photo)) == ["a"]
        assert words(beside(photos / photo), f"{{{LR}}}hierarchicalSubject") == ["Flora|Dae"]


def test_photos_in_buckets_are_refused_before_anything_is_done(
    flowers: Run, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_text("id,path\n1,photos/dahlia.jpg\n2,gs://b/a.jpg\n")
    for words_, said in (
        (("photos", "s3://b/c"), "--sidecar is for photos on this machine, not s3://b/c"),
        (("GS://b",), "--sidecar is for photos on this machine, not GS://b"),
        (("--from", "list.csv"), "list.csv, image 2: gs://b/a.jpg is not on this machine"),
    ):
        done = flowers("batch", *words_, "--out", "r.jsonl", "--sidecar")
        assert (done.returncode, done.stderr.decode()) == (2, f"flowers: {said}\n")
    assert sorted(os.listdir(tmp_path)) == ["list.csv", "photos"]


def test_a_log_for_machines(flowers: Run, photos: Path) -> None:
    beside(photos / "dahlia.jpg").write_bytes(b"<")
    done = flowers("batch", "photos", "--out", "r.csv", "--sidecar", "--log_format", "json")
    failed, summary = map(json.loads, done.stderr.splitlines())
    assert (failed["severity"], done.returncode) == ("WARNING", 1)
    assert summary["counts"]["sidecars_failed"] == 1


@needs("exiftool")
@posix
def test_the_commands_of_the_page(photos: Path) -> None:
    lines = "".join(blocks((ROOT / "docs/photo-managers.md").read_text(encoding="utf-8"), "bash"))
    environment = {**os.environ, "PATH": f"{FLOWERS.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh"],
        cwd=photos.parent,
        env=environment,
        input=lines.encode(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1].split(b": ")[-1].decode() == ", ".join(FLAT)
    assert sorted(os.listdir(photos)) == [
        "00.png",
        "dahlia.jpg",
        "dahlia.jpg.xmp",
        "dahlia.jpg_original",
    ]
