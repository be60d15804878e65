"""The journal of rows as its users see it: what is kept, and what is refused."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from support import PATIENCE

from flowers_onnx.errors import OutputError, UsageError
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


def test_a_durable_append_returns_when_the_disk_has_the_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = threading.Event(), threading.Event()
    synced: list[int] = []
    path = tmp_path / "j"

    def fsync(descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        began.set()
        assert go_on.wait(PATIENCE)
        synced.append(size)

    journal = LocalJournal(str(path), "1.0", durable=True)
    monkeypatch.setattr(os, "fsync", fsync)
    threads = [threading.Thread(target=journal.append, args=({"n": n},)) for n in range(12)]
    for thread in threads:
        thread.start()
    assert began.wait(PATIENCE)
    assert all(thread.is_alive() for thread in threads)
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(row["n"] for row in journal.rows()) == list(range(12))
    journal.close()
    assert synced[-1] == path.stat().st_size
    assert len(synced) <= 12


def test_a_disk_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    journal = LocalJournal(str(tmp_path / "j"), "1.0", durable=True)
    monkeypatch.setattr(os, "fsync", fsync)
    for _ in range(2):
        with pytest.raises(OutputError, match=r"can't write to .*j: Input/output error"):
            journal.append({"n": 1})
    journal.close()


def test_an_ordinary_append_costs_no_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    journal = open_journal(str(tmp_path / "j"), "1.0")
    monkeypatch.setattr(os, "fsync", synced.append)
    journal.append({"n": 1})
    assert not synced
    journal.mark_complete()
    assert len(synced) == 1
    journal.close()
