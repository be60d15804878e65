"""axe-core, which finds what keeps people from using a page: pinned, fetched when first needed."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from chromium import Tab

VERSION = "4.14.1"
_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
_REGISTRY = os.environ.get("NPM_CONFIG_REGISTRY", "https://registry.npmjs.org").rstrip("/")
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowers-onnx-tests"


def script() -> str:
    """The program; skips the test, aloud, where it can't be had."""
    package = _CACHE / f"axe-core-{VERSION}.tgz"
    try:
        content = package.read_bytes()
    except OSError:
        content = _fetched()
        package.parent.mkdir(parents=True, exist_ok=True)
        package.write_bytes(content)
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    assert digest == _SHA512, f"{package} is not axe-core {VERSION}"
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


def _fetched() -> bytes:
    url = f"{_REGISTRY}/axe-core/-/axe-core-{VERSION}.tgz"
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            content: bytes = response.read()
    except OSError as error:
        pytest.skip(f"needs axe-core {VERSION} from {_REGISTRY}: {error}")
    return content


def findings(tab: Tab, program: str, impacts: tuple[str, ...] = ("serious", "critical")) -> Any:
    """Rules that the page breaks, with where: ``[[rule, impact, [element, ...]], ...]``."""
    tab.evaluate(f"{program}; null")
    return tab.evaluate(
        "axe.run({resultTypes: ['violations']}).then(({violations}) => violations"
        f".filter((one) => {json.dumps(impacts)}.includes(one.impact))"
        ".map((one) => [one.id, one.impact, one.nodes.map((node) => node.html)]))"
    )
