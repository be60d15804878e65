"""The flags of ``flowers benchmark``, checked before anything is measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import flag_words, job

from flowers_onnx.errors import UsageError


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"scenario": "warm"}, "--scenario must be one of cold, single-stream, offline"),
        ({"threads": "1,zero"}, "--threads needs a whole number"),
        ({"format": "text"}, "--format must be one of table, md"),
        ({"min_runs": "0"}, "--min_runs needs a whole number of at least 1"),
        ({"warmup": "-1"}, "--warmup needs a whole number of at least 0"),
        ({"max_seconds": "inf"}, "--max_seconds needs a number above 0"),
        ({"max_seconds": "soon"}, "--max_seconds needs a number above 0"),
        ({"precision": "0%"}, "--precision needs a number above 0"),
        ({"fail_above": "nan"}, "--fail_above needs a number above 0"),
        ({"plot": "plot.pdf"}, "ends in .png or .svg"),
        ({"plot": "missing/plot.png"}, "no such folder"),
        ({"compare": "a,b,c"}, "not 3 files"),
    ],
)
def test_flags_are_checked(flags: dict[str, str], complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        job("benchmark", *flag_words(flags))
    assert complaint in str(caught.value)


def test_words_that_make_no_sense(sample: Path) -> None:
    with pytest.raises(UsageError, match="give files"):
        job("benchmark", "-")
    with pytest.raises(UsageError, match="takes no PATH"):
        job("benchmark", sample, "--compare", "a.json,b.json")


def test_a_missing_extra_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install .*\[plot\]"):
        job("benchmark", "--plot", "plot.png")


def test_help_imports_nothing_of_it() -> None:
    program = (
        "import sys; from flowers_onnx.cli.arguments import parse; parse(['benchmark', '--help']);"
        "print([n for n in sys.modules if 'flowers_onnx.benchmark' in n or n == 'numpy'])"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=-1, check=True)
    assert done.stdout == b"[]\n"
