"""The journal of rows as its users see it: what is kept, and what is refused."""

from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.tables import journal as module
from flowers_onnx.tables.journal import LocalJournal, open_journal


def test_a_journal_is_pinned(tmp_path: Path) -> None:
    """A newer program must go on where an older one stopped."""
    path = tmp_path / "j"
    journal = open_journal(str(path), "1.0")
    journal.append({"a": "ñ"})
    journal.mark_complete()
    journal.close()
    assert path.read_bytes() == (
        b'{"journal": 1, "schema": "1.0"}\n{"a": "\\u00f1"}\n{"complete": true}\n'
    )
    again = open_journal(str(path), "1.0")
    assert again.complete
    assert list(again.rows()) == [{"a": "ñ"}]
    again.remove()
    assert not path.exists()


def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    open_journal(str(tmp_path / "j"), "1.0").close()
    with pytest.raises(UsageError, match=r"journal of schema 1\.0, this program writes 2\.0"):
        open_journal(str(tmp_path / "j"), "2.0")


def test_a_run_that_ends_meanwhile_takes_no_journal_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file may be removed between being opened and being locked by the next one."""
    path, lock, locked = tmp_path / "j", module._lock, list[int]()

    def lock_late(descriptor: int, name: str) -> None:
        if not locked:
            path.unlink()
        locked.append(descriptor)
        lock(descriptor, name)

    monkeypatch.setattr(module, "_lock", lock_late)
    journal = LocalJournal(str(path), "1.0")
    journal.append({"n": 1})
    assert len(locked) == 2
    assert not journal.lost
    journal.close()
    assert b'{"n": 1}' in path.read_bytes()


def test_a_full_disk_leaves_no_empty_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not even its first line fits."""

    def full(_self: LocalJournal, _record: object) -> None:
        raise OutputError("no space left")

    monkeypatch.setattr(LocalJournal, "_write", full)
    with pytest.raises(OutputError, match="no space left"):
        LocalJournal(str(tmp_path / "j"), "1.0")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    journal = LocalJournal(str(tmp_path / "j"), "1.0")
    journal.append({"n": 1})
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputError, match=r"can't write to .*j: Input/output error"):
        journal.mark_complete()
    journal.close()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL, errno.EROFS])
def test_a_file_system_without_fsync_is_told_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
) -> None:
    def fsync(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    for _ in range(2):
        journal = LocalJournal(str(tmp_path / f"j{code}"), "1.0")
        journal.append({"n": 1})
        journal.mark_complete()
        journal.close()
    assert capsys.readouterr().err.count("has no fsync") == 1
    assert len(list(journal.rows())) == 2


def test_a_journal_that_cannot_go_is_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, or where the file is mounted by itself."""

    def unlink(_path: str) -> None:
        raise PermissionError(13, "Permission denied")

    journal = LocalJournal(str(tmp_path / "j"), "1.0")
    journal.append({"n": 1})
    journal.mark_complete()
    monkeypatch.setattr(os, "unlink", unlink)
    journal.remove()
    again = LocalJournal(str(tmp_path / "j"), "1.0")
    assert not again.complete
    assert not list(again.rows())
    again.close()


def test_an_ordinary_append_costs_no_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    journal = open_journal(str(tmp_path / "j"), "1.0")
    monkeypatch.setattr(os, "fsync", synced.append)
    journal.append({"n": 1})
    assert not synced
    journal.mark_complete()
    assert len(synced) == 1
    journal.close()


# In a bucket ------------------------------------------------------------------------------------


class Bucket:
    """Objects in memory, and a clock that stands still until it is told."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self.now, self.seconds = 1_764_000_000_123_456_789, 1000.0

    def names(self, prefix: str) -> list[str]:
        return [name for name in reversed(self.objects) if name.startswith(prefix)]

    def download(self, uri: str) -> bytes | None:
        return self.objects.get(uri)

    def write(self, uri: str, data: bytes) -> bool:
        assert uri not in self.objects
        self.objects[uri] = data
        return True

    def delete(self, uri: str) -> None:
        self.deleted.append(uri)
        del self.objects[uri]

    def rows(self) -> list[int]:
        """How many rows each part has, without its header."""
        return [content.count(b"\n") - 1 for content in self.objects.values()]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket()
    clock = SimpleNamespace(monotonic=lambda: made.seconds, time_ns=lambda: made.now)
    monkeypatch.setattr(module, "store_for", lambda _uri: made)
    monkeypatch.setattr(module, "time", clock)
    return made


def test_a_journal_in_a_bucket_is_pinned(bucket: Bucket) -> None:
    journal = open_journal("gs://b/j/", "1.0")
    assert not journal.complete
    journal.append({"a": "ñ"})
    journal.append({"a": 2})
    journal.mark_complete()
    assert journal.complete
    assert bucket.objects == {
        "gs://b/j/part-01764000000123456789.jsonl": (
            b'{"journal": 1, "schema": "1.0"}\n{"a": "\\u00f1"}\n{"a": 2}\n{"complete": true}\n'
        )
    }
    bucket.objects["gs://b/j/notes.txt"] = b"mine"
    bucket.objects["gs://b/j/part-1.jsonl"] = b"mine"
    again = open_journal("gs://b/j", "1.0")
    assert again.complete
    assert list(again.rows()) == [{"a": "ñ"}, {"a": 2}]
    again.remove()
    assert list(bucket.objects) == ["gs://b/j/notes.txt", "gs://b/j/part-1.jsonl"]


def test_a_bucket_gets_a_part_for_20_000_rows(bucket: Bucket) -> None:
    journal = open_journal("gs://b/j", "1.0")
    for number in range(19_999):
        journal.append({"n": number})
    assert bucket.rows() == []
    journal.append({"n": 19_999})
    assert bucket.rows() == [20_000]
    for number in range(20_000, 40_001):
        journal.append({"n": number})
    assert bucket.rows() == [20_000, 20_000]
    journal.close()
    assert bucket.rows() == [20_000, 20_000, 1]
    assert [row["n"] for row in open_journal("gs://b/j", "1.0").rows()] == list(range(40_001))


def test_a_bucket_gets_a_part_after_half_a_minute(bucket: Bucket) -> None:
    journal = open_journal("gs://b/j", "1.0")
    bucket.seconds += 30
    journal.append({"n": 0})
    assert bucket.rows() == []
    bucket.seconds += 0.5
    journal.append({"n": 1})
    assert bucket.rows() == [2]
    bucket.seconds += 30  # since the last part
    journal.append({"n": 2})
    assert bucket.rows() == [2]
    bucket.seconds += 0.5
    journal.append({"n": 3})
    assert bucket.rows() == [2, 2]
    journal.close()
    journal.close()
    assert bucket.rows() == [2, 2]  # and none without rows


def test_parts_stay_in_order_when_the_clock_does_not(bucket: Bucket) -> None:
    for number in range(3):
        journal = open_journal("gs://b/j", "1.0")
        journal.append({"n": number})
        journal.close()
        bucket.now -= 10**9
    assert list(bucket.objects) == [
        f"gs://b/j/part-{1_764_000_000_123_456_789 + number:020}.jsonl" for number in range(3)
    ]
    assert [row["n"] for row in open_journal("gs://b/j", "1.0").rows()] == [0, 1, 2]
    open_journal("gs://b/j", "1.0").remove()
    assert not bucket.objects
    # What says that the rows are published goes last: killed before, all of it is there.
    assert bucket.deleted == sorted(bucket.deleted)


def test_a_published_journal_in_a_bucket_is_no_journal(bucket: Bucket) -> None:
    journal = open_journal("gs://b/j", "1.0")
    journal.append({"n": 1})
    journal.mark_complete()
    header = {"journal": 1, "schema": "1.0"}
    lines = [json.dumps(header), json.dumps({"published": True}), ""]
    bucket.objects["gs://b/j/part-01764000000999999999.jsonl"] = "\n".join(lines).encode()
    again = open_journal("gs://b/j", "1.0")
    assert (again.complete, list(again.rows())) == (False, [])
    assert not bucket.objects


def test_a_part_that_vanishes_is_told(bucket: Bucket) -> None:
    journal = open_journal("gs://b/j", "1.0")
    journal.append({"n": 1})
    journal.close()
    bucket.objects.clear()
    with pytest.raises(OutputError, match=r"part-\d{20}\.jsonl has vanished: is another run"):
        list(journal.rows())


def test_nothing_to_forget_makes_no_part(bucket: Bucket) -> None:
    journal = open_journal("gs://b/j", "1.0")
    journal.append({"n": 1})
    journal.remove()
    journal.close()
    assert not bucket.objects
    assert not bucket.deleted


def test_after_a_part_of_a_line_nothing_is_accepted(tmp_path: Path) -> None:
    """What came behind it would be cut off with it."""

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(data)[:5])

    path = tmp_path / "j"
    journal = LocalJournal(str(path), "1.0")
    journal.append({"n": 1})
    with Full(path, "ab") as full:
        journal._file.close()
        journal._file = full
        for _ in range(2):
            with pytest.raises(OutputError, match="no space left"):
                journal.append({"n": 2})
    again = open_journal(str(path), "1.0")
    assert list(again.rows()) == [{"n": 1}]
    again.remove()


def test_a_row_may_have_any_column(tmp_path: Path) -> None:
    journal = open_journal(str(tmp_path / "j"), "1.0")
    journal.append({"journal": 1, "schema": "1.0"})
    assert list(journal.rows()) == [{"journal": 1, "schema": "1.0"}]
    journal.remove()
