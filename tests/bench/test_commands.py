"""The benchmark scripts start the way their first lines and the pages say; nothing is measured."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import PATIENCE, ROOT

HERE = Path(__file__).parent
ENDS = re.compile(r"\n +fire\.Fire\(main\)\n\Z")
#: Those that people start; the others are started by them.
SCRIPTS = [path for path in sorted(HERE.rglob("*.py")) if ENDS.search(path.read_text())]
COMMAND = re.compile(r"(?:PYTHONPATH=(\S+) )?\S*python (tests/bench/\S+\.py)")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), HERE / "peers" / "README.md"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(HERE)))
def test_a_script_starts_as_it_says(script: Path) -> None:
    if script.name == "peer_files.py":
        pytest.importorskip("nncf")
    found = COMMAND.search(script.read_text())
    assert found
    path, name = found.groups(default="")
    assert ROOT / name == script
    # Behind it: where this program is installed from, or is to be imported from instead.
    paths = [*path.split(":"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, name, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PAGER": "cat"},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert script.name.encode() in done.stdout + done.stderr


def test_the_pages_name_the_commands_that_the_scripts_do() -> None:
    commands = [command for page in PAGES for command in COMMAND.finditer(page.read_text())]
    assert len(commands) >= 10
    for command in commands:
        own = COMMAND.search((ROOT / command[2]).read_text())
        assert own
        assert command[1] == own[1], command[0]
