"""How other programs run ``flowers stream``: the clients and the page that offers them."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flowers_process import CannotStartError, ChildDiedError, FlowersProcess
from support import FLOWERS, ROOT, SAMPLE, blocks, needs

from flowers_onnx.stream.requests import _FIELDS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and shells")

CLIENTS = ROOT / "docs" / "clients"
PAGE = (ROOT / "docs" / "embedding.md").read_text()
STREAM = (str(FLOWERS), "stream")
NAMED = re.compile(r"(.*): pink-yellow dahlia 0\.9\d{3}")


every_client = pytest.mark.parametrize(
    "client",
    [
        pytest.param([sys.executable, "flowers_process.py"], id="python"),
        pytest.param(["node", "flowers_process.mjs"], id="node", marks=needs("node")),
        # A runtime without compiler can't run it.
        pytest.param(["java", "FlowersProcess.java"], id="java", marks=needs("javac")),
        pytest.param(["bash", "flowers_process.sh"], id="bash", marks=needs("bash")),
    ],
)


def run(
    command: list[str], *words: str | Path, path: Path = FLOWERS.parent, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a program beside the clients, with ``flowers`` found in the folder ``path``."""
    return subprocess.run(
        [*command, *words],
        cwd=CLIENTS,
        env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": f"{path}:{os.environ['PATH']}", **env},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@every_client
def test_a_client_names_photos_and_reports_a_broken_one(client: list[str], tmp_path: Path) -> None:
    odd = tmp_path / 'a "b" \\ ü\u2028$x: 1.jpg'
    shutil.copy(SAMPLE, odd)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(SAMPLE.read_bytes()[:100])
    done = run(client, odd, broken, SAMPLE)
    assert done.returncode == 1, done.stderr
    named = [NAMED.fullmatch(line) for line in done.stdout.split("\n")[:-1]]
    assert [match and match[1] for match in named] == [str(odd), str(SAMPLE)]
    assert done.stderr.startswith(f"{broken}: ")
    assert done.stderr.count("\n") == 1


@every_client
def test_a_client_takes_more_photos_than_fit_into_the_pipes(client: list[str]) -> None:
    done = run(client, *[SAMPLE] * 100)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("pink-yellow dahlia") == 100


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder that only root may look into."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o000)
    yield folder
    folder.chmod(0o700)


@every_client
def test_a_client_says_when_there_is_no_child(client: list[str], closed: Path) -> None:
    done = run(client, SAMPLE, FLOWERS_ONNX_MODEL="missing.onnx")
    assert (done.returncode, done.stdout) == (3, "")
    assert "can't read the model missing.onnx" in done.stderr
    folders = os.environ["PATH"].split(os.pathsep)
    without = [folder for folder in folders if shutil.which("flowers", path=folder) is None]
    for path in (without, [*without, str(closed)], [str(closed), *without]):
        done = run(client, SAMPLE, PATH=os.pathsep.join(path))
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr


@pytest.mark.parametrize("last_words", ["", '{"id": 1, "sta', "oops\n"])
@every_client
def test_a_client_notices_that_the_child_dies(
    client: list[str], tmp_path: Path, last_words: str
) -> None:
    dying_child(tmp_path, last_words)
    done = run(client, SAMPLE, path=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(r"die|ended|not an answer|Broken pipe", done.stderr)


def dying_child(folder: Path, last_words: str = "") -> Path:
    """A ``flowers`` that is ready, notes when it was, and dies of the first request."""
    ready = re.sub(r'"pid": \d+', '"pid": 1', blocks(PAGE, "console")[0].splitlines()[1])
    program = folder / "flowers"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys, time\n"
        f"open({str(folder / 'starts')!r}, 'a').write(f'{{time.monotonic()}}\\n')\n"
        f"print({ready!r}, flush=True)\n"
        "sys.stdin.buffer.read(1)\n"
        f"print({last_words!r}, end='', flush=True)\n"
    )
    program.chmod(0o755)
    return program


@pytest.fixture
def flowers_process() -> Iterator[FlowersProcess]:
    with FlowersProcess(STREAM) as flowers:
        yield flowers
    pid = flowers.ready["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_python_threads_share_a_child(flowers_process: FlowersProcess) -> None:
    def ask(number: int) -> dict[str, Any]:
        photo = SAMPLE.read_bytes() if number % 2 else str(SAMPLE)
        return flowers_process.classify(photo, id=number, top_k=1 + number % 3)

    with ThreadPoolExecutor(16) as threads:
        for number, record in enumerate(threads.map(ask, range(64))):
            assert (record["id"], len(record["top"])) == (number, 1 + number % 3)


def test_python_starts_another_child_when_one_is_killed(flowers_process: FlowersProcess) -> None:
    first = flowers_process.ready["pid"]
    os.kill(first, signal.SIGSTOP)  # so that the requests are in flight when it dies
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(flowers_process.classify, SAMPLE, timeout=60) for _ in range(8)]
        while len(flowers_process._child._waiting) < min(8, flowers_process.in_flight):
            time.sleep(0.01)
        os.kill(first, signal.SIGKILL)
        assert {answer.result()["status"] for answer in answers} == {"ok"}
    assert flowers_process.ready["pid"] != first


@pytest.mark.parametrize("size", [100, 8 << 20], ids=["small", "larger than the pipe"])
def test_python_times_out_and_the_others_are_answered(
    flowers_process: FlowersProcess, size: int
) -> None:
    first = flowers_process.ready["pid"]
    os.kill(first, signal.SIGSTOP)
    with ThreadPoolExecutor(3) as threads:
        late = threads.submit(flowers_process.classify, bytes(size), timeout=0.5)
        others = [threads.submit(flowers_process.classify, SAMPLE, timeout=60) for _ in range(2)]
        with pytest.raises(TimeoutError):
            late.result()
        assert {other.result()["status"] for other in others} == {"ok"}
    assert flowers_process.ready["pid"] != first


def test_python_gives_a_request_two_children_and_backs_off(tmp_path: Path) -> None:
    with FlowersProcess([str(dying_child(tmp_path))]) as flowers:
        for _ in range(2):
            with pytest.raises(ChildDiedError):
                flowers.classify(SAMPLE)
    starts = [float(line) for line in (tmp_path / "starts").read_text().split()]
    assert len(starts) == 4
    waited = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert waited[1] >= 0.5
    assert waited[2] >= 1


@pytest.mark.parametrize("command", [(*STREAM, "--top_k", "0"), (*STREAM, "--model", "x"), ("/x",)])
def test_python_does_not_retry_what_cannot_work(command: tuple[str, ...]) -> None:
    with pytest.raises(CannotStartError):
        FlowersProcess(command)


def test_python_refuses_another_protocol_and_silence() -> None:
    with pytest.raises(CannotStartError, match="not protocol 1"):
        FlowersProcess(["sh", "-c", 'echo \'{"ready": true, "protocol": 2}\'; cat'])
    with pytest.raises(ChildDiedError, match="not ready after"):
        FlowersProcess(["sleep", "60"], start_timeout=0.2)


@needs("node")
def test_node_times_out_restarts_and_answers_the_others(tmp_path: Path) -> None:
    script = tmp_path / "policy.mjs"
    script.write_text(
        textwrap.dedent("""
        const { FlowersProcess } = await import(process.argv[2]);
        const photo = process.argv[3];
        const flowers = await FlowersProcess.start();
        const stop = async (signal) => process.kill((await flowers.ready()).pid, signal);
        const pids = [(await flowers.ready()).pid];
        await stop("SIGSTOP");
        const asked = [500, 60_000, 60_000].map((timeout) => flowers.classify(photo, { timeout }));
        const settled = await Promise.allSettled(asked);
        pids.push((await flowers.ready()).pid);
        await stop("SIGKILL");
        settled.push(...await Promise.allSettled([flowers.classify(photo)]));
        pids.push((await flowers.ready()).pid);
        await flowers.close();
        const answers = settled.map((s) => s.value?.status ?? s.reason.constructor.name);
        console.log(JSON.stringify({ answers, children: new Set(pids).size }));
        """)
    )
    done = run(["node"], script, CLIENTS / "flowers_process.mjs", SAMPLE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"answers": ["TimeoutError", "ok", "ok", "ok"], "children": 3}


def test_the_protocol_example_is_real() -> None:
    command, *shown = blocks(PAGE, "console")[0].splitlines()
    done = subprocess.run(
        ["bash", "-c", command.removeprefix("$ ")],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{FLOWERS.parent}:{os.environ['PATH']}"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    for line, example in zip(done.stdout.decode().splitlines(), shown, strict=True):
        assert steady(line) == steady(example)


def steady(line: str) -> dict[str, Any]:
    """An answer without what differs from run to run and from CPU to CPU; the keys in order."""
    answer: dict[str, Any] = json.loads(line, object_pairs_hook=rounded)
    return {"keys": list(answer)} | answer | dict.fromkeys(("ms", "pid", "workers"))


def rounded(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {
        key: round(value, 1) if key == "confidence" and value else value for key, value in pairs
    }


def fields(title: str) -> list[str]:
    """The first column of the table in a section of the page."""
    section = PAGE.partition(f"### {title}\n")[2].partition("\n#")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_the_tables_have_every_field() -> None:
    ready, answer = (
        list(json.loads(line)) for line in blocks(PAGE, "console")[0].splitlines()[1:3]
    )
    assert fields("Start") == ready
    assert fields("Requests, one JSON object a line") == list(_FIELDS)
    assert fields("Answers") == answer[:2]


def test_every_client_is_on_the_page() -> None:
    linked = set(re.findall(r"\]\(clients/([^)]+)\)", PAGE))
    assert linked == {path.name for path in CLIENTS.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("language", "command"),
    [
        ("python", [sys.executable, "-c"]),
        pytest.param("js", ["node", "--input-type=module", "--eval"], marks=needs("node")),
        pytest.param("bash", ["bash", "-c"], marks=needs("bash")),
    ],
)
def test_snippets_run(language: str, command: list[str]) -> None:
    done = run(command, blocks(PAGE, language)[-1].replace("docs/sample/dahlia.jpg", str(SAMPLE)))
    assert done.returncode == 0, done.stderr
    assert re.search(r"dahlia|dalia", done.stdout)
