"""``flowers``: the command line's entry, its fast paths and its exit codes.

0    every input was classified (or the reader of our output has seen enough)
1    some inputs failed; the others were printed
2    wrong usage; nothing was done
3    the model, or a library that runs it, can't be loaded
4    the results can't be written
5    the run stopped before its end, nothing was published
130  interrupted (Ctrl-C); 143 terminated (SIGTERM), 129 hung up (SIGHUP: the terminal is gone)
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import NoReturn

from flowers_onnx import __version__
from flowers_onnx.console import say
from flowers_onnx.errors import FlowersError, ModelError, OutputError, StoppedError
from flowers_onnx.signals import endings

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
HUNG_UP = 128 + 1  # Windows knows no SIGHUP

#: Asks for the traceback of an error that nobody foresaw.
TRACEBACK = "FLOWERS_TRACEBACK"

_STACK_BYTES = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; stdout and stderr are flushed."""
    words = list(sys.argv[1:] if argv is None else argv)
    _prepare_process()
    try:
        return _dispatch(words)
    except ConnectionError:
        return _reader_left()
    except KeyboardInterrupt:
        say("flowers: interrupted")
        return INTERRUPTED
    except SystemExit as stop:  # from a signal
        return stop.code if isinstance(stop.code, int) else 1
    except Exception as error:
        text, code = _told(error)
        say(f"flowers: {text}")
        return code


def _dispatch(words: list[str]) -> int:
    if words in (["--version"], ["-V"]):
        from flowers_onnx.metadata import read_info
        from flowers_onnx.onnx_file import find_model

        return _print(f"flowers {__version__} (model {read_info(find_model()).id})")
    from flowers_onnx.cli.arguments import parse

    request = parse(words)
    if request.help is not None:
        return _print(request.help)
    from flowers_onnx.cli.fire_adapter import route

    job = route(request.argv)
    with _stderr_to_ourselves() if job.mutes_libraries else contextlib.nullcontext():
        code = job.work()
        _flush()
    return code


def _told(error: Exception) -> tuple[str, int]:
    """What to say of an error in one line, and the exit code."""
    if isinstance(error, FlowersError):
        return str(error), error.exit_code
    if os.environ.get(TRACEBACK):
        import traceback

        traceback.print_exception(error)
    lines = [type(error).__name__, *str(error).split("\n")]
    match error:
        case ImportError() | MemoryError():
            # A library can't be loaded: lack of memory has many faces, most told in many lines.
            return f"can't start: {lines[-1]}", ModelError.exit_code
        case RuntimeError() if "new thread" in lines[-1]:
            reason = "the system gives no more threads (ulimit -u, TasksMax=, --pids-limit)"
        case OSError() if error.strerror:
            reason = error.strerror + (f": {error.filename}" if error.filename else "")
        case _:
            reason = f"unexpected {': '.join(lines)}; {TRACEBACK}=1 shows where"
    return f"stopped: {reason}", StoppedError.exit_code


def _print(text: str) -> int:
    try:
        print(text)
    except ConnectionError:
        raise
    except OSError as error:
        raise _unprintable(error) from error
    _flush()
    return 0


def _prepare_process() -> None:
    for descriptor in (0, 1, 2):
        # One that the caller closed would be given to the next file we open, and a library
        # that complains on stderr would write into our results.
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  for good
    # The same bytes on every system: UTF-8, and no carriage returns on Windows.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    # NumPy's linear algebra, unused here, would start a thread a CPU and map 32 MB for each.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Decoders need little, and the usual 8 MB a thread don't fit where addresses are scarce.
    threading.stack_size(_STACK_BYTES)
    # Pillow warns of harmless flaws in photos; what matters arrives as an error.
    warnings.filterwarnings("ignore", module="PIL")
    if threading.current_thread() is threading.main_thread():
        for number in endings():
            signal.signal(number, _terminate)


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    """Leave by way of every ``finally``, so that no half-written file stays behind."""
    for other in endings():
        if other != signal.SIGTERM:  # a terminal that goes sends more than one SIGHUP
            signal.signal(other, signal.SIG_IGN)
    raise SystemExit(TERMINATED if number == signal.SIGTERM else HUNG_UP)


@contextlib.contextmanager
def _stderr_to_ourselves() -> Iterator[None]:
    """Keep libtiff and others from printing their complaints straight to descriptor 2.

    What they complain of arrives as an exception too, and is reported as the photo's error.
    """
    ours, python_stderr = os.dup(2), sys.stderr
    sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
    _discard(2)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.close()
        sys.stderr = python_stderr
        os.dup2(ours, 2)
        os.close(ours)


def _flush() -> None:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except ConnectionError:
        raise
    except OSError as error:
        raise _unprintable(error) from error


def _unprintable(error: OSError) -> OutputError:
    _discard(sys.stdout.fileno())  # else the interpreter tries again at exit
    return OutputError(f"can't write to standard output: {error.strerror}")


def _reader_left() -> int:
    """The reader has closed the pipe (``flowers ... | head``): stop, and say nothing."""
    _discard(sys.stdout.fileno())  # else the interpreter writes again at exit, and complains
    return 0


def _discard(descriptor: int) -> None:
    """Let whatever is still written to ``descriptor`` vanish."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
