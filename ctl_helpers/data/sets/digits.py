"""Scikit-learn's handwritten digits: real images that need no download."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch.nn.functional import interpolate

from ctl_helpers.data.images import Images
from ctl_helpers.weights.checksums import file_checksum

_TRAIN = 1200


def checksum() -> str:
    """SHA-256 of the file in which the installed scikit-learn keeps the digits."""
    package = Path(find_spec("sklearn").origin).parent
    return file_checksum(package / "datasets" / "data" / "digits.csv.gz")


def load(split: str, size: int = 28) -> Images:
    """1,797 digits of 8×8 pixels (Alpaydin and Kaynak 1998), enlarged to ``size`` × ``size``.

    Args:
        split: ``"train"`` (1,200 images) or ``"test"`` (597), a fixed random split.
        size: pixels a side after bicubic enlargement, 28 as MNIST has.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = torch.from_numpy(bunch.images).float().unsqueeze(1) / 16
    enlarged = interpolate(pixels, size=(size, size), mode="bicubic", align_corners=False)
    images = Images(enlarged.clamp(0, 1), torch.from_numpy(bunch.target).long()).shuffled(0)
    part = {"train": slice(None, _TRAIN), "test": slice(_TRAIN, None)}[split]
    return images[part]


def fetch() -> None:
    """Nothing to download: scikit-learn brings the digits along."""
