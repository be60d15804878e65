"""The deployment pages and their files: what they say to type is what the program takes."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from support import FLOWERS, ROOT, blocks, job

DOCS = ROOT / "docs"
DEPLOY = DOCS / "deploy"
ENGLISH = (DOCS / "deployment.md").read_text()
SPANISH = (DOCS / "despliegue.md").read_text()
BATCH = (DOCS / "batch.md").read_text()
SERVICE = (DEPLOY / "flowers-batch.service").read_text()
PROGRAM = "/opt/flowers/bin/flowers"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def shell_lines(page: str) -> list[str]:
    """The lines of a page's shell blocks, continued ones joined."""
    text = "".join(blocks(page, "bash")).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip()]


def command_lines(page: str) -> list[list[str]]:
    """The words behind ``flowers``, typed in a shell or given to a Cloud Run job."""
    found = []
    for line in shell_lines(page):
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if Path(words[0]).name == "flowers":
            end = next((i for i, word in enumerate(words) if word in {"|", "<", ">"}), None)
            found.append(words[1:end])
        found += [
            word.removeprefix("--args=").split(",") for word in words if word.startswith("--args=")
        ]
    return found


@pytest.mark.parametrize("page", [ENGLISH, SPANISH, BATCH], ids=["english", "spanish", "batch"])
def test_documented_command_lines_are_valid(page: str) -> None:
    lines = command_lines(page)
    assert lines
    for words in lines:
        job(*words)


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


def without_comments(page: str) -> list[list[str]]:
    return [
        [re.sub(r"(^|\s+)# .*", "", line).strip() for line in block.splitlines()]
        for block in blocks(page, "bash")
    ]


def test_both_languages_say_to_type_the_same() -> None:
    assert without_comments(SPANISH) == without_comments(ENGLISH)


def outline(page: str) -> list[str]:
    """Levels of headings, code of first cells, and targets of links, in order."""
    text = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    pattern = r"^(#+) |^\| (`.*?) \||\]\(((?!despliegue|deployment|#)[^)]+)\)"
    return ["".join(found) for found in re.findall(pattern, text, re.MULTILINE)]


def test_both_languages_have_the_same_outline() -> None:
    assert outline(SPANISH) == outline(ENGLISH)


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
        assert f"deploy/{path.name}" in ENGLISH, path.name
