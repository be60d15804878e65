"""From an image file to the network's input.

``decoding`` is the way of every photo. A ``reader`` opens it: those of the formats, in modules of
their names, know their variants, what each takes, and what is left to try when something beside
the pixels is broken. ``memory`` says what may be decoded at one time, ``orientation`` how a
photo is turned, ``told`` what a file says and Pillow forgets; ``reduction``, ``square`` and
``colour`` make of its modes, sizes and profiles what the network takes.
"""

from __future__ import annotations

from flowers_onnx.pixels.decoding import Decoded, Pixels, decode, prepare
from flowers_onnx.pixels.orientation import orientation_of
from flowers_onnx.pixels.square import crop_and_resize

__all__ = ["Decoded", "Pixels", "crop_and_resize", "decode", "orientation_of", "prepare"]
