"""The pages of the documentation, taken apart: headings, links, code, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from support import ROOT, blocks

DOCS = ROOT / "docs"
#: By their path in the repository.
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted(DOCS.rglob("*.md")),
        *sorted((ROOT / "model").glob("*.md")),
        *sorted((ROOT / "tests").rglob("*.md")),
    ]
}

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_OPERATORS = "();<>|&"
#: Words before a command, in whose place it runs.
_PREFIXES = {"{", "exec", "sudo", "time"}


def read(page: Path) -> str:
    """The text, on any system."""
    return page.read_text(encoding="utf-8")


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page)


def fences(page: str) -> list[tuple[str, str]]:
    """The language and the text of each fenced block."""
    return [(language, text) for _, language, text in _FENCE.findall(page)]


def spans(page: str) -> list[str]:
    """Code within the text, each in one line."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def headings(page: str) -> list[tuple[int, str]]:
    """The level and the anchor of each heading, as GitHub makes them."""
    seen: dict[str, int] = {}
    found = []
    for marks, text in re.findall(r"^(#+) (.+)$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        again = seen[slug] = seen.get(slug, -1) + 1
        found.append((len(marks), f"{slug}-{again}" if again else slug))
    return found


def links(page: str) -> list[tuple[str, str]]:
    """The target and the anchor of each link within the repository; either may be empty."""
    targets = [target for target in _LINK.findall(prose(page)) if "://" not in target]
    return [(target.partition("#")[0], target.partition("#")[2]) for target in targets]


def section(page: str, title: str) -> str:
    """What stands below a heading of the second level."""
    return page.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def shell_lines(page: str) -> list[str]:
    """What is typed in the shell blocks, continued lines joined; of transcripts the ``$`` lines."""
    typed = "".join(blocks(page, "bash"))
    typed += "".join(
        f"{line[2:]}\n"
        for block in blocks(page, "console")
        for line in block.splitlines()
        if line.startswith("$ ")
    )
    lines = (line.strip() for line in typed.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def commands(line: str) -> Iterator[list[str]]:
    """The words of each command in a line: of a pipe, a list, a substitution.

    Redirections, assignments before a command, and comments are left out.
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=_OPERATORS)
    lexer.whitespace_split = True
    words: list[str] = []
    tokens = iter(lexer)
    for token in tokens:
        if set(token) <= set("<>&") and token not in {"&", "&&"}:
            next(tokens, None)  # the file
        elif set(token) <= set(_OPERATORS):
            yield bare(words)
            words = []
        else:
            words.append(token)
    yield bare(words)


def bare(words: list[str]) -> list[str]:
    """A command without what may stand before its name."""
    if words[:1] == ["coproc"]:
        words = words[2:]
    while words and (words[0] in _PREFIXES or re.match(r"\w+=", words[0])):
        words = words[1:]
    return words


def flowers_words(command: list[str]) -> list[str] | None:
    """What follows the program's name; None if it is another program."""
    if command and PurePosixPath(command[0]).name == "flowers":
        return command[1:]
    if command[1:3] == ["-m", "flowers_onnx"]:
        return command[3:]
    return None


def twins() -> dict[Path, Path]:
    """The English pages of deployment, each with the Spanish one that its top leads to."""
    return {page: _linked(page, "En español") for page in sorted((DOCS / "deployment").iterdir())}


def _linked(page: Path, text: str) -> Path:
    target: str
    (target,) = re.findall(rf"^\[{text}\]\((.+)\)$", read(page), re.MULTILINE)
    return (page.parent / target).resolve()
