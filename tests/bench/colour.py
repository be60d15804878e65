"""What photos of other colour spaces are called, with their profile heeded and without it.

    python tests/bench/colour.py photos/ --cmyk=/usr/share/color/icc/ghostscript/default_cmyk.icc

Each photo is converted from sRGB by Little CMS, saved as JPEG with the profile and without it,
and classified. Printed is the share that keeps the label that the plain photo has.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import fire
from PIL import Image, ImageCms

sys.path.insert(0, str(Path(__file__).parents[1]))
import icc

from flowers_onnx import Classifier, Failure

SPACES = {
    "Display P3": icc.P3,
    "Adobe RGB": icc.ADOBE,
    "ProPhoto": icc.PROPHOTO,
    "linear": icc.LINEAR,
}


def main(folder: str, count: int = 300, cmyk: str | None = None) -> None:
    """Print a row for each colour space."""
    spaces = dict(SPACES)
    if cmyk:
        spaces["CMYK"] = Path(cmyk).read_bytes()
    paths = sorted(path for path in Path(folder).rglob("*.jpg"))
    paths = paths[:: max(1, len(paths) // count)][:count]
    classifier = Classifier()
    kept = {name: [0, 0] for name in spaces}
    for path in paths:
        with Image.open(path) as photo:
            plain = photo.convert("RGB")
        wanted = label(classifier, encoded(plain))
        for name, profile in spaces.items():
            mode = "CMYK" if name == "CMYK" else "RGB"
            other = ImageCms.profileToProfile(
                plain,
                ImageCms.createProfile("sRGB"),
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                outputMode=mode,
            )
            if other is None:
                raise SystemExit(f"colour.py: {name} can't be made")
            kept[name][0] += label(classifier, encoded(other)) == wanted
            kept[name][1] += label(classifier, encoded(other, icc_profile=profile)) == wanted
    print(f"{len(paths)} photos of {folder}\n")
    print("| photo | profile ignored | profile heeded |\n|---|---|---|")
    for name, (without, heeded) in kept.items():
        print(f"| {name} | {without / len(paths):.1%} | {heeded / len(paths):.1%} |")


def encoded(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.info.pop("icc_profile", None)
    image.save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def label(classifier: Classifier, data: bytes) -> str:
    (result,) = classifier.classify_many([data])
    if isinstance(result, Failure):
        raise SystemExit(result.message)
    return result.label


if __name__ == "__main__":
    fire.Fire(main)
