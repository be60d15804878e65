"""From an image file to the network's input.

``decoding`` is the way of every photo; ``memory`` says what may be decoded at one time, ``jpeg``
what a decoder would make of a file, ``orientation`` how it is turned, ``told`` what a file says
and Pillow forgets, ``square`` makes of its modes and sizes what the network takes. ``tiff``,
``heic`` and ``colour`` are imported for photos that need them.
"""

from __future__ import annotations

from flowers_onnx.pixels.decoding import Decoded, Pixels, decode, prepare
from flowers_onnx.pixels.orientation import orientation_of
from flowers_onnx.pixels.square import crop_and_resize

__all__ = ["Decoded", "Pixels", "crop_and_resize", "decode", "orientation_of", "prepare"]
