"""Texts in English or Spanish, ready for HTML, and how these languages write numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Self

from flowers_onnx.figures import percent


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language by their keys; ``{name}`` in a text is filled in."""

    lang: str
    texts: Mapping[str, str]

    @classmethod
    def around(cls, lang: str, texts: Mapping[str, Mapping[str, str]]) -> Self:
        """Those around names in ``lang``: English around Latin ones."""
        chosen = lang if lang in texts else "en"
        return cls(chosen, texts[chosen])

    def all(self) -> dict[str, str]:
        """Every text as it is, with its ``{name}`` fields."""
        return {key: safe(text) for key, text in self.texts.items()}

    def text(self, key: str, **values: str | int) -> str:
        """One text with its fields filled in."""
        filled = {
            name: self.number(value) if isinstance(value, int) else value
            for name, value in values.items()
        }
        return safe(self.texts[key].format(**filled))

    def number(self, value: int) -> str:
        """``12,345``; Spanish writes 1234 without a separator and 12.345 with one."""
        if self.lang == "es":
            return f"{value:,}".replace(",", ".") if value >= 10_000 else str(value)
        return f"{value:,}"

    def percent(self, share: float) -> str:
        """``97.1 %`` with a space that doesn't break, as plain text: it may be ``> 99.9 %``."""
        text = percent(share).replace(" ", "\N{NO-BREAK SPACE}")
        return text.replace(".", ",") if self.lang == "es" else text


def safe(text: str) -> str:
    """Any text as HTML, in an element or in a quoted attribute; it can't end or start either."""
    return escape(text.encode("utf-8", "replace").decode())
