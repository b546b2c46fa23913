"""CIFAR-10: the part of it that is at hand with exact pixels."""

from __future__ import annotations

import numpy as np
import torch

from ctl_helpers.data.images import Images
from ctl_helpers.store.artifacts import digest
from ctl_helpers.weights.checksums import checked

CHECKSUMS = {
    "CIFAR10/cifar10_exact_part.npz": (
        "6a6f90cf6833dad0d1e8545437a992fcbba0337981cb3cb1bc636c70575607cb"
    ),
}
_REMEDY = "set CTL_DATA_DIR to a folder that holds CIFAR10/cifar10_exact_part.npz"


def checksum() -> str:
    """Digest of the data set, which every load compares the file with."""
    return digest(CHECKSUMS)


def load(split: str) -> Images:
    """8,336 training or 1,017 test images of CIFAR-10 (Krizhevsky 2009), 32×32 pixels, exact.

    Args:
        split: ``"train"`` or ``"test"``.

    Raises:
        MissingDataError: the file is not in the data folder, or is damaged.
    """
    (path,) = checked("The exact part of CIFAR-10", CHECKSUMS, _REMEDY)
    with np.load(path, allow_pickle=False) as held:
        pixels, labels = held[f"x_{split}"], held[f"y_{split}"]
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    return Images(inputs, torch.from_numpy(labels).long())


def fetch() -> None:
    """Nothing that could be downloaded; :func:`load` says where the file belongs."""
