"""Counts of a run, for its log lines, its summary and its provenance record."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from flowers_onnx.tables.schema import AnyRow


@dataclass(slots=True)
class Tally:
    """Images by answer and by error code."""

    labels: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def note(self, row: AnyRow) -> None:
        """Count a row."""
        if row["status"] == "ok":
            self.labels[row["label"]] += 1
        else:
            self.errors[row["error"]["code"]] += 1

    @property
    def ok(self) -> int:
        """Images with an answer."""
        return self.labels.total()

    @property
    def failed(self) -> int:
        """Images without one."""
        return self.errors.total()

    @property
    def images(self) -> int:
        """All of them."""
        return self.ok + self.failed

    def __str__(self) -> str:
        text = f"{self.ok:,} named, {self.failed:,} failed"
        if self.errors:
            codes = ", ".join(f"{code} {count:,}" for code, count in self.errors.most_common())
            text += f" ({codes})"
        return text

    def species(self, most: int) -> str:
        """The ``most`` frequent answers, to be put behind another text."""
        if not self.labels:
            return ""
        shown = [f"{label} {count:,}" for label, count in self.labels.most_common(most)]
        more = ", ..." if len(self.labels) > most else ""
        return f"; {len(self.labels)} species: {', '.join(shown)}{more}"
