"""The deployment pages and their files: what they say to type is what the program takes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from pages import (
    DOCS,
    commands,
    fences,
    flowers_words,
    headings,
    prose,
    read,
    shell_lines,
    spans,
    twins,
)
from support import FLOWERS, ROOT, job, needs

DEPLOY = DOCS / "deploy"
TWINS = twins()
ENGLISH = "\n".join(read(page) for page in TWINS)
SPANISH = "\n".join(read(page) for page in TWINS.values())
BATCH = read(DOCS / "batch.md")
TRACE = read(DOCS / "trace.md")
SERVICE = (DEPLOY / "flowers-batch.service").read_text()
PROGRAM = "/opt/flowers/bin/flowers"

needs_systemd = needs("systemd-analyze")


def command_lines(page: str) -> list[list[str]]:
    """The words behind ``flowers``, typed in a shell or given to a Cloud Run job."""
    found = []
    for command in (command for line in shell_lines(page) for command in commands(line)):
        words = flowers_words(command)
        found += [words] if words is not None else []
        found += [
            word.removeprefix("--args=").split(",")
            for word in command
            if word.startswith("--args=")
        ]
    return found


@pytest.mark.parametrize(
    "page", [ENGLISH, SPANISH, BATCH, TRACE], ids=["english", "spanish", "batch", "trace"]
)
def test_documented_command_lines_are_valid(page: str) -> None:
    lines = command_lines(page)
    assert lines
    for words in lines:
        job(*(re.sub(r"\$\{?\w+\}?", "x", word) for word in words))  # the reader's own


def test_the_unit_runs_a_valid_command_line() -> None:
    (command,) = re.findall(rf"^ExecStart={PROGRAM} (.*)$", SERVICE, re.MULTILINE)
    settings = dict(
        line.split("=", 1)
        for line in (DEPLOY / "batch.env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    words = []
    for word in command.replace("%S", "/var/lib").split():
        if whole := re.fullmatch(r"\$\{(\w+)\}", word):
            words.append(settings[whole[1]])
        elif split := re.fullmatch(r"\$(\w+)", word):
            words += settings[split[1]].split()
        else:
            words.append(word)
    job(*words)


def test_the_cron_table_runs_a_valid_command_line() -> None:
    table = (DEPLOY / "flowers-batch.cron").read_text()
    (line,) = (line for line in table.splitlines() if not line.startswith("#"))
    *schedule, user, program, command = line.split(maxsplit=7)
    assert (len(schedule), user, program) == (5, "flowers", PROGRAM)
    assert "%" not in command, "cron ends the line there"
    job(*shlex.split(command.partition(" 2>&1 | ")[0]))


@needs_systemd
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    units = [tmp_path / "flowers-batch.service", tmp_path / "flowers-batch.timer"]
    units[0].write_text(SERVICE.replace(PROGRAM, str(FLOWERS)))
    shutil.copy(DEPLOY / units[1].name, units[1])
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    # What it only warns of, such as a setting that it doesn't know, leaves the code at 0.
    complaints = [line for line in done.stderr.splitlines() if "flowers-batch" in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


@needs_systemd
def test_the_unit_is_as_hardened_as_the_page_says() -> None:
    analyze = ["systemd-analyze", "security", "--no-pager"]
    known = subprocess.run([*analyze, "--help"], capture_output=True, text=True, check=False).stdout
    if "--offline" not in known:
        pytest.skip("systemd-analyze is older than 250")
    assert "below 2 of 10" in ENGLISH
    done = subprocess.run(
        [*analyze, "--offline=true", "--threshold=20", DEPLOY / "flowers-batch.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


every_pair = pytest.mark.parametrize(
    ("english", "spanish"), TWINS.items(), ids=[page.stem for page in TWINS]
)


def test_every_page_has_a_twin_that_leads_back() -> None:
    assert sorted(TWINS.values()) == sorted((DOCS / "despliegue").iterdir())
    for english, spanish in TWINS.items():
        link = os.path.relpath(english, spanish.parent)
        assert f"\n[In English]({link})\n" in read(spanish), spanish


def without_comments(page: Path) -> list[tuple[str, list[str] | int]]:
    """What is typed; of a drawing, how many lines it has."""
    return [
        (language, len(lines))
        if language == "text"
        else (language, [re.sub(r"(^|\s+)# .*", "", line).strip() for line in lines])
        for language, block in fences(read(page))
        for lines in [block.splitlines()]
    ]


@every_pair
def test_both_languages_say_to_type_the_same(english: Path, spanish: Path) -> None:
    assert without_comments(spanish) == without_comments(english)


def outline(page: Path) -> list[str]:
    """Headings' levels, list items, table rows with the code of their first cells, and links."""
    text = re.sub(r"^\[(?:En español|In English)\].*", "", prose(read(page)), flags=re.MULTILINE)
    marks = r"^(#+) |^( *(?:-|\d+\.)) |^(\| (?:`.*?` \|)?)|\]\(([^)]+)\)"
    return [
        where(page, match[4]) if match[4] else match[match.lastindex or 0]
        for match in re.finditer(marks, text, re.MULTILINE)
    ]


def where(page: Path, link: str) -> str:
    """What a link leads to: the English page of two, and a heading as its place on the page."""
    if "://" in link:
        return link
    target, _, anchor = link.partition("#")
    path = (page.parent / target).resolve() if target else page
    anchors = ["", *(slug for _, slug in headings(read(path)))] if anchor else [""]
    names = {spanish: english for english, spanish in TWINS.items()}
    return f"{names.get(path, path)}#{anchors.index(anchor)}"


@every_pair
def test_both_languages_have_the_same_outline(english: Path, spanish: Path) -> None:
    assert outline(spanish) == outline(english)


@every_pair
def test_both_languages_name_the_same_code(english: Path, spanish: Path) -> None:
    """Flags, files, settings: what one of them tells of, the other does too."""
    assert sorted(spans(read(spanish))) == sorted(spans(read(english)))


def test_environment_variables_are_in_both_pages() -> None:
    source = "".join(path.read_text() for path in (ROOT / "flowers_onnx").rglob("*.py"))
    families = "FLOWERS|ORT|OPENBLAS|CLOUD_RUN|STORAGE|BIGQUERY|GOOGLE|API|AWS"
    names = set(re.findall(rf"[\"`]((?:{families})_[A-Z_]+)[\"`]", source))
    assert {"FLOWERS_ONNX_MODEL", "CLOUD_RUN_TASK_INDEX"} <= names
    for page in (ENGLISH, SPANISH):
        assert names <= set(re.findall(r"`([A-Z][A-Z_]+)`", page))


def test_extras_that_are_named_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [ENGLISH, SPANISH, BATCH, (DEPLOY / "Dockerfile.batch").read_text()]
    named = {
        extra
        for text in texts
        for extras in re.findall(r"(?:\.whl\)|flowers-onnx)\[([a-z0-9,]+)\]", text)
        for extra in extras.split(",")
    }
    assert {"gcs", "bigquery"} <= named
    assert named <= set(project["optional-dependencies"])


def test_the_pages_name_every_file_that_is_to_be_deployed() -> None:
    for path in DEPLOY.iterdir():
        assert f"deploy/{path.name}" in ENGLISH + TRACE, path.name
