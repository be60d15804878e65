"""The installed ``flowers`` command as people and other programs use it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from raw_files import RAW_FILES
from support import FLOWERS, PATIENCE, Run, job, needs, posix, wait_until

import flowers_onnx
from flowers_onnx.cli.commands import COMMANDS


def records(output: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_text_is_for_people(flowers: Run, sample: Path) -> None:
    done = flowers("classify", sample)
    assert done.returncode == 0
    assert done.stderr == b""
    line = done.stdout.decode()
    assert line.count("\n") == 1
    assert line.startswith(f"{sample}  ")
    assert line.endswith(" %\n")


def test_text_shows_more_candidates_when_asked(flowers: Run, sample: Path) -> None:
    lines = flowers("classify", sample, "--top_k", "3").stdout.decode().splitlines()
    assert len(lines) == 3
    assert all(line.startswith("    ") for line in lines[1:])


def test_all_formats_tell_the_same(flowers: Run, sample: Path) -> None:
    outputs = {
        name: flowers("classify", sample, f"--format={name}").stdout
        for name in ("json", "jsonl", "csv")
    }
    (record,) = json.loads(outputs["json"])
    assert records(outputs["jsonl"]) == [record]
    (row,) = csv.DictReader(io.StringIO(outputs["csv"].decode()))
    assert json.loads(row["top"]) == record["top"]
    for key in ("path", "label", "sha256", "model", "scientific_name"):
        assert row[key] == (record[key] or "")
    assert float(row["confidence"]) == record["confidence"]


@pytest.mark.parametrize(("lang", "key"), [("la", "scientific_name"), ("en", None), ("es", None)])
def test_languages(flowers: Run, sample: Path, lang: str, key: str | None) -> None:
    (record,) = records(flowers("classify", sample, "--lang", lang, "--format", "jsonl").stdout)
    names = flowers("labels", "--lang", lang, "--format", "jsonl").stdout
    named = {row["class_id"]: row["label"] for row in records(names)}
    assert record["label"] == named[record["class_id"]]
    if key:
        assert record["label"] == record[key]


def test_one_broken_file_among_a_hundred(flowers: Run, sample: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(100):
        data = sample.read_bytes()
        (folder / f"{index:03d}.jpg").write_bytes(data[:2000] if index == 41 else data)
    done = flowers("classify", folder, "--format", "jsonl")
    assert done.returncode == 1
    results = records(done.stdout)
    assert [r["path"] for r in results] == [str(folder / f"{i:03d}.jpg") for i in range(100)]
    failed = [index for index, record in enumerate(results) if record["status"] == "error"]
    assert failed == [41]
    assert results[41]["error"] == {
        "code": "truncated",
        "message": "the file ends before the image does",
    }


def test_text_reports_failures_on_stderr(flowers: Run, sample: Path) -> None:
    done = flowers("classify", "missing.jpg", sample)
    assert done.returncode == 1
    assert done.stdout.count(b"\n") == 1
    assert done.stderr.decode().splitlines() == [
        "missing.jpg: no such file or folder (not_found)",
        "flowers: 1 of 2 inputs failed",
    ]


def test_standard_input(flowers: Run, sample: Path) -> None:
    done = flowers("classify", "-", "--format", "jsonl", stdin=sample.read_bytes())
    by_path = flowers("classify", sample, "--format", "jsonl")
    (piped,), (named,) = records(done.stdout), records(by_path.stdout)
    assert piped.pop("path") == "-"
    assert named.pop("path") == str(sample)
    assert piped == named


def test_empty_standard_input(flowers: Run) -> None:
    done = flowers("classify", "-")
    assert done.returncode == 1
    assert done.stderr == b"-: the file is empty (is_empty)\n"


def test_folders_are_walked_in_order_by_content(flowers: Run, sample: Path, tmp_path: Path) -> None:
    data = sample.read_bytes()
    for name in ("b/2.jpg", "b/1.data", "a.jpg", "c/d/e.jpg", ".hidden.jpg", ".git/x.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "photos" / "notes.txt").write_text("no photo")
    (tmp_path / "photos" / "loop").symlink_to(tmp_path / "photos")
    done = flowers("classify", "photos", "--format", "jsonl", cwd=tmp_path)
    assert done.returncode == 0
    paths = [record["path"] for record in records(done.stdout)]
    assert paths == [f"photos/{name}" for name in ("a.jpg", "b/1.data", "b/2.jpg", "c/d/e.jpg")]


def test_glob_patterns(flowers: Run, sample: Path, tmp_path: Path) -> None:
    for name in ("1.jpg", "2.jpg", "3.png"):
        (tmp_path / name).write_bytes(sample.read_bytes())
    done = flowers("classify", "*.jpg", "nothing*", "--format", "jsonl")
    assert done.returncode == 1
    found = [(record["path"], record["status"]) for record in records(done.stdout)]
    assert found == [("1.jpg", "ok"), ("2.jpg", "ok"), ("nothing*", "error")]


def test_a_folder_without_images(flowers: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = flowers("classify", "empty")
    assert done.returncode == 1
    assert done.stderr == b"empty: no images in this folder (no_images)\n"


@needs("setpriv")
def test_an_unreadable_file(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").touch(mode=0o000)
    # Root reads everything unless it gives up that privilege.
    as_anyone = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    done = subprocess.run(
        [*(as_anyone if os.geteuid() == 0 else []), FLOWERS, "classify", "x.jpg", sample],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.count(b"\n") == 1
    assert done.stderr.startswith(b"x.jpg: permission denied (permission_denied)\n")


def test_output_file_appears_whole(flowers: Run, sample: Path, tmp_path: Path) -> None:
    done = flowers("classify", sample, "--format", "json", "--out", "out.json")
    assert (done.returncode, done.stdout) == (0, b"")
    assert json.loads((tmp_path / "out.json").read_text())[0]["status"] == "ok"
    assert os.listdir(tmp_path) == ["out.json"]


def test_output_into_a_missing_folder(flowers: Run, sample: Path, tmp_path: Path) -> None:
    done = flowers("classify", sample, "--out", "no/such/out.json")
    assert done.returncode == 4
    assert done.stderr == b"flowers: can't write to no/such/out.json: No such file or directory\n"


@posix
def test_output_to_a_device(flowers: Run, sample: Path) -> None:
    done = flowers("classify", sample, "--output", "/dev/stdout")
    assert done.returncode == 0
    assert done.stdout.startswith(bytes(sample))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["classify", "--version", "--help", "labels", "info"])
def test_a_full_disk(sample: Path, command: str) -> None:
    words = [sample] if command == "classify" else []
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [FLOWERS, command, *words], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 4
    assert done.stderr == b"flowers: can't write to standard output: No space left on device\n"


@pytest.mark.parametrize("format", ["text", "json", "jsonl", "csv"])
def test_a_closed_pipe_is_quiet(sample: Path, format: str) -> None:
    process = subprocess.Popen(
        [FLOWERS, "classify", *[sample] * 300, "--format", format],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(timeout=PATIENCE) == 0


@posix
@pytest.mark.parametrize(
    ("number", "said"),
    # The last is SIGHUP, which Windows has no name for.
    [(signal.SIGINT, b"flowers: interrupted\n"), (signal.SIGTERM, b""), (1, b"")],
)
def test_stopping_leaves_nothing_behind(
    sample: Path, tmp_path: Path, number: int, said: bytes
) -> None:
    process = subprocess.Popen(
        [FLOWERS, "classify", *[sample] * 5000, "--format", "jsonl", "--out", "out.jsonl"],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        # A shell that runs tests in the background has its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_until(lambda: os.listdir(tmp_path))
    process.send_signal(number)
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == said
    assert process.wait(timeout=PATIENCE) == 128 + number
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "can't read the model"),
        (b"not a model at all", "is not an ONNX model"),
        (b"", "has no flowers-onnx metadata"),
    ],
)
def test_a_model_that_cannot_be_loaded(
    flowers: Run, sample: Path, tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    if content is not None:
        (tmp_path / "bad.onnx").write_bytes(content)
    for command in (["classify", sample], ["labels"], ["info"]):
        done = flowers(*command, "--model", "bad.onnx")
        assert done.returncode == 3
        assert complaint in done.stderr.decode()
        assert done.stderr.count(b"\n") == 1
    by_variable = flowers("classify", sample, env={"FLOWERS_ONNX_MODEL": "bad.onnx"})
    assert by_variable.returncode == 3


def test_version_and_module_are_the_same_program(flowers: Run, tmp_path: Path) -> None:
    done = flowers("--version")
    assert done.stdout.decode().startswith(f"flowers {flowers_onnx.__version__} (model ")
    python = FLOWERS.with_name("python")
    module = subprocess.run(
        [python, "-m", "flowers_onnx", "--version"], capture_output=True, check=True, cwd=tmp_path
    )
    assert module.stdout == done.stdout


def test_labels(flowers: Run) -> None:
    rows = json.loads(flowers("labels", "--format", "json").stdout)
    assert len(rows) == 102
    assert rows[58]["class_id"] == 59
    assert flowers("labels").stdout.count(b"\n") == 102
    assert flowers("labels", "--format", "csv").stdout.count(b"\n") == 103


def test_info(flowers: Run) -> None:
    facts = json.loads(flowers("info", "--format", "json", "--threads", "1").stdout)
    assert facts["program"] == flowers_onnx.__version__
    assert facts["model"]["classes"] == 102
    assert len(facts["model"]["sha256"]) == 64
    assert facts["environment"]["threads"] == 1
    assert facts["environment"]["telemetry"] == "off"
    assert b"sha256: " in flowers("info").stdout


@posix
def test_pipes_are_read_where_they_are_named_and_nowhere_else(
    flowers: Run, sample: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    os.mkfifo(folder / "pipe.jpg")
    shutil.copy(sample, folder)
    for words in (["f"], ["f/*"]):
        done = flowers("classify", *words, "--format", "jsonl")
        found: list[Any] = [record["error"] for record in records(done.stdout)]
        codes = [error and error["code"] for error in found]
        assert (done.returncode, codes) == (1, [None, "not_a_file"])
    named = '"$0" classify /dev/stdin <(cat "$1") f/pipe.jpg --format jsonl < "$1"'
    script = f'{named} & cat "$1" > f/pipe.jpg; wait $!'
    done = subprocess.run(
        ["bash", "-c", script, FLOWERS, sample],
        capture_output=True, cwd=tmp_path, timeout=PATIENCE, check=True,
    )  # fmt: skip
    labels = [json.loads(line)["label"] for line in done.stdout.splitlines()]
    assert labels == ["pink-yellow dahlia"] * 3


def test_raw_files_beside_photos_are_told_once(flowers: Run, sample: Path, tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    for name in ("1", "2"):
        shutil.copy(sample, folder / f"{name}.jpg")
        (folder / f"{name}.NEF").write_bytes(RAW_FILES["nef"])
    told = b"2 camera raw files skipped (1.NEF, 2.NEF): export JPEGs, or use those beside them\n"
    done = flowers("classify", "f")
    assert (done.returncode, done.stderr) == (0, b"flowers: " + told)
    assert len(done.stdout.splitlines()) == 2
    done = flowers("batch", "f", "--out", "r.jsonl")
    assert (done.returncode, done.stderr.count(told)) == (0, 1)
    done = flowers("batch", "f", "--out", "r.jsonl", "--log_format", "json")
    assert told.decode().strip() in [record["message"] for record in records(done.stderr)]
    done = flowers("classify", "f/1.NEF")
    assert done.returncode == 1
    assert b"f/1.NEF: camera raw: export a JPEG, or use the one beside it (unsupp" in done.stderr
    for name in ("1", "2"):
        (folder / f"{name}.jpg").unlink()
    done = flowers("batch", "f", "--out", "other.jsonl")
    assert (done.returncode, done.stderr) == (2, b"flowers: no images in f; " + told)
    done = flowers("classify", "f")
    assert done.returncode == 1
    assert b"f: no images in this folder (no_images)" in done.stderr
    assert told in done.stderr


@posix
def test_interruption_while_waiting_for_a_pipe(sample: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    writer = -1

    def is_read() -> bool:
        nonlocal writer
        with contextlib.suppress(OSError):  # ENXIO while nobody has it open to read
            writer = os.open(tmp_path / "never", os.O_WRONLY | os.O_NONBLOCK)
        return writer >= 0

    with subprocess.Popen(
        [FLOWERS, "classify", sample, "never", "--format", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            wait_until(is_read)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=PATIENCE) == 130
        finally:
            process.kill()
    os.close(writer)


@posix
@pytest.mark.parametrize("closed", ["0", "1", "2"])
def test_closed_descriptors(sample: Path, tmp_path: Path, closed: str) -> None:
    command = f'"{FLOWERS}" classify "{sample}" --format jsonl --output out.jsonl {closed}>&-'
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, check=False, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (tmp_path / "out.jsonl").read_text().count("\n") == 1


@posix
def test_closed_standard_output_is_an_output_error(sample: Path) -> None:
    command = f'"{FLOWERS}" classify "{sample}" >&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False, timeout=PATIENCE)
    assert done.returncode == 4
    assert done.stderr == b"flowers: standard output is closed\n"


def test_a_photo_is_never_overwritten(flowers: Run, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(sample.read_bytes())
    done = flowers("classify", sample, "--out", "a.jpg")
    assert done.returncode == 2
    assert (tmp_path / "a.jpg").read_bytes() == sample.read_bytes()


@posix
def test_output_replaces_an_older_file_and_keeps_its_permissions(
    flowers: Run, sample: Path, tmp_path: Path
) -> None:
    (tmp_path / "out.txt").write_text("older")
    (tmp_path / "out.txt").chmod(0o600)
    assert flowers("classify", sample, "--output", "out.txt").returncode == 0
    assert (tmp_path / "out.txt").read_text() != "older"
    assert (tmp_path / "out.txt").stat().st_mode & 0o777 == 0o600


def test_deeply_nested_folders(flowers: Run, sample: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    for _ in range(700):
        folder /= "d"
    folder.mkdir(parents=True)
    (folder / "x.jpg").write_bytes(sample.read_bytes())
    assert flowers("classify", "deep", "--format", "jsonl").returncode == 0


def test_recursive_patterns_name_each_file_once(flowers: Run, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "p/q").mkdir(parents=True)
    for name in ("p/1.jpg", "p/q/2.jpg"):
        (tmp_path / name).write_bytes(sample.read_bytes())
    paths = [r["path"] for r in records(flowers("classify", "p/**", "--format", "jsonl").stdout)]
    assert paths == ["p/1.jpg", "p/q/2.jpg"]


#: Minimal words of each command that are no usage error.
SOUND: dict[str, list[str]] = {
    "classify": ["x"],
    "stream": [],
    "batch": ["x", "--out=x.csv"],
    "report": ["x"],
    "explain": ["x", "--out=x.png"],
    "similar": ["x", "--index=x"],
    "compare": ["x", "y"],
    "beam": ["x", "--out=x.jsonl"],
    "serve": [],
    "trace": ["load", "x", "--to=x.jsonl"],
    "keys": ["list", "--keys=x"],
    "benchmark": [],
    "labels": [],
    "info": [],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_mute_the_libraries_below_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowers_onnx.cli.commands.beam.find_spec", lambda name: name)
    # A server's crash must not lose its last words.
    assert job(name, *SOUND[name]).mutes_libraries == (name != "serve")


@pytest.mark.parametrize(("mutes", "said"), [(True, b"ours"), (False, b"theirs ours")])
def test_a_job_says_whether_libraries_are_muted(mutes: bool, said: bytes) -> None:
    program = f"""
import os, sys
from flowers_onnx.cli import fire_adapter, main
from flowers_onnx.cli.command import Job

def work():
    os.write(2, b"theirs ")
    print("ours", end="", file=sys.stderr, flush=True)
    return 7

fire_adapter.route = lambda argv: Job(work, mutes_libraries={mutes})
code = main.main(["info"])
os.write(2, b" at last")
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (7, said + b" at last")
