"""What CI does and what the tests say of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from support import PACKAGES, ROOT, lacks


def test_ci_installs_what_the_tests_need() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    installed = re.findall(r"command -v (\S+) >/dev/null \|\| missing\+=\((\S+)\)", script)
    assert dict(installed) == PACKAGES


def test_the_last_line_of_a_run_says_what_to_install(tmp_path: Path) -> None:
    reasons = [lacks(program) for program in ("node", "strace", "strace", "setpriv")]
    tests = [f"def test_{n}(): pytest.skip({why!r})\n" for n, why in enumerate(reasons)]
    (tmp_path / "test_lacking.py").write_text("import pytest\n" + "".join(tests))
    (tmp_path / "conftest.py").write_bytes((ROOT / "tests" / "conftest.py").read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir", tmp_path, "-c", ROOT / "pyproject.toml",
         "-p", "no:cacheprovider", tmp_path],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "To run 3 more: apt-get install nodejs strace"
