"""Scikit-learn's handwritten digits: real images that need no download."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

from ctl_helpers.data.images import Images
from ctl_helpers.data.tasks import LabelledSet
from ctl_helpers.weights.checksums import file_checksum

_TRAIN = 1200


def checksum() -> str:
    """SHA-256 of the file in which the installed scikit-learn keeps the digits."""
    place = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    return file_checksum(Path(str(place)))


def read(split: str, classes: Sequence[int] | None = None, size: int = 28) -> Images:
    """1,797 digits of 8×8 pixels (Alpaydin and Kaynak 1998), enlarged to ``size`` × ``size``.

    Args:
        split: ``"train"`` (1,200 images) or ``"test"`` (597), a fixed random split.
        classes: digits to load, all when None.
        size: pixels per side after bicubic enlargement.
    """
    import torch
    from sklearn.datasets import load_digits
    from torch.nn.functional import interpolate

    bunch = load_digits()
    pixels = torch.from_numpy(bunch.images).float().unsqueeze(1) / 16
    enlarged = interpolate(pixels, size=(size, size), mode="bicubic", align_corners=False)
    images = Images(enlarged.clamp(0, 1), torch.from_numpy(bunch.target).long()).shuffled(0)
    part = {"train": slice(None, _TRAIN), "test": slice(_TRAIN, None)}[split]
    return images[part].only(classes)


SET = LabelledSet(read, checksum)
