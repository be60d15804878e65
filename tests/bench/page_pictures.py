"""The pictures of the page in docs/pictures: a real server, seen in Chromium.

    PYTHONPATH=tests python tests/bench/page_pictures.py [--out docs/pictures]

It needs chromium-headless-shell, and fonts-inter for letters like those of most systems. The
photos are the sample and flowers drawn here, so that the pictures are free to be shown.
"""

from __future__ import annotations

import math
import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import fire
from chromium import Chromium, Look, Tab
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from serving import serving
from support import SAMPLE, wait_until

Colour = tuple[int, int, int]

_SIDE = 960
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><cachedir>{folder}/fonts</cachedir>
<match target="pattern"><edit name="family" mode="prepend" binding="strong">
<string>Inter</string></edit></match></fontconfig>"""


class Flower(NamedTuple):
    """How one is drawn; lengths are parts of the picture's side."""

    petals: int
    width: float
    colour: Colour
    eye: Colour
    eye_radius: float
    ground: Colour
    layers: int = 1


FLOWERS = {
    "garden.jpg": Flower(21, 0.07, (250, 248, 240), (245, 200, 40), 0.1, (60, 110, 50)),
    "field.jpg": Flower(24, 0.09, (250, 190, 20), (90, 55, 20), 0.17, (70, 130, 190)),
    "border.jpg": Flower(16, 0.1, (245, 120, 20), (150, 60, 20), 0.08, (55, 90, 45), 3),
    "roadside.jpg": Flower(6, 0.28, (220, 50, 35), (40, 25, 30), 0.09, (120, 150, 70)),
    "balcony.jpg": Flower(5, 0.27, (90, 110, 220), (250, 240, 170), 0.06, (80, 120, 60)),
}


def main(out: str = "docs/pictures") -> None:
    """Make all of them anew, as WebP."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fonts = folder / "fonts.conf"
        fonts.write_text(_FONTS.format(folder=folder))
        os.environ["FONTCONFIG_FILE"] = str(fonts)
        photos = folder / "photos"
        photos.mkdir()
        for file, flower in FLOWERS.items():
            draw(flower).save(photos / file, quality=90)
        garden, field, border, roadside, balcony = (photos / file for file in FLOWERS)
        cut = photos / "half.jpg"
        cut.write_bytes(garden.read_bytes()[:9000])
        Path(out).mkdir(exist_ok=True)
        with Chromium(folder / "profile") as browser, serving() as server:
            for picture, look, lang, chosen in (
                ("page", Look(1024, 920), "en", [SAMPLE]),
                ("page-phone", Look(390, 844, 1.25, touch=True), "en", [SAMPLE]),
                ("page-spanish", Look(1024, 920), "es", [balcony]),
                (
                    "page-dark",
                    Look(1024, 1340, dark=True),
                    "en",
                    [garden, field, border, roadside, cut, SAMPLE],
                ),
            ):
                tab = browser.open(f"{server.url}/?lang={lang}", look)
                show(tab, chosen, folder / "picture.png")
                shrink(folder / "picture.png", Path(out) / f"{picture}.webp")


def show(tab: Tab, photos: list[Path], picture: Path) -> None:
    """Choose the photos, and look when all are answered."""
    tab.call("Emulation.setScrollbarsHidden", hidden=True)
    tab.choose("#files", *photos)
    done = "document.querySelectorAll('#cards > li:not([aria-busy])').length"
    wait_until(lambda: tab.evaluate(done) == len(photos))
    tab.evaluate("new Promise((done) => setTimeout(done, 500))")  # decoded and painted
    tab.screenshot(picture)


def shrink(screenshot: Path, picture: Path) -> None:
    """As WebP; says how large it is."""
    with Image.open(screenshot) as image:
        image.convert("RGB").save(picture, "WEBP", quality=45, method=6)
    print(f"{picture}: {picture.stat().st_size / 1e3:.0f} kB")


def draw(flower: Flower) -> Image.Image:
    """Petals around an eye, before something green that is out of focus."""
    draws = random.Random(0)
    image = ground(flower.ground, draws)
    shade = ImageOps.autocontrast(Image.radial_gradient("L").resize((_SIDE, _SIDE)))
    shade = shade.point([min(255, int(2.2 * level)) for level in range(256)])
    for layer in range(flower.layers):
        size = _SIDE * (1 - 0.25 * layer)
        for petal in range(flower.petals):
            turn = (360 * petal + 180 * layer) / flower.petals + draws.uniform(-3, 3)
            length = 0.36 * size * draws.uniform(0.93, 1.05)
            width = flower.width * size * draws.uniform(0.92, 1.08)
            light = draws.uniform(0.85, 1.08)
            mask = Image.new("L", (_SIDE, _SIDE))
            middle = _SIDE / 2
            ImageDraw.Draw(mask).ellipse(
                (
                    *(middle - width / 2, middle - 1.25 * length),
                    *(middle + width / 2, middle - 0.1 * length),
                ),
                fill=255,
            )
            mask = mask.rotate(turn, Image.Resampling.BICUBIC)
            shadow = mask.filter(ImageFilter.GaussianBlur(10))
            image.paste((0, 0, 0), mask=shadow.point([level // 7 for level in range(256)]))
            inner, outer = tone(flower.colour, 0.55 * light), tone(flower.colour, light)
            leaf = ImageOps.colorize(shade, inner, outer)
            image.paste(leaf, mask=mask.filter(ImageFilter.GaussianBlur(1.5)))
    pencil = ImageDraw.Draw(image)
    radius = flower.eye_radius * _SIDE
    for _ in range(700):
        turn, far = draws.uniform(0, 2 * math.pi), radius * math.sqrt(draws.random())
        spot(
            pencil,
            (_SIDE / 2 + far * math.cos(turn), _SIDE / 2 + far * math.sin(turn)),
            (0.09 * radius, 0.09 * radius),
            tone(flower.eye, (1 - 0.45 * far / radius) * draws.uniform(0.8, 1.1)),
        )
    return image.resize((_SIDE // 2, _SIDE // 2), Image.Resampling.LANCZOS)


def ground(colour: Colour, draws: random.Random) -> Image.Image:
    """Blurred spots of about one colour."""
    image = Image.new("RGB", (_SIDE, _SIDE), colour)
    pencil = ImageDraw.Draw(image)
    for _ in range(90):
        place = draws.randrange(_SIDE), draws.randrange(_SIDE)
        size = draws.randrange(40, 220)
        red, green, blue = (value + draws.randrange(-35, 35) for value in colour)
        spot(pencil, place, (size, size // 3), tone((red, green, blue), 1))
    return image.filter(ImageFilter.GaussianBlur(24))


def spot(
    pencil: ImageDraw.ImageDraw, middle: Sequence[float], radii: Sequence[float], colour: Colour
) -> None:
    """A filled ellipse."""
    (x, y), (width, height) = middle, radii
    pencil.ellipse((x - width, y - height, x + width, y + height), fill=colour)


def tone(colour: Colour, light: float) -> Colour:
    """The colour, brighter or darker."""
    red, green, blue = (max(0, min(255, int(value * light))) for value in colour)
    return red, green, blue


if __name__ == "__main__":
    fire.Fire(main)
