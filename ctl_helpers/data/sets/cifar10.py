"""CIFAR-10: the part of it that is at hand with exact pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ctl_helpers.data.images import Images, from_pixels
from ctl_helpers.data.tasks import LabelledSet
from ctl_helpers.store.artifacts import digest
from ctl_helpers.weights.checksums import checked

CHECKSUMS = {
    "CIFAR10/cifar10_exact_part.npz": (
        "6a6f90cf6833dad0d1e8545437a992fcbba0337981cb3cb1bc636c70575607cb"
    ),
}
_REMEDY = "set CTL_DATA_DIR to a folder that holds CIFAR10/cifar10_exact_part.npz"


def read(split: str, classes: Sequence[int] | None = None) -> Images:
    """8,336 training or 1,017 test images of CIFAR-10 (Krizhevsky 2009), 32×32 pixels, exact.

    Raises:
        MissingDataError: the file is not in the data folder, or is damaged.
    """
    with np.load(_file(), allow_pickle=False) as arrays:
        return from_pixels(arrays[f"x_{split}"], arrays[f"y_{split}"]).only(classes)


def _file() -> Path:
    (path,) = checked("The exact part of CIFAR-10", CHECKSUMS, _REMEDY)
    return path


SET = LabelledSet(read, lambda: digest(CHECKSUMS), _file)
