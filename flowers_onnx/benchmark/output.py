"""The result as a table for people, Markdown, JSON, JSON Lines or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from string import ascii_uppercase
from typing import TextIO

from flowers_onnx.benchmark.document import QUANTILES, STAGES, Document, Row, RowComparison
from flowers_onnx.benchmark.tables import Table, aligned, histogram, markdown, wrapped
from flowers_onnx.environment import MACHINE_FACTS

_LABELS = ("scenario", "threads", "model")


def write(format: str, result: Document, stream: TextIO) -> None:
    """Write ``result`` to ``stream``; ``format`` is one of ``--format``'s."""
    match format:
        case "json":
            stream.write(json.dumps(result, ensure_ascii=False, allow_nan=False) + "\n")
        case "jsonl":
            stream.writelines(
                json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
                for line in _records(result)
            )
        case "csv":
            rows = [_flat(result, row) for row in result["rows"]]
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        case "md":
            stream.write(_markdown(result))
        case _:
            stream.write(_text(result))


def _records(result: Document) -> Iterator[dict[str, object]]:
    """One record a row, each complete in itself, without samples."""
    shared = {key: value for key, value in result.items() if key not in ("rows", "comparison")}
    for row in result["rows"]:
        yield shared | {key: value for key, value in row.items() if key != "samples"}


def _flat(result: Document, row: Row) -> dict[str, object]:
    """The columns of CSV, the same for every scenario; times are in ms."""
    facts, stages, comparison = result["environment"], row["ms"], row["comparison"]
    total = stages["total"]
    low, high = total["ci95"] or (None, None)
    ratio_low, ratio_high = (comparison and comparison["ci95"]) or (None, None)
    return {
        "schema": result["schema"],
        "date": result["date"],
        "program": result["program"],
        "scenario": row["scenario"],
        "threads": row["threads"],
        "model": row["model"]["name"],
        "model_sha256": row["model"]["sha256"],
        "photos": result["photos"]["count"],
        "photos_sha256": result["photos"]["sha256"],
        "runs": row["runs"],
        "count": total["count"],
        "mean": total["mean"],
        "stdev": total["stdev"],
        "min": total["min"],
        "p50": total["p50"],
        "p50_low": low,
        "p50_high": high,
        "p90": total["p90"],
        "p99": total["p99"],
        "max": total["max"],
        "outliers": total["outliers"],
        **{
            f"{name}_p50": stages[name]["p50"] if name in stages else None
            for name in ("cpu", *STAGES)
        },
        "photos_per_second": row["photos_per_second"],
        "peak_rss_mib": row["peak_rss_mib"],
        "ratio": comparison and comparison["ratio"],
        "ratio_low": ratio_low,
        "ratio_high": ratio_high,
        "slower": comparison and comparison["slower"],
        **{name: facts.get(name) for name in MACHINE_FACTS},
        "load_average": facts["load_average"]["start"],
        "warnings": "; ".join(result["warnings"]),
    }


def _text(result: Document) -> str:
    rows = result["rows"]
    threads = dict.fromkeys(str(row["threads"]) for row in rows)
    models = dict.fromkeys(row["model"]["name"] for row in rows)
    letters = dict(zip(models, ascii_uppercase, strict=False)) if len(models) > 1 else {}
    # What all rows have in common, and names that are long, are told once.
    facts = [
        *_facts(result),
        *(f"threads: {one}" for one in threads if len(threads) == 1),
        *(f"model: {one}" for one in models if not letters),
        *(f"model {letter}: {one}" for one, letter in letters.items()),
    ]
    names = {"model": letters, **({"threads": {}} if len(threads) == 1 else {})}
    parts = [
        "\n".join(map(wrapped, facts)),
        *(aligned(table.relabelled(names)) for table in _tables(result)),
        "\n".join(map(wrapped, _notes(result))),
        *(f"{wrapped(f'{_name(row)}, total in ms')}\n{_histogram(row)}" for row in rows),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown(result: Document) -> str:
    parts = [
        "\n".join(f"- {fact}" for fact in _facts(result)),
        *(markdown(table) for table in _tables(result)),
        "\n".join(f"- {note}" for note in _notes(result)),
        *(
            f"{_name(row)}, total in ms:\n\n```text\n{_histogram(row)}\n```"
            for row in result["rows"]
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(result: Document) -> list[str]:
    facts, photos = result["environment"], result["photos"]
    settings = result["settings"]
    ends = {
        "precision": f"every median is known to within {settings['precision']:.2%}",
        "time": f"{settings['max_seconds']:g} s were up",
    }
    size = photos["bytes"] / photos["count"] / 1024
    versions = f"onnxruntime {facts['onnxruntime']}, Python {facts['python']}"
    cpus = f"{facts['cpu']}, {facts['cpus_allowed']} of {facts['cpus']} CPUs allowed"
    return [
        f"flowers {result['program']}, {versions}, {facts['platform']}",
        f"{cpus}, {result['date']}",
        f"photos: {photos['count']}, {size:.0f} KiB each, {photos['source']}",
        f"ended when {ends[result['stopped_by']]}, after {_runs(result['rows'])} of each",
    ]


def _runs(rows: list[Row]) -> str:
    least, most = (pick((row["runs"] for row in rows), default=0) for pick in (min, max))
    return f"{least} to {most} runs" if least < most else f"{most} run{'s' if most > 1 else ''}"


def _tables(result: Document) -> Iterator[Table]:
    rows = result["rows"]
    yield Table(
        _LABELS,
        ("p50 ms", "95 %", *QUANTILES[1:], "CPU ms", "outliers", "MiB", "photos/s"),
        [(_labels(row), _totals(row)) for row in rows],
    )
    for names in dict.fromkeys(tuple(_stage_names(row)) for row in rows):
        if names:
            yield Table(
                ("median ms", *_LABELS[1:]),
                names,
                [
                    (_labels(row), tuple(_number(row["ms"][name]["p50"]) for name in names))
                    for row in rows
                    if tuple(_stage_names(row)) == names
                ],
            )
    if result["comparison"]:
        yield Table(
            ("new / old", *_LABELS[1:]),
            ("ratio", "95 % from", "to", "slower"),
            [(_labels(row), _ratio(row["comparison"])) for row in rows if row["comparison"]],
        )


def _labels(row: Row) -> tuple[str, ...]:
    return row["scenario"], str(row["threads"]), row["model"]["name"]


def _name(row: Row) -> str:
    return " ".join(_labels(row))


def _totals(row: Row) -> tuple[str, ...]:
    total, interval = row["ms"]["total"], row["ms"]["total"]["ci95"]
    cpu = row["ms"].get("cpu")
    return (
        _number(total["p50"]),
        f"±{(interval[1] - interval[0]) / 2 / total['p50']:.1%}" if interval else "",
        *(_number(total[name]) for name in QUANTILES[1:]),
        _number(cpu["p50"]) if cpu else "",
        str(total["outliers"]),
        f"{row['peak_rss_mib']:.0f}" if row["peak_rss_mib"] else "",
        f"{row['photos_per_second']:.1f}" if row["photos_per_second"] else "",
    )


def _stage_names(row: Row) -> Iterator[str]:
    return (name for name in STAGES if name in row["ms"])


def _ratio(comparison: RowComparison) -> tuple[str, ...]:
    low, high = comparison["ci95"] or (None, None)
    return (
        f"{comparison['ratio']:.3f}",
        f"{low:.3f}" if low is not None else "",
        f"{high:.3f}" if high is not None else "",
        "yes" if comparison["slower"] else "no",
    )


def _notes(result: Document) -> Iterator[str]:
    excluded = {row["scenario"]: row["not_included"] for row in result["rows"]}
    yield from (f"{scenario} leaves out: {text}" for scenario, text in excluded.items())
    for row in result["rows"]:
        if row["scenario"] == "single-stream":
            first = row["first_ms"]
            yield (
                f"{_name(row)}: model load {_number(first['load'])} ms, "
                f"first inference {_number(first['inference'])} ms"
            )
    yield from (f"warning: {warning}" for warning in result["warnings"])
    if result["comparison"]:
        yield from (f"compare with care: {caveat}" for caveat in result["comparison"]["caveats"])


def _histogram(row: Row) -> str:
    return histogram([sample for run in row["samples"]["total"] for sample in run])


def _number(milliseconds: float) -> str:
    """With about three digits that mean something."""
    return f"{milliseconds:.1f}" if milliseconds >= 10 else f"{milliseconds:.2f}"
