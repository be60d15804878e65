"""The page's own files, and the policy that lets a browser run these and nothing else."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files


def read(name: str) -> str:
    """One of the files beside this module."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def inline() -> dict[str, str]:
    """Style, script, and the Content-Security-Policy: these two, and images of ``data:`` URLs."""
    css, script = read("report.css"), read("report.js")
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(css)}'; script-src '{_hash(script)}'"
    )
    return {"css": css, "script": script, "policy": policy}


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
