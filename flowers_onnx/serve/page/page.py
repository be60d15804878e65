"""Stand-in until the real one comes."""

from __future__ import annotations


class Page:
    def __init__(
        self,
        *,
        auth: str,
        keeps: bool,
        keep_exif: bool,
        max_body: int,
        max_files: int,
        version: str,
        model: str,
    ) -> None:
        pass

    def render(self, accept_language: str | None, lang: str | None) -> tuple[bytes, dict[str, str]]:
        return b"<!doctype html><title>flowers</title>", {"Content-Type": "text/html"}
