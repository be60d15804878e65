"""``flowers``: the command line's entry, its fast paths and its exit codes.

0    every input was classified (or the reader of our output has seen enough)
1    some inputs failed; the others were printed
2    wrong usage; nothing was done
3    the model can't be loaded
4    the results can't be written
130  interrupted
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Sequence

from flowers_onnx import __version__
from flowers_onnx.errors import FlowersError, OutputError

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Pillow warns of harmless flaws in photos; what matters arrives as an error.
    warnings.filterwarnings("ignore", module="PIL")
    _use_utf8()
    try:
        return _dispatch(words)
    except FlowersError as error:
        say(str(error))
        return error.exit_code
    except BrokenPipeError:
        return _reader_left()
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED


def say(text: str) -> None:
    """One line of talk on stderr; whether anyone listens doesn't matter."""
    with contextlib.suppress(OSError):
        print(f"flowers: {text}", file=sys.stderr)


def _dispatch(words: list[str]) -> int:
    if words == ["--version"]:
        return _print_version()
    from flowers_onnx.arguments import parse

    request = parse(words)
    if request.help is not None:
        print(request.help)
        _flush()
        return 0
    _silence_libraries()
    from flowers_onnx.fire_adapter import run

    code = run(request.argv)
    _flush()
    return code


def _print_version() -> int:
    from flowers_onnx.metadata import find_model, read_info

    print(f"flowers {__version__} (model {read_info(find_model()).id})")
    _flush()
    return 0


def _use_utf8() -> None:
    """The same bytes on every system: UTF-8, and no carriage returns on Windows."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")


def _silence_libraries() -> None:
    """Keep stderr to ourselves: libtiff prints its complaints straight to file descriptor 2.

    What it complains of arrives as an exception too, and is reported as the photo's error.
    """
    if sys.stderr is None:
        return
    sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    _discard(2)


def _flush() -> None:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard(sys.stdout.fileno())  # else the interpreter tries again at exit
        raise OutputError(f"can't write to standard output: {error.strerror}") from error


def _reader_left() -> int:
    """The reader has closed the pipe (``flowers ... | head``): stop, and say nothing."""
    _discard(sys.stdout.fileno())  # else the interpreter writes again at exit, and complains
    return 0


def _discard(descriptor: int) -> None:
    """Let whatever is still written to ``descriptor`` vanish."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
