"""What the pages name exists: commands, flags, scripts, files, headings; and all are found."""

from __future__ import annotations

import importlib.util
import re
from pathlib import PurePosixPath

import pytest
from pages import (
    DOCS,
    PAGES,
    bare,
    commands,
    flowers_words,
    headings,
    links,
    read,
    shell_lines,
    spans,
)
from support import ROOT

from flowers_onnx.cli.arguments import parse
from flowers_onnx.cli.commands import COMMANDS
from flowers_onnx.errors import UsageError

TEXTS = {name: read(path) for name, path in PAGES.items()}
FOLDERS = ("docs", "export", "flowers_onnx", "model", "tests")
#: In an installed wheel only.
NOT_IN_A_CHECKOUT = {"flowers_onnx/flowers.onnx"}

every_page = pytest.mark.parametrize("name", PAGES)


def typed(page: str) -> list[list[str]]:
    """Each command of a page's shell blocks."""
    return [command for line in shell_lines(page) for command in commands(line) if command]


@every_page
def test_command_lines_are_ones_that_the_program_takes(name: str) -> None:
    for command in typed(TEXTS[name]):
        words = flowers_words(command)
        if words is not None and words != ["--version"]:
            parse(words)


@every_page
def test_commands_and_flags_in_the_text_exist(name: str) -> None:
    for span in spans(TEXTS[name]):
        words = flowers_words(bare(span.split()))
        if not words or words[0].startswith(("-", ".")):
            continue
        command = words[0]
        assert command in COMMANDS or command.isupper(), f"{name}: {span}"
        for flag in re.findall(r"(?<= )--\w+", span.partition(" -- ")[0]):
            assert takes(command, flag), f"{name}: {span}"


def takes(command: str, flag: str) -> bool:
    """Whether a command has a flag, whatever its value should be."""
    try:
        parse([command, flag])
    except UsageError as error:
        return "has no flag" not in str(error)
    return True


@every_page
def test_scripts_and_modules_that_are_run_exist(name: str) -> None:
    written = [bare(span.split()) for span in spans(TEXTS[name])]
    for command in typed(TEXTS[name]) + written:
        if len(command) < 2 or not PurePosixPath(command[0]).name.startswith("python"):
            continue
        if command[1] == "-m":
            assert importlib.util.find_spec(command[2]), f"{name}: {command}"
        elif command[1].endswith(".py"):
            assert (ROOT / command[1]).is_file(), f"{name}: {command}"


@every_page
def test_links_lead_to_files_and_headings(name: str) -> None:
    page = PAGES[name]
    for target, anchor in links(TEXTS[name]):
        path = page.parent / target if target else page
        assert path.exists(), f"{name}: {target}"
        if anchor:
            anchors = {slug for _, slug in headings(read(path))}
            assert anchor in anchors, f"{name}: {target}#{anchor}"


@every_page
def test_paths_exist(name: str) -> None:
    roots = "|".join(FOLDERS)
    named = re.findall(rf"(?<![\w./~$-])((?:{roots}|\.ci|\.github)/[\w./*-]*[\w*/])", TEXTS[name])
    for path in set(named) - NOT_IN_A_CHECKOUT:
        assert any(ROOT.glob(path)), f"{name}: {path}"


@every_page
def test_files_without_a_folder_exist_somewhere(name: str) -> None:
    files = {path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")}
    for span in spans(TEXTS[name]):
        if re.fullmatch(r"\w+\.(py|sh|sql|env|css|mjs|java)", span):
            assert span in files, f"{name}: {span}"


def test_pages_that_files_name_exist() -> None:
    """Help texts, comments and units send their readers to pages."""
    for folder in (*FOLDERS, ".ci"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in {"", ".py", ".sh", ".service", ".batch", ".mjs"}:
                for page in re.findall(r"(?<![\w/])docs/[\w/-]+\.md", read(path)):
                    assert (ROOT / page).is_file(), f"{path}: {page}"


def test_the_index_names_every_page() -> None:
    linked = {(DOCS / target).resolve() for target, _ in links(TEXTS["docs/README.md"])}
    pages = {path.resolve() for path in DOCS.rglob("*.md")} - {DOCS / "README.md"}
    assert pages <= linked, sorted(map(str, pages - linked))


def test_the_readme_leads_to_every_page() -> None:
    """Itself, or by way of the index."""
    assert ("docs/README.md", "") in links(TEXTS["README.md"])


def test_the_readme_shows_every_folder() -> None:
    (tree,) = re.findall(r"```text\n(docs/ .*?)```", TEXTS["README.md"], re.DOTALL)
    named = set(re.findall(r"^ *([\w.]+/)", tree, re.MULTILINE))
    for folder in (*FOLDERS, "flowers_onnx/*"):
        for path in ROOT.glob(folder):
            if path.is_dir() and path.name != "__pycache__":
                assert f"{path.name}/" in named, path


def test_what_these_tests_look_for_is_there() -> None:
    """They would pass on pages that they can't read, too."""
    ran = [words for text in TEXTS.values() for c in typed(text) if (words := flowers_words(c))]
    assert {"classify", "stream", "batch", "report", "beam", "benchmark"} <= {w[0] for w in ran}
    assert len(ran) > 30
    anchored = [anchor for text in TEXTS.values() for _, anchor in links(text) if anchor]
    assert len(anchored) > 10
    with pytest.raises(UsageError, match="no flag"):
        parse(["classify", "--no_such_flag", "1"])
