"""The most memory that ``flowers classify`` takes for one large photo, a row a kind of file.

    python tests/bench/memory.py [--only PNG] [--max_pixels N] [--folder /tmp/pictures]

The pictures are drawn here: a field of colours with a little noise, so that files are as large as a
camera's. Each is given to a new process, whose peak the system counts (``VmHWM``, Linux only).
``most`` is what the docs promise. Exits with 1 if a row is above it or has no answer.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import fire
import numpy as np
from PIL import Image

PHONE, CAMERA, LARGE = (4032, 3024), (6240, 4160), (8160, 6144)
#: In megabytes of 2^20 bytes; the second is the promise for what a decoder can reduce.
MOST, REDUCED, PALETTE = 320, 100, 300

#: What the child does: run the command, then say what its own peak was.
PROGRAM = """
import sys
from flowers_onnx.cli.main import main
code = main(sys.argv[1:])
sys.stdout.flush()
with open("/proc/self/status") as status:
    print(next(line for line in status if line.startswith("VmHWM:")).split()[1], file=sys.stderr)
sys.exit(code)
"""


class Case(NamedTuple):
    """A file to be written, and the most that it may take."""

    name: str
    suffix: str
    write: Callable[[Path], None]
    most: int = MOST


def picture(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """A field of colours with a little noise."""
    width, height = size
    noise = np.random.default_rng(1).integers(-6, 6, (256, 256), np.int16)
    noise = np.tile(noise, (height // 256 + 1, width // 256 + 1))[:height, :width]
    x = (np.arange(width) * 255 // width).astype(np.int16)[None, :]
    y = (np.arange(height) * 255 // height).astype(np.int16)[:, None]
    bands = [x + noise, y + noise, 255 - x + noise, y + 0 * x]
    if mode == "I;16":
        return Image.fromarray(bands[0].clip(0, 255).astype(np.uint16) * 257)
    if mode in {"P", "L"}:
        grey = Image.fromarray(bands[0].clip(0, 255).astype(np.uint8))
        if mode == "P":
            grey.putpalette([value for i in range(256) for value in (i, 255 - i, i // 2)])
        return grey
    count = len(Image.new(mode, (1, 1)).getbands())
    return Image.merge(
        mode, [Image.fromarray(band.clip(0, 255).astype(np.uint8)) for band in bands[:count]]
    )


def saved(size: tuple[int, int], mode: str = "RGB", **options: Any) -> Callable[[Path], None]:
    """What writes such a picture."""
    return lambda path: picture(size, mode).save(path, **options)


def with_mpf(size: tuple[int, int]) -> Callable[[Path], None]:
    """A baseline JPEG with a second, small one behind it, as cameras write them."""

    def write(path: Path) -> None:
        picture((640, 480)).save(path, "JPEG")
        second = path.read_bytes()
        picture(size).save(path, "JPEG", quality=90)
        first = path.read_bytes()
        entries = struct.pack(">LLLHH", 0x030000, len(first), 0, 0, 0)
        entries += struct.pack(">LLLHH", 0, len(second), len(first), 0, 0)
        ifd = struct.pack(">H", 3)
        ifd += struct.pack(">HHL4s", 0xB000, 7, 4, b"0100")
        ifd += struct.pack(">HHLL", 0xB001, 4, 1, 2)
        ifd += struct.pack(">HHLL", 0xB002, 7, len(entries), 8 + 2 + 36 + 4)
        body = b"MPF\0MM\0*" + struct.pack(">L", 8) + ifd + bytes(4) + entries
        segment = b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body
        path.write_bytes(first[:2] + segment + first[2:] + second)

    return write


_jpeg = partial(saved, format="JPEG", quality=90)
_png = partial(saved, format="PNG", compress_level=1)
CASES = [
    Case("JPEG 12 MP", "jpg", _jpeg(PHONE), REDUCED),
    Case("JPEG 50 MP, two pictures (MPF)", "jpg", with_mpf(LARGE), REDUCED),
    Case("JPEG 26 MP progressive 4:2:0", "jpg", _jpeg(CAMERA, progressive=True)),
    Case("JPEG 26 MP progressive 4:4:4", "jpg", _jpeg(CAMERA, progressive=True, subsampling=0)),
    Case("JPEG 26 MP progressive CMYK", "jpg", _jpeg(CAMERA, "CMYK", progressive=True)),
    Case("JPEG 50 MP progressive 4:2:0", "jpg", _jpeg(LARGE, progressive=True)),
    Case("WebP 12 MP", "webp", saved(PHONE, quality=80, method=0)),
    Case("WebP 12 MP transparent", "webp", saved(PHONE, "RGBA", quality=80, method=0)),
    Case("WebP 12 MP lossless", "webp", saved(PHONE, lossless=True, quality=0, method=0)),
    Case("AVIF 12 MP", "avif", saved(PHONE, quality=75, speed=10)),
    Case("AVIF 12 MP 4:4:4", "avif", saved(PHONE, quality=75, speed=10, subsampling="4:4:4")),
    Case("AVIF 12 MP transparent", "avif", saved(PHONE, "RGBA", quality=75, speed=10)),
    Case("PNG 26 MP RGB", "png", _png(CAMERA)),
    Case("PNG 26 MP RGBA", "png", _png(CAMERA, "RGBA")),
    Case("PNG 26 MP grey, 16 bits", "png", _png(CAMERA, "I;16")),
    Case("PNG 26 MP palette", "png", _png(CAMERA, "P")),
    Case("PNG 24 MP palette, transparent", "png",
         _png((6000, 4000), "P", transparency=bytes(range(256))), PALETTE),
    Case("TIFF 26 MP Deflate", "tif", saved(CAMERA, compression="tiff_deflate")),
    Case("TIFF 26 MP Deflate, one strip", "tif",
         saved(CAMERA, compression="tiff_deflate", strip_size=1 << 30)),
    Case("TIFF 26 MP raw", "tif", saved(CAMERA)),
    Case("BMP 26 MP", "bmp", saved(CAMERA)),
    Case("GIF 26 MP", "gif", saved(CAMERA, "P")),
    Case("GIF 26 MP transparent", "gif", saved(CAMERA, "P", transparency=3)),
]  # fmt: skip


def main(only: str = "", max_pixels: int = 0, folder: str = "") -> None:
    """Print a row a case: the file's megabytes, the peak, what is promised, the answer."""
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(folder or temporary)
        home.mkdir(exist_ok=True)
        print(f"{'':<34} file  peak  most MB")
        for number, case in enumerate(CASES):
            if only.lower() not in case.name.lower():
                continue
            path = home / f"{number:02}.{case.suffix}"
            if not path.exists():
                case.write(path)
            flags = ["--max_pixels", str(max_pixels)] if max_pixels else []
            peak, answer = measured(path, flags)
            bad = peak > case.most or answer.startswith("!")
            failed |= bad
            size = path.stat().st_size / (1 << 20)
            print(f"{case.name:<34}{size:5.0f}{peak:6.0f}{case.most:6} {answer}{' <--' * bad}")
            if not folder:
                path.unlink()
    sys.exit(1 if failed else 0)


def measured(path: Path, flags: list[str]) -> tuple[float, str]:
    """The peak in MB of a new process for this photo, and its label, or ``!`` and the error."""
    command = [sys.executable, "-c", PROGRAM, "classify", str(path), "--format", "jsonl", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    record = json.loads(done.stdout)
    error = record["error"]
    label = f"!{error['code']}: {error['message']}" if error else record["label"]
    return int(done.stderr.split()[-1]) / 1024, label


if __name__ == "__main__":
    fire.Fire(main)
