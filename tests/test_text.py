"""Lists, results and requests as editors, Excel and PowerShell save them."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Run, make_row, result_sink

from flowers_onnx import Classifier, UsageError
from flowers_onnx.batch.manifest import read_manifest
from flowers_onnx.benchmark.compare import load
from flowers_onnx.serve.trace import review
from flowers_onnx.storage.item import Item
from flowers_onnx.stream.framing import json_lines
from flowers_onnx.tables.reading import read_results
from flowers_onnx.tables.schema import utc_now
from flowers_onnx.text import as_utf8, read_text

#: How a program may save a text, by name.
FORMS: dict[str, Callable[[str], bytes]] = {
    "UTF-8": str.encode,
    "marked": lambda text: text.encode("utf-8-sig"),
    "UTF-16 of PowerShell": lambda text: (
        b"\xff\xfe" + text.replace("\n", "\r\n").encode("utf-16-le")
    ),
    "UTF-16, the other way": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
}
#: What is neither, and what is said of it, each with an ñ in the second line.
BROKEN: dict[str, tuple[Callable[[str], bytes], str]] = {
    "Latin-1": (lambda text: text.encode("latin-1"), "not UTF-8; save it as UTF-8 (from"),
    "UTF-16 without a mark": (lambda text: text.encode("utf-16-le"), "not text, or UTF-16"),
    "cut UTF-16": (lambda text: text.encode("utf-16") + b"x", "broken UTF-16; save it"),
    "UTF-32": (lambda text: text.encode("utf-32"), "line 1: not text, or UTF-16"),
    "half UTF-8": (lambda text: text.encode() + b"\xc3", "not UTF-8; save"),
}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Callable[[str], bytes]:
    return FORMS[request.param]


@pytest.fixture(params=BROKEN)
def broken(request: pytest.FixtureRequest) -> tuple[Callable[[str], bytes], str]:
    return BROKEN[request.param]


LISTS = {
    "list.txt": "/a/1.jpg\n/a/ñandú 花.jpg\n",
    "list.csv": "path,id\n/a/1.jpg,x\n/a/ñandú 花.jpg,y\n",
    "european.csv": 'id;path\nx;/a/1.jpg\ny;"/a/ñandú 花.jpg"\n',
    "tabs.tsv": "id\tpath\nx\t/a/1.jpg\ny\t/a/ñandú 花.jpg\n",
    "unicode text.txt": "path\tid\n/a/1.jpg\tx\n/a/ñandú 花.jpg\ty\n",
    "list.jsonl": '{"path": "/a/1.jpg"}\n{"path": "/a/ñandú 花.jpg"}\n',
}


@pytest.mark.parametrize("name", LISTS)
def test_lists(tmp_path: Path, form: Callable[[str], bytes], name: str) -> None:
    (tmp_path / name).write_bytes(form(LISTS[name]))
    items = list(read_manifest(str(tmp_path / name)))
    assert [item.uri for item in items] == [Path(f"/a/{n}.jpg").as_uri() for n in ("1", "ñandú 花")]
    assert [item.id for item in items] == (["x", "y"] if "x" in LISTS[name] else [None, None])


Broken = tuple[Callable[[str], bytes], str]


@pytest.mark.parametrize("name", ["list.txt", "list.csv", "list.jsonl"])
def test_a_list_of_another_kind_names_the_line(tmp_path: Path, broken: Broken, name: str) -> None:
    encode, reason = broken
    (tmp_path / name).write_bytes(encode(LISTS[name].replace("花", "")))
    with pytest.raises(UsageError) as raised:
        list(read_manifest(str(tmp_path / name)))
    assert str(raised.value).startswith(f"{tmp_path / name}, line ")
    assert reason in str(raised.value)


def test_a_line_far_behind_is_named(tmp_path: Path) -> None:
    lines = [f"/a/{number}.jpg" for number in range(30_000)]
    lines[23_456] += "\xe9"
    for ending in ("\n", "\r\n"):
        (tmp_path / "list").write_bytes(ending.join(lines).encode("latin-1"))
        with pytest.raises(UsageError, match=r"list, line 23457: not UTF-8"):
            read_text(str(tmp_path / "list"))


@pytest.fixture
def rows(classifier: Classifier, sample: Path) -> list[dict[str, Any]]:
    failure = classifier.result("ñandú.jpg")
    found = [classifier.result(sample), failure]
    return [make_row(Item(f"file:///a/ñ{n}.jpg", id=str(n)), one, "r", utc_now())
            for n, one in enumerate(found)]  # fmt: skip


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv"])
def test_results_are_read(
    tmp_path: Path, form: Callable[[str], bytes], rows: list[dict[str, Any]], suffix: str
) -> None:
    result = tmp_path / f"r.{suffix}"
    if suffix == "json":
        text = json.dumps(rows, indent=1, ensure_ascii=False)
    else:
        result_sink(result).publish(rows)
        text = result.read_text(encoding="utf-8")
    result.write_bytes(form(text))
    assert [one.path for one in read_results([str(result)])] == [
        "file:///a/ñ0.jpg",
        "file:///a/ñ1.jpg",
    ]
    if suffix != "json":  # which only classify writes
        assert [*result_sink(result).existing()] == rows
        result_sink(result).publish([*result_sink(result).existing()])
        assert result.read_text(encoding="utf-8") == text


def test_results_of_another_kind_name_the_line(
    tmp_path: Path, rows: list[dict[str, Any]], broken: Broken
) -> None:
    encode, reason = broken
    result = tmp_path / "r.jsonl"
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    result.write_bytes(encode(text))
    with pytest.raises(UsageError) as raised:
        list(read_results([str(result)]))
    assert str(raised.value).startswith(f"{result}, line ")
    assert reason in str(raised.value)
    before = result.read_bytes()
    with pytest.raises(UsageError, match=r"won't be overwritten|not UTF-8"):
        result_sink(result).publish([*result_sink(result).existing()])
    assert result.read_bytes() == before


def test_lists_to_review(tmp_path: Path, form: Callable[[str], bytes]) -> None:
    path = str(tmp_path / review.NAME)
    row = dict.fromkeys(review.COLUMNS, "") | {"file": "44/ñ.jpg", "review": "confirmed"}
    review.write(path, [row])
    Path(path).write_bytes(form(Path(path).read_text(encoding="utf-8")))
    assert review.read(path) == [row]
    Path(path).write_bytes(Path(path).read_bytes() + b"\xff")
    with pytest.raises(UsageError, match=r"review.csv(, line \d+)?: (not UTF-8|broken UTF-16)"):
        review.read(path)


def test_benchmarks_to_compare(tmp_path: Path, form: Callable[[str], bytes]) -> None:
    path = tmp_path / "b.json"
    path.write_bytes(form('{"kind": "ñ"}'))
    with pytest.raises(UsageError, match="is no result of flowers benchmark"):
        load(str(path))
    path.write_bytes('{"kind": "ñ"}'.encode("latin-1"))
    with pytest.raises(UsageError, match=r"b\.json, line 1: not UTF-8"):
        load(str(path))


class Dripping(io.RawIOBase):
    """A pipe that gives a byte at a time."""

    def __init__(self, data: bytes) -> None:
        self._left = iter(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        for byte in self._left:
            buffer[0] = byte
            return 1
        return 0


def test_requests(form: Callable[[str], bytes]) -> None:
    text = '{"id": "ñ"}\n{"id": 2}\n'

    def ids(frames: Iterator[Any]) -> list[Any]:
        return [json.loads(frame.data.decode("utf-8-sig"))["id"] for frame in frames]

    for file in (io.BytesIO(form(text)), io.BufferedReader(Dripping(form(text)))):
        assert ids(json_lines(file)) == ["ñ", 2]


def test_bytes_pass_as_they_are() -> None:
    for data in (b"", b"\xc3", b"a\0b\xff", b"\xef\xbb", "ñ".encode()):
        assert as_utf8(io.BytesIO(data)).read() == data


# Names in texts are UTF-8, whatever the system calls its own encoding.

LATIN = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one encoding for names")
def test_names_are_found_whatever_the_locale(flowers: Run, sample: Path, tmp_path: Path) -> None:
    photo = tmp_path / "ñandú 花.jpg"
    shutil.copy(sample, photo)
    old = os.fsencode(tmp_path) + b"/old-\xf1.jpg"
    shutil.copy(sample, os.fsdecode(old))
    (tmp_path / "list.txt").write_text(f"{photo.name}\n", encoding="utf-8")
    (tmp_path / "list.jsonl").write_text(json.dumps({"path": photo.name}) + "\n")
    (tmp_path / "list.csv").write_text(f"path\nfile://{photo}\nfile://{tmp_path}/old-%F1.jpg\n")
    for name, expected in {"list.txt": 1, "list.jsonl": 1, "list.csv": 2}.items():
        done = flowers("batch", "--from", name, "--out", f"{name}.jsonl", env=LATIN)
        assert (name, done.returncode) == (name, 0), done.stderr
        rows = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        assert len(rows) == expected
        assert photo.as_uri() in [row["source_uri"] for row in rows]
    assert flowers("report", "list.txt.jsonl", "--out", "page.html", env=LATIN).returncode == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "data:image/webp" in page
    (tmp_path / "r.jsonl").write_bytes(
        flowers("classify", photo, "--format", "jsonl", env=LATIN).stdout
    )
    assert flowers("report", "r.jsonl", "--out", "page.html", env=LATIN).returncode == 0
    assert "data:image/webp" in (tmp_path / "page.html").read_text(encoding="utf-8")
    requests = [{"path": photo.name}, {"path": photo.as_uri()}, {"path": f"file:{photo}"}]
    lines = "".join(json.dumps(one) + "\n" for one in requests).encode()
    done = flowers("stream", stdin=lines, env=LATIN)
    answers = [json.loads(line) for line in done.stdout.splitlines()[1:]]
    assert [answer["status"] for answer in answers] == ["ok"] * 3
    assert answers[0]["path"] == photo.name


def test_a_list_of_powershell_through_a_pipe(flowers: Run, sample: Path, tmp_path: Path) -> None:
    words = ("batch", "--from", "-", "--out", tmp_path / "r.jsonl")
    done = flowers(*words, stdin=f"{sample}\n".encode("latin-1") + b"\xe9.jpg\n")
    assert done.returncode == 2
    assert b"standard input, line 2: not UTF-8; save it as UTF-8" in done.stderr
    done = flowers(*words, stdin=f"{sample}\r\n".encode("utf-16"))
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "r.jsonl").read_text())["source_uri"] == sample.as_uri()
