"""A page's own files, and the policy that lets a browser run these and nothing else."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files


def read(package: str, name: str) -> str:
    """One of the files in the folder of ``package``."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def page(package: str, name: str) -> str:
    """A page that is a file, behind the head that all of these have."""
    return read(__package__, "head.html") + read(package, name)


def style(package: str, name: str) -> str:
    """A page's style, behind the one that all pages begin with."""
    return read(__package__, "base.css") + read(package, name)


def policy(css: str, script: str, more: Mapping[str, str]) -> str:
    """A Content-Security-Policy: this style, this script, and what ``more`` says of the rest."""
    directives = {
        "default-src": "'none'",
        **more,
        "base-uri": "'none'",
        "form-action": "'none'",
        "style-src": _hash(css),
        "script-src": _hash(script),
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
