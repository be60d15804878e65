"""Figures as Markdown tables, and the files that a measurement leaves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def row(*cells: object) -> str:
    """A row of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def rule(columns: int) -> str:
    """What stands below the first row."""
    return "|---" * columns + "|"


def leave(folder: Path, name: str, report: dict[str, Any], page: Iterable[str]) -> None:
    """Write ``NAME.json`` and, from its lines, ``NAME.md`` into ``folder``; print the page."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    told = "\n".join(page) + "\n"
    (folder / f"{name}.md").write_text(told, encoding="utf-8")
    print(told)
