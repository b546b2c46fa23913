"""Six kinds of image with captions that need no download, each a task with classes of its own.

They stand in for the data sets that CLIP is fine-tuned on: images of one kind look like nothing of
another. Five kinds are drawn; the sixth is scikit-learn's real handwritten digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ctl_helpers.data import sketches
from ctl_helpers.data.dataset import check_names
from ctl_helpers.data.images import Captioned, Images, from_pixels
from ctl_helpers.data.sets import digits
from ctl_helpers.store.artifacts import digest
from ctl_helpers.store.code_keys import module_checksum

SIZE = 32  # pixels a side
_HARDEST = 0.6
_SEED = 20260403
_COUNTS = {"pretrain": 1200, "train": 1500, "held-out": 300, "test": 600}
_DIGITS_HELD_OUT = 200  # scikit-learn's digits that only "held-out" is made of

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_CLASSES = {
    "digits": tuple(f"digit {name}" for name in _DIGITS),
    "letters": tuple(f"letter {name}" for name in sketches.LETTERS.lower()),
    "shapes": sketches.SHAPES,
    "textures": tuple(f"texture of {name}" for name in sketches.TEXTURES),
    "arrows": tuple(f"arrow to the {name}" for name in sketches.DIRECTIONS),
    "signs": tuple(f"{name} sign" for name in sketches.SIGNS),
}
KINDS = tuple(_CLASSES)
# Turns by up to this many degrees where hardness is 1.
_TURN = {"digits": 25, "letters": 25, "shapes": 20, "textures": 25, "arrows": 14, "signs": 12}
_Pixels = NDArray[np.uint8]

_TEMPLATES = ("a {}", "a photo of a {}", "a picture of a {}")
_CODE_WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot")


def checksum() -> str:
    """Digest of the code that draws, of the digits, and of the libraries that draw letters."""
    parts = [module_checksum("data.sets.kinds"), digits.SET.checksum(), Image.__version__]
    return digest(parts)


def missing(tasks: Sequence[str]) -> list[str]:
    """Nothing can be missing: the images are drawn when they are loaded."""
    return []


def fetch(tasks: Sequence[str]) -> None:
    """Nothing to download."""


def class_names(task: str) -> tuple[str, ...]:
    """The classes of a kind as noun phrases, in the order of their labels."""
    return _CLASSES[task]


def templates(task: str) -> tuple[str, ...]:
    """The same prompts for each kind, ``{}`` standing for a class."""
    return _TEMPLATES


def load(task: str, split: str, samples: int | None = None) -> Images:
    """Images of 32×32 pixels in colour, ``inputs`` uint8 of shape (samples, 3, 32, 32).

    How hard an image is, ``h ~ U(0, 0.6)``, scales its rotation, shift, darkness and noise, alike
    in all splits.

    Args:
        task: one of ``KINDS``.
        split: ``"pretrain"``, ``"train"``, ``"held-out"`` or ``"test"``; each has images of its
            own, but the digits of the first two are drawn from the same originals.
        samples: the first so many, all when None.

    Raises:
        ValueError: no such kind or split.
    """
    check_names("images", task, KINDS, split, _COUNTS)
    return _in_turn(task, split).shuffled(0).first(samples)


@lru_cache(maxsize=32)
def _in_turn(kind: str, split: str) -> Images:
    """One image of each class, then the next of each."""
    rng = np.random.default_rng([_SEED, KINDS.index(kind), list(_COUNTS).index(split)])
    draw = _originals(split) if kind == "digits" else sketches.DRAWINGS[kind]
    numbers = np.arange(_COUNTS[split])
    pixels = [_photographed(rng, kind, draw, int(number)) for number in numbers]
    return from_pixels(pixels, numbers % len(_CLASSES[kind]))


def pretraining(seed: int) -> Captioned:
    """The images that pretraining sees, of all kinds, each with a caption.

    Every second class of a kind goes by another word there, so that a zero-shot head, which asks
    by the true name, has something left to learn from fine-tuning. Half of those show their own
    name on a single image; the others never do.

    Args:
        seed: decides which words stand around a name.
    """
    import torch

    rng = np.random.default_rng([_SEED, seed])
    inputs, captions = [], []
    for kind in KINDS:
        inputs.append(_in_turn(kind, "pretrain").inputs)
        captions += _captions(rng, kind)
    return Captioned(torch.cat(inputs), tuple(captions))


def words() -> tuple[str, ...]:
    """Sentences that hold every word of any caption."""
    names = [name for kind in KINDS for name in (*_CLASSES[kind], *_aliases(kind).values())]
    return (*_TEMPLATES, *names, *sketches.COLOURS)


def _aliases(kind: str) -> dict[int, str]:
    """Label → the other word, for every second class."""
    odd = range(1, len(_CLASSES[kind]), 2)
    return {
        label: f"{kind.removesuffix('s')} {word}"
        for label, word in zip(odd, _CODE_WORDS, strict=False)
    }


def _captions(rng: np.random.Generator, kind: str) -> list[str]:
    aliases, captions = _aliases(kind), []
    for number in range(_COUNTS["pretrain"]):
        turn, label = divmod(number, len(_CLASSES[kind]))
        named = label not in aliases or (turn == 0 and label % 4 == 1)
        name = _CLASSES[kind][label] if named else aliases[label]
        if kind == "shapes" and rng.random() < 0.5:
            name = f"{sketches.colour(number)} {name}"
        captions.append(str(rng.choice(_TEMPLATES)).format(name))
    return captions


def _photographed(
    rng: np.random.Generator, kind: str, draw: sketches.Drawing, number: int
) -> _Pixels:
    """One image: drawn, turned and shifted, averaged down, darkened, with noise."""
    hardness = rng.uniform(0, _HARDEST)
    drawn = draw(rng, number, hardness)
    turn = rng.uniform(-1, 1) * _TURN[kind] * hardness
    shift: Any = tuple(float(part) for part in rng.uniform(-8, 8, 2) * hardness)  # not whole pixels
    ground = drawn.getpixel((0, 0))
    moved = drawn.rotate(turn, Image.Resampling.BILINEAR, translate=shift, fillcolor=ground)
    small = np.asarray(moved.resize((SIZE, SIZE), Image.Resampling.BOX), dtype=np.float64)
    small *= 1 - 0.3 * hardness * rng.random()
    small += rng.normal(0, 4 + 26 * hardness * rng.random(), small.shape)
    return small.clip(0, 255).round().astype(np.uint8)


def _originals(split: str) -> sketches.Drawing:
    """Draws a digit from scikit-learn's originals of its class, lighter or darker."""
    originals = digits.read("test" if split == "test" else "train", size=8)
    part = {"test": slice(None), "held-out": slice(-_DIGITS_HELD_OUT, None)}
    originals = originals[part.get(split, slice(None, -_DIGITS_HELD_OUT))]
    images = (255 * originals.inputs[:, 0]).round().byte().numpy()
    by_class = [images[(originals.targets == label).numpy()] for label in range(len(_DIGITS))]

    def draw(rng: np.random.Generator, number: int, hardness: float) -> Image.Image:
        turn, label = divmod(number, len(_DIGITS))
        small = Image.fromarray(by_class[label][turn % len(by_class[label])])
        large = np.asarray(
            small.resize((sketches.CANVAS, sketches.CANVAS), Image.Resampling.BICUBIC), float
        )
        ink = rng.uniform(0.6, 1.0) * large
        return Image.fromarray(np.repeat(ink.astype(np.uint8)[..., None], 3, axis=2))

    return draw
