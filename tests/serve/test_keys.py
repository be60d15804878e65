"""Keys as those see them who make them: their form, their file, and ``flowers keys``."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.gcs import FakeGcs, fake_gcs
from hypothesis import given
from hypothesis import strategies as st
from support import FLOWERS, PATIENCE, ROOT, Run, job, posix

from flowers_onnx import storage
from flowers_onnx.errors import FlowersError, UsageError
from flowers_onnx.serve.keys import place as places
from flowers_onnx.serve.keys.key import PATTERN, new_key, parse
from flowers_onnx.serve.keys.place import key_file

#: One that this test made up, so that the form can't change unnoticed.
PINNED = "flw_0aZ9bY8c_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg4drGXl"
#: Any one.
SOME = new_key().text


@pytest.fixture(scope="module")
def gcs() -> Iterator[FakeGcs]:
    with fake_gcs() as fake:
        fake.create("keys")
        yield fake


@pytest.fixture
def bucket(gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    for name, value in gcs.env.items():
        monkeypatch.setenv(name, value)
    storage._store.cache_clear()
    yield gcs
    storage._store.cache_clear()


def make(flowers: Run, *words: str, place: str | Path = "keys.json") -> str:
    """The key that a command printed."""
    done = flowers("keys", *words, "--keys", place)
    assert done.returncode == 0, done.stderr
    text, newline, rest = done.stdout.decode().partition("\n")
    assert (newline, rest) == ("\n", "")
    assert text.encode() not in done.stderr
    assert parse(text)
    return text


def listed(flowers: Run, place: str | Path = "keys.json") -> list[dict[str, Any]]:
    done = flowers("keys", "list", "--format", "json", "--keys", place)
    assert (done.returncode, done.stderr) == (0, b"")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def refused(flowers: Run, *words: str | Path, code: int = 2) -> str:
    """What a command says that it doesn't do, on one line."""
    done = flowers("keys", *words)
    assert (done.returncode, done.stdout) == (code, b"")
    (line,) = done.stderr.decode().splitlines()
    return line


# The form.


def test_the_form_of_a_key_stays() -> None:
    key = parse(PINNED)
    assert key is not None
    assert key.id == "0aZ9bY8c"
    assert key.sha256 == hashlib.sha256(PINNED.encode()).hexdigest()
    assert re.search(PATTERN, f"token={PINNED}\n")
    assert PINNED not in repr(key)
    assert PATTERN in (ROOT / "docs" / "keys.md").read_text()


@given(st.data())
def test_a_key_with_any_one_character_changed_is_refused(data: st.DataObject) -> None:
    text = SOME
    at = data.draw(st.integers(0, len(text) - 1))
    digits = st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
    other = data.draw((digits | st.characters()).filter(lambda c: c != text[at]))
    assert parse(text) is not None
    assert parse(text[:at] + other + text[at + 1 :]) is None


@given(st.data())
def test_a_key_that_is_cut_or_grown_or_turned_is_refused(data: st.DataObject) -> None:
    text = SOME
    at = data.draw(st.integers(0, len(text) - 1))
    assert parse(text[:at]) is None
    assert parse(text + data.draw(st.text(min_size=1))) is None
    turned = text[:at] + text[at + 1 : at + 2] + text[at] + text[at + 2 :]
    assert turned == text or parse(turned) is None
    assert parse(text.swapcase()) is None


@given(st.text())
def test_no_text_upsets_it(text: str) -> None:
    assert parse(text) is None
    assert parse(f"flw_{text}") is None


# The command.


def test_add_prints_the_key_alone_and_keeps_its_hash_alone(flowers: Run, tmp_path: Path) -> None:
    text = make(flowers, "add", "app")
    content = (tmp_path / "keys.json").read_text()
    entry = json.loads(content)["keys"][0]
    key = parse(text)
    assert key is not None
    assert entry == {
        "id": key.id,
        "name": "app",
        "scopes": ["classify"],
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "created": entry["created"],
        "expires": None,
        "revoked": None,
        "replaces": None,
    }
    assert text[len("flw_12345678_") :] not in content
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_the_list_is_for_people_and_for_programs(flowers: Run) -> None:
    first = make(flowers, "add", "app")[4:12]
    second = make(flowers, "add", "prometheus", "--scopes", "metrics", "--expires", "90d")[4:12]
    rows = listed(flowers)
    assert [(row["id"], row["name"], row["scopes"], row["state"]) for row in rows] == [
        (first, "app", ["classify"], "live"),
        (second, "prometheus", ["metrics"], "live"),
    ]
    life = datetime.fromisoformat(rows[1]["expires"]) - datetime.fromisoformat(rows[1]["created"])
    assert abs(life - timedelta(days=90)) < timedelta(minutes=2)
    table = flowers("keys", "list", env={"FLOWERS_KEYS": "keys.json"}).stdout.decode()
    assert [line.split()[:4] for line in table.splitlines()] == [
        ["id", "name", "scopes", "state"],
        [first, "app", "classify", "live"],
        [second, "prometheus", "metrics", "live"],
    ]
    assert "sha256" not in table + json.dumps(rows)
    make(flowers, "rotate", "prometheus")
    assert flowers("keys", "revoke", first, "--keys", "keys.json").returncode == 0
    table = flowers("keys", "list", "--keys", "keys.json").stdout.decode()
    assert max(map(len, table.splitlines())) <= 80
    ends = [row["revoked"] or row["expires"] for row in listed(flowers)]
    assert [line.split()[-1] for line in table.splitlines()] == ["until", *ends]
    make(flowers, "add", "a" * 32 + "b" * 32, "--scopes", "classify,metrics,admin")
    table = flowers("keys", "list", "--keys", "keys.json").stdout.decode()
    assert max(map(len, table.splitlines())) <= 80
    days = [end and end[:10] for end in ends]
    assert [line.split()[-1] for line in table.splitlines()] == ["until", *days, "-"]
    assert re.fullmatch(r"a+\.\.\.b+", table.splitlines()[-1].split()[1])


def test_rotation_leaves_the_old_key_some_time(flowers: Run) -> None:
    old = make(flowers, "add", "app", "--scopes", "classify,metrics", "--expires", "90d")[4:12]
    new = make(flowers, "rotate", "app", "--grace", "1h")[4:12]
    newest = make(flowers, "rotate", "app", "--grace", "0")[4:12]
    rows = {row["id"]: row for row in listed(flowers)}
    assert [row["replaces"] for row in rows.values()] == [None, old, new]
    assert [row["state"] for row in rows.values()] == ["live", "expired", "live"]
    assert all(row["scopes"] == ["classify", "metrics"] for row in rows.values())
    left = datetime.fromisoformat(rows[old]["expires"]) - datetime.now(UTC)
    assert timedelta(minutes=58) < left <= timedelta(hours=1)
    life = datetime.fromisoformat(rows[newest]["expires"]) - datetime.now(UTC)
    assert timedelta(days=89) < life <= timedelta(days=90)
    last = make(flowers, "rotate", newest)[4:12]  # by its id
    assert last in refused(flowers, "rotate", newest, "--keys", "keys.json")


def test_revoking_a_name_revokes_all_keys_of_it(flowers: Run) -> None:
    old = make(flowers, "add", "app")
    new = make(flowers, "rotate", "app")
    make(flowers, "add", "other")
    done = flowers("keys", "revoke", old, "--keys", "keys.json")  # as it leaked
    assert done.returncode == 0
    assert old[13:] not in done.stderr.decode()
    assert [row["state"] for row in listed(flowers)] == ["revoked", "live", "live"]
    done = flowers("keys", "revoke", "app", "--keys", "keys.json")
    assert done.stderr.decode() == f"flowers: key {new[4:12]} (app) is revoked\n"
    assert [row["state"] for row in listed(flowers)] == ["revoked", "revoked", "live"]
    assert "revoked" in refused(flowers, "rotate", "app", "--keys", "keys.json")
    assert "already" in refused(flowers, "revoke", "app", "--keys", "keys.json")
    make(flowers, "add", "app")  # the name is free again


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["keys"], "add, list, revoke or rotate"),
        (["keys", "make", "app"], "add, list, revoke or rotate"),
        (["keys", "add"], "one NAME"),
        (["keys", "add", "a", "b"], "one NAME"),
        (["keys", "revoke", "a", "b"], "one ID or NAME"),
        (["keys", "list", "a"], "no more words"),
        (["keys", "add", "a", "--grace", "1h"], "--grace is not for keys add"),
        (["keys", "list", "--scopes", "admin"], "--scopes is not for keys list"),
        (["keys", "add", "a", "--scopes", "all"], "classify, metrics, admin"),
        (["keys", "add", "a", "--expires", "soon"], "90d"),
        (["keys", "add", "a", "--expires", "2020-01-01"], "has passed"),
        (["keys", "add", "a", "--expires", "0"], "has passed"),
        (["keys", "add", "a", "--expires", "2027-13-01"], "2027-01-31"),
        (["keys", "rotate", "a", "--grace", "-1h"], "24h"),
        (["keys", "add", "a"], "--keys PLACE"),
    ],
)
def test_words_that_make_no_sense_are_wrong_usage(
    words: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLOWERS_KEYS", raising=False)
    with pytest.raises(UsageError, match=re.escape(says)):
        job(*words)


def test_what_a_file_does_not_allow_is_wrong_usage(flowers: Run, tmp_path: Path) -> None:
    place = ("--keys", "keys.json")
    line = refused(flowers, "list", *place)
    assert "flowers keys add NAME --keys keys.json" in line
    assert "keys.json" in refused(flowers, "revoke", "app", *place)
    make(flowers, "add", "app")
    assert "rotate it" in refused(flowers, "add", "app", *place)
    assert "1 to 64" in refused(flowers, "add", "my app", *place)
    assert "no key nobody" in refused(flowers, "rotate", "nobody", *place)
    assert "can't write" in refused(flowers, "add", "app", "--keys", "no/keys.json", code=4)
    assert "name of a file" in refused(flowers, "list", "--keys", "file:///a%00b")
    assert "another machine" in refused(flowers, "list", "--keys", "file://other/keys.json")
    assert "regular" in refused(flowers, "list", "--keys", tmp_path)


def test_a_key_in_the_wrong_place_is_not_repeated(flowers: Run) -> None:
    secret = make(flowers, "add", "app")
    place = ("--keys", "keys.json")
    for words in (
        (secret, *place),
        ("add", secret, *place),
        ("add", "x", secret, *place),
        ("rotate", secret[:-1], *place),
        ("revoke", new_key().text, *place),
        ("list", "--keys", secret),
    ):
        line = refused(flowers, *words)
        assert not re.search(r"flw_\w{8}_\w", line), line


ENTRY: dict[str, Any] = {
    "id": "0aZ9bY8c",
    "name": "app",
    "scopes": ["classify"],
    "sha256": "0" * 64,
    "created": "2026-01-01T00:00:00Z",
    "expires": None,
    "revoked": None,
    "replaces": None,
}


WRONG: list[dict[str, Any]] = [
    {"only_from": "10.0.0.0/8"},  # a limit that this version doesn't know
    {"id": "short"},
    {"id": 7},
    {"name": PINNED},
    {"scopes": []},
    {"scopes": ["everything"]},
    {"scopes": "classify"},
    {"scopes": [[]]},
    {"sha256": "0"},
    {"created": None},
    {"created": "yesterday"},
    {"created": "0001-01-01T00:00:00+14:00"},
    {"expires": ""},
    {"expires": 1},
    {"revoked": False},
    {"replaces": 1},
]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        PINNED,
        '{"schema": "1.0"}',
        '{"schema": "2.0", "keys": []}',
        '{"schema": "1.0", "keys": {}}',
        '{"schema": "1.0", "keys": [null]}',
        '{"schema": "1.0", "keys": [{}]}',
        '{"schema": "1.0", "keys": []}' + " " * (1 << 20),
        *(json.dumps({"schema": "1.0", "keys": [{**ENTRY, **wrong}]}) for wrong in WRONG),
        json.dumps({"schema": "1.0", "keys": [ENTRY, ENTRY]}),
    ],
    ids=itertools.count(),
)
def test_a_file_that_is_none_of_keys_is_told_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="no file of keys") as found:
        key_file(str(path)).load()
    assert "flowers keys add" in str(found.value)
    assert PINNED not in str(found.value)
    with pytest.raises(UsageError):
        job("keys", "add", "app", "--keys", path).work()
    assert path.read_text() == content
    assert os.listdir(tmp_path) == ["keys.json"]


def test_a_file_as_it_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"schema": "1.0", "keys": [ENTRY]}))
    ring = key_file(path.as_uri()).load()
    assert json.loads(ring.to_json())["keys"] == [ENTRY]


@posix
def test_the_file_keeps_its_mode_and_a_link_stays_one(flowers: Run, tmp_path: Path) -> None:
    make(flowers, "add", "app", place="real.json")
    (tmp_path / "real.json").chmod(0o640)
    (tmp_path / "link.json").symlink_to("real.json")
    make(flowers, "add", "other", place="link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert stat.S_IMODE((tmp_path / "real.json").stat().st_mode) == 0o640
    assert [row["name"] for row in listed(flowers, "real.json")] == ["app", "other"]
    assert sorted(os.listdir(tmp_path)) == ["link.json", "real.json"]


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root can")
def test_what_root_changes_stays_its_owners(flowers: Run, tmp_path: Path) -> None:
    make(flowers, "add", "app")
    os.chown(tmp_path / "keys.json", 1234, 4321)
    make(flowers, "rotate", "app")
    found = (tmp_path / "keys.json").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1234, 4321, 0o600)


@posix
@pytest.mark.parametrize("kind", ["file", "bucket"])
def test_keys_added_at_the_same_moment_are_all_there(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, flowers: Run
) -> None:
    place = str(tmp_path / "keys.json")
    if kind == "bucket":
        place = request.getfixturevalue("bucket").uri("keys", "many.json")
    names = [f"app-{number}" for number in range(4)]
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen([FLOWERS, "keys", "add", name, "--keys", place], stdout=-1)
            )
            for name in names
        ]
        texts = [process.communicate(timeout=PATIENCE)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0] * len(names)
    rows = listed(flowers, place)
    assert {row["name"]: row["id"] for row in rows} == {
        name: text[4:12] for name, text in zip(names, texts, strict=True)
    }


def test_a_bucket_has_keys_too_and_no_lock_stays(bucket: FakeGcs, flowers: Run) -> None:
    place = bucket.uri("keys", "team/keys.json")
    assert place in refused(flowers, "list", "--keys", place)
    make(flowers, "add", "app", place=place)
    make(flowers, "rotate", "app", place=place)
    assert [row["name"] for row in listed(flowers, place)] == ["app", "app"]
    assert storage.store_for(place).names(bucket.uri("keys", "team/")) == [place]


def test_a_lock_that_stayed_is_told(bucket: FakeGcs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "PATIENCE", 0.1)
    bucket.put("keys", "stuck.json.lock", b"a host that is no more")
    place = bucket.uri("keys", "stuck.json")
    with pytest.raises(FlowersError, match=re.escape(f"{place}.lock")) as found:
        job("keys", "add", "app", "--keys", place).work()
    assert found.value.exit_code == 4
    assert storage.store_for(place).download(place) is None


def test_no_heavy_library_is_loaded() -> None:
    program = (
        "import sys; from flowers_onnx.cli.main import main; main(['keys', 'list', '--keys', 'x']);"
        "print(sorted({'numpy', 'onnxruntime', 'PIL', 'starlette', 'asyncio', 'google.auth'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"[]\n"
