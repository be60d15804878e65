"""How a server starts, or says in a line why it doesn't."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from serving import serving
from support import PATIENCE, Run, posix

from flowers_onnx.errors import UsageError
from flowers_onnx.serve.run import _bind

#: A server on a system whose loop knows no signals.
_WINDOWS = """
import asyncio, sys
def add_signal_handler(*_): raise NotImplementedError
asyncio.SelectorEventLoop.add_signal_handler = add_signal_handler
from flowers_onnx.cli.main import main
sys.exit(main(["serve", "--port", sys.argv[1]]))
"""
#: Modules that Windows hasn't.
_POSIX = ("fcntl", "grp", "pwd", "resource", "termios")


@pytest.mark.parametrize(
    ("words", "port", "told"),
    [
        ((), "http", "--port"),
        ((), "65536", "--port"),
        ((), "9" * 5000, "--port"),
        (("--host", "a" * 70 + ".x", "--auth", "none"), "0", "--host"),
        (("--host", "192.0.2.1", "--auth", "none"), "0", "--host"),
        (("--cors", "https://app.example/"), "0", "path"),
        (("--cors", "app.example"), "0", "https://"),
        (("--auth", "iam", "--audience", "x", "--emails", ""), "0", "addresses"),
        (("--auth", "iam", "--audience", "x", "--emails", "a@x.y, b@x.y"), "0", "addresses"),
        (("--rate", "1e-320"), "0", "1e-05"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_makes_no_sense_is_told_in_a_line(
    flowers: Run, words: tuple[str, ...], port: str, told: str
) -> None:
    done = flowers("serve", *words, env={"PORT": port})
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert len(done.stderr) < 300
    assert told.encode() in done.stderr


@posix
def test_an_empty_port_is_none_and_a_line_says_where_it_listens() -> None:
    with serving(env={"PORT": ""}) as server:
        assert f"listening on {server.url}" in server.stderr


def test_an_address_of_ipv6_may_have_its_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        (sock,) = _bind("[::1]", 0)
    except UsageError as error:
        pytest.skip(str(error))
    with sock:
        assert sock.getsockname()[0] == "::1"


def test_a_name_with_an_address_that_is_not_there_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # localhost in a container: ::1 in /etc/hosts, and no IPv6
    found = socket.getaddrinfo("127.0.0.1", 0, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    absent = socket.getaddrinfo("192.0.2.1", 0, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)

    def both(*_: Any, **__: Any) -> list[Any]:
        return absent + found

    monkeypatch.setattr(socket, "getaddrinfo", both)
    (sock,) = _bind("localhost", 0)
    with sock:
        assert sock.getsockname()[0] == "127.0.0.1"


@posix
def test_sigterm_works_where_the_loop_knows_no_signals() -> None:
    with serving(command=[sys.executable, "-c", _WINDOWS, "{port}"]) as server:
        assert server.stop() == 0
        assert "stopped" in server.stderr


def test_no_module_needs_posix_to_be_imported() -> None:
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({_POSIX}))\n"
        "import flowers_onnx.serve.run, flowers_onnx.cli.commands.keys"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, re.sub(rb"\s", b"", done.stderr)) == (0, b"")


@posix
def test_a_spool_where_nothing_can_be_promised_is_refused(tmp_path: Path) -> None:
    """On a file system without fsync."""
    program = (
        "import errno, os, sys\n"
        "def fsync(_): raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))\n"
        "os.fsync = fsync\n"
        "from flowers_onnx.cli.main import main\n"
        "os._exit(main(['serve', '--port', '0', '--auth', 'none', *sys.argv[1:]]))\n"
    )
    flags = ("--keep", "photos", "--durability", "spool", "--spool", "spool.sqlite")
    done = subprocess.run(
        [sys.executable, "-c", program, *flags],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 4
    (line,) = done.stderr.splitlines()
    assert line.startswith("flowers: spool.sqlite can't be a spool: its file system has no fsync")
