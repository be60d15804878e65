"""Mutants: small faults put into the program, and whether a test notices.

    python -m venv v && v/bin/pip install -e '.[dev]' cosmic-ray
    v/bin/python tests/bench/mutants.py

Faults are drawn at random, the same ones for the same seed and source: a comparison turned, a
number one more, a condition negated, ... (cosmic-ray's operators, one of them at each place). Each
goes into a copy of the checkout, and there the test files run that cover the module. What survives
is printed with its difference: it is a gap in the tests, or no fault at all, which a person has to
tell. An hour or so, and so not part of CI.
"""

from __future__ import annotations

import ast
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import fire

ROOT = Path(__file__).parent.parent.parent

#: Module to the tests that cover it, fast ones first.
COVER = {
    "batch/ledger.py": "batch/test_batch_output.py batch/test_batch.py",
    "batch/shard.py": "batch/test_shard.py storage/test_uris.py batch/test_batch.py",
    "batch/output.py": "batch/test_batch_output.py batch/test_batch.py",
    "tables/journal.py": "tables/test_journal.py batch/test_batch_output.py batch/test_batch.py",
    "tables/lines.py": "tables/test_pins.py tables/test_sinks.py tables/test_schema.py",
    "tables/schema.py": (
        "tables/test_pins.py tables/test_sinks.py tables/test_schema.py tables/test_bigquery.py"
    ),
    "tables/files.py": "tables/test_pins.py tables/test_sinks.py",
    "storage/uris.py": "storage/test_uris.py storage/test_storage.py",
    "sources.py": "test_sources.py cli/test_cli.py",
    "writers.py": "test_pins.py cli/test_writers.py cli/test_cli.py",
    "pixels/decoding.py": "pixels test_api.py",
    "pixels/memory.py": "pixels test_api.py",
    "pixels/square.py": "pixels test_api.py",
    "stream/framing.py": "stream/test_framing.py stream/test_stream.py",
}
#: Tests that only take long.
SLOW = "not killed_twenty and not memory_stays_flat and not outage"


@dataclass(frozen=True)
class Mutant:
    """One fault."""

    module: str
    operator: str
    occurrence: int
    line: int
    difference: str
    outcome: str = ""
    seconds: float = 0


def main(
    *,
    each: int = 7,
    seed: int = 9,
    jobs: int = 2,
    timeout: int = 600,
    again: str = "",
    out: str = "",
) -> None:
    """Draw EACH mutants of every module and test them, JOBS at a time; a hang is noticed too.

    AGAIN is an OUT of an earlier run, of which only the survivors are tested, with the tests of
    today.
    """
    if again:
        found = [Mutant(**json.loads(line)) for line in Path(again).read_text().splitlines()]
        drawn = [mutant for mutant in found if mutant.outcome == "survived"]
    else:
        chance = random.Random(seed)
        drawn = [mutant for module in COVER for mutant in _drawn(module, each, chance)]
    with ThreadPoolExecutor(jobs) as pool, tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(jobs):
            _copy(Path(folder) / str(number))
            copies.put(Path(folder) / str(number))

        def tested(mutant: Mutant) -> Mutant:
            copy = copies.get()
            try:
                return _tested(copy, mutant, timeout)
            finally:
                copies.put(copy)

        plain = [Mutant(module, "", 0, 0, "") for module in sorted({one.module for one in drawn})]
        for mutant in pool.map(tested, plain):
            if mutant.outcome != "survived":
                sys.exit(f"without any fault, {mutant.module}: {mutant.outcome}")
            print(f"{mutant.module}: {mutant.seconds:.0f} s without a fault", flush=True)
        done: list[Mutant] = []
        for mutant in pool.map(tested, drawn):
            done.append(mutant)
            print(f"{len(done)}/{len(drawn)} {_text(mutant)}", flush=True)
            if out:
                with open(out, "a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(mutant)) + "\n")
    survived = [mutant for mutant in done if mutant.outcome == "survived"]
    for mutant in survived:
        print(f"\n{_text(mutant)}\n{mutant.difference}")
    print(f"\n{len(done) - len(survived)} of {len(done)} were noticed")


def _drawn(module: str, count: int, chance: random.Random) -> Iterator[Mutant]:
    """Of every place one fault of each family, and of these ``count``."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    source = (ROOT / "flowers_onnx" / module).read_text(encoding="utf-8")
    nodes = list(ast_nodes(get_ast(source)))
    places: dict[tuple[str, tuple[int, int]], list[tuple[str, int]]] = {}
    for name in sorted(operator_names()):
        operator = get_operator(name)
        if operator.arguments():
            continue
        positions = (start for node in nodes for start, _ in operator().mutation_positions(node))
        for occurrence, start in enumerate(positions):
            family = name.partition("/")[2].partition("_")[0]
            places.setdefault((family, start), []).append((name, occurrence))
    order = sorted(places.items(), key=str)
    chance.shuffle(order)
    for (_, start), choices in order:
        name, occurrence = chance.choice(choices)
        mutated = _mutated(source, name, occurrence)
        if _meaning(mutated) in {"", _meaning(source)}:
            continue
        yield Mutant(module, name, occurrence, start[0], _difference(source, mutated))
        count -= 1
        if not count:
            return


def _mutated(source: str, name: str, occurrence: int) -> str:
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    return mutate_code(source, get_operator(name)(), occurrence) or ""


def _meaning(source: str) -> str:
    """Without annotations, which are never evaluated; empty for what is no Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # `if not a := b`
        return ""
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if getattr(node, name, None) is not None:
                setattr(node, name, ast.Constant(None))
    return ast.dump(tree) if source else ""


def _difference(before: str, after: str) -> str:
    import difflib

    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    return "\n".join(list(lines)[2:])


def _copy(copy: Path) -> None:
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in map(os.fsdecode, filter(None, names.split(b"\0"))):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)


def _tested(copy: Path, mutant: Mutant, timeout: int) -> Mutant:
    path = copy / "flowers_onnx" / mutant.module
    source = path.read_text(encoding="utf-8")
    started = time.monotonic()
    try:
        if mutant.operator:
            _write(path, _mutated(source, mutant.operator, mutant.occurrence))
        outcome = _outcome(copy, mutant.module, timeout)
    finally:
        _write(path, source)
    seconds = round(time.monotonic() - started, 1)
    return Mutant(**{**asdict(mutant), "outcome": outcome, "seconds": seconds})


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()  # would pass for that of a text as long, written in the same second


def _outcome(copy: Path, module: str, timeout: int) -> str:
    tests = [copy / "tests" / name for name in COVER[module].split()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:randomly", "-k", SLOW]
    with subprocess.Popen(
        [*command, *(test for test in tests if test.exists())],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return "hangs"
    if process.returncode == 0:
        return "survived"
    failed = re.findall(r"^(?:FAILED|ERROR) (?:tests/)?(.*?)(?: - .*)?$", output, re.MULTILINE)
    return f"noticed by {failed[0]}" if failed else f"noticed: {output[-300:]!r}"


def _text(mutant: Mutant) -> str:
    operator = mutant.operator.partition("/")[2]
    return f"{mutant.module}:{mutant.line} {operator}: {mutant.outcome} ({mutant.seconds} s)"


if __name__ == "__main__":
    fire.Fire(main)
