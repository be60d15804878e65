"""Counts of a run, for its log lines, its summary and its provenance record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from flowers_onnx.figures import counted
from flowers_onnx.storage.uris import local_path
from flowers_onnx.tables.schema import AnyRow

#: Failures that are named.
_NAMED = 5


@dataclass(slots=True)
class Tally:
    """Images by answer, or without a known one; errors by code, and the first of these."""

    labels: Counter[str] = field(default_factory=Counter)
    known: int = 0
    not_known: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    first: list[AnyRow] = field(default_factory=list)

    def note(self, row: AnyRow) -> None:
        """Count a row."""
        self.known += row.get("known") is True
        if row["status"] == "ok" and row.get("known") is False:
            self.not_known += 1
        elif row["status"] == "ok":
            self.labels[row["label"]] += 1
        else:
            self.errors[row["error"]["code"]] += 1
            if len(self.first) < _NAMED:
                self.first.append(row)

    @property
    def ok(self) -> int:
        """Images with an answer."""
        return self.labels.total() + self.not_known

    @property
    def failed(self) -> int:
        """Images without one."""
        return self.errors.total()

    @property
    def images(self) -> int:
        """All of them."""
        return self.ok + self.failed

    def __str__(self) -> str:
        text = f"{counted(self.ok, self.not_known)}, {self.failed:,} failed"
        if self.errors:
            codes = ", ".join(f"{code} {count:,}" for code, count in self.errors.most_common())
            text += f" ({codes})"
        return text

    def failures(self, place: str | None) -> Iterator[tuple[str, dict[str, str]]]:
        """What to say of the first failures, each with URI and code, and of all the others.

        ``place`` is where the rows are, None where errors have none.
        """
        for row in self.first:
            uri, error = row["source_uri"], row["error"]
            text = f"failed: {local_path(uri) or uri}: {error['message']}"
            yield text, {"uri": uri, "code": error["code"]}
        if self.failed > len(self.first):
            more = self.failed - len(self.first)
            where = f"; all are in {place}, where status is error" if place else ""
            yield f"failed: {more:,} more{where}", {}

    def species(self, most: int) -> str:
        """The ``most`` frequent answers, to be put behind another text."""
        if not self.labels:
            return ""
        shown = [f"{label} {count:,}" for label, count in self.labels.most_common(most)]
        more = ", ..." if len(self.labels) > most else ""
        return f"; {len(self.labels)} species: {', '.join(shown)}{more}"


def pace(images: int, seconds: float) -> str:
    """``150 a second``, or ``2.5 s each``; nothing where there is nothing to measure."""
    if not images or seconds <= 0:
        return ""
    rate = images / seconds
    if rate < 1:
        return f"{1 / rate:,.1f} s each"
    return f"{rate:.2g} a second" if rate < 10 else f"{rate:,.0f} a second"
