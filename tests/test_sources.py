"""Which photos a word means, without a process for each question."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import pytest
from PIL import Image
from raw_files import RAW_FILES
from support import posix

from flowers_onnx import Classifier, Prediction
from flowers_onnx.sources import (
    STDIN,
    RawFiles,
    Stream,
    Unreadable,
    expand,
    passed_over,
    without_sidecars,
)

PHOTO = b"\xff\xd8\xff\xe0" + bytes(40)


def found(*words: str | Path, stdin: io.BytesIO | None = None) -> list[str]:
    """Paths, and ``path: code`` for what can't be read."""
    return [
        one if isinstance(one, str)
        else f"{one.path}: {one.error.code}" if isinstance(one, Unreadable)
        else f"{one.path} open"
        for one in expand(map(str, words), stdin)
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "f"
    made.mkdir()
    return made


def test_what_nothing_calls_a_photo_is_none(folder: Path) -> None:
    """It is left out, where what has a photo's name is reported."""
    (folder / "gone").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    assert found("f") == ["f: no_images"]
    (folder / "gone.jpg").symlink_to("nowhere")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "empty.PNG").touch()
    assert found("f") == ["f/empty.PNG", "f/gone.jpg", "f/loop.jpg"]


def test_a_photo_is_told_by_its_first_bytes(folder: Path) -> None:
    (folder / "photo").write_bytes(PHOTO)
    (folder / "short").write_bytes(PHOTO[:4])
    (folder / "empty").touch()
    (folder / "notes.txt").write_text("no photo")
    (folder / "link").symlink_to(folder / "photo")
    (folder / "sub.jpg").mkdir()
    (folder / "sub.jpg" / "inner").write_bytes(PHOTO)
    (folder / "to.jpg").symlink_to(folder / "sub.jpg")  # a link to a folder, of a photo's name
    assert found("f") == ["f/link", "f/photo", "f/short", "f/sub.jpg/inner"]


@posix
def test_a_pipe_is_asked_nothing(folder: Path, classifier: Classifier) -> None:
    for name in ("pipe", "pipe.nef"):
        os.mkfifo(folder / name)
    assert found("f") == ["f: no_images"]
    os.mkfifo(folder / "pipe.jpg")  # whose name says that it is to be reported
    (folder / "link.jpg").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("f/socket.jpg")
    names = ("link", "pipe", "socket")
    assert found("f") == [f"f/{name}.jpg: not_a_file" for name in names]
    # One that came into the place of a photo, or that a pattern has found.
    results = classifier.classify_many(expand(["f/*.jpg", "f/p*"], None))
    codes = [None if isinstance(one, Prediction) else one.code for one in results]
    assert codes == ["not_a_file", "not_a_file", "read_error", *["not_a_file"] * 3]


def test_hidden_entries_are_left_out(folder: Path) -> None:
    (folder / ".git").mkdir()
    for name in (".a.jpg", ".git/b.jpg", "c.jpg"):
        (folder / name).write_bytes(PHOTO)
    assert found("f") == ["f/c.jpg"]
    assert found("f/.git", "f/.a.jpg") == ["f/.git/b.jpg", "f/.a.jpg"]  # unless they are named


@pytest.mark.parametrize(
    "content",
    [
        b"BMW service book: oil changed at 40,000 km.", b"BM", b"GIF89a is a format of pictures.",
        b"II*\0, as TIFFs begin", b"MM\0*" + bytes(40), b"II*\0\xff\xff\xff\x7f",
        b"\xff\xd8\xff\0 data", b"\xff\x0a binary data", b"%PDF-1.4\n", b"8BPS\0\1" + bytes(40),
        b"\0\0\1\0\1\0", b"RIFF1234WEBPabcd", b"\0\0\0\x18ftypmp42" + bytes(12),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe-3.0",
    ],
)  # fmt: skip
def test_a_few_bytes_are_no_proof_of_a_photo(folder: Path, content: bytes) -> None:
    (folder / "notes").write_bytes(content + b"\n")
    (folder / "notes.txt").write_bytes(content)
    assert found("f") == ["f: no_images"]
    (folder / "claim.jpg").write_bytes(content)
    assert found("f", "f/notes") == [
        "f/claim.jpg",
        "f/notes",
    ]  # unless a name, or somebody, says so


def test_photos_of_all_formats_are_told_without_a_name(folder: Path) -> None:
    """A picture of each that can be read, as Pillow writes it, and some that can't."""
    image = Image.effect_noise((40, 30), 50).convert("RGB")
    for format in ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP", "JPEG2000"):
        image.save(folder / format, format)
    image.quantize(2).save(folder / "GIF2", "GIF", save_all=True, append_images=[image.quantize(8)])
    image.save(folder / "WEBP-lossless", "WEBP", lossless=True)
    image.convert("1").save(folder / "TIFF-fax", "TIFF", compression="group4")
    (folder / "JXL").write_bytes(b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40))
    (folder / "HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    assert found("f") == [f"f/{path.name}" for path in sorted(folder.iterdir())]


def test_raw_files_of_a_folder_are_counted(folder: Path) -> None:
    for name in ("a.jpg", "jpeg.dng"):
        (folder / name).write_bytes(PHOTO)
    (folder / "without_a_name").write_bytes(RAW_FILES["dng"])
    (folder / "sub").mkdir()
    kinds = [(name if "." in name else f"a.{name}").upper() for name in RAW_FILES]
    for name, content in zip(kinds, RAW_FILES.values(), strict=True):
        (folder / "sub" / name).write_bytes(content)
    (folder / "sub" / "empty.NEF").touch()
    raw = RawFiles()
    assert list(expand(["f"], None, raw.note)) == ["f/a.jpg", "f/jpeg.dng"]
    assert raw.count == len(RAW_FILES) + 2
    assert str(raw) == (
        f"{raw.count} camera raw files skipped (A.ARW, A.CR2, A.CR3, ...): "
        "export JPEGs, or use those beside them"
    )
    (folder / "b.cr2").write_bytes(RAW_FILES["cr2"])
    raw = RawFiles()
    assert list(expand(["f/*.*"], None, raw.note)) == ["f/a.jpg", "f/jpeg.dng"]
    assert str(raw).startswith("1 camera raw file skipped (b.cr2): ")
    assert found("f/*.cr2", "f/b.cr2") == ["f/b.cr2"] * 2  # unless they are asked for
    assert found("f/b*") == ["f/b*: no_images"]


OTHERS = ("@eaDir", "#recycle", "#snapshot", "@Recycle", ".@__thumb", ".Trash-1000", ".Trashes",
          "$RECYCLE.BIN", "System Volume Information", "__MACOSX", "lost+found")  # fmt: skip


def test_what_is_not_the_users_own_is_left_out(folder: Path) -> None:
    for other in OTHERS:
        inner = folder / "sub" / other / "a"
        inner.mkdir(parents=True)
        (inner / "SYNOPHOTO_THUMB.jpg").write_bytes(PHOTO)
    for name in ("@eaDirs", "x"):
        (folder / "sub" / name).mkdir()
        (folder / "sub" / name / "a.jpg").write_bytes(PHOTO)
    (folder / "sub" / "._x.jpg").write_bytes(b"\0\x05\x16\x07")
    (folder / "sub" / "Thumbs.db").write_bytes(PHOTO)
    mine = ["f/sub/@eaDirs/a.jpg", "f/sub/x/a.jpg"]
    for word in ("f", "f/sub", "f/*", "f/sub/*", "f/**/*.jpg", "f/sub/*/*.jpg"):
        assert (word, found(word)) == (word, mine)
    for other in OTHERS:
        photo = f"f/sub/{other}/a/SYNOPHOTO_THUMB.jpg"
        words = [f"f/sub/{other}", f"f/sub/{other}/a", photo, f"f/sub/{other}/*/*.jpg"]
        assert found(*words) == [photo] * 4  # unless it is named
    assert found("f/sub/.Trash*/*/*.jpg") == [
        f"f/sub/{other}/a/SYNOPHOTO_THUMB.jpg" for other in (".Trash-1000", ".Trashes")
    ]


def test_sidecars_among_photos_are_left_out(folder: Path) -> None:
    (folder / "a.jpg").write_bytes(PHOTO)
    (folder / "b").write_bytes(PHOTO)
    for name in ("a.jpg.xmp", "A.XMP", "gone.jpg.xmp", "caf\udce9 %.jpg.xmp"):
        (folder / name).write_text("<x:xmpmeta/>")
    (folder / "photo.xmp").write_bytes(PHOTO)  # whatever its name says
    (folder / "dir.xmp").mkdir()
    (folder / "dir.xmp" / "c.jpg").write_bytes(PHOTO)
    photos = ["f/a.jpg", "f/b", "f/dir.xmp/c.jpg", "f/photo.xmp"]
    by_shell = [f"f/{path.name}" for path in sorted(folder.iterdir())]
    for words in (["f"], ["f/*"], by_shell):
        assert (words, found(*words)) == (words, photos)
    uri = (folder / "a.jpg.xmp").resolve().as_uri()
    assert found("f/a.jpg", uri, "f/missing.xmp") == ["f/a.jpg", "f/missing.xmp"]
    assert found("-", "f/a.jpg.xmp") == ["-: read_error"]
    # Who names nothing else, means them.
    for words in (["f/a.jpg.xmp"], ["f/A.XMP", uri]):
        assert list(without_sidecars(words)) == words
    assert found("f/a.jpg.xmp") == ["f/a.jpg.xmp"]
    assert found("f/*.xmp") == ["f/dir.xmp/c.jpg", "f/photo.xmp"]
    assert found("f/a.jpg.*") == ["f/a.jpg.*: no_images"]
    (folder / "a.jpg.nef").write_bytes(RAW_FILES["dng"])
    (one,) = expand(["f/a.jpg.*"], None)
    assert isinstance(one, Unreadable)
    assert str(one.error) == "only camera raw files and sidecars match"


def test_what_exiftool_keeps_is_left_out(folder: Path) -> None:
    names = ("a.jpg", "a.jpg_original", "B.TIFF_ORIGINAL", "c.nef_original")
    for name in (*names, "d_original", "e_original.jpg", "f.jpg.1"):
        (folder / name).write_bytes(PHOTO)
    mine = ["f/a.jpg", "f/d_original", "f/e_original.jpg", "f/f.jpg.1"]
    assert found("f") == found("f/*") == mine
    assert found("f/*_original") == ["f/a.jpg_original", "f/c.nef_original", "f/d_original"]
    assert found("f/a.jpg_original") == ["f/a.jpg_original"]  # as it is named
    assert passed_over("deep/photo.webp_original")
    assert not passed_over("photo.webp_original/x.jpg", "photo.webp_original/*")


def test_a_folder_that_exists_is_no_pattern(folder: Path) -> None:
    for name in ("trip [2024]/1.jpg", "trip 2/2.jpg", "[a]/b/[c]/3.jpg", "[a]/b/c/4.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PHOTO)
    assert found("f/trip [2024]/*.jpg") == ["f/trip [2024]/1.jpg"]
    assert found("f/trip [2024]") == ["f/trip [2024]/1.jpg"]
    assert found("f/trip [0-9]/*.jpg") == ["f/trip 2/2.jpg"]
    assert found("f/[a]/b/[c]/*.jpg") == ["f/[a]/b/[c]/3.jpg"]
    assert found("f/[a]/**/[34].jpg") == ["f/[a]/b/[c]/3.jpg", "f/[a]/b/c/4.jpg"]
    assert found("f/?a?/b/[!x]/*.jpg") == ["f/[a]/b/c/4.jpg"]


def test_uris_of_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = folder.resolve() / "ñ b%20[1].jpg"
    photo.write_bytes(PHOTO)
    uri = photo.as_uri()
    path = uri.removeprefix("file://")
    for word in (uri, f"FILE://{path}", f"file://localhost{path}", f"file:{path}"):
        assert found(word) == [str(photo)]
    assert found(folder.resolve().as_uri()) == [str(photo)]
    assert found("file://nas/a.jpg") == ["file://nas/a.jpg: not_found"]
    monkeypatch.chdir(folder)
    (folder / "file:").mkdir()
    (folder / "file:" / "a.jpg").write_bytes(PHOTO)
    for word in ("file:/a.jpg", "file:///a.jpg"):  # as everywhere, a name that exists wins
        assert found(word) == [word]
    for word in ("C:\\photos\\a.jpg", "a:b.jpg", "file:a.jpg", "file:\ud800/x", "ftp://x/a.jpg"):
        assert found(word) == [word]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("gs://b/a.jpg", "flowers batch gs://b/a.jpg --out results.jsonl"),
        ("S3://b/x y/", "flowers batch 'S3://b/x y/' --out results.jsonl"),
        ("gs://b/*.jpg", "flowers batch 'gs://b/*.jpg' --out results.jsonl"),
        ("https://x.org/a.jpg?b=1", "curl -sSfL 'https://x.org/a.jpg?b=1' | flowers classify -"),
        ("http://x.org/a.jpg", "curl -sSfL http://x.org/a.jpg | flowers classify -"),
    ],
)
def test_what_is_elsewhere_says_how_it_is_had(word: str, hint: str) -> None:
    (one,) = expand([word], None)
    assert isinstance(one, Unreadable)
    assert (one.path, one.error.code) == (word, "not_found")
    assert str(one.error).endswith(f": {hint}")


def test_folders_are_walked_depth_first(folder: Path) -> None:
    for name in ("b/2.jpg", "b/1/z.jpg", "a.jpg", "c.jpg", "b.jpg", "b/10.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PHOTO)
    assert found("f") == [
        f"f/{name}" for name in ("a.jpg", "b/1/z.jpg", "b/10.jpg", "b/2.jpg", "b.jpg", "c.jpg")
    ]


def test_a_folder_that_cannot_be_listed_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:
        if os.fspath(path).endswith("b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    for name in ("a", "b", "c"):
        (folder / name).mkdir()
        (folder / name / "x.jpg").write_bytes(PHOTO)
    monkeypatch.setattr(os, "scandir", refuse)
    assert found("f") == ["f/a/x.jpg", "f/b: permission_denied", "f/c/x.jpg"]


def test_patterns(folder: Path) -> None:
    for name in ("2.jpg", "1.jpg", "[1].jpg", "sub/3.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(PHOTO)
    assert found("f/?.jpg") == ["f/1.jpg", "f/2.jpg"]
    assert found("f/[12].jpg") == ["f/1.jpg", "f/2.jpg"]
    assert found("f/[1].jpg") == ["f/[1].jpg"]  # a file of this name wins
    assert found("f/s*") == ["f/sub/3.jpg"]
    assert found("f/**") == ["f/1.jpg", "f/2.jpg", "f/[1].jpg", "f/sub/3.jpg"]
    assert found("f/*.png", "f/2.jpg") == ["f/*.png: not_found", "f/2.jpg"]
    assert found("missing.jpg") == ["missing.jpg"]  # told when it is opened


def test_standard_input() -> None:
    file = io.BytesIO(PHOTO)
    assert list(expand([STDIN], file)) == [Stream("-", file)]
    assert found("-") == ["-: read_error"]
