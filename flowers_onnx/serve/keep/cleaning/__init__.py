"""What is not the picture taken out of an image file, a module a format.

Each has ``clean(data) -> bytes``: nothing is decoded and nothing is compressed again. What decides
on pixels, colours and orientation stays; all else goes, known or not: each module names what
it keeps. Each raises ``CannotCleanError`` for a file of which it can't tell what is what, or what
Python raises for one that ends, or points, where it can't.
"""

from __future__ import annotations

from flowers_onnx.errors import FlowersError


class CannotCleanError(FlowersError):
    """A file that can't be rid of what it says beside its picture: keep none of it."""
