"""The help texts in docs/usage.md, which are those of the program.

``python tests/help_blocks.py`` writes them into the page; ``tests/docs/test_docs.py`` fails where
they differ. A new command needs a heading ``## flowers NAME`` and an empty ``text`` block first.
"""

from __future__ import annotations

import re
from pathlib import Path

from flowers_onnx.cli.help import general_help, help_for

PAGE = Path(__file__).parent.parent / "docs" / "usage.md"

#: A block behind a command's heading, or the first one of the page, which is the program's.
_BLOCK = re.compile(r"(?:^## flowers (\w+)\n\n|\A.*?)```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def with_help(page: str) -> str:
    """``page`` with what the program says now in the place of each help text."""

    def replaced(match: re.Match[str]) -> str:
        text = help_for(match[1]) if match[1] else general_help()
        return match[0].replace(f"```text\n{match[2]}```", f"```text\n{text}\n```")

    return _BLOCK.sub(replaced, page)


if __name__ == "__main__":
    PAGE.write_text(with_help(PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
