"""``flowers similar``: the photos of an index that look most like others.

>>> from flowers_onnx.similar import Index
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowers_onnx.index.index import Index

__all__ = ["Index"]


def __getattr__(name: str) -> Any:
    # On first use: who types a wrong flag doesn't wait for NumPy.
    if name != "Index":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from flowers_onnx.index.index import Index

    return Index
