"""Where one request ends and the next begins, to the byte."""

from __future__ import annotations

import io

import pytest

from flowers_onnx.image_formats import MAX_BYTES
from flowers_onnx.stream import framing
from flowers_onnx.stream.framing import Frame, json_lines, raw_frames


def lines(data: bytes) -> list[tuple[int, bytes, str]]:
    return [told(frame) for frame in json_lines(io.BytesIO(data))]


def raws(data: bytes) -> list[tuple[int, bytes, str]]:
    return [told(frame) for frame in raw_frames(io.BytesIO(data))]


def told(frame: Frame) -> tuple[int, bytes, str]:
    return frame.number, frame.data, frame.error.code if frame.error else ""


def raw(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_LINE", 10)
    monkeypatch.setattr(framing, "MAX_BYTES", 10)
    monkeypatch.setattr(framing, "_DISCARDED_AT_ONCE", 4)


def test_the_limits_are_pinned() -> None:
    assert MAX_BYTES == 83_886_080
    assert framing.MAX_LINE == 112_896_682  # such a photo in base64, and 1 MB


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("skipped", range(1, 14))
def test_the_longest_line(skipped: int) -> None:
    longest, after = b"x" * 10, b"{}\n"
    assert lines(longest + b"\n" + after) == [(1, longest + b"\n", ""), (2, after, "")]
    assert lines(longest) == [(1, longest, "")]
    too_long = longest + b"y" * skipped
    assert lines(too_long + b"\n" + after) == [(1, b"", "too_large"), (2, after, "")]
    assert lines(after + too_long) == [(1, after, ""), (2, b"", "too_large")]


@pytest.mark.usefixtures("small")
def test_a_line_that_is_too_long_says_the_limit() -> None:
    (frame,) = json_lines(io.BytesIO(b"x" * 11))
    assert str(frame.error) == "the line is longer than 10 bytes"
    (frame,) = raw_frames(io.BytesIO(raw(b"x" * 11)))
    assert str(frame.error) == "a frame of more than 10 bytes"


def test_lines_of_all_kinds() -> None:
    assert lines(b"") == []
    assert lines(b"\n\na\r\nb") == [
        (1, b"\n", ""),
        (2, b"\n", ""),
        (3, b"a\r\n", ""),
        (4, b"b", ""),
    ]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("skipped", range(1, 14))
def test_the_largest_frame(skipped: int) -> None:
    largest, too_large = b"x" * 10, b"x" * (10 + skipped)
    after = raw(b"a") + raw(b"")
    assert raws(raw(largest) + after) == [(1, largest, ""), (2, b"a", ""), (3, b"", "")]
    assert raws(raw(too_large) + after) == [(1, b"", "too_large"), (2, b"a", ""), (3, b"", "")]
    assert raws(raw(too_large)[:-1]) == [(1, b"", "too_large")]


@pytest.mark.parametrize("end", range(1, 8))
def test_a_frame_that_is_cut_off(end: int) -> None:
    cut = raw(b"abcd")[:end]
    assert raws(raw(b"z") + cut) == [(1, b"z", ""), (2, cut[4:], "bad_request")]


def test_whole_frames() -> None:
    assert raws(b"") == []
    assert raws(raw(b"abcd")) == [(1, b"abcd", "")]
    assert raws((1 << 8).to_bytes(4, "big") + bytes(256)) == [(1, bytes(256), "")]
