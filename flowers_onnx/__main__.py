"""``python -m flowers_onnx`` is the ``flowers`` command."""

from flowers_onnx.cli import entry

if __name__ == "__main__":
    entry()
