"""Five kinds of real image, ten parts of Tiny ImageNet, and the whole of it for pretraining.

They are to a network that was pretrained on ImageNet what the paper's eight image sets are to its
CLIP. A part of each is kept for a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np

from ctl_helpers.data.dataset import check_names
from ctl_helpers.data.images import Images
from ctl_helpers.data.sets import real_kinds, tinyimagenet
from ctl_helpers.project import data_folder
from ctl_helpers.store.artifacts import digest

WHOLE = "Tiny ImageNet"
_EACH = 10  # classes of a part
PARTS = {f"{WHOLE} {first + 1}–{first + _EACH}": first for first in range(0, 100, _EACH)}
_OTHERS = ("MNIST", "GTSRB", "EuroSAT", "CIFAR10", "Omniglot")
KINDS = (*_OTHERS, *PARTS, WHOLE)
# Of its training images by tenths, as the other kinds have them.
_TENTHS = {"head": [1, 2], "train": range(3, 10), "held-out": [0], "test": range(10)}
_MOST = {"head": 1000, "train": 5000, "held-out": 500, "test": 2000}


def checksum() -> str:
    """Digest of all sets' checksums."""
    return digest([real_kinds.checksum(), _MOST])


def missing(tasks: Sequence[str]) -> list[str]:
    """Which files are not here or are damaged."""
    return real_kinds.missing(tasks)


def fetch(tasks: Sequence[str]) -> None:
    """Download MNIST; of the other sets only :func:`missing` says where the files belong."""
    real_kinds.fetch(tasks)


def class_names(task: str) -> tuple[str, ...]:
    """The classes of a kind in the order of their labels.

    Raises:
        MissingDataError: Tiny ImageNet, whose classes have to be known, is not at hand.
    """
    if task in _OTHERS:
        return real_kinds.class_names(task)
    return tuple(tinyimagenet.class_names()[label].split(",")[0] for label in _labels(task))


@cache
def wordnet_ids() -> tuple[str, ...]:
    """The WordNet ids of Tiny ImageNet's classes in the order of their labels.

    Raises:
        MissingDataError: it is not at hand.
    """
    tinyimagenet.SET.check()
    with np.load(data_folder() / next(iter(tinyimagenet.CHECKSUMS)), allow_pickle=False) as arrays:
        return tuple(map(str, arrays["wnid"]))


def load(task: str, split: str, samples: int | None = None) -> Images:
    """Images of 32×32 pixels in colour, ``inputs`` uint8 of shape (samples, 3, 32, 32).

    Frames of one traffic sign, and characters of one drawer, are in one split only. Tiny
    ImageNet's test images are its validation part.

    Args:
        task: one of ``KINDS``; the labels of a part of Tiny ImageNet count from 0.
        split: ``"head"`` (a fifth, at most 1,000), ``"train"`` and ``"held-out"`` (a tenth) of the
            set's training part, or ``"test"``.
        samples: the first so many, all when None.

    Raises:
        ValueError: no such kind or split.
        MissingDataError: a file is not in the data folder, or is damaged.
    """
    check_names("images", task, KINDS, split, _MOST)
    return _kept(task, split).first(samples)


@lru_cache(maxsize=64)
def _kept(kind: str, split: str) -> Images:
    """At most so many images of a split, in a seeded order."""
    import torch

    most = _MOST[split]
    if kind in _OTHERS:
        return real_kinds.load(kind, "pretrain" if split == "head" else split, most)
    labels = _labels(kind)
    images = tinyimagenet.read("test" if split == "test" else "train", labels).shuffled(1)
    tenths = torch.arange(len(images)) % 10
    images = images[torch.isin(tenths, torch.tensor(list(_TENTHS[split])))].first(most)
    return Images(images.inputs, images.targets - labels[0])


def _labels(kind: str) -> range:
    return range(100) if kind == WHOLE else range(PARTS[kind], PARTS[kind] + _EACH)
