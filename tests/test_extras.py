"""What is missing is told with a command that brings it, wherever the program came from."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


def told(folder: Path, prefix: str, direct_url: object) -> str:
    """The command for ``[gcs]`` in an environment at ``prefix`` in which pip noted this."""
    noted = folder / "flowers_onnx-0.1.0.dist-info"
    noted.mkdir()
    (noted / "METADATA").write_text("Metadata-Version: 2.1\nName: flowers-onnx\nVersion: 0.1.0\n")
    if direct_url is not None:
        (noted / "direct_url.json").write_text(json.dumps(direct_url))
    code = f"""
import sys
sys.prefix = {prefix!r}
from flowers_onnx.extras import missing_extra
print(missing_extra("gcs", "gs://"))
"""
    path = os.pathsep.join((str(folder), str(CHECKOUT)))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    said, _, command = done.stdout.rstrip("\n").partition(": ")
    assert said == "gs:// needs the extra [gcs]"
    return command


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("/opt/flowers", [sys.executable, "-m", "pip", "install"]),
        ("/home/me/.local/share/uv/tools/flowers-onnx", ["uv", "tool", "install"]),
        ("/home/me/.local/share/pipx/venvs/flowers-onnx", ["pipx", "install", "--force"]),
    ],
)
def test_the_command_names_what_was_installed(
    tmp_path: Path, prefix: str, words: list[str]
) -> None:
    wheel = tmp_path / "a place" / "flowers_onnx-0.1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()
    command = told(tmp_path, prefix, {"url": wheel.as_uri(), "archive_info": {}})
    assert shlex.split(command) == [*words, f"{wheel}[gcs]"]


def test_a_checkout_that_is_edited_stays_one(tmp_path: Path) -> None:
    noted = {"url": CHECKOUT.as_uri(), "dir_info": {"editable": True}}
    assert shlex.split(told(tmp_path, "/opt/flowers", noted))[-2:] == ["-e", f"{CHECKOUT}[gcs]"]


@pytest.mark.parametrize(
    "noted",
    [None, {}, [], "no object", {"url": "file:///no/such/checkout"}, {"url": "https://x/y.whl"}],
)
def test_a_place_that_is_gone_is_left_to_the_reader(tmp_path: Path, noted: object) -> None:
    assert told(tmp_path, "/opt/flowers", noted).endswith("pip install 'CHECKOUT_OR_WHEEL[gcs]'")
