"""The ``flowers`` command, also as ``python -m flowers_onnx``.

Other programs ask for the version before anything else, often with a deadline: that answer
comes before any import that takes time.
"""

from __future__ import annotations

import os
import sys

from flowers_onnx import __version__

TYPE_CHECKING = False  # not typing's: see `flowers_onnx/__init__.py`
if TYPE_CHECKING:
    from typing import NoReturn


def entry() -> NoReturn:
    """The console script: do what the command line says, then leave at once.

    Tearing down the interpreter takes as long as classifying a photo, and would wait for a
    thread that still reads from a pipe nobody writes to. All output has been flushed.
    """
    if sys.argv[1:2] == ["__probe__"]:  # of a benchmark in a frozen program
        from flowers_onnx.cli.probe import main as probe

        probe(sys.argv[2:])
    if sys.argv[1:] == ["--version"] and _print_version():
        os._exit(0)
    from flowers_onnx.cli.main import main

    os._exit(main())


def _print_version() -> bool:
    from flowers_onnx.onnx_file import find_model, read_properties

    try:
        model = read_properties(find_model())
        print(f"flowers {__version__} (model {model['model_name']}/{model['model_version']})")
        sys.stdout.flush()
    except Exception:  # the whole program knows how to tell what is wrong
        return False
    return True


if __name__ == "__main__":
    entry()
