"""Python Fire's pitfalls stay out of reach: words arrive as typed, and mistakes stop early."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Run

from flowers_onnx.cli.arguments import FORMER_NAMES, MARK, parse
from flowers_onnx.cli.command import flags_of
from flowers_onnx.cli.commands import COMMANDS, find
from flowers_onnx.cli.help import general_help, help_for
from flowers_onnx.errors import UsageError

ODD_NAMES = [
    b"123", b"1e5", b"None", b"True", b"a,b.jpg", b"[a].jpg", b"{a}.jpg", b"(1,2)", b"a b.jpg",
    b"-x.jpg", b"--top_k", b"--help", b"-", b"--", b"*.jpg", b"0x1f", b"'quoted'", b"#x.jpg",
    "é ñ.jpg".encode(), "花.jpg".encode(), b"latin-\xe9.jpg", b"new\nline.jpg", b"a=b.jpg",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_file_names_arrive_as_typed(
    flowers: Run, sample: Path, tmp_path: Path, name: bytes
) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(sample.read_bytes())
    dashes = [b"--"] if name.startswith(b"--") else []
    word = b"./-" if name == b"-" else name
    done = flowers("classify", "--format", "jsonl", *dashes, word)
    assert done.returncode == 0, done.stderr
    (record,) = map(json.loads, done.stdout.splitlines())
    assert record["path"] == word.decode("utf-8", "backslashreplace")
    assert record["status"] == "ok"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "say what to do"),
        (["clasify", "x.jpg"], "no such command: clasify; did you mean classify?"),
        (["classify"], "classify needs a PATH"),
        (["classify", "x.jpg", "--topk", "3"], "did you mean --top_k?"),
        (["classify", "x.jpg", "--top_k"], "--top_k needs a value"),
        (["classify", "x.jpg", "--top_k", "--format", "csv"], "--top_k needs a value"),
        (["classify", "x.jpg", "--top_k", "zero"], "--top_k needs a whole number"),
        (["classify", "x.jpg", "--top_k", "0"], "--top_k needs a whole number"),
        (["help", "nonsense"], "no such command: nonsense"),
        (["classify", "x.jpg", "--threads", "9999"], "at most 1024"),
        (["classify", "x.jpg", "--threads", "-1"], "--threads needs a whole number"),
        (["classify", "x.jpg", "--format", "xml"], "--format must be one of"),
        (["classify", "x.jpg", "--lang", "fr"], "--lang must be one of en, es, la"),
        (["classify", "x.jpg", "--lang", "en", "--lang", "es"], "--lang is given twice"),
        (["classify", "x.jpg", "-t", "3"], "no flag -t; see flowers classify --help"),
        (["classify", "x.jpg", "--nonsense"], "see flowers classify --help"),
        (
            ["batch", "x", "--retry"],
            "no flag --retry; did you mean --retry_errors? See flowers batch --help",
        ),
        (["classify", "x.jpg", "-top-k=3"], "did you mean --top_k? See flowers classify --help"),
        (["x.jpg"], "did you mean flowers classify x.jpg?"),
        (["my photo.HEIC"], "did you mean flowers classify 'my photo.HEIC'?"),
        (["."], "did you mean flowers classify .?"),
        (["photos/*"], "did you mean flowers classify 'photos/*'?"),
        (["gs://b/p"], "did you mean flowers batch gs://b/p --out results.jsonl?"),
        (["https://e.org/x.jpg"], "download the photo, then flowers classify FILE"),
        (["--lang", "es", "x.jpg"], "a command comes first"),
        (["--verion"], "did you mean flowers --version?"),
        (["version"], "did you mean flowers --version?"),
        (["INFO"], "did you mean info?"),
        (["classify", "-", "-"], "only once"),
        (["classify", "x.jpg", "--interactive"], "no flag --interactive"),
        (["labels", "x.jpg"], "labels takes no argument"),
        (["info", "__class__"], "info takes no argument"),
        (["info", "--format", "csv"], "--format must be one of text, json"),
        (["info", "--workers", "0"], "--threads needs a whole number"),
        (["labels", "--output", "x"], "labels has no flag --output"),
    ],
)
def test_mistakes_stop_before_any_work(
    flowers: Run, tmp_path: Path, words: list[str], complaint: str
) -> None:
    done = flowers(*words, env={"FLOWERS_ONNX_MODEL": str(tmp_path / "never-opened")})
    assert done.returncode == 2
    assert done.stdout == b""
    assert complaint in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


#: Usage errors that no single flag has.
SENSELESS: dict[str, list[list[str]]] = {
    "classify": [[], ["-", "-"]],
    "stream": [["x"]],
    "batch": [[], ["x"], ["x", "--out=x.csv", "--journal=x.csv"]],
    "report": [[]],
    "explain": [[], ["x"], ["x", "--out=-"], ["-", "-", "--out=x"], ["x", "--out=x.pdf"]],
    "similar": [
        [],
        ["x"],
        ["--index=x"],
        ["-", "--index=x", "--add"],
        ["x", "--index=x", "--out=x"],
    ],
    "compare": [[], ["x"], ["x", "y", "z"]],
    "trace": [[], ["x"], ["load"], ["load", "x"], ["forget", "x"], ["export", "x", "y"]],
    "beam": [[], ["x"], ["x", "--out=x.csv"], ["x", "--out=x.jsonl", "--dead_letter=x.jsonl"]],
    "keys": [[], ["add", "--keys=x"], ["list", "--keys=x", "--grace=1h"]],
    "benchmark": [["-"], ["x", "--compare=a,b"]],
    "serve": [["x"], ["--host=0.0.0.0"]],
    "labels": [["x"]],
    "info": [["x"]],
}

#: Says how ``main`` ends with each of the lists of words, and what that has loaded.
ENDS = """
import sys
from flowers_onnx.cli.main import main
print({main(words) for words in WORDS}, {"numpy", "PIL", "onnxruntime"} & sys.modules.keys())
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_usage_error_loads_nothing_that_classifies(name: str) -> None:
    wrong = [*SENSELESS[name], ["--nonsense"], ["--format"]]
    for flag, (_, declared) in flags_of(find(name)).items():
        try:
            declared.convert(flag, ",,")
        except UsageError:
            wrong.append([f"--{flag}=,,"])
    program = ENDS.replace("WORDS", repr([[name, *words] for words in wrong]))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (done.stdout, done.stderr.count(b"\n")) == (b"{2} set()\n", len(wrong))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_is_declared(name: str) -> None:
    parameters = inspect.signature(find(name)).parameters.values()
    declared = dict(flags_of(find(name)).values())
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert list(declared) == list(defaults)
    for parameter, flag in declared.items():
        assert bool(flag.value) == (defaults[parameter] is not False)
        assert flag.help


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(("former", "now"), FORMER_NAMES.items())
def test_former_names_of_flags_go_on_working(name: str, former: str, now: str) -> None:
    if now not in flags_of(find(name)):
        with pytest.raises(UsageError, match=f"{name} has no flag --{former}"):
            parse([name, f"--{former}", "1"])
        return
    assert parse([name, f"--{former}", "1"]) == parse([name, f"--{now}=1"])
    for second in (former, now):
        with pytest.raises(UsageError, match=f"^--{now} is given twice$"):
            parse([name, f"--{former}", "1", f"--{second}", "1"])
    with pytest.raises(UsageError, match=f"^--{now} needs a value$"):
        parse([name, f"--{former}"])
    assert f"--{former}" not in help_for(name)


def test_words_of_fire_are_names(flowers: Run) -> None:
    done = flowers("classify", "--", "--interactive", "--trace", "--completion")
    assert done.returncode == 1
    assert done.stderr.count(b"(not_found)") == 3


def test_the_version_has_a_short_flag(flowers: Run) -> None:
    done = flowers("-V")
    assert (done.returncode, done.stdout) == (0, flowers("--version").stdout)
    assert done.stdout.startswith(b"flowers ")


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_fits_a_terminal(name: str | None) -> None:
    text = help_for(name) if name else general_help()
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_goes_to_standard_output(flowers: Run, words: list[str]) -> None:
    done = flowers(*words)
    assert (done.returncode, done.stderr) == (0, b"")
    for command in COMMANDS:
        assert f"\n  {command} ".encode() in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(flowers: Run, command: str) -> None:
    expected = help_for(command).encode() + b"\n"
    assert flowers(command, "--help").stdout == expected
    assert flowers(command, "x.jpg", "-h").stdout == expected
    assert flowers("help", command).stdout == expected


@pytest.mark.parametrize(("name", "summary"), COMMANDS.items())
def test_the_summary_of_a_command_begins_its_help(name: str, summary: str) -> None:
    first, _, _ = help_for(name).partition("\n\n")
    assert first.replace("\n", " ").startswith(f"{summary}.")


def test_hyphens_in_flags(flowers: Run, sample: Path) -> None:
    done = flowers("classify", sample, "--top-k=2")
    assert done.stdout.count(b"\n") == 2


@given(st.lists(st.text(st.characters(exclude_characters="\0"), max_size=8), max_size=6))
def test_any_words_are_a_request_or_a_usage_error(words: list[str]) -> None:
    try:
        request = parse(words)
    except UsageError as error:
        assert str(error)
    else:
        assert request.help or request.argv[0] in COMMANDS


@given(st.lists(st.text(min_size=1), min_size=1))
def test_after_two_dashes_all_is_data(names: list[str]) -> None:
    request = parse(["classify", "--top_k=3", "--", *names])
    assert request.argv == ("classify", f"--top_k={MARK}3", *(MARK + name for name in names))
