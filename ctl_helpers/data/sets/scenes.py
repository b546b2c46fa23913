"""Generated images of shapes on patterned grounds: twenty classes that need no download.

They stand in for a photographic set such as CIFAR-100 on a machine without data: classes that
follow each other make disjoint splits, and a small convolutional network learns a split well above
chance but not to perfection.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ctl_helpers.data.images import Images
from ctl_helpers.data.tasks import LabelledSet
from ctl_helpers.store.code_keys import module_checksum

SHAPES = ("disc", "square", "triangle", "cross", "ring")
PATTERNS = ("stripes", "checks", "dots", "waves")
CLASS_NAMES: tuple[str, ...] = tuple(
    f"{shape} on {ground}" for ground in PATTERNS for shape in SHAPES
)
TRAIN, TEST = 120, 50  # images a class
SIZE = 24  # pixels a side

_SEED = 20240503
_PARTS = {"train": TRAIN, "test": TEST}
_Array = NDArray[np.float64]


def checksum() -> str:
    """SHA-256 of the code that draws the images, which is all that they depend on."""
    return module_checksum("data.sets.scenes")


def read(split: str, classes: Sequence[int] | None = None) -> Images:
    """Images of 24×24 pixels in colour, ``inputs`` uint8 of shape (samples, 3, 24, 24).

    Class ``5 * pattern + shape`` shows one of five shapes on one of four grounds. Colours,
    position, size, rotation and what is in front of the shape are random and say nothing about
    the class. Each class has its own generator, so its images do not depend on ``classes``.

    Args:
        split: ``"train"`` (120 images per class) or ``"test"`` (50).
        classes: those to draw, all twenty when None; targets are indices in the whole set.
    """
    import torch

    if split not in _PARTS:
        raise ValueError(f"the scenes have the parts 'train' and 'test', but not {split!r}")
    classes = range(len(CLASS_NAMES)) if classes is None else classes
    if not all(0 <= label < len(CLASS_NAMES) for label in classes):
        raise ValueError(f"the scenes have the classes 0 to {len(CLASS_NAMES) - 1}, not {classes}")
    drawn = [torch.from_numpy(_draw(split, label)) for label in classes]
    targets = torch.tensor(list(classes)).repeat_interleave(_PARTS[split])
    return Images(torch.cat(drawn), targets).shuffled(0)


def _draw(split: str, label: int) -> NDArray[np.uint8]:
    """All images of one class in one part, (samples, 3, height, width)."""
    count = _PARTS[split]
    pattern, shape = divmod(label, len(SHAPES))
    rng = np.random.default_rng([_SEED, list(_PARTS).index(split), label])

    # Shapes are brighter than their ground on the whole, but the ranges overlap.
    weight = _ground(rng, count, PATTERNS[pattern])
    ground = _blend(_color(rng, count, 0.0, 0.6), _color(rng, count, 0.0, 0.6), weight)
    x, y = _turned(rng, count, shift=3.0, turn=0.5)
    radius = _uniform(rng, count, 6.0, 8.5)
    inside = _coverage(_distance(SHAPES[shape], x / radius, y / radius) * radius)
    scene = _blend(ground, _color(rng, count, 0.4, 1.0), inside)

    # A bar of any colour lies across, often over the shape.
    x, y = _turned(rng, count, shift=10.0)
    bar = np.maximum(np.abs(x) - _uniform(rng, count, 0.5, 1.5), np.abs(y) - 7.0)
    scene = _blend(scene, _color(rng, count, 0.0, 1.0), _coverage(bar))

    scene = scene * _uniform(rng, count, 0.7, 1.1)[:, None]
    scene = scene + 0.1 * (rng.random(scene.shape) - rng.random(scene.shape))
    return np.round(255 * scene.clip(0, 1)).astype(np.uint8)


def _ground(rng: np.random.Generator, count: int, pattern: str) -> _Array:
    """How much of its second colour a ground shows at each pixel, (samples, height, width)."""
    x, y = _turned(rng, count, shift=10.0)
    frequency = 2 * np.pi / _uniform(rng, count, 5.0, 9.0)
    x, y = x * frequency, y * frequency
    match pattern:
        case "stripes":
            wave = np.sin(x)
        case "checks":
            wave = np.sin(x) * np.sin(y)
        case "dots":
            wave = np.cos(x) + np.cos(y) - 0.6
        case _:
            wave = np.sin(x + 1.5 * np.sin(0.8 * y))
    return np.clip(0.5 + 2 * wave, 0, 1)


def _distance(shape: str, x: _Array, y: _Array) -> _Array:
    """Signed distance to the outline of a shape about as large as the unit disc, < 0 inside."""
    from_centre = np.hypot(x, y)
    across, along = np.abs(x), np.abs(y)
    match shape:
        case "disc":
            return from_centre - 0.95
        case "square":
            return np.maximum(across, along) - 0.85
        case "triangle":
            return np.maximum(across * np.sqrt(3) / 2 - y / 2, y) - 0.6
        case "cross":
            upright = np.maximum(across - 0.36, along - 1.1)
            return np.minimum(upright, np.maximum(across - 1.1, along - 0.36))
        case _:
            return np.abs(from_centre - 0.8) - 0.27


def _coverage(distance: _Array) -> _Array:
    """How much of each pixel lies inside an outline, from its signed distance in pixels."""
    return np.clip(0.5 - distance, 0, 1)


def _turned(
    rng: np.random.Generator, count: int, shift: float, turn: float = np.pi
) -> tuple[_Array, _Array]:
    """Pixel coordinates about a random centre in a random direction, (samples, height, width)."""
    steps = np.arange(SIZE) - (SIZE - 1) / 2
    x = steps[None, None, :] - _uniform(rng, count, -shift, shift)
    y = steps[None, :, None] - _uniform(rng, count, -shift, shift)
    angle = _uniform(rng, count, -turn, turn)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _color(rng: np.random.Generator, count: int, low: float, high: float) -> _Array:
    """One random colour a sample, (samples, 3, 1, 1)."""
    return low + (high - low) * rng.random((count, 3, 1, 1))


def _uniform(rng: np.random.Generator, count: int, low: float, high: float) -> _Array:
    """One random number a sample, (samples, 1, 1)."""
    return low + (high - low) * rng.random((count, 1, 1))


def _blend(below: _Array, above: _Array, weight: _Array) -> _Array:
    """``above`` laid over ``below`` where ``weight`` (samples, height, width) is 1."""
    return below + weight[:, None] * (above - below)


SET = LabelledSet(read, checksum)
