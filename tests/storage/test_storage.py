"""Storage: the same behaviour for files, Google Cloud Storage and S3, faults included."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import urllib3
from fakes.faults import Fault, Faults, unreliable
from fakes.server import Fake
from hypothesis import given, settings
from hypothesis import strategies as st
from support import posix

from flowers_onnx import storage
from flowers_onnx.errors import StorageError, UsageError
from flowers_onnx.storage import Store, http, store_for, uris
from flowers_onnx.storage.gcs import GcsStore
from flowers_onnx.storage.item import Item
from flowers_onnx.storage.s3 import S3Store

MEGABYTE = 1 << 20
NAMES = ["a.jpg", "b/1.JPG", "b/2.png", "b/c/3.webp", "b/notes.txt", "b2/4.jpg", "ñ b#%41?&+.jpg"]


@dataclass(frozen=True)
class Place:
    """A place to keep objects, and the store that reads it."""

    store: Store
    base: str
    put: Callable[[str, bytes], None]
    delete: Callable[[str], None]

    def uri(self, name: str) -> str:
        return uris.file_uri(self.base + name) if self.base.startswith("/") else self.base + name

    def listed(self, name: str = "") -> list[str]:
        return [item.uri for item in self.store.list(self.base + name)]


@pytest.fixture(autouse=True)
def fresh_stores() -> Iterator[None]:
    """A store keeps the endpoint that it found in the environment."""
    storage._store.cache_clear()
    yield
    storage._store.cache_clear()


@contextlib.contextmanager
def bucket_of(fake: Fake, patch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name, value in fake.env.items():
        patch.setenv(name, value)
    # Each test has its own, but always the same: which requests fail depends on the name.
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
    bucket = f"bucket-{zlib.crc32(test.encode())}"
    fake.create(bucket)
    yield Place(
        store_for(fake.uri(bucket)),
        fake.uri(bucket),
        lambda name, content: fake.put(bucket, name, content),
        lambda name: fake.delete(bucket, name),
    )


@contextlib.contextmanager
def folder_of(path: Path) -> Iterator[Place]:
    def put(name: str, content: bytes) -> None:
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    yield Place(store_for(str(path)), f"{path}/", put, lambda name: (path / name).unlink())


@pytest.fixture(params=["file", "gs", "s3"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    if request.param == "file":
        opened = folder_of(tmp_path / "files")
    else:
        fake = request.getfixturevalue({"gs": "gcs", "s3": "s3"}[request.param])
        opened = bucket_of(fake, monkeypatch)
    with opened as place:
        yield place


@pytest.fixture(params=["gs", "s3"])
def fake(request: pytest.FixtureRequest) -> Fake:
    found: Fake = request.getfixturevalue({"gs": "gcs", "s3": "s3"}[request.param])
    return found


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "RETRIES", http.RETRIES.new(backoff_factor=0, backoff_jitter=0.01))


def fill(place: Place) -> None:
    for name in NAMES:
        place.put(name, name.encode())


LISTED = {
    "": ["a.jpg", "b/1.JPG", "b/2.png", "b/c/3.webp", "b2/4.jpg", NAMES[-1]],
    "b/": ["b/1.JPG", "b/2.png", "b/c/3.webp"],
    "b": ["b/1.JPG", "b/2.png", "b/c/3.webp"],
    "b/c": ["b/c/3.webp"],
    "a.jpg": ["a.jpg"],
    "b/notes.txt": ["b/notes.txt"],
    "*.jpg": ["a.jpg", NAMES[-1]],
    "b*/*.jpg": ["b2/4.jpg"],
    "b/[12].*": ["b/1.JPG", "b/2.png"],
    "b/[!1].*": ["b/2.png"],
    "b/[0-2].*": ["b/1.JPG", "b/2.png"],
    "b/**/*.webp": ["b/c/3.webp"],
    "**/*.jpg": ["a.jpg", "b2/4.jpg", NAMES[-1]],
    "?.jpg": ["a.jpg"],
    "x*.jpg": [],
}


def test_lists(place: Place) -> None:
    fill(place)
    for word, expected in LISTED.items():
        assert (word, place.listed(word)) == (word, [place.uri(name) for name in expected])


def test_what_exists_wins_over_the_pattern(place: Place) -> None:
    place.put("[a].jpg", b"1")
    place.put("a.jpg", b"2")
    assert place.listed("[a].jpg") == [place.uri("[a].jpg")]


def test_a_folder_that_exists_wins_over_the_pattern(place: Place) -> None:
    for name in ("trip [2024]/1.jpg", "trip 2/2.jpg", "[a]/b/[c]/3.jpg", "[a]/b/c/4.jpg"):
        place.put(name, b"x")
    for word, expected in {
        "trip [2024]/*.jpg": ["trip [2024]/1.jpg"],
        "trip [2024]/": ["trip [2024]/1.jpg"],
        "trip [2024]": ["trip [2024]/1.jpg"],
        "trip [0-9]/*.jpg": ["trip 2/2.jpg"],
        "[a]/b/[c]/*.jpg": ["[a]/b/[c]/3.jpg"],
        "[a]/**/[34].jpg": ["[a]/b/[c]/3.jpg", "[a]/b/c/4.jpg"],
        "?a?/b/[!x]/*.jpg": ["[a]/b/c/4.jpg"],
    }.items():
        assert (word, place.listed(word)) == (word, [place.uri(name) for name in expected])


def test_what_is_not_the_users_own_is_left_out(place: Place) -> None:
    others = [f"f/{name}/a.jpg" for name in ("#recycle", ".Trash-0", "@eaDir", "__MACOSX/x")]
    for name in (*others, "f/._b.jpg", "f/b.jpg", "f/sub/$RECYCLE.BIN/c.jpg", "f/sub/c.jpg"):
        place.put(name, b"x")
    mine = [place.uri(name) for name in ("f/b.jpg", "f/sub/c.jpg")]
    assert place.listed("f") == place.listed("f/") == place.listed("f/**/*.jpg") == mine
    assert place.listed("f/*.jpg") == mine[:1]
    for name in others:  # unless it is named
        folder = name.rpartition("/")[0]
        assert place.listed(folder) == place.listed(f"{folder}/*.jpg") == [place.uri(name)]
        assert place.listed(name) == [place.uri(name)]
    assert place.listed("f/@*/*.jpg") == [place.uri("f/@eaDir/a.jpg")]


def test_raw_files_are_told_apart(place: Place) -> None:
    for name in ("f/1.jpg", "f/1.NEF", "f/2.CR3", "f/@eaDir/2.cr3", "f/sub/3.dng", "f/notes.txt"):
        place.put(name, b"x")
    for word, expected in {
        "f": ["f/1.NEF", "f/2.CR3", "f/sub/3.dng"],
        "f/**/*.*": ["f/1.NEF", "f/2.CR3", "f/sub/3.dng"],
        "f/1.*": ["f/1.NEF"],
    }.items():
        raw: list[str] = []
        images = [item.uri for item in place.store.list(place.base + word, raw.append)]
        assert place.uri("f/1.jpg") in images
        assert (word, raw) == (word, [place.uri(name) for name in expected])
    assert place.listed("f/2.CR3") == [place.uri("f/2.CR3")]  # unless it is named


def test_listing_describes_what_reading_gives(place: Place) -> None:
    fill(place)
    for listed in place.store.list(place.base):
        data, read = place.store.read(listed, MEGABYTE)
        assert place.uri(data.decode()) == listed.uri
        assert read == listed
        assert place.store.read(Item(listed.uri, id="7"), MEGABYTE)[1] == replace(listed, id="7")


def test_a_missing_bucket_or_folder_is_told_at_once(place: Place) -> None:
    wrong = f"{place.base.rstrip('/')}-none/"
    with pytest.raises(StorageError, match="no such"):
        place.store.list(wrong)


def test_what_has_vanished_is_not_found(place: Place) -> None:
    place.put("a.jpg", b"1")
    (item,) = place.store.list(place.base)
    place.delete("a.jpg")
    with pytest.raises(StorageError) as raised:
        place.store.read(item, MEGABYTE)
    assert raised.value.code == "not_found"


def test_what_was_overwritten_is_read_anew(place: Place) -> None:
    place.put("a.jpg", b"old")
    (listed,) = place.store.list(place.base)
    place.put("a.jpg", b"newer")
    data, read = place.store.read(listed, MEGABYTE)
    assert (data, read.size) == (b"newer", 5)
    assert [read] == list(place.store.list(place.base))
    assert read.version != listed.version


@pytest.mark.parametrize("known", [True, False])
def test_refuses_what_is_too_large(place: Place, known: bool) -> None:
    place.put("a.jpg", b"x" * 1001)
    (item,) = place.store.list(place.base)
    item = item if known else Item(item.uri)
    assert len(place.store.read(item, 1001)[0]) == 1001
    with pytest.raises(StorageError) as raised:
        place.store.read(item, 1000)
    assert raised.value.code == "too_large"


def test_empty_objects_are_read(place: Place) -> None:
    place.put("a.jpg", b"")
    (item,) = place.store.list(place.base)
    assert place.store.read(item, MEGABYTE) == (b"", item)


def test_small_and_large_objects_go_up_and_down(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowers_onnx.storage.gcs.PART", 256 << 10)
    source, copy = tmp_path / "source", tmp_path / "copy"
    for size in (0, 10, 256 << 10, (600 << 10) + 1, 9 << 20):
        source.write_bytes(content := os.urandom(size))
        uri = place.uri("results/out #1.jsonl")
        place.store.upload(str(source), uri)
        assert place.store.fetch(uri, str(copy))
        assert copy.read_bytes() == content
        assert place.store.download(uri) == content
    assert place.store.names(place.uri("results/")) == [uri]


def test_names_by_prefix(place: Place) -> None:
    fill(place)
    assert place.store.names(f"{place.base}b") == [
        place.uri(name) for name in NAMES if name.startswith("b")
    ]
    assert place.store.names(f"{place.base}b/") == [
        place.uri(name) for name in NAMES if name.startswith("b/")
    ]
    assert place.store.names(f"{place.base}none/at/all") == []


def test_a_scan_begins_behind_a_name(place: Place) -> None:
    fill(place)
    everything = list(place.store.scan(place.base))
    assert [item.uri for item in everything] == [place.uri(name) for name in NAMES]
    assert [item.size for item in everything] == [len(name.encode()) for name in NAMES]
    for number, name in enumerate(NAMES, start=1):
        assert list(place.store.scan(place.base, place.base + name)) == everything[number:]
    between = f"{place.base}b/"  # a name that isn't there
    assert [item.uri for item in place.store.scan(f"{place.base}b", between)] == [
        place.uri(name) for name in NAMES if name > "b/" and name.startswith("b")
    ]
    assert list(place.store.scan(f"{place.base}none/at/all")) == []


def test_what_is_not_there(place: Place, tmp_path: Path) -> None:
    uri = place.uri("b/none")
    assert place.store.download(uri) is None
    assert not place.store.fetch(uri, str(tmp_path / "copy"))
    place.store.delete(uri)


def test_delete(place: Place) -> None:
    fill(place)
    place.store.delete(place.uri("a.jpg"))
    assert place.uri("a.jpg") not in place.listed()


def test_bytes_become_an_object(place: Place) -> None:
    uri = place.uri("new/a b.bin")
    for content in (b"first", b"", b"second"):
        assert place.store.write(uri, content)
        assert place.store.download(uri) == content


def test_what_is_there_is_not_written_again(place: Place) -> None:
    uri = place.uri("kept/photo.jpg")
    assert place.store.write(uri, b"first", if_absent=True)
    assert not place.store.write(uri, b"second", if_absent=True)
    assert place.store.download(uri) == b"first"
    assert place.store.names(place.uri("kept/")) == [uri]
    place.store.delete(uri)
    assert place.store.write(uri, b"third", if_absent=True)


def test_of_many_who_create_an_object_one_does(place: Place) -> None:
    uri = place.uri("once.bin")
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(lambda n: place.store.write(uri, bytes([n]), if_absent=True), range(16))
        )
    assert made.count(True) == 1
    assert place.store.download(uri) == bytes([made.index(True)])


def test_writing_survives_a_bad_network(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    faults = Faults(rate=0.3, kinds=("unavailable", "too_many", "refused"), seed=3)
    with unreliable(fake, faults) as proxy, bucket_of(proxy, monkeypatch) as place:
        for number in range(20):
            place.store.write(place.uri(f"{number}.bin"), bytes([number]), if_absent=True)
        for number in range(20):
            assert place.store.download(place.uri(f"{number}.bin")) == bytes([number])
    assert faults.injected.total() > 5


def test_a_failed_write_is_told_in_one_line(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    with bucket_of(fake, monkeypatch) as place:
        nowhere = place.base.replace("bucket-", "no-bucket-") + "a.bin"
        for if_absent in (False, True):
            with pytest.raises(StorageError, match=f"^can't write {nowhere}: ") as raised:
                place.store.write(nowhere, b"x", if_absent=if_absent)
            assert "\n" not in str(raised.value)


def test_a_folder_is_not_written_over(tmp_path: Path) -> None:
    store = store_for(str(tmp_path))
    for if_absent in (False, True):
        with pytest.raises(StorageError, match="it is a folder"):
            store.write(str(tmp_path), b"x", if_absent=if_absent)


def test_a_created_file_has_the_usual_permissions(tmp_path: Path) -> None:
    store = store_for(str(tmp_path))
    before = os.umask(0o027)
    try:
        store.write(str(tmp_path / "a"), b"x", if_absent=True)
        store.write(str(tmp_path / "b"), b"x")
    finally:
        os.umask(before)
    modes = {
        name: (tmp_path / name).stat().st_mode & 0o777 for name in sorted(os.listdir(tmp_path))
    }
    assert modes == {"a": 0o640, "b": 0o640}


def test_a_file_is_created_where_there_are_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    store = store_for(str(tmp_path))
    assert store.write(str(tmp_path / "a"), b"x", if_absent=True)
    assert not store.write(str(tmp_path / "a"), b"y", if_absent=True)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == {"a": b"x"}


def test_half_a_file_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", fails)
    monkeypatch.setattr(os, "fsync", fails)
    store = store_for(str(tmp_path))
    for _ in range(2):
        with pytest.raises(StorageError, match="No space left on device"):
            store.write(str(tmp_path / "a"), b"x", if_absent=True)
        assert not os.listdir(tmp_path)


def test_a_failed_upload_is_told_in_one_line(place: Place, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"can't write .*out\.jsonl: no such file"):
        place.store.upload(str(tmp_path / "none"), place.uri("out.jsonl"))


def test_pages_are_streamed(gcs: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    with bucket_of(gcs, monkeypatch) as place:
        for number in range(7):
            place.put(f"{number}.jpg", b"x")
        store, asked = place.store, []
        assert isinstance(store, GcsStore)
        send = store._send

        def two_a_page(method: str, url: str, **options: Any) -> Any:
            asked.append(url)
            return send(method, f"{url}&maxResults=2", **options)

        monkeypatch.setattr(store, "_send", two_a_page)
        items = place.store.list(place.base)
        assert next(items).uri == place.uri("0.jpg")
        assert len(asked) == 1
        assert len(list(items)) == 6
        assert len(asked) == 4


def test_pages_of_s3(s3: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    with bucket_of(s3, monkeypatch) as place:
        for number in range(7):
            place.put(f"{number}.jpg", b"x")
        asked = []

        def two_a_page(params: dict[str, Any], **_: Any) -> None:
            params["MaxKeys"] = 2
            asked.append(params)

        assert isinstance(place.store, S3Store)
        events = place.store._client.meta.events
        events.register("before-parameter-build.s3.ListObjectsV2", two_a_page)
        items = place.store.list(place.base)
        assert next(items).uri == place.uri("0.jpg")
        assert len(asked) == 1
        assert len(list(items)) == 6
        assert len(asked) == 4


def test_odd_names_don_t_spoil_a_listing(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = ["a//b.jpg", "a/c.jpg", "a/d /e .jpg", 'a/~`|\\^"<>{}.jpg']
    with bucket_of(fake, monkeypatch) as place:
        client = place.store
        for name in odd:
            place.put(name, name.encode())
        found = [client.read(item, MEGABYTE)[0].decode() for item in client.list(place.base)]
        assert sorted(found) == sorted(odd)


@pytest.mark.parametrize("kind", ["unavailable", "too_many", "refused", "cut", "slow"])
def test_faults_cost_no_object(fake: Fake, kind: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "slow":  # slower than the client waits
        monkeypatch.setattr(http, "TIMEOUT", urllib3.Timeout(0.25))
    read_all(fake, kind, monkeypatch)


def test_altered_bytes_are_noticed(gcs: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    read_all(gcs, "altered", monkeypatch)


def read_all(fake: Fake, kind: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read many objects while a quarter of the requests fail in one way."""
    faults = Faults(kinds=(kind,), seed=1, pause=1)
    with unreliable(fake, faults) as proxy, bucket_of(proxy, monkeypatch) as place:
        for number in range(50):
            place.put(f"{number}.jpg", b"%d" % number * 50)
        items = list(place.store.list(place.base))
        faults.rate = 0.25
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda item: place.store.read(item, MEGABYTE), items))
        assert [item for _, item in results] == items
        assert {data for data, _ in results} == {b"%d" % number * 50 for number in range(50)}
        assert faults.injected[kind] > 5


def test_faults_in_everything_else(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("flowers_onnx.storage.gcs.PART", 256 << 10)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    source, copy = tmp_path / "source", tmp_path / "copy"
    kinds: tuple[Fault, ...] = ("unavailable", "refused", "cut")
    faults = Faults(rate=0.15, kinds=kinds, seed=13)
    with unreliable(fake, faults) as proxy, bucket_of(proxy, monkeypatch) as place:
        for number in range(10):
            source.write_bytes(content := os.urandom(number * (100 << 10)))
            uri = place.uri(f"out/{number}.bin")
            place.store.upload(str(source), uri)
            assert place.store.fetch(uri, str(copy))
            assert copy.read_bytes() == content == place.store.download(uri)
            assert place.store.names(place.uri("out/")) == [uri]
            place.store.delete(uri)
        assert set(faults.injected) == set(kinds)


def test_vanishing_objects_cost_the_others_nothing(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(vanishing={"3.jpg", "5.jpg"})
    with unreliable(fake, faults) as proxy, bucket_of(proxy, monkeypatch) as place:
        for number in range(10):
            place.put(f"{number}.jpg", b"x")
        lost = []
        for item in list(place.store.list(place.base)):
            try:
                place.store.read(item, MEGABYTE)
            except StorageError as error:
                lost.append((item.uri, error.code))
        assert lost == [(place.uri(name), "not_found") for name in ("3.jpg", "5.jpg")]


def test_gives_up_in_the_end(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults()
    with unreliable(fake, faults) as proxy, bucket_of(proxy, monkeypatch) as place:
        place.put("a.jpg", b"content")
        (item,) = place.store.list(place.base)
        faults.rate = 1
        kinds: tuple[Fault, ...] = ("unavailable", "refused", "cut")
        for kind in kinds:
            faults.kinds = (kind,)
            with pytest.raises(StorageError) as raised:
                place.store.read(item, MEGABYTE)
            assert raised.value.code == "read_error"
            assert "\n" not in str(raised.value)
        assert sum(faults.injected.values()) == 3 * 7
        refusals: dict[Fault, str] = {"unauthorized": "permission_denied", "moved": "read_error"}
        for kind, code in refusals.items():
            faults.kinds = (kind,)
            with pytest.raises(StorageError, match=r"HTTP 301, another region|HTTP 401") as raised:
                place.store.read(item, MEGABYTE)
            assert raised.value.code == code


def test_an_expired_token_is_renewed(
    gcs: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    faults = Faults(token=1)
    with unreliable(gcs, faults) as proxy, bucket_of(proxy, monkeypatch) as place:
        place.put("a.jpg", b"content")
        (item,) = place.store.list(place.base)
        for _ in range(2):
            faults.token += 1
            assert place.store.read(item, MEGABYTE) == (b"content", item)
        faults.token += 1
        (tmp_path / "file").write_bytes(b"x" * 100)
        place.store.upload(str(tmp_path / "file"), place.uri("up"))
        assert place.store.download(place.uri("up")) == b"x" * 100
        faults.kinds, faults.rate = ("unauthorized",), 1
        with pytest.raises(StorageError, match="permission denied") as raised:
            place.store.read(item, MEGABYTE)
        assert raised.value.code == "permission_denied"


def test_what_gcs_unpacks_is_read(gcs: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    with bucket_of(gcs, monkeypatch) as place:
        bucket, _ = uris.split(place.base)
        query = "uploadType=media&name=a.jpg&contentEncoding=gzip"
        content = gzip.compress(b"x" * 1000)
        gcs.request("POST", f"/upload/storage/v1/b/{bucket}/o?{query}", content)
        (item,) = place.store.list(place.base)
        assert item.size == len(content) < 1000
        assert place.store.read(item, 1000) == (b"x" * 1000, replace(item, size=1000))
        with pytest.raises(StorageError, match="more than 999 bytes"):
            place.store.read(item, 999)


def test_goes_by_the_proxy_of_the_environment(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults()
    with unreliable(fake, faults) as proxy:
        (name,) = [name for name, value in fake.env.items() if value == fake.url]
        monkeypatch.setenv("http_proxy", proxy.env[name])
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with bucket_of(
            replace(fake, env={**fake.env, name: "http://far.test"}), monkeypatch
        ) as place:
            place.put("a.jpg", b"content")
            (item,) = place.store.list(place.base)
            assert place.store.read(item, MEGABYTE) == (b"content", item)
            monkeypatch.setenv("no_proxy", "far.test")
            monkeypatch.setattr(http, "RETRIES", http.RETRIES.new(total=0))
            storage._store.cache_clear()
            with pytest.raises(StorageError, match=r"far\.test"):
                store_for(place.base).read(item, MEGABYTE)


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3: Fake) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(UsageError, match=r"no access to gs://: .*none\.json"):
        store_for("gs://bucket")
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(UsageError, match="no access to s3://: no credentials"):
        store_for("s3://bucket")


@pytest.mark.parametrize(
    ("uri", "module", "extra"), [("gs://b/a", "urllib3", "gcs"), ("s3://b/a", "boto3", "s3")]
)
def test_a_missing_extra(uri: str, module: str, extra: str) -> None:
    code = f"""
import sys
sys.modules[{module!r}] = None
from flowers_onnx.storage import store_for
store_for("x.jpg")
store_for({uri!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.rstrip().splitlines()[-1]
    assert re.search(rf"needs the extra \[{extra}\]: .*install .*\[{extra}\]", last)


def test_files_need_no_client() -> None:
    code = """
import sys
from flowers_onnx.storage import store_for
store_for("x.jpg")
assert not {"urllib3", "boto3", "google.auth"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_schemes_are_refused() -> None:
    with pytest.raises(UsageError, match="ftp:// is no storage known here"):
        store_for("ftp://host/a.jpg")
    with pytest.raises(UsageError, match="no bucket"):
        uris.split("gs:///a.jpg")
    with pytest.raises(UsageError, match="another machine"):
        store_for("file:").list("file://host/a.jpg")


@pytest.mark.parametrize(
    ("name", "code"),
    [("", "not_a_file"), ("none.jpg", "not_found"), ("\udcff.jpg", "not_found")],
)
def test_what_names_no_object(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, name: str, code: str
) -> None:
    with bucket_of(fake, monkeypatch) as place:
        place.put("a.jpg", b"content")
        for uri in (
            place.base + name,
            f"{fake.scheme}:///{name}",
            f"{fake.scheme}://none-at-all/x",
        ):
            with pytest.raises(StorageError) as raised:
                place.store.read(Item(uri), MEGABYTE)
            assert raised.value.code == (code if uri.startswith(place.base) else "not_found")


FILE_NAMES = st.binary(min_size=1, max_size=40).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in {b".", b".."}
)


@given(FILE_NAMES)
def test_any_file_name_survives_a_uri(name: bytes) -> None:
    path = os.fsdecode(b"/folder/" + name)
    uri = uris.file_uri(path)
    assert uris.path_of(uri) == path
    assert uri.isascii()
    assert not set(uri) & set(' \n"#?')


@settings(deadline=None)  # a disk may be slow
@given(name=FILE_NAMES)
def test_any_file_is_listed_and_read(tmp_path_factory: pytest.TempPathFactory, name: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = os.path.join(folder, os.fsdecode(name))
    Path(path).write_bytes(name)
    store = store_for(path)
    (item,) = store.list(path)
    assert store.read(item, MEGABYTE) == (name, item)
    assert store.names(str(folder) + "/") == [item.uri]


@given(st.text(min_size=1, max_size=30))
def test_bucket_names_are_taken_as_they_are(name: str) -> None:
    assert uris.split(f"gs://bucket/{name}") == ("bucket", name)


@given(st.text("a/.*?[]!-^\\", max_size=12))
def test_any_pattern_compiles(pattern: str) -> None:
    try:
        uris.compile_pattern(pattern).fullmatch("a/b.jpg")
    except UsageError as error:
        assert "range" in str(error)


@posix
def test_local_odds_and_ends(tmp_path: Path) -> None:
    store = store_for(str(tmp_path))
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    codes = {}
    for item in store.list(str(tmp_path)):
        with pytest.raises(StorageError) as raised:
            store.read(item, MEGABYTE)
        codes[item.uri.rpartition("/")[2]] = raised.value.code
    assert codes == {"pipe.jpg": "not_a_file", "gone.jpg": "not_found"}


def test_local_upload_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (tmp_path / "file").write_bytes(b"x")
    store = store_for(str(target))
    with pytest.raises(StorageError, match="can't write"):
        store.upload(str(tmp_path / "file"), str(target))
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    store.upload(str(tmp_path / "file"), str(target / "new" / "out"))
    assert os.listdir(target / "new") == ["out"]
    assert not (target / "new" / "out").stat().st_mode & 0o111
