"""A bucket beside a folder: the same photos through ``flowers batch``, here and from a fake GCS.

    PYTHONPATH=tests python tests/bench/batch.py FOLDER [--photos 20000] [--parts 5]

The photos of FOLDER are repeated under other names until there are ``--photos``. They go from a
folder to Parquet, from the fake bucket to Parquet in a bucket, and to a fake BigQuery table, in
``--parts`` shards that take turns, so that a busy moment of the machine hits all alike; a ratio
is the median over the shards. The fakes share the CPUs; the peak memory is the program's alone.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fire
from fakes.bigquery import BigQueryFake
from fakes.gcs import fake_gcs

from flowers_onnx.batch.shard import Shard
from flowers_onnx.sources import expand
from flowers_onnx.tables import sink_for
from flowers_onnx.tables.rows import RESULTS

_TABLE = "project.dataset.results"
_FLOWERS = Path(sys.executable).with_name("flowers")


def main(folder: str, *, photos: int = 20_000, parts: int = 5) -> None:
    """Print photos a second, CPU, peak memory, rows; and the ratios to the folder."""
    found = [path for path in expand([folder], None) if isinstance(path, str)]
    with tempfile.TemporaryDirectory() as place, fake_gcs() as gcs, BigQueryFake() as bigquery:
        os.environ.update(gcs.env)  # for the count of rows
        os.environ.update(bigquery.env)
        album = Path(place, "photos")
        album.mkdir()
        for number, path in zip(range(photos), itertools.cycle(found), strict=False):
            (album / f"{number:06}{Path(path).suffix}").symlink_to(Path(path).resolve())
        for bucket in ("photos", "results"):
            gcs.create(bucket)
        gcs.load("photos", album)
        ways = {
            "folder to Parquet": (album, f"{place}/r.parquet"),
            "bucket to Parquet": ("gs://photos/", "gs://results/r.parquet"),
            "bucket to BigQuery": ("gs://photos/", f"bigquery://{_TABLE}"),
        }
        runs: dict[str, list[_Run]] = {way: [] for way in ways}
        for part in range(parts):
            for way, (source, result) in ways.items():
                shard = ["--shard", f"{part}/{parts}"] if parts > 1 else []
                runs[way].append(_run([_FLOWERS, "batch", source, "--out", result, *shard], place))
        files = [Shard(part, parts).name("r.parquet") for part in range(parts)]
        rows = {
            "folder to Parquet": _rows(f"{place}/{file}" for file in files),
            "bucket to Parquet": _rows(f"gs://results/{file}" for file in files),
            "bucket to BigQuery": bigquery.rows(_TABLE),
        }
        for way, found_rows in rows.items():
            print(f"{way:20}{_text(runs[way], photos)}, {_counted(found_rows)}")
        base = runs["folder to Parquet"]
        for way in list(ways)[1:]:
            ratios = [a.seconds / b.seconds for a, b in zip(base, runs[way], strict=True)]
            low, high = min(ratios), max(ratios)
            print(f"{way} / folder: {statistics.median(ratios):.3f} ({low:.3f} - {high:.3f})")


@dataclass(frozen=True)
class _Run:
    seconds: float
    cpu: float
    peak_mb: float


def _text(runs: list[_Run], photos: int) -> str:
    rate = photos / sum(run.seconds for run in runs)
    cpu = 1e3 * sum(run.cpu for run in runs) / photos
    peak = max(run.peak_mb for run in runs)
    return f"{rate:6.1f} a second, {cpu:5.2f} ms of CPU, {peak:4.0f} MB"


def _rows(results: Iterable[str]) -> Iterable[Mapping[str, Any]]:
    return itertools.chain.from_iterable(sink_for(result, RESULTS).existing() for result in results)


def _run(command: list[Any], folder: str) -> _Run:
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE)
    peak = 0
    while True:
        # Not what wait4 says: that counts what this process had before the other began.
        status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        peaks = [line.split()[1] for line in status if line.startswith("VmHWM")]
        peak = max(peak, *map(int, peaks), 0)
        pid, code, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(code)
    assert process.stderr
    errors = process.stderr.read().decode()
    if process.returncode:
        sys.exit(errors)
    return _Run(seconds, usage.ru_utime + usage.ru_stime, peak / 1024)


def _counted(rows: Iterable[Mapping[str, Any]]) -> str:
    uris = Counter(row["source_uri"] for row in rows)
    return f"{uris.total()} rows, {uris.total() - len(uris)} twice"


if __name__ == "__main__":
    fire.Fire(main)
