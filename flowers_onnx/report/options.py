"""What ``flowers report`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Which results make the page, and how.

    ``out`` is None for standard output; ``lang`` is of the page's own words; no more than
    ``max_photos`` photos, and as many errors, are shown. With ``why`` photos have heat maps, by
    the model in the file ``model``.
    """

    results: tuple[str, ...]
    out: str | None
    lang: str
    max_photos: int
    why: bool = False
    model: str | None = None
