"""``flowers serve``."""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from typing import Annotated

from flowers_onnx.cli import flags
from flowers_onnx.cli.command import Flag, Job
from flowers_onnx.errors import UsageError
from flowers_onnx.extras import missing_extra
from flowers_onnx.image_formats import MAX_BYTES, MAX_PIXELS
from flowers_onnx.results import Query
from flowers_onnx.serve.options import MAX_BODY, Options
from flowers_onnx.storage.uris import local_path

#: What [serve] brings.
_PACKAGES = ("httptools", "prometheus_client", "python_multipart", "starlette", "uvicorn")
#: Requests a second: one in a day, and more than any machine answers.
_LEAST_RATE, _MOST_RATE = 1e-5, 1e6


def _email(flag: str, text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise UsageError(f"--{flag} needs addresses such as ana@example.com, not {text!r}")
    return text


def _origin(flag: str, text: str) -> str:
    if text != "*" and not re.fullmatch(r"https?://[^/?#@\s]+", text):
        raise UsageError(
            f"--{flag} needs * or origins such as https://app.example, with no path; not {text!r}"
        )
    return text


def _place(_flag: str, text: str) -> str:
    """Rows and spools name it, and are read wherever somebody is: no path is relative."""
    return os.path.abspath(text) if local_path(text) == text else text


def _rate(flag: str, text: str) -> float:
    rate = flags.positive(flag, text)
    if not _LEAST_RATE <= rate <= _MOST_RATE:
        raise UsageError(f"--{flag} needs a number from {_LEAST_RATE} to {_MOST_RATE}")
    return float(rate)


def serve(
    *,
    host: Annotated[
        str, Flag("ADDRESS", "address to listen on (127.0.0.1); 0.0.0.0 for all of the machine")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        Flag("N", "port to listen on ($PORT, else 8080)", flags.count(least=0, most=65535)),
    ] = None,
    auth: Annotated[
        str | None,
        Flag(
            "HOW",
            "who may ask: keys, iam (Google's identity tokens) or none (keys where there is "
            "--keys, else none; but for none beyond this machine you have to say it)",
            flags.choice("keys", "iam", "none"),
        ),
    ] = None,
    keys: flags.Keys = None,
    audience: Annotated[
        str | None, Flag("URL", "with --auth iam: what the tokens were made for")
    ] = None,
    emails: Annotated[
        tuple[str, ...],
        Flag("A,B", "with --auth iam: the accounts that may ask", flags.listed(_email)),
    ] = (),
    rate: Annotated[
        float | None, Flag("R", "requests a second for each key (no limit)", _rate)
    ] = None,
    keep: Annotated[
        str | None, Flag("PLACE", "keep each photo in this folder or bucket (nowhere)", _place)
    ] = None,
    trace: Annotated[
        str | None,
        Flag(
            "PLACE",
            "keep a row for each photo and request in this folder or bucket (nowhere)",
            _place,
        ),
    ] = None,
    durability: Annotated[
        str | None,
        Flag(
            "D",
            "what holds before a client has its answer: strict (all is in PLACE), spool (all is "
            "on this disk) or best-effort (strict on Cloud Run, else spool)",
            flags.choice("strict", "spool", "best-effort"),
        ),
    ] = None,
    spool: Annotated[
        str | None,
        Flag("FILE", "where the spool is ($STATE_DIRECTORY, else the user's own state folder)"),
    ] = None,
    spool_bytes: Annotated[
        int, Flag("N", f"most bytes in the spool ({1 << 30})", flags.count(least=1 << 20))
    ] = 1 << 30,
    keep_exif: Annotated[
        bool, Flag("", "keep the photos' metadata too, such as where they were taken")
    ] = False,
    client_address: Annotated[
        bool, Flag("", "keep the clients' addresses in the log and in the rows")
    ] = False,
    fresh: Annotated[
        str | None,
        Flag("TABLE", "rows into bigquery://project.dataset.table at once, some maybe twice"),
    ] = None,
    slots: Annotated[
        int | None,
        Flag(
            "N",
            "photos in work at a time (the CPUs that this process is allowed)",
            flags.thread_count,
        ),
    ] = None,
    queue: Annotated[
        int | None,
        Flag(
            "N",
            "requests that may wait for a slot (one and a half times the slots)",
            flags.count(least=0),
        ),
    ] = None,
    max_body: Annotated[
        int,
        Flag("N", f"most bytes of a request ({MAX_BODY})", flags.count(most=MAX_BYTES)),
    ] = MAX_BODY,
    max_files: Annotated[int, Flag("N", "most files of a form (32)", flags.count(most=1000))] = 32,
    max_pixels: flags.MaxPixels = MAX_PIXELS,
    cors: Annotated[
        tuple[str, ...],
        Flag(
            "A,B", "origins whose pages may ask, such as https://app.example", flags.listed(_origin)
        ),
    ] = (),
    top_k: flags.TopK = 5,
    lang: flags.Lang = "en",
    min_confidence: flags.MinConfidence = None,
    log_format: Annotated[
        str | None,
        Flag(
            "F",
            "json for log collectors, or text (text on a terminal, else json)",
            flags.choice("text", "json"),
        ),
    ] = None,
    model: flags.Model = None,
) -> Job:
    """Answer over HTTP: an endpoint for programs and a page for people.

    Usage:
      flowers serve [--FLAG VALUE ...]

    POST a photo to /v1/classify and get its result record; / is a page that does so. With
    --keep and --trace each photo and each answer is kept before the client has its answer.
    /livez, /readyz and /metrics are for who runs it; /openapi.json describes all. SIGTERM
    lets it finish what it has accepted: exit code 0. docs/serving.md tells more.

    Flags:
    {flags}
    """
    options = Options(
        host=host,
        port=_port() if port is None else port,
        auth=_auth(auth, keys, host),
        keys=keys,
        audience=audience,
        emails=emails,
        rate=rate,
        slots=slots,
        queue=queue,
        max_body=max_body,
        max_files=max_files,
        max_pixels=max_pixels,
        query=Query(top_k, lang, min_confidence),
        model=model,
        keep=keep,
        trace=trace,
        durability=durability,
        spool=spool,
        spool_bytes=spool_bytes,
        keep_exif=keep_exif,
        client_address=client_address,
        fresh=fresh,
        cors=cors,
        log_format=log_format or ("text" if sys.stderr.isatty() else "json"),
    )

    def work() -> int:
        if None in map(find_spec, _PACKAGES):
            raise missing_extra("serve", "flowers serve")
        from flowers_onnx.machine import share_one_heap
        from flowers_onnx.serve.run import run

        share_one_heap()
        return run(options)

    return Job(work, mutes_libraries=False)


def _port() -> int:
    text = os.environ.get("PORT") or "8080"
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise UsageError(
            f"PORT in the environment is no port: {text[:20]!r}; set it to one, or give --port"
        )
    return int(text)


def _auth(auth: str | None, keys: str | None, host: str) -> str:
    if auth is not None:
        return auth
    from flowers_onnx.serve.keys.auth import is_loopback
    from flowers_onnx.serve.keys.place import chosen_place

    if chosen_place(keys):
        return "keys"
    if is_loopback(host):
        return "none"
    raise UsageError(
        f"serve on {host} needs --auth keys, iam or none: who may ask? (see flowers keys)"
    )
