"""The deployment pages and their files: what they say to type is what the program takes."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
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
DOCKERFILE = (ROOT / "Dockerfile").read_text()
TRACE = read(DOCS / "trace.md")
SERVICE = (DEPLOY / "flowers-batch.service").read_text()
PROGRAM = "/opt/flowers/bin/flowers"

needs_systemd = needs("systemd-analyze")
#: Each has its settings beside it, ``batch.env`` and so on.
every_unit = pytest.mark.parametrize("unit", ["batch", "serve", "watch"])


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


def service_of(unit: str) -> str:
    return (DEPLOY / f"flowers-{unit}.service").read_text()


@every_unit
def test_the_units_run_valid_command_lines(unit: str) -> None:
    (command,) = re.findall(rf"^ExecStart={PROGRAM} (.*)$", service_of(unit), re.MULTILINE)
    settings = dict(
        line.split("=", 1)
        for line in (DEPLOY / f"{unit}.env").read_text().splitlines()
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


@pytest.mark.parametrize("name", ["batch", "trace"])
def test_the_cron_tables_run_valid_command_lines(name: str) -> None:
    table = (DEPLOY / f"flowers-{name}.cron").read_text()
    (line,) = (line for line in table.splitlines() if not line.startswith("#"))
    *schedule, user, command = line.split(maxsplit=6)
    assert (len(schedule), user) == (5, "flowers")
    assert "%" not in command, "cron ends the line there"
    (words,) = re.findall(rf"{PROGRAM} (.*?);", command)
    job(*shlex.split(words))
    # As cron runs it, with a program and a log of ours: an exit code is in the log.
    command = command.replace(f"{PROGRAM} {words}", "sh -c 'echo out; echo err >&2; exit 4'")
    command = command.replace("logger", "cat - #")
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["out", "err", "exit code 4"]


def test_the_image_runs_a_valid_command_line() -> None:
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE)
    (command,) = re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)
    assert json.loads(entry) == [PROGRAM]
    job(*json.loads(command))


def test_the_service_runs_a_valid_command_line_and_has_what_it_names() -> None:
    service = yaml.safe_load((DEPLOY / "service.yaml").read_text())
    assert (service["apiVersion"], service["kind"]) == ("serving.knative.dev/v1", "Service")
    spec = service["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    args = container["args"]
    assert all(isinstance(word, str) for word in args)
    job(*args)
    assert container["startupProbe"]["httpGet"] == {"path": "/readyz"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez"}
    (mount,), (volume,) = container["volumeMounts"], spec["volumes"]
    (item,) = volume["secret"]["items"]
    assert mount["name"] == volume["name"]
    assert args[args.index("--keys") + 1] == f"{mount['mountPath']}/{item['path']}"
    assert f"gcloud secrets create {volume['secret']['secretName']} " in ENGLISH
    account = spec["serviceAccountName"].partition("@")[0]
    assert f"gcloud iam service-accounts create {account}\n" in ENGLISH
    for flag in ("--keep", "--trace"):
        assert args[args.index(flag) + 1].startswith("gs://my-project-kept/")


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*.json")), ids=lambda path: path.name)
def test_json_is_well_formed(path: Path) -> None:
    content: Any = json.loads(path.read_text())
    if path.name.startswith("alert"):
        assert set(content) >= {"displayName", "combiner", "conditions"}
        (kinds,) = {frozenset(condition) for condition in content["conditions"]}
        assert len(kinds) == 2, "each has a name and one condition"


def test_the_alerts_ask_for_figures_that_exist() -> None:
    groups = yaml.safe_load((DEPLOY / "serve.rules.yaml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    source = "".join(path.read_text() for path in (ROOT / "flowers_onnx/serve").rglob("*.py"))
    for rule in rules:
        for name in re.findall(r"flowers_(\w+)", rule["expr"]):
            stem = re.sub(r"^(requests)_total$|_bucket$", r"\1", name)
            assert re.search(rf"\"(?:flowers_)?{stem}\"", source), name


def test_the_costs_are_what_the_script_says(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(DEPLOY / "cost.py"), run_name="__main__")
    said = [re.findall(r"[\d.,]*\d", line) for line in capsys.readouterr().out.splitlines()]
    for page in (ENGLISH, SPANISH):
        (table,) = re.findall(r"^\| USD.*\n(?:\|.*\n)+", page, re.MULTILINE)
        assert [re.findall(r"[\d.,]*\d", line) for line in table.splitlines()] == said


@needs("nginx")
@needs("openssl")
def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=flowers.example",
         "-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    ours = (DEPLOY / "nginx.conf").read_text()
    ours = ours.replace("/etc/letsencrypt/live/flowers.example", str(tmp_path))
    ours = re.sub(r"(listen (?:\[::\]:)?)(\d+)", r"\g<1>4\2", ours)  # ports of a user's own
    paths = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = tmp_path / "whole.conf"
    whole.write_text(
        f"pid {tmp_path}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {paths}\n{ours} }}"
    )
    done = subprocess.run(["nginx", "-t", "-c", whole], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr, done.stderr


@needs_systemd
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    units = [tmp_path / path.name for path in [*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")]]
    assert len(units) == 4
    for unit in units:
        unit.write_text((DEPLOY / unit.name).read_text().replace(PROGRAM, str(FLOWERS)))
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    # What it only warns of, such as a setting that it doesn't know, leaves the code at 0.
    complaints = [line for line in done.stderr.splitlines() if "flowers-" in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


@every_unit
@needs_systemd
def test_the_units_are_as_hardened_as_the_pages_say(unit: str) -> None:
    analyze = ["systemd-analyze", "security", "--no-pager"]
    known = subprocess.run([*analyze, "--help"], capture_output=True, text=True, check=False).stdout
    if "--offline" not in known:
        pytest.skip("systemd-analyze is older than 250")
    assert "below 2 of 10" in ENGLISH
    done = subprocess.run(
        [*analyze, "--offline=true", "--threshold=20", DEPLOY / f"flowers-{unit}.service"],
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
    marks = r"(?:(?:\.whl\)|flowers-onnx)\[|EXTRAS=)([a-z0-9,]+)"
    named = {
        extra
        for text in (ENGLISH, SPANISH, BATCH, DOCKERFILE)
        for extras in re.findall(marks, text)
        for extra in extras.split(",")
    }
    assert {"gcs", "bigquery", "serve"} <= named
    assert named <= set(project["optional-dependencies"])


def test_the_pages_name_every_file_that_is_to_be_deployed() -> None:
    for path in DEPLOY.iterdir():
        assert f"deploy/{path.name}" in ENGLISH + TRACE, path.name
