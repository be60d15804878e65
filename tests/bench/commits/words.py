"""Help, wrong usage, and the commands that say what there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.commits.masks import BATCH, FIGURES
from bench.commits.steps import Case, step

COMMANDS = ("classify", "stream", "batch", "report", "beam", "benchmark", "labels", "info")

#: A line each; ONE is a photo, OUT a result that could be written.
WRONG = """
classify
clasify ONE
Classify ONE
nonsense
help nonsense
help classify nonsense
version
--version ONE
--verison
-V
classify ONE --version
classify ONE --topk 3
classify ONE --top_k
classify ONE --top_k --format csv
classify ONE --top_k zero
classify ONE --top_k 0
classify ONE --top_k -1
classify ONE --top_k 1.5
classify ONE --top_k ٣
classify ONE --top_k 9999999999999
classify ONE --top_k=
classify ONE --threads 9999
classify ONE --threads 0
classify ONE --max_pixels 0
classify ONE --max_pixels many
classify ONE --format xml
classify ONE --format JSON
classify ONE --lang fr
classify ONE --lang en --lang es
classify ONE --lang en --lang=en
classify ONE -t 3
classify ONE -top_k 3
classify ONE --interactive
classify ONE --out OUT.json
classify ONE --output
classify --format jsonl
classify - -
classify --
labels ONE
labels --lang de
labels --format yaml
labels --threads 1
info __class__
info --format csv
info --format jsonl
info --threads none
info -- --trace
stream ONE
stream --framing lines
stream --workers 0
stream --workers 1025
stream --threads 1
stream --top_k none
stream --lang fr
stream --max_pixels -5
stream --id 3
batch
batch ALBUM
batch --out OUT.csv
batch ALBUM --out OUT.xlsx
batch ALBUM --out OUT
batch ALBUM --out
batch ALBUM --output OUT.csv
batch ALBUM --out OUT.csv --out OUT.csv
batch ALBUM --out OUT.csv --shard 4/4
batch ALBUM --out OUT.csv --shard 1
batch ALBUM --out OUT.csv --shard -1/4
batch ALBUM --out OUT.csv --shard 0/0
batch ALBUM --out OUT.csv --shard a/b
batch ALBUM --out OUT.csv --fetch 0
batch ALBUM --out OUT.csv --fetch 257
batch ALBUM --out OUT.csv --max_errors -1
batch ALBUM --out OUT.csv --max_errors some
batch ALBUM --out OUT.csv --retry_errors=no
batch ALBUM --out OUT.csv --retry-error
batch ALBUM --out OUT.csv --log_format xml
batch ALBUM --out OUT.csv --log-format xml
batch ALBUM --out OUT.csv --journal OUT.csv
batch ALBUM --out OUT.csv --journal /dev/null
batch ALBUM --out OUT.csv --journal
batch ALBUM --out OUT.csv --lang fr
batch ALBUM --out OUT.csv --top_k 0
batch ALBUM --out OUT.csv --threads 2000
batch ALBUM --out OUT.csv --from_ list.txt
batch ALBUM EMPTY --out OUT.csv
batch EMPTY --out OUT.csv
batch none --out OUT.csv
batch none*.jpg --out OUT.csv
batch ALBUM none --out OUT.csv
batch - --out OUT.csv
batch --from none.txt --out OUT.csv
batch --from EMPTY --out OUT.csv
batch gs://bucket/ --out OUT.csv
batch s3://bucket/ --out OUT.csv
batch gs:// --out OUT.csv
batch ftp://bucket/ --out OUT.csv
batch https://example.org/a.jpg --out OUT.csv
batch ALBUM --out gs://bucket/r.csv
batch ALBUM --out s3://bucket/r.jsonl
batch ALBUM --out ftp://bucket/r.csv
batch ALBUM --out bigquery://project.dataset.table
batch ALBUM --out bigquery://dataset.table
batch ALBUM --out OUT.csv --journal gs://bucket/journal
batch ALBUM --out OUT.csv --journal s3://bucket/journal
report
report --out report.html
report none.jsonl
report none.csv --out report.html
report none.parquet
report none.sqlite
report ONE
report none.txt
report none
report a.jsonl --lang la
report a.jsonl --max_photos 0
report a.jsonl --output report.html
report a.jsonl --format html
report EMPTY
report gs://bucket/a.jsonl
report s3://bucket/a.csv
report ftp://host/a.jsonl
beam
beam ALBUM
beam --out OUT.jsonl
beam ALBUM --out OUT.csv
beam ALBUM --out OUT.jsonl
beam ALBUM --out OUT.parquet --dead_letter OUT.parquet
beam ALBUM --out OUT.parquet --dead_letter OUT.txt
beam ALBUM --out bigquery://p.d
beam ALBUM --out bigquery://p.d.t
beam ALBUM --out bigquery://p.d.t --dead_letter bigquery://p.d.t
beam ALBUM --out OUT.jsonl --top_k 0
beam ALBUM --out OUT.jsonl --lang xx
beam ALBUM --out OUT.jsonl --max_pixels 1e6
beam ALBUM --out OUT.jsonl --runner DirectRunner
beam ALBUM --out OUT.jsonl -- --runner DirectRunner
beam -- --runner DirectRunner
beam ALBUM --format jsonl --out OUT.jsonl
benchmark -
benchmark none.jpg --scenario cold
benchmark EMPTY --scenario cold
benchmark ONE --scenario hot
benchmark ONE --scenario cold,hot
benchmark ONE --threads 0
benchmark ONE --threads 1,
benchmark ONE --threads 1,two
benchmark ONE --min_runs 0
benchmark ONE --max_seconds 0
benchmark ONE --max_seconds inf
benchmark ONE --max_seconds long
benchmark ONE --precision 0%
benchmark ONE --precision -2
benchmark ONE --warmup -1
benchmark ONE --format text
benchmark ONE --fail_above none
benchmark ONE --fail_above 0
benchmark ONE --compare none.json
benchmark ONE --compare a.json,b.json
benchmark --compare a.json,b.json,c.json
benchmark --compare none.json,none.json
benchmark --compare
benchmark ONE --plot plot.gif
benchmark ONE --plot ONE
benchmark ONE --plot none/plot.svg
benchmark ONE --plot plot.svg --max_seconds 0.01
benchmark ONE --model none.onnx --scenario cold
benchmark ONE --interactive
"""


def cases(inputs: Path) -> Iterator[Case]:
    yield from _help()
    yield from _wrong(inputs)
    yield from _models(inputs)
    yield from _benchmarks(inputs)


def _help() -> Iterator[Case]:
    for words in ("--help", "-h", "help", "--version", ""):
        yield Case(f"help {words}", (step(*words.split()),))
    for command in COMMANDS:
        yield Case(
            f"help of {command}",
            (step(command, "--help"), step(command, "x.jpg", "-h"), step("help", command),
             step("--help", command), step("-h", command), step(command, "--nonsense", "--help"),
             step(command, "--unknown", "3"), step(command, "-u"), step(command, "--", "--help")),
        )  # fmt: skip
    yield Case("module", (step("--version", python=()), step("--help", python=())))
    yield Case("optimised", (step("--version", python=("-OO",)), step("--help", python=("-OO",)),
                             step("classify", "--help", python=("-OO",))))  # fmt: skip


def _wrong(inputs: Path) -> Iterator[Case]:
    places = {"ONE": inputs / "sample.jpg", "ALBUM": inputs / "album", "EMPTY": inputs / "empty"}
    for line in WRONG.split("\n")[1:-1]:
        words = [places.get(word, word.replace("OUT", "r")) for word in line.split(" ")]
        yield Case(f"wrong {line}", (step(*words),))
    blank = ("classify", ""), ("labels", "--lang", ""), ("batch", "", "--out", "r.csv")
    for number, odd in enumerate((*blank, ("",), ("report", ""), ("classify", b"--\xff", "3"))):
        yield Case(f"wrong, blank {number}", (step(*odd),))


def _models(inputs: Path) -> Iterator[Case]:
    for lang in ("en", "es", "la"):
        formats = ("text", "json", "jsonl", "csv")
        yield Case(
            f"labels {lang}", tuple(step("labels", "--lang", lang, "--format", f) for f in formats)
        )
    ours = inputs / "models" / "flowers.onnx"
    yield Case(
        "info",
        (step("info"), step("info", "--format", "json"), step("info", "--threads", "7"),
         step("info", "--model", ours), step("info", "--model", ours, "--format=json"),
         step("info", env={"FLOWERS_ONNX_MODEL": str(ours)}),
         step("labels", "--model", ours), step("--version", env={"FLOWERS_ONNX_MODEL": str(ours)})),
    )  # fmt: skip
    photo = inputs / "sample.jpg"
    for name in ("text.onnx", "empty.onnx", "cut.onnx", "torn.onnx", "none.onnx", "../empty"):
        bad = inputs / "models" / name
        env = {"FLOWERS_ONNX_MODEL": str(bad)}
        yield Case(
            f"model {name}",
            (step("classify", photo, "--model", bad), step("labels", "--model", bad),
             step("info", "--model", bad), step("stream", "--model", bad),
             step("batch", photo, "--out", "r.csv", "--log_format", "json", env=env),
             step("--version", env=env)),
            (BATCH,),
        )  # fmt: skip


def _benchmarks(inputs: Path) -> Iterator[Case]:
    saved = inputs / "bench"

    def files(old: str, new: str) -> str:
        return f"{saved / old}.json,{saved / new}.json"

    for form in ("table", "md", "json", "jsonl", "csv"):
        yield Case(
            f"benchmark --compare {form}",
            (step("benchmark", "--compare", files("steady100", "steady130"), "--format", form),
             step("benchmark", "--compare", files("old", "new"), "--format", form,
                  "--output", "out.txt")),
        )  # fmt: skip
    for new in ("steady105", "chance", "few", "steady100"):
        pair = files("steady100", new)
        steps = [step("benchmark", "--compare", pair, "--fail_above", r) for r in ("1.01", "1.5")]
        yield Case(f"benchmark --compare {new}", tuple(steps))
    for odd in sorted(path.stem for path in saved.glob("*.json")):
        yield Case(
            f"benchmark --compare odd {odd}",
            (step("benchmark", "--compare", files(odd, "old"), "--format", "csv"),),
        )
    quick = ("--max_seconds", "0.01", "--min_runs", "1", "--warmup", "0", "--format", "json")
    yield Case(
        "benchmark measured",
        (step("benchmark", inputs / "sample.jpg", *quick, "--threads", "1,2"),
         step("benchmark", "--scenario", "single-stream", *quick, "--output", "out.json")),
        (FIGURES,),
    )  # fmt: skip
