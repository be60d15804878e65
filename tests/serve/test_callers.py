"""Who is let in, through the doors that ``flowers serve`` opens."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fakes.gcs import fake_gcs
from google.auth import jwt
from google.auth.crypt import RSASigner
from google.oauth2 import id_token
from hypothesis import given
from hypothesis import strategies as st
from support import PATIENCE, job, posix

from flowers_onnx import storage
from flowers_onnx.errors import UsageError
from flowers_onnx.serve.keys import Authenticator, Caller
from flowers_onnx.serve.keys.auth import KeyAuthenticator, is_loopback, open_authenticator
from flowers_onnx.serve.keys.iam import IamAuthenticator
from flowers_onnx.serve.keys.key import new_key
from flowers_onnx.serve.keys.limits import RateLimit
from flowers_onnx.serve.keys.place import key_file
from flowers_onnx.serve.options import Options
from flowers_onnx.serve.problems import Problem

#: Seconds: time enough for any file to be looked at again.
LATER = 100


class Clock:
    """Both clocks of a door, turned by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.seconds)


def ask(door: Authenticator, headers: Mapping[str, str]) -> Caller:
    return asyncio.run(door.caller(headers))


def refusal(door: Authenticator, headers: Mapping[str, str]) -> Problem:
    with pytest.raises(Problem) as found:
        ask(door, headers)
    return found.value


def status(door: Authenticator, text: str) -> int:
    """200, or that of the refusal, for a key or a token."""
    try:
        asyncio.run(door.caller({"authorization": f"Bearer {text}"}))
    except Problem as problem:
        return problem.status
    return 200


def read() -> None:
    """Wait until what is being read has been."""
    for thread in threading.enumerate():
        if thread.name == "flowers-keys":
            thread.join()


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Keys:
    """A file of keys, changed by the command."""

    def __init__(self, place: str, capture: pytest.CaptureFixture[str]) -> None:
        self.place, self._capture = place, capture

    def __call__(self, *words: str) -> str:
        self._capture.readouterr()
        assert job("keys", *words, "--keys", self.place).work() == 0
        return self._capture.readouterr().out.strip()


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Keys:
    return Keys(str(tmp_path / "keys.json"), capsys)


def opened(keys: Keys, clock: Clock) -> KeyAuthenticator:
    return KeyAuthenticator(key_file(keys.place), now=clock.now, clock=clock)


# Keys.


def test_a_key_comes_in_either_header(keys: Keys, clock: Clock) -> None:
    text = keys("add", "app", "--scopes", "classify,metrics")
    door = opened(keys, clock)
    for headers in (
        {"authorization": f"Bearer {text}"},
        {"authorization": f"bearer  {text} "},
        {"x-api-key": text},
        {"x-api-key": text, "authorization": "Bearer a.token.of-a-proxy"},
    ):
        caller = ask(door, headers)
        assert caller.id == text[4:12]
        assert caller.scopes == {"classify", "metrics"}


def test_a_stranger_is_told_that_and_nothing_more(keys: Keys, clock: Clock) -> None:
    live, revoked, expired = (keys("add", name) for name in ("a", "b", "c"))
    keys("revoke", "b")
    keys("rotate", "c", "--grace", "0")
    door = opened(keys, clock)
    for headers in ({}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer"}):
        problem = refusal(door, headers)
        assert (problem.status, problem.code) == (401, "unauthorized")
        assert problem.headers == {"WWW-Authenticate": 'Bearer realm="flowers"'}
    other = new_key()
    wrong = [
        revoked,
        expired,
        live[:-1],
        live.replace("flw", "FLW"),
        other.text,
        "ünïcode",
        "x" * 9,
    ]
    told = [refusal(door, {"x-api-key": text}) for text in wrong]
    assert {problem.status for problem in told} == {401}
    assert {problem.headers["WWW-Authenticate"] for problem in told} == {
        'Bearer realm="flowers", error="invalid_token"'
    }
    assert len({problem.detail for problem in told}) == 1


def test_another_secret_of_a_known_id_is_refused(keys: Keys, clock: Clock) -> None:
    text = keys("add", "app")
    path = Path(keys.place)
    other = new_key()
    path.write_text(path.read_text().replace(text[4:12], other.id))
    door = opened(keys, clock)
    assert status(door, other.text) == 401


def test_a_known_key_may_do_what_it_is_for(keys: Keys, clock: Clock) -> None:
    texts = {scope: keys("add", scope, "--scopes", scope) for scope in ("metrics", "admin")}
    door = opened(keys, clock)
    ask(door, {"x-api-key": texts["admin"]}).require("classify")
    caller = ask(door, {"x-api-key": texts["metrics"]})
    caller.require("metrics")
    with pytest.raises(Problem) as found:
        caller.require("classify")
    assert (found.value.status, found.value.code) == (403, "forbidden")


def test_no_key_lets_nobody_in(
    keys: Keys, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    text = keys("add", "app")
    Path(keys.place).write_text('{"schema": "1.0", "keys": []}')
    door = opened(keys, clock)
    assert "nobody gets in" in capsys.readouterr().err
    assert status(door, text) == 401


def test_keys_are_added_rotated_and_revoked_under_a_running_door(keys: Keys, clock: Clock) -> None:
    first = keys("add", "app")
    door = opened(keys, clock)
    second = keys("add", "other", "--expires", "1h")
    clock.seconds += LATER
    assert status(door, second) == 200
    third = keys("rotate", "app", "--grace", "30m")
    clock.seconds += LATER
    assert [status(door, text) for text in (first, second, third)] == [200, 200, 200]
    keys("revoke", third)
    clock.seconds += LATER
    assert [status(door, text) for text in (first, second, third)] == [200, 200, 401]
    clock.seconds += 1800  # the grace is over
    assert [status(door, text) for text in (first, second)] == [401, 200]
    clock.seconds += 1800
    assert status(door, second) == 401


def test_a_revocation_works_within_seconds(keys: Keys) -> None:
    text = keys("add", "app")
    door = KeyAuthenticator(key_file(keys.place))
    headers = {"x-api-key": text}

    async def until_refused() -> float:
        assert (await door.caller(headers)).id == text[4:12]
        await asyncio.to_thread(keys, "revoke", "app")
        begin = time.monotonic()
        while time.monotonic() < begin + PATIENCE:
            try:
                await door.caller(headers)
            except Problem:
                return time.monotonic() - begin
            await asyncio.sleep(0.1)
        raise AssertionError("it never came")

    assert asyncio.run(until_refused()) < PATIENCE


def test_the_last_good_keys_stay_and_expire(
    keys: Keys,
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    text, mortal = keys("add", "app"), keys("add", "mortal", "--expires", "1h")
    door, path = opened(keys, clock), Path(keys.place)
    good = path.read_text()
    for broken in ("{", None, good.replace('"classify"', '"all"')):
        path.unlink(missing_ok=True)
        if broken is not None:
            path.write_text(broken)
        clock.seconds += LATER
        assert [status(door, each) for each in (text, mortal)] == [200, 200]
        read()
    (line,) = caplog.messages
    assert line.startswith("the keys stay as they were: ")
    assert not capsys.readouterr().err  # whoever doesn't read it would hold the server up
    assert str(path) in line
    clock.seconds += 3600
    assert [status(door, each) for each in (text, mortal)] == [200, 401]
    path.write_text(good)
    keys("revoke", "app")
    clock.seconds += LATER
    status(door, text)  # while it fails nobody waits
    read()
    assert status(door, text) == 401
    assert "can be read again" in caplog.messages[-1]


@posix
def test_a_mounted_secret_is_renewed_by_turning_a_link(
    keys: Keys, clock: Clock, tmp_path: Path
) -> None:
    """As Kubernetes does it: ``keys.json -> ..data/keys.json``, ``..data -> ..2026``."""
    old = keys("add", "app")
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        if number == "2":
            new = keys("rotate", "app", "--grace", "0")
        shutil.copy(keys.place, tmp_path / number / "keys.json")
        (tmp_path / number / "keys.json").chmod(0o400)
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "..data").symlink_to(tmp_path / "1")
    (mount / "keys.json").symlink_to("..data/keys.json")
    door = KeyAuthenticator(key_file(str(mount / "keys.json")), now=clock.now, clock=clock)
    assert [status(door, text) for text in (old, new)] == [200, 401]
    (mount / "..new").symlink_to(tmp_path / "2")
    os.replace(mount / "..new", mount / "..data")
    clock.seconds += LATER
    assert [status(door, text) for text in (old, new)] == [401, 200]


def test_a_change_that_leaves_no_trace_is_seen_too(keys: Keys, clock: Clock) -> None:
    """Not every mount has a new time for a new content."""
    text = keys("add", "app")
    file = key_file(keys.place)
    file.signature = lambda: "as ever"  # type: ignore[method-assign]
    door = KeyAuthenticator(file, now=clock.now, clock=clock)
    keys("revoke", "app")
    clock.seconds += LATER
    assert status(door, text) == 401


def test_keys_in_a_bucket(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_gcs() as fake:
        fake.create("keys")
        for name, value in fake.env.items():
            monkeypatch.setenv(name, value)
        storage._store.cache_clear()
        keys = Keys(fake.uri("keys", "keys.json"), capsys)
        text = keys("add", "app")
        door = opened(keys, clock)
        assert status(door, text) == 200
        keys("revoke", "app")
        clock.seconds += LATER
        assert status(door, text) == 401
        fake.delete("keys", "keys.json")
        clock.seconds += LATER
        assert status(door, text) == 401
    storage._store.cache_clear()


def test_a_place_that_hangs_costs_no_request_more_than_some_seconds(
    keys: Keys, clock: Clock
) -> None:
    text = keys("add", "app")
    file, hanging = key_file(keys.place), threading.Event()
    door = KeyAuthenticator(file, now=clock.now, clock=clock)

    def hang() -> bytes | None:
        hanging.wait(PATIENCE)
        return None

    file.read = hang  # type: ignore[method-assign]
    Path(keys.place).touch()
    clock.seconds += LATER
    try:
        assert status(door, text) == 200
        clock.seconds += LATER
        assert status(door, text) == 200  # and nobody waits any more
    finally:
        hanging.set()


# Google's tokens.

AUDIENCE = "https://flowers.example"
EMAIL = "app@project.iam.gserviceaccount.com"


def _certificate(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    day = datetime(2020, 1, 1, tzinfo=UTC)
    builder = builder.not_valid_before(day).not_valid_after(day.replace(year=2099))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


class Google:
    """Signs tokens, and has the certificates for it."""

    def __init__(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        self._signer = RSASigner.from_string(pem, "k1")
        self._certificates = json.dumps({"k1": _certificate(key)}).encode()
        self.fetched, self.down = 0, False

    def fetch(self) -> bytes:
        self.fetched += 1
        if self.down:
            raise OSError("no network")
        return self._certificates

    def token(self, **changed: Any) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": "https://accounts.google.com",
            "aud": AUDIENCE,
            "sub": "1",
            "email": EMAIL,
            "email_verified": True,
            "iat": now,
            "exp": now + 3600,
        }
        claims = {name: value for name, value in {**claims, **changed}.items() if value is not None}
        signed: bytes = jwt.encode(self._signer, claims)
        return signed.decode()


@pytest.fixture(scope="module")
def keypair() -> Google:
    return Google()


@pytest.fixture
def google(keypair: Google) -> Google:
    keypair.fetched, keypair.down = 0, False
    return keypair


@pytest.fixture
def iam(google: Google) -> IamAuthenticator:
    return IamAuthenticator(AUDIENCE, ["App@project.iam.gserviceaccount.com"], fetch=google.fetch)


def test_a_token_of_google_is_a_caller(iam: IamAuthenticator, google: Google) -> None:
    token = google.token()
    for name in ("authorization", "x-serverless-authorization"):
        caller = ask(iam, {name: f"Bearer {token}"})
        assert caller == Caller(EMAIL, frozenset({"classify", "metrics"}))
    signed = {"authorization": f"Bearer {token}"}
    removed = token.rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE"
    assert ask(iam, {**signed, "x-serverless-authorization": f"Bearer {removed}"}).id == EMAIL
    assert google.fetched == 1


def test_a_token_that_is_not_right_is_refused(iam: IamAuthenticator, google: Google) -> None:
    now, good = int(time.time()), google.token()
    head, claims, signature = good.split(".")
    unsigned = jwt.encode(NoSigner(), {"email": EMAIL}).decode()
    for token in (
        google.token(aud="https://other.example"),
        google.token(aud=None),
        google.token(iss="https://evil.example"),
        google.token(iat=now - 7200, exp=now - 3600),
        google.token(iat=now + 3600, exp=now + 7200),
        google.token(exp="never"),
        Google().token(),
        f"{head}.{claims}.SIGNATURE_REMOVED_BY_GOOGLE",
        f"{head}.{claims}.",
        f"{head}.{google.token(email='root@example.com').split('.')[1]}.{signature}",
        unsigned,
        "a.b.c",
        "ünïcode",
        "x" * 10_000,
        new_key().text,
    ):
        problem = refusal(iam, {"authorization": f"Bearer {token}"})
        assert (problem.status, problem.code) == (401, "unauthorized")
        assert 'error="invalid_token"' in problem.headers["WWW-Authenticate"]
    assert status(iam, good) == 200
    assert google.fetched == 1


class NoSigner:
    """``alg: none``."""

    key_id = "k1"

    def __init__(self) -> None:
        self.algorithm = "none"

    def sign(self, _message: bytes) -> bytes:
        return b""


@pytest.mark.parametrize(
    "changed",
    [{"email": "other@example.com"}, {"email_verified": False}, {"email": None}],
)
def test_a_known_account_that_is_not_listed_is_forbidden(
    iam: IamAuthenticator, google: Google, changed: dict[str, Any]
) -> None:
    problem = refusal(iam, {"authorization": f"Bearer {google.token(**changed)}"})
    assert (problem.status, problem.code) == (403, "forbidden")


def test_a_token_is_verified_once_until_it_expires(
    google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = []

    def verify(token: str, *words: Any, **named: Any) -> Any:
        verified.append(token)
        return genuine(token, *words, **named)

    genuine = id_token.verify_oauth2_token
    monkeypatch.setattr(id_token, "verify_oauth2_token", verify)
    clock, base = Clock(), time.time()
    door = IamAuthenticator(
        AUDIENCE, [EMAIL], fetch=google.fetch, now=lambda: base + clock.seconds, most=2
    )
    short = google.token(exp=int(base) + 1000)
    long = google.token(exp=int(base) + 2000)
    assert [status(door, token) for token in (short, long, short, long)] == [200] * 4
    assert verified == [short, long]
    clock.seconds = 1500
    assert [status(door, token) for token in (short, long)] == [200] * 2  # to google-auth it's now
    assert verified == [short, long, short]
    assert status(door, google.token(sub="one more than is remembered")) == 200
    assert len(door._known) == 2


def test_without_certificates_it_says_so_and_recovers(
    google: Google, caplog: pytest.LogCaptureFixture
) -> None:
    google.down = True
    door = IamAuthenticator(AUDIENCE, [EMAIL], fetch=google.fetch)
    clock = Clock()
    door._certificates._clock = clock
    door._certificates._due = 0
    token = google.token()
    for _ in range(3):
        problem = refusal(door, {"authorization": f"Bearer {token}"})
        assert (problem.status, problem.code) == (503, "keys_unavailable")
        assert problem.headers["Retry-After"] == "5"
    assert google.fetched == 1
    google.down = False
    clock.seconds += 10
    assert status(door, token) == 200
    told = caplog.messages
    assert [line.startswith("Google's certificates ") for line in told] == [True, True]


# How often.


@given(
    rate=st.floats(0.1, 1000),
    burst=st.integers(1, 20),
    steps=st.lists(st.floats(0, 3), max_size=60),
)
def test_nobody_gets_more_than_the_rate_and_the_burst(
    rate: float, burst: int, steps: list[float]
) -> None:
    clock, granted = Clock(), []
    limit = RateLimit(rate, burst, clock=clock)
    for step in steps:
        clock.seconds += step / rate
        wait = limit.take("a")
        if wait == 0:
            granted.append(clock.seconds)
        else:
            later = RateLimit(rate, burst, clock=clock)
            later._arrivals = dict(limit._arrivals)
            before, clock.seconds = clock.seconds, clock.seconds + wait
            assert later.take("a") == 0, "who waits as told is let in"
            clock.seconds = before
    for first in range(len(granted)):
        for last in range(first, len(granted)):
            most = burst + (granted[last] - granted[first]) * rate
            assert last - first + 1 <= most + 1e-6


def test_a_burst_and_then_the_rate() -> None:
    clock = Clock()
    limit = RateLimit(2, 3, clock=clock)
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert limit.take("b") == 0  # each by himself
    clock.seconds = 0.5
    assert [limit.take("a") for _ in range(2)] == [0, 0.5]
    clock.seconds = 100
    assert [limit.take("a") > 0 for _ in range(4)] == [False, False, False, True]
    assert [RateLimit(0.5, clock=clock).take("a"), RateLimit(2.5, clock=clock).take("a")] == [0, 0]


def test_the_idle_are_forgotten() -> None:
    clock = Clock()
    limit = RateLimit(1, clock=clock, most=10)
    for number in range(100):
        limit.take(str(number))
    assert len(limit) == 10
    clock.seconds = 10
    limit.take("new")
    assert len(limit) == 1


def test_who_asks_too_often_is_told_when_to_come_back(keys: Keys) -> None:
    text, other = keys("add", "app"), keys("add", "other")
    door = open_authenticator(Options(auth="keys", keys=keys.place, rate=0.01))
    assert door.kind == "keys"
    assert status(door, text) == 200
    problem = refusal(door, {"x-api-key": text})
    assert (problem.status, problem.code) == (429, "rate_limited")
    assert problem.caller == text[4:12]  # the log and the trace say who it was
    assert 90 < int(problem.headers["Retry-After"]) <= 100
    assert status(door, other) == 200
    assert status(door, "flw_") == 401
    everybody = open_authenticator(Options(rate=0.01))
    assert [status(everybody, text), status(everybody, other)] == [200, 429]


# What is asked for.


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (Options(auth="keys"), "--auth keys needs --keys"),
        (Options(auth="keys", keys="missing.json"), "flowers keys add NAME --keys missing.json"),
        (Options(auth="iam"), "--audience and --emails"),
        (Options(auth="iam", audience=AUDIENCE), "--audience and --emails"),
        (Options(auth="iam", emails=(EMAIL,)), "--audience and --emails"),
        (Options(auth="none", keys="keys.json"), "--keys is for --auth keys"),
        (Options(auth="keys", keys="keys.json", audience="x"), "--audience is for --auth iam"),
        (Options(auth="none", emails=(EMAIL,)), "--emails is for --auth iam"),
    ],
)
def test_options_that_do_not_go_together(
    options: Options, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FLOWERS_KEYS", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as found:
        open_authenticator(options)
    assert says in str(found.value)


def test_the_environment_names_the_keys(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    text = keys("add", "app")
    monkeypatch.setenv("FLOWERS_KEYS", keys.place)
    assert status(open_authenticator(Options(auth="keys")), text) == 200
    door = open_authenticator(Options(auth="none"))  # which it doesn't concern
    assert (door.kind, ask(door, {}).id) == ("none", None)


def test_iam_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.oauth2", None)
    monkeypatch.delitem(sys.modules, "flowers_onnx.serve.keys.iam")
    with pytest.raises(UsageError, match=r"\[gcs\]"):
        open_authenticator(Options(auth="iam", audience=AUDIENCE, emails=(EMAIL,)))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
