"""``python -m flowers_onnx`` is the ``flowers`` command."""

import sys

from flowers_onnx.cli import main

if __name__ == "__main__":
    sys.exit(main())
