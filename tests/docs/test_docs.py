"""The documentation is a contract too: what it says exists, and what exists it says."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from help_blocks import with_help
from support import ROOT, Run, blocks

import flowers_onnx
from flowers_onnx.cli.commands import COMMANDS, find
from flowers_onnx.cli.help import general_help, help_for
from flowers_onnx.errors import IMAGE_ERROR_CODES
from flowers_onnx.record import RECORD_SCHEMA

README = (ROOT / "README.md").read_text()
USAGE = (ROOT / "docs" / "usage.md").read_text()
RECORD = (ROOT / "docs" / "result-record.md").read_text()


def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(blocks(RECORD, "json")[-1])
    return loaded


def test_records_match_the_documented_schema(flowers: Run, sample: Path) -> None:
    validator = jsonschema.Draft202012Validator(schema())
    done = flowers("classify", sample, "missing.jpg", "--format", "jsonl")
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 2
    for line in [*lines, blocks(RECORD, "json")[0]]:
        record = json.loads(line)
        assert list(record) == schema()["required"]
        validator.validate(record)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**json.loads(lines[0]), "status": "error"})


def test_every_field_and_error_code_is_documented() -> None:
    rows = re.findall(r"^\| (`.*?) \|", RECORD, re.MULTILINE)
    documented = set(re.findall(r"`(\w+)`", " ".join(rows)))
    assert documented == {*schema()["required"], *IMAGE_ERROR_CODES}
    assert f"`{RECORD_SCHEMA}`" in RECORD


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_flag_is_documented(name: str) -> None:
    help_text = help_for(name)
    parameters = inspect.signature(find(name)).parameters.values()
    flags = {f"--{p.name.rstrip('_')}" for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert set(re.findall(r"^  (--\w+)", help_text, re.MULTILINE)) == flags
    assert help_text in "\n".join(blocks(USAGE, "text")), f"docs/usage.md lacks the help of {name}"


def test_the_help_texts_are_those_of_the_program() -> None:
    assert with_help(USAGE) == USAGE, "python tests/help_blocks.py writes them"
    emptied = re.sub(r"(?<=```text\n)[A-Z].*?(?=```)", "", USAGE, flags=re.DOTALL)
    assert with_help(emptied) == USAGE
    texts = [general_help(), *map(help_for, COMMANDS)]
    assert max(len(line) for text in texts for line in text.splitlines()) == 80


def test_general_help_and_exit_codes_are_documented() -> None:
    assert general_help() in "\n".join(blocks(USAGE, "text"))
    codes = {str(code.exit_code) for code in (
        flowers_onnx.UsageError, flowers_onnx.ModelError, flowers_onnx.OutputError,
        flowers_onnx.StoppedError,
    )}  # fmt: skip
    documented = set(re.findall(r"^\| `(\d+)` \|", USAGE, re.MULTILINE))
    assert documented == {"0", "1", "129", "130", "143", *codes}


def test_the_environment_variables_are_documented() -> None:
    source = "".join(path.read_text() for path in (ROOT / "flowers_onnx").rglob("*.py"))
    install = (ROOT / "docs" / "deployment" / "install.md").read_text()
    for variable in set(re.findall(r"\"((?:FLOWERS|ORT)_[A-Z_]+)\"", source)):
        assert f"`{variable}`" in install


def commands_of(page: str) -> list[str]:
    """Lines such as ``$ flowers ...`` with the output that follows them."""
    return re.findall(r"^\$ (flowers .*)$", page, re.MULTILINE)


@pytest.mark.parametrize("line", commands_of(README) + commands_of(USAGE))
def test_documented_commands_run(flowers: Run, line: str, tmp_path: Path) -> None:
    for name in ("docs", "model"):
        (tmp_path / name).symlink_to(ROOT / name)
    command, _, source = line.partition(" < ")
    stdin = (ROOT / source).read_bytes() if source else b""
    done = flowers(*shlex.split(command)[1:], stdin=stdin)
    assert done.returncode == 0, done.stderr
    page = README if line in README else USAGE
    shown = page.split(f"$ {line}\n", 1)[1].split("```", 1)[0].split("\n$ ", 1)[0].strip()
    assert pattern_of(shown).fullmatch(done.stdout.decode().strip()), done.stdout.decode()


def pattern_of(shown: str) -> re.Pattern[str]:
    """The shown output, where probabilities and what is closest may differ by CPU."""
    escaped = re.escape(shown).replace(r"\.\.\.", ".*")
    numbers = re.sub(r"\d+\\\.\d+(?=\\ %|[,}\]])", r"\\d+\\.\\d+(e-\\d+)?", escaped)
    return re.compile(re.sub(r"(?<=closest:\\ )[^)]+", r"[^,]+, \\d+ %\\", numbers), re.DOTALL)


def test_readme_python_example_runs(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photo.jpg").write_bytes(sample.read_bytes())
    monkeypatch.chdir(tmp_path)
    (program,) = blocks(README, "python")
    exec(compile(program, "README.md", "exec"), {})


def test_the_changelog_has_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{flowers_onnx.__version__}]" in changelog
