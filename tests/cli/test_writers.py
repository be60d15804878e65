"""The forms of ``flowers classify``, byte for byte, and the files they go into."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recorded import FAILED, FAILED_LINE, GOOD, GOOD_LINE
from support import FLOWERS, PATIENCE, Run, posix

from flowers_onnx.results import Candidate, Prediction, Result
from flowers_onnx.web.words import Words
from flowers_onnx.writers import result_writer, write_facts, write_table

CSV_HEADER = (
    "schema,path,status,label,class_id,scientific_name,confidence,known,top,prediction_set,sha256,"
    "width,height,model,error_code,error_message\n"
)
GOOD_ROW = (
    "1.1,fotos/ñandú.jpg,ok,tusílago,7,Tussilago farfara,0.30000000000000004,true,"
    '"[{""label"": ""tusílago"", ""class_id"": 7, ""confidence"": 0.30000000000000004}, '
    '{""label"": ""ñ"", ""class_id"": ""x"", ""confidence"": 1e-12}]",'
    '"[{""label"": ""tusílago"", ""class_id"": 7, ""confidence"": 0.30000000000000004}]",'
    "abababababababababababababababababababababababababababababababab,3,4,flowers/1.0,,\n"
)
FAILED_ROW = "1.1,año.jpg,error,,,,,,[],[],,,,flowers/1.0,is_empty,the file is empty\n"


def written(form: str, *results: Result, show: int = 5) -> tuple[str, int]:
    stream = io.StringIO()
    failures = result_writer(form, stream, show=show, classes=102).write_all(iter(results))
    return stream.getvalue(), failures


FORMS = {
    "jsonl": ("{0}\n{1}\n{0}\n", ""),
    "json": ("[\n{0},\n{1},\n{0}\n]\n", "[]\n"),
    "csv": (CSV_HEADER + GOOD_ROW + FAILED_ROW + GOOD_ROW, CSV_HEADER),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_pinned(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    many, none = FORMS[form]
    if form != "csv":
        many = many.format(GOOD_LINE, FAILED_LINE)
    assert written(form, GOOD, FAILED, GOOD) == (many, 1)
    assert written(form) == (none, 0)
    assert written(form, FAILED, FAILED)[1] == 2
    assert capsys.readouterr().err == (
        "flowers: 1 of 3 inputs failed; its row says why\n"
        "flowers: 2 of 2 inputs failed; their rows say why\n"
    )


def test_the_text_is_pinned(capsys: pytest.CaptureFixture[str]) -> None:
    best = "fotos/ñandú.jpg  tusílago (Tussilago farfara)  30.0 %\n"
    assert written("text", GOOD, FAILED, show=1) == (best, 1)
    assert capsys.readouterr().err == (
        "año.jpg: the file is empty (is_empty)\nflowers: 1 of 2 inputs failed\n"
    )
    assert written("text", GOOD, show=2) == (best + "    ñ  < 0.1 %\n", 0)
    assert written("text", FAILED) == ("", 1)  # and no summary of one
    assert capsys.readouterr().err == "año.jpg: the file is empty (is_empty)\n"


@pytest.mark.parametrize(
    ("label", "scientific_name", "shown"),
    [("rosa", None, "rosa"), ("Rosa", "Rosa", "Rosa"), ("rosa", "Rosa", "rosa (Rosa)")],
)
def test_a_name_is_said_once(label: str, scientific_name: str | None, shown: str) -> None:
    candidates = (Candidate(label, 1, 0.9996),)
    one = Prediction(candidates, scientific_name, None, None, 1, 1, "m")
    assert written("text", one) == (f"-  {shown}  > 99.9 %\n", 0)


def test_a_name_cannot_move_the_cursor() -> None:
    one = Prediction((Candidate("rosa", 1, 0.5),), None, "a\n\x1b[2Jñ.jpg", None, 1, 1, "m")
    assert written("text", one) == ("a\\n\\x1b[2Jñ.jpg  rosa  50.0 %\n", 0)


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (1, "> 99.9 %"), (0.99999, "> 99.9 %"), (0.9996, "> 99.9 %"), (0.9994, "99.9 %"),
        (0.5, "50.0 %"), (0.001, "0.1 %"), (0.0004, "< 0.1 %"), (0, "< 0.1 %"),
    ],
)  # fmt: skip
def test_no_confidence_is_certain_or_impossible(share: float, shown: str) -> None:
    one = Prediction((Candidate("rosa", 1, share),), None, "a.jpg", None, 1, 1, "m")
    assert written("text", one) == (f"a.jpg  rosa  {shown}\n", 0)
    for lang, point in (("en", "."), ("es", ",")):
        text = shown.replace(".", point).replace(" ", "\N{NO-BREAK SPACE}")
        assert Words(lang, {}).percent(share) == text


class Seen(io.StringIO):
    """Tells what a reader of the other end has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed = ""

    def flush(self) -> None:
        self.flushed = self.getvalue()


def test_a_reader_of_lines_follows() -> None:
    stream = Seen()
    seen = []

    def results() -> Iterator[Result]:
        for number in itertools.count():
            seen.append(stream.flushed.count("\n"))
            if number == 3:
                return
            yield GOOD

    result_writer("jsonl", stream, show=1, classes=102).write_all(results())
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [0, 1])
def test_a_list_that_breaks_off_is_valid(count: int) -> None:
    def results() -> Iterator[Result]:
        yield from [GOOD] * count
        raise KeyboardInterrupt

    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        result_writer("json", stream, show=1, classes=102).write_all(results())
    assert stream.getvalue() == ("[\n" + GOOD_LINE + "\n]\n" if count else "[]\n")


def test_tables_and_facts_are_pinned() -> None:
    rows: list[dict[str, Any]] = [{"a": 1, "b": "ñ"}, {"a": 23, "b": None}]
    forms = {
        "json": '[\n {\n  "a": 1,\n  "b": "ñ"\n },\n {\n  "a": 23,\n  "b": null\n }\n]\n',
        "jsonl": '{"a": 1, "b": "ñ"}\n{"a": 23, "b": null}\n',
        "csv": "a,b\n1,ñ\n23,\n",
        "text": "1   ñ\n23\n",
    }
    for form, expected in forms.items():
        stream = io.StringIO()
        write_table(form, rows, stream)
        assert stream.getvalue() == expected
    facts = {"a": {"b": {"c": "ñ"}, "d": 1}, "e": 2}
    for form, expected in {
        "json": '{\n "a": {\n  "b": {\n   "c": "ñ"\n  },\n  "d": 1\n },\n "e": 2\n}\n',
        "text": "a:\n  b:\n    c: ñ\n  d: 1\ne: 2\n",
    }.items():
        stream = io.StringIO()
        write_facts(form, facts, stream)
        assert stream.getvalue() == expected


def test_an_unknown_form_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="unknown format 'xml'"):
        result_writer("xml", io.StringIO(), show=1, classes=102)


FIRST = {"jsonl": b'{"schema', "json": b"[\n{", "csv": b"schema,", "txt": b"SAMPLE  "}


@pytest.mark.parametrize(
    ("words", "form"),
    [
        (["--output", "a.jsonl"], "jsonl"),
        (["--out", "a.JSON"], "json"),
        (["--out", "a.csv"], "csv"),
        (["--out", "a.txt"], "txt"),
        (["--out", "a.jsonl", "--format", "csv"], "csv"),
        (["--out", "a.jsonl", "--format", "text"], "txt"),
        (["--out", "a.parquet", "--format", "json"], "json"),
    ],
)
def test_the_name_gives_the_format_unless_one_is_asked_for(
    flowers: Run, sample: Path, tmp_path: Path, words: list[str], form: str
) -> None:
    done = flowers("classify", sample, *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    written = (tmp_path / words[1]).read_bytes()
    assert written.startswith(FIRST[form].replace(b"SAMPLE", bytes(sample)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.parquet", "flowers batch makes such files"),
        ("a.sqlite", "flowers batch makes such files"),
        ("gs://bucket/a.jsonl", "a file on this machine"),
        ("s3://bucket/a.csv", "a file on this machine"),
    ],
)
def test_what_classify_cannot_write_is_said_at_once(
    flowers: Run, tmp_path: Path, name: str, said: str
) -> None:
    done = flowers("classify", "gone.jpg", "--out", name)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr.decode()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("form", ["text", "json", "jsonl", "csv"])
@pytest.mark.parametrize("to_file", [True, False])
def test_how_many_failed_is_said_in_every_form(
    flowers: Run, sample: Path, form: str, *, to_file: bool
) -> None:
    out = ["--out", "out"] if to_file else []
    done = flowers("classify", sample, "gone.jpg", "--format", form, *out)
    assert done.returncode == 1
    said = done.stderr.decode().splitlines()
    if form == "text":
        assert said == [
            "gone.jpg: no such file or folder (not_found)",
            "flowers: 1 of 2 inputs failed",
        ]
    else:
        assert said == ["flowers: 1 of 2 inputs failed; its row says why"]


@posix
@pytest.mark.parametrize(
    "words",
    [
        ["classify", "SAMPLE", "--format", "csv", "--output", "result.csv"],
        ["batch", "SAMPLE", "--out", "result.csv"],
    ],
    ids=["classify", "batch"],
)
def test_a_new_result_has_the_permissions_of_any_new_file(
    tmp_path: Path, sample: Path, words: list[str]
) -> None:
    path = tmp_path / "result.csv"

    def run(umask: int) -> None:
        command = [str(FLOWERS), *(str(sample) if word == "SAMPLE" else word for word in words)]
        subprocess.run(command, cwd=tmp_path, umask=umask, check=True, timeout=PATIENCE)

    for umask, mode in ((0o027, 0o640), (0o077, 0o600), (0o002, 0o664)):
        run(umask)
        assert path.stat().st_mode & 0o7777 == mode
        path.unlink()
    path.touch()
    os.chmod(path, 0o604)
    run(0o077)
    assert path.stat().st_size
    assert path.stat().st_mode & 0o7777 == 0o604
