"""Drawings of letters, shapes, textures, arrows and road signs, 64×64 pixels, by class."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CANVAS = 64

Drawing = Callable[[np.random.Generator, int, float], Image.Image]
"""Takes a generator, the image's number (its class is the remainder) and its hardness."""

COLOURS = {
    "red": (220, 50, 47),
    "green": (70, 170, 60),
    "blue": (50, 90, 220),
    "yellow": (230, 200, 50),
    "purple": (150, 70, 190),
    "orange": (240, 140, 30),
    "cyan": (60, 200, 210),
    "pink": (240, 130, 180),
}
LETTERS = "ABDEFGHKMRSW"
SHAPES = ("disc", "square", "triangle", "diamond", "hexagon", "star", "cross", "ring")
TEXTURES = (
    *("rows", "columns", "rising stripes", "falling stripes", "checks"),
    *("dots", "speckle", "waves", "rings", "grid"),
)
DIRECTIONS = ("right", "right up", "up", "left up", "left", "left down", "down", "right down")
SIGNS = (
    *("stop", "yield", "no entry", "speed limit"),
    *("priority", "parking", "roundabout", "warning"),
)

_FONTS = ("Sans", "Sans-Bold", "Serif", "SansMono", "Sans-Oblique", "Serif-Bold")
_HARD_FONTS = (
    *("Serif-Italic", "SansMono-Bold", "Sans-BoldOblique"),
    *("Serif-BoldItalic", "SansMono-Oblique", "SansMono-BoldOblique"),
)


def colour(number: int) -> str:
    """The shape's colour in an image; each shape has each colour in turn."""
    return list(COLOURS)[number // len(SHAPES) % len(COLOURS)]


def _letter(rng: np.random.Generator, number: int, hardness: float) -> Image.Image:
    text = LETTERS[number % len(LETTERS)]
    fonts = _FONTS if hardness <= 0.5 else _FONTS + _HARD_FONTS
    font = _font(str(rng.choice(fonts)), int(rng.integers(44, 54)))
    image, pen = _canvas((245, 235, 210))
    ink = tuple(int(part) for part in rng.integers(10, 90, 3))
    pen.text((CANVAS / 2, CANVAS / 2), text, ink, font, anchor="mm")
    return image


@lru_cache(maxsize=256)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"DejaVu{name}.ttf"), size)


def _shape(rng: np.random.Generator, number: int, hardness: float) -> Image.Image:
    image, pen = _canvas(tuple(int(part) for part in rng.integers(15, 50, 3)))
    fill, radius = COLOURS[colour(number)], rng.uniform(18, 25)
    match SHAPES[number % len(SHAPES)]:
        case "disc":
            pen.ellipse(_around(radius), fill)
        case "ring":
            pen.ellipse(_around(radius), None, fill, 7)
        case "cross":
            pen.rectangle((32 - radius, 26, 32 + radius, 38), fill)
            pen.rectangle((26, 32 - radius, 38, 32 + radius), fill)
        case "star":
            pen.polygon(_corners(10, radius, -90, inner=0.45), fill)
        case name:
            corners, start = {
                "square": (4, 45),
                "triangle": (3, -90),
                "diamond": (4, 0),
                "hexagon": (6, 0),
            }[name]
            pen.polygon(_corners(corners, radius, start), fill)
    return image


def _texture(rng: np.random.Generator, number: int, hardness: float) -> Image.Image:
    step = 2 * math.pi / rng.uniform(9, 13)
    y, x = np.mgrid[:CANVAS, :CANVAS] * step
    x, y = x + rng.uniform(0, 2 * math.pi), y + rng.uniform(0, 2 * math.pi)
    match TEXTURES[number % len(TEXTURES)]:
        case "rows":
            wave = np.sin(y)
        case "columns":
            wave = np.sin(x)
        case "rising stripes":
            wave = np.sin((x + y) / math.sqrt(2))
        case "falling stripes":
            wave = np.sin((x - y) / math.sqrt(2))
        case "checks":
            wave = np.sign(np.sin(x) * np.sin(y))
        case "dots":
            wave = np.cos(x) + np.cos(y) - 0.8
        case "speckle":
            wave = np.kron(rng.normal(0, 1, (CANVAS // 4, CANVAS // 4)), np.ones((4, 4)))
        case "waves":
            wave = np.sin(y + 1.5 * np.sin(0.6 * x))
        case "rings":
            centre = step * rng.uniform(24, 40, 2)
            wave = np.sin(np.hypot(x - centre[0], y - centre[1]))
        case _:
            wave = 1.6 * np.maximum(np.cos(x), np.cos(y)) - 0.9
    low, high = rng.uniform(20, 100, 3), rng.uniform(140, 235, 3)
    share = np.clip(0.5 + wave, 0, 1)[..., None]
    return Image.fromarray((low + share * (high - low)).astype(np.uint8))


def _arrow(rng: np.random.Generator, number: int, hardness: float) -> Image.Image:
    image, pen = _canvas(tuple(int(part) for part in rng.integers(170, 250, 3)))
    ink = tuple(int(part) for part in rng.integers(0, 110, 3))
    angle = -math.radians(45 * (number % len(DIRECTIONS)))
    length, width, head = rng.uniform(19, 25), rng.uniform(3, 5), rng.uniform(11, 15)

    def at(along: float, across: float) -> tuple[float, float]:
        cos, sin = math.cos(angle), math.sin(angle)
        return 32 + along * cos - across * sin, 32 + along * sin + across * cos

    neck = length - head
    outline = [(-length, -width), (neck, -width), (neck, -head), (length, 0)]
    outline += [(along, -across) for along, across in reversed(outline[:3])]
    pen.polygon([at(*point) for point in outline], ink)
    return image


def _sign(rng: np.random.Generator, number: int, hardness: float) -> Image.Image:
    image, pen = _canvas(tuple(int(part) for part in rng.integers(90, 190, 3)))
    red, white, black = (200, 30, 35), (240, 240, 240), (20, 20, 20)
    blue, yellow, r = (30, 80, 190), (240, 200, 40), rng.uniform(23, 28)
    match SIGNS[number % len(SIGNS)]:
        case "stop":
            pen.polygon(_corners(8, r, 22.5), red)
            pen.rectangle((14, 28, 50, 36), white)
        case "yield":
            pen.polygon(_corners(3, r, 90), red)
            pen.polygon(_corners(3, 0.55 * r, 90), white)
        case "no entry":
            pen.ellipse(_around(r), red)
            pen.rectangle((17, 28, 47, 36), white)
        case "speed limit":
            pen.ellipse(_around(r), white, red, 6)
            pen.text((32, 32), str(rng.choice([30, 50, 80])), black, _font("Sans", 20), anchor="mm")
        case "priority":
            pen.polygon(_corners(4, r, 0), white)
            pen.polygon(_corners(4, 0.75 * r, 0), yellow)
        case "parking":
            pen.rectangle(_around(0.85 * r), blue)
            pen.text((32, 32), "P", white, _font("Sans-Bold", 34), anchor="mm")
        case "roundabout":
            pen.ellipse(_around(r), blue)
            pen.arc(_around(0.6 * r), 20, 330, white, 5)
        case _:
            pen.polygon(_corners(3, r, -90), red)
            pen.polygon(_corners(3, 0.6 * r, -90), white)
            pen.rectangle((30, 24, 34, 36), black)
    return image


DRAWINGS: dict[str, Drawing] = {
    "letters": _letter,
    "shapes": _shape,
    "textures": _texture,
    "arrows": _arrow,
    "signs": _sign,
}


def _canvas(ground: tuple[int, ...]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (CANVAS, CANVAS), ground)
    return image, ImageDraw.Draw(image)


def _around(radius: float) -> tuple[float, float, float, float]:
    """The box around the centre."""
    return 32 - radius, 32 - radius, 32 + radius, 32 + radius


def _corners(
    count: int, radius: float, start: float, inner: float = 1.0
) -> list[tuple[float, float]]:
    """Corners about the centre from an angle (degrees) on; every second one nearer by ``inner``."""
    found = []
    for number in range(count):
        angle = math.radians(start + 360 * number / count)
        length = radius * (inner if number % 2 else 1)
        found.append((32 + length * math.cos(angle), 32 + length * math.sin(angle)))
    return found
