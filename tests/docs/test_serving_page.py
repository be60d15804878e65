"""docs/serving.md: what it says to ask of a server gives what it shows."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest
from pages import DOCS, read
from serving import PATIENCE, Server, serving
from support import ROOT, needs, posix

PAGE = read(DOCS / "serving.md")
ADDRESS = "http://127.0.0.1:8080"
#: Each command with the answer that is shown under it.
EXAMPLES = re.findall(r"```bash\n(curl .*)\n```\n\n```json\n(.*)\n```", PAGE)

pytestmark = [posix, needs("curl")]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize(("line", "shown"), EXAMPLES)
def test_answers_are_those_that_are_shown(server: Server, line: str, shown: str) -> None:
    assert ADDRESS in line
    done = subprocess.run(
        ["bash", "-c", line.replace(ADDRESS, server.url)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    pattern = re.escape(shown).replace(r"\.\.\.", ".*?")
    pattern = re.sub(r'(?<="request_id":\\ ")[^"]+', '[^"]+', pattern)
    pattern = re.sub(r"(\\-)?\d+\\\.\d+", r"(-?\\d+\\.\\d+(?:e-\\d+)?)", pattern)
    found = re.fullmatch(pattern, done.stdout.strip(), re.DOTALL)
    assert found, done.stdout
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", shown)]
    # Processors differ a little.
    assert [float(number) for number in found.groups()] == pytest.approx(numbers, abs=0.3)
