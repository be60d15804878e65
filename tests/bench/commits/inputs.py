"""The files that both installations are given: odd photos, odd names, odd lists."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import odd_images
from bench.commits.steps import Installation, date
from support import SAMPLE, noise_pictures

ODD_NAMES = [
    b"123", b"1e5", b"None", b"True", b"a,b.jpg", b"[a].jpg", b"{a}.jpg", b"(1,2)", b"a b.jpg",
    b"-x.jpg", b"--top_k", b"--help", b"*.jpg", b"0x1f", b"'quoted'", b"#x.jpg", b"a%20b?.jpg",
    "é ñ.jpg".encode(), "花.jpg".encode(), b"latin-\xe9.jpg", b"new\nline.jpg", b"a=b.jpg",
    b'quo"te.jpg', b"<b>&.jpg", b"esc\x1b[31m.jpg", "rtl\u202e.jpg".encode(), b"back\\slash.jpg",
    "\u2028.jpg".encode(), b"gs:x.jpg", b" .jpg", b"upper.JPEG", b"no-suffix",
]  # fmt: skip


def make(folder: Path, installations: tuple[Installation, ...]) -> None:
    """Write all inputs into ``folder``; the same files each time, of the same date."""
    odd = folder / "odd"
    for name in ("odd", "few", "names", "empty", "loops", "nested/b", "nested/c/d", "nested/.git",
                 "lists", "models", "bench", "pipes", "album"):  # fmt: skip
        (folder / name).mkdir(parents=True)
    shutil.copyfile(SAMPLE, folder / "sample.jpg")
    made = [name for name, _ in odd_images.make(odd)]
    for name in [*made[::25], made[51]]:  # and an empty one
        shutil.copyfile(odd / name, folder / "few" / name)
    noise_pictures(folder / "album", 12, seed=7)
    random_bytes = random.Random(1).randbytes(3000)
    (folder / "album" / "noise.jpg").write_bytes(b"\xff\xd8\xff" + random_bytes)
    for number, odd_name in enumerate(ODD_NAMES):
        path = folder / "names" / os.fsdecode(odd_name)
        shutil.copyfile(sorted((folder / "album").glob("*.png"))[number % 12], path)
    for name in ("b/2.jpg", "b/1.data", "a.jpg", "c/d/e.jpg", ".hidden.jpg", ".git/x.jpg"):
        shutil.copyfile(SAMPLE, folder / "nested" / name)
    (folder / "nested/notes.txt").write_text("no photo")
    (folder / "nested/no-photo.png").write_text("no photo")
    (folder / "nested/loop").symlink_to(folder / "nested")
    (folder / "nested/self.jpg").symlink_to("self.jpg")
    (folder / "nested/dangling.jpg").symlink_to("nowhere.jpg")
    for number in range(150):
        (folder / "loops" / f"{number}.jpg").symlink_to(f"{number}.jpg")
    os.mkfifo(folder / "pipes" / "pipe.jpg")
    shutil.copyfile(SAMPLE, folder / "pipes" / "photo.jpg")
    _models(folder / "models", installations[0])
    _lists(folder / "lists", folder)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            date(path)
    _benchmarks(folder / "bench", folder, installations)


def _models(folder: Path, installation: Installation) -> None:
    shutil.copyfile(Path(installation.package) / "flowers.onnx", folder / "flowers.onnx")
    (folder / "text.onnx").write_bytes(b"not a model at all")
    (folder / "empty.onnx").write_bytes(b"")
    data = (folder / "flowers.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(data[:100_000])
    # Metadata is behind the network, which is broken here.
    (folder / "torn.onnx").write_bytes(data[:200_000] + data[300_000:])


def _lists(folder: Path, photos: Path) -> None:
    one, two, bad = (str(photos / "album" / name) for name in ("00.png", "01.png", "broken.jpg"))
    none = str(photos / "none.png")
    lists: dict[str, str | bytes] = {
        "plain.txt": f"{one}\n\n{two}\r\n{none}\n{bad}",
        "marked.txt": b"\xef\xbb\xbf" + f"{one}\n{two}\n".encode(),
        "suffix": f"{one}\n{two}\n{one}\n",
        "nothing.txt": "",
        "scheme.txt": f"{one}\nftp://b/c.jpg\n",
        "latin1.txt": b"latin-\xe9.jpg\n",
        "ids.csv": f"id,note,path\n1,x,{one}\nb,,{two}\n,z,{none}\n1,again,{one}\n2,,{one}\n",
        "quoted.csv": f'path,id\n"{one}","a, ""b"""\n"{two}","two\nlines"\n',
        "uri.csv": f"uri\n{one}\n",
        "source.csv": f"source_uri,path\n{one},{two}\n",
        "image.csv": f"image\n{bad}\n",
        "column.csv": "a,b\n1,2\n",
        "holes.csv": "id,path\n1,\n",
        "latin1.csv": "id,path\nñ,a.jpg\n".encode("latin-1"),
        "nothing.csv": "",
        "strict.csv": f'path\n"{one}\n',
        "ids.jsonl": f'{{"id": 1, "uri": "{one}"}}\n\n {{"id": "b", "path": "{two}"}}\n'
        f'{{"path": "{none}"}}\n{{"id": null, "path": "{bad}"}}\n{{"id": [1], "path": "{one}"}}\n',
        "ids.ndjson": f'{{"id": true, "path": "{one}"}}\n',
        "text.jsonl": "no JSON\n",
        "list.jsonl": "[1]\n",
        "number.jsonl": '{"path": 7}\n',
        "nameless.jsonl": '{"id": 7}\n',
        "half.jsonl": '{"path": "\\ud800.jpg"}\n',
        "relative.txt": "00.png\n./00.png\nfolder/../00.png\nfolder\n",
        "file.txt": f"file://{one}\n{two}\nfile://{photos}/album/0%32.png\n",
        "localhost.txt": f"file://localhost{one}\n",
        "upper.txt": f"FILE://{one}\n",
        "host.txt": f"{two}\nfile://elsewhere{one}\n",
        "buckets.txt": "gs://bucket/a.jpg\ns3://bucket/b.jpg\n",
        "odd.txt": "\n".join(map(str, sorted((photos / "odd").iterdir()))),
        "names.txt": b"\n".join(
            sorted(
                os.fsencode(path)
                for path in (photos / "names").iterdir()
                if "\n" not in path.name and "latin" not in path.name
            )
        ),
    }
    for name, content in lists.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)


def _benchmarks(folder: Path, photos: Path, installations: tuple[Installation, ...]) -> None:
    """A short measurement by each installation, and what can be done to one."""
    for one in installations:
        command = [str(one.flowers), "benchmark", str(photos / "sample.jpg"), "--format", "json",
                   "--max_seconds", "0.01", "--min_runs", "1", "--warmup", "0"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(f"{one.flowers} benchmark failed: {done.stderr.decode()}")
        (folder / f"{one.name}.json").write_bytes(done.stdout)
    measured = json.loads((folder / "old.json").read_bytes())
    for name, runs in {
        "steady100": _steady(100), "steady105": _steady(105), "steady130": _steady(130),
        "chance": [[50.0], [60.0], [130.0], [130.0], [60.0], [120.0], [130.0]],
        "few": [[200.0], [200.0]],
    }.items():  # fmt: skip
        document = copy.deepcopy(measured)
        for row in document["rows"]:
            row["samples"]["total"] = runs
        _save(folder / f"{name}.json", document)
    samples = ["rows", 0, "samples", "total"]
    changes: dict[str, tuple[list[Any], Any]] = {
        "cpu": (["environment", "cpu"], "another"),
        "photos": (["photos", "sha256"], "0"),
        "nullphotos": (["photos", "sha256"], None),
        "schema": (["schema"], "9.0"),
        "minor": (["schema"], "1.7"),
        "key": (["rows", 0, "threads"], "1"),
        "rows": (["rows"], [1]),
        "norows": (["rows"], []),
        "other": (["rows", 0, "scenario"], "server"),
        "facts": (["environment"], None),
        "zero": (samples, [[0.0]]),
        "infinite": (samples, [[float("inf")]]),
        "text": (samples, "text"),
        "ragged": (samples, [[1.0], [1.0, 1.0]]),
        "figures": (["rows", 0, "ms"], {}),
        "kind": (["kind"], "another program"),
        "more": (["more"], {"a": 1}),
    }
    for name, (where, value) in changes.items():
        document = copy.deepcopy(measured)
        place = document
        for key in where[:-1]:
            place = place[key]
        place[where[-1]] = value
        _save(folder / f"{name}.json", document)
    (folder / "list.json").write_text("[]")
    (folder / "foreign.json").write_text('{"rows": []}')
    shutil.copyfile(SAMPLE, folder / "photo.json")


def _save(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document))


def _steady(milliseconds: float) -> list[list[float]]:
    """Runs that differ by two percent."""
    return [[milliseconds * (0.99 + 0.02 * index / 19)] for index in range(20)]
