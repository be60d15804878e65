"""``flowers benchmark``."""

from __future__ import annotations

from flowers_onnx.cli.command import Job


def benchmark(
    *paths: str,
    scenario: str = "cold,single-stream,offline",
    threads: str | None = None,
    model: str | None = None,
    format: str = "table",
    output: str | None = None,
    min_runs: str = "10",
    max_seconds: str = "60",
    precision: str = "2",
    warmup: str = "1",
    compare: str | None = None,
    fail_above: str = "1.10",
    plot: str | None = None,
) -> Job:
    """Measure how long classification takes here, and where the time goes.

    Usage:
      flowers benchmark [PATH...] [--FLAG VALUE ...]

    PATH is a photo, a folder or a pattern; without one, a photo is made up. All values
    of --scenario, --threads and --model are measured with each other, in turns. The run
    ends when every median is known precisely enough, or when its time is up.
    docs/benchmark.md says what each figure includes.

    Flags:
      --scenario LIST    cold: a new process for each photo; single-stream: one photo at a
                         time; offline: all photos at once (cold,single-stream,offline)
      --threads LIST     photos in work at a time, such as 1,2; matters for offline only (the
                         CPUs that this process is allowed)
      --model LIST       ONNX files, such as a.onnx,b.onnx ($FLOWERS_ONNX_MODEL, else the
                         model that ships)
      --format F         table, md, json, jsonl or csv; json keeps every sample (table)
      --output FILE      write the result to FILE, all at once when done (standard output)
      --min_runs N       runs of each, at least (10)
      --max_seconds S    time to measure in all; a run that has begun is finished (60)
      --precision P      enough when the 95 % interval of each median is within P percent
                         of it (2)
      --warmup N         runs of each that are not counted (1)
      --compare OLD      JSON of an earlier run: print ratios, and exit with 1 if slower;
                         OLD,NEW compares two files and measures nothing
      --fail_above R     slower means: a ratio above R whose interval is above 1 (1.10)
      --plot FILE        also draw the latencies, as .png or .svg (needs the extra [plot])
    """
    from flowers_onnx.benchmark.options import parse

    options = parse(
        paths,
        scenario=scenario,
        threads=threads,
        model=model,
        format=format,
        output=output,
        min_runs=min_runs,
        max_seconds=max_seconds,
        precision=precision,
        warmup=warmup,
        compare=compare,
        fail_above=fail_above,
        plot=plot,
    )

    def work() -> int:
        from flowers_onnx.benchmark.run import run

        return run(options)

    return Job(work)
