"""Tiny ImageNet at 32×32 pixels: 100 of its 200 classes, shrunk and stored as JPEG files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ctl_helpers.data.images import Images, from_pixels
from ctl_helpers.data.tasks import LabelledSet
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


def read(split: str, classes: Sequence[int] | None = None) -> Images:
    """Images of 32×32 pixels, 500 per class for training and 50 for test (its validation part).

    Args:
        split: ``"train"`` or ``"test"``.
        classes: labels of classes to load, all when None.

    Raises:
        MissingDataError: the files are not in the data folder, or are damaged.
    """
    from PIL import Image

    train, val = _files()
    with np.load({"train": train, "test": val}[split], allow_pickle=False) as arrays:
        content, offset, labels = arrays["blob"].tobytes(), arrays["offset"], arrays["label"]
    chosen = np.flatnonzero(np.isin(labels, range(256) if classes is None else classes))
    files = (io.BytesIO(content[offset[i] : offset[i + 1]]) for i in chosen)
    pixels = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    return from_pixels(pixels, labels[chosen])


def class_names() -> list[str]:
    """The classes in the order of their labels, each with its synonyms after commas.

    Raises:
        MissingDataError: as :func:`read`.
    """
    train, _ = _files()
    with np.load(train, allow_pickle=False) as arrays:
        return [str(name) for name in arrays["class_names"]]


def _files() -> list[Path]:
    return checked("Tiny ImageNet 32×32", CHECKSUMS, _REMEDY)


SET = LabelledSet(read, lambda: digest(CHECKSUMS), _files)
