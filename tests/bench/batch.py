"""A bucket beside a folder: the same photos through ``flowers batch``, here and from a fake GCS.

    python tests/bench/batch.py FOLDER [--photos 20000]

The photos of FOLDER are repeated under other names until there are ``--photos``. They go from a
folder to Parquet, from the fake bucket to Parquet in a bucket and to a fake BigQuery table, and
once more from the folder; the fakes share the CPUs. Rows are counted, the peak memory is that of
the program alone.
"""

from __future__ import annotations

import itertools
import os
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

from flowers_onnx.batch.sinks import sink_for
from flowers_onnx.sources import expand

sys.path.insert(0, str(Path(__file__).parent.parent))

from fakes.bigquery import BigQueryFake
from fakes.gcs import fake_gcs

_TABLE = "project.dataset.results"
_FLOWERS = Path(sys.executable).with_name("flowers")


def main(folder: str, *, photos: int = 20_000) -> None:
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
        results = {
            "folder to Parquet": (album, f"{place}/1.parquet"),
            "bucket to Parquet": ("gs://photos/", "gs://results/r.parquet"),
            "bucket to BigQuery": ("gs://photos/", f"bigquery://{_TABLE}"),
            "folder to Parquet, again": (album, f"{place}/2.parquet"),
        }
        runs = {}
        for name, (source, result) in results.items():
            runs[name] = _run([_FLOWERS, "batch", source, "--out", result], place)
            table = result.startswith("bigquery:")
            rows = bigquery.rows(_TABLE) if table else sink_for(result).existing()
            print(f"{name:26}{runs[name].text(photos)}, {_counted(rows)}", flush=True)
        local = [run.seconds for name, run in runs.items() if name.startswith("folder")]
        for name, run in runs.items():
            if name.startswith("bucket"):
                print(f"{name} / folder: {sum(local) / len(local) / run.seconds:.3f}")


@dataclass(frozen=True)
class _Run:
    seconds: float
    cpu: float
    peak_mb: float

    def text(self, photos: int) -> str:
        cpu = 1e3 * self.cpu / photos
        return (
            f"{photos / self.seconds:6.1f} a second, {cpu:5.2f} ms of CPU, {self.peak_mb:4.0f} MB"
        )


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
