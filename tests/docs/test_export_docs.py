"""What the pages say of ``export/`` can be typed: its scripts are read, since not all run here."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from pathlib import Path

import pytest
from support import ROOT

#: What names a file of ``export/``, the scripts' own usage included.
PAGES = [
    page
    for pattern in ("*.md", "docs/**/*.md", "model/*.md", "tests/**/*.md", "export/**/*.py")
    for page in sorted(ROOT.glob(pattern))
    if "export/" in page.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_export_can_be_typed_as_shown(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"(?<![\w/.-])export/[\w/]+\.py", text):
        assert (ROOT / path).exists(), path
    lines = command_lines(text)
    assert len(lines) == text.count("python export/")
    for script, line in lines:
        functions, words = functions_of(ROOT / script), shlex.split(line, comments=True)
        function = functions[words.pop(0) if "" not in functions else ""]
        positional, flags = split(words)
        try:
            function.bind(*positional, **flags)
        except TypeError as error:
            raise AssertionError(f"{script}{line}: {error}") from error


def command_lines(text: str) -> list[tuple[str, str]]:
    """Each ``python export/NAME.py ...``: the script, and what follows, without the brackets.

    A line goes on after a backslash; in the scripts' usage, with flags on the next one.
    """
    joined = re.sub(r"\\\n\s*|\n\s+(?=\[?--)", " ", text)
    found = re.findall(r"python (export/\w+\.py)([^\n`]*)", joined)
    return [(script, re.sub(r"[][]", "", rest)) for script, rest in found]


def functions_of(script: Path) -> dict[str, inspect.Signature]:
    """The functions that the script gives to ``fire.Fire``, by command; "" for a single one."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    arguments = {node.name: node.args for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(attr="Fire"), [ast.Name(name)]):
                return {"": signature(arguments[name])}
            case ast.Call(ast.Attribute(attr="Fire"), [ast.Dict(keys, values)]):
                commands = [ast.literal_eval(key) for key in keys if key]
                given = [signature(arguments[ast.unparse(value)]) for value in values]
                return dict(zip(commands, given, strict=True))
    raise AssertionError(f"{script} calls no fire.Fire")


def signature(arguments: ast.arguments) -> inspect.Signature:
    """The same parameters without their types, which may not be installed."""
    every = (*arguments.args, *arguments.kwonlyargs, arguments.vararg)
    for argument in filter(None, every):
        argument.annotation = None
    none = ast.Constant(None)
    arguments.defaults = [none for _ in arguments.defaults]
    arguments.kw_defaults = [default and none for default in arguments.kw_defaults]
    return inspect.signature(eval(f"lambda {ast.unparse(arguments)}: None"))


def split(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """The words as Fire takes them: positional ones, and the values of flags."""
    positional, flags = list[str](), dict[str, str]()
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            is_switch = not words or words[0].startswith("--")
            flags[word.removeprefix("--")] = "True" if is_switch else words.pop(0)
        else:
            positional.append(word)
    return positional, flags
