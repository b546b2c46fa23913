"""Tiny ImageNet at 32×32 pixels: 100 of its 200 classes, shrunk and stored as JPEG files."""

from __future__ import annotations

import io

import numpy as np
import torch

from ctl_helpers.data.images import Images
from ctl_helpers.store.artifacts import digest
from ctl_helpers.weights.checksums import checked

CHECKSUMS = {
    "TinyImageNet32/train.npz": "b8427ed025b3ea0c45cdd2fa5c06879efa88a31dcff8244e553830d4d31c3712",
    "TinyImageNet32/val.npz": "9aab93f85529c408ef629d09b5740007304aed835bf886189feb01e0ba7b2734",
}
_REMEDY = (
    "it is no public download (every second class of Stanford CS231n's Tiny ImageNet by sorted "
    "WordNet id, shrunk to 32×32); set CTL_DATA_DIR to a folder that holds TinyImageNet32"
)


def checksum() -> str:
    """Digest of the data set, which every load compares the files with."""
    return digest(CHECKSUMS)


def load(split: str, classes: range | None = None) -> Images:
    """Images of 32×32 pixels, 500 a class for training and 50 for test (its validation part).

    Args:
        split: ``"train"`` or ``"test"``.
        classes: indices of classes to load, all when None; labels are those indices.

    Raises:
        MissingDataError: the files are not in the data folder, or are damaged.
    """
    from PIL import Image

    train, val = checked("Tiny ImageNet 32×32", CHECKSUMS, _REMEDY)
    with np.load({"train": train, "test": val}[split], allow_pickle=False) as held:
        blob, offset, label = held["blob"].tobytes(), held["offset"], held["label"]
    chosen = np.flatnonzero(np.isin(label, classes)) if classes is not None else range(len(label))
    pixels = np.stack(
        [
            np.asarray(Image.open(io.BytesIO(blob[offset[i] : offset[i + 1]])).convert("RGB"))
            for i in chosen
        ]
    )
    targets = torch.from_numpy(label[np.asarray(chosen)].astype(np.int64))
    return Images(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), targets)


def class_names() -> list[str]:
    """The classes in the order of their labels, each with its synonyms after commas.

    Raises:
        MissingDataError: as :func:`load`.
    """
    train, _ = checked("Tiny ImageNet 32×32", CHECKSUMS, _REMEDY)
    with np.load(train, allow_pickle=False) as held:
        return held["class_names"].tolist()


def fetch() -> None:
    """Nothing that could be downloaded; :func:`load` says where the files belong."""
