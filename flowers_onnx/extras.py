"""What isn't installed, and the command that installs it here."""

from __future__ import annotations

from flowers_onnx.errors import UsageError

_DISTRIBUTION = "flowers-onnx"


def missing_extra(extra: str, what: str) -> UsageError:
    """The error for ``what`` when the packages of ``[extra]`` aren't installed."""
    return UsageError(f"{what} needs the extra [{extra}]: {how_to_install(extra)}")


def how_to_install(extra: str) -> str:
    """A command that adds ``[extra]`` to this installation, or words where there is none.

    The program is on no package index, so the place that it was installed from must be named.
    """
    import shlex
    import sys
    from importlib.util import find_spec

    if getattr(sys, "frozen", False):
        return f"this program was frozen without it; freeze an environment that has [{extra}]"
    source, editable = _source()
    source = shlex.quote(f"{source}[{extra}]")
    prefix = sys.prefix.replace("\\", "/")
    if "/pipx/venvs/" in prefix:
        return f"pipx install --force {source}"
    if "/uv/tools/" in prefix:
        return f"uv tool install {source}"
    python = shlex.quote(sys.executable)
    pip = f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"
    return f"{pip} {'-e ' if editable else ''}{source}"


def _source() -> tuple[str, bool]:
    """The checkout or the wheel that this was installed from, and whether it is edited there."""
    import json
    import os
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    unknown = ("CHECKOUT_OR_WHEEL", False)
    try:
        noted = json.loads(distribution(_DISTRIBUTION).read_text("direct_url.json") or "")
        url = urlsplit(noted["url"])
        editable = bool(noted.get("dir_info", {}).get("editable"))
    except (PackageNotFoundError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return unknown
    path = url2pathname(url.path)
    return (path, editable) if url.scheme == "file" and os.path.exists(path) else unknown
