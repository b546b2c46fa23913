"""The eight image sets of CLIP's task vectors (Ilharco et al. 2023), CIFAR-10 and ImageNet-1k.

Splits are those of the task_vectors code: RESISC45's lists of Neumann et al. (2019), DTD's first
partition with training and validation merged, SUN397's first partition, and a tenth of training
held out. EuroSAT has no official split and the one used there was never published, so another of
the same sizes is drawn here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctl_helpers.data import prompts
from ctl_helpers.data.dataset import check_names, complaints, downloading, refuse
from ctl_helpers.data.images import Images, permutation
from ctl_helpers.data.prompts import class_names, templates
from ctl_helpers.data.sets import clip8_files, imagenet, mnist
from ctl_helpers.data.sets.clip8_files import Listed, proportionate
from ctl_helpers.project import MissingDataError, data_folder
from ctl_helpers.store.artifacts import digest

__all__ = ["KINDS", "SIZES", "checksum", "class_names", "fetch", "load", "missing", "templates"]

SPLITS = ("train", "held-out", "test")
KINDS = ("Cars", "DTD", "EuroSAT", "GTSRB", "MNIST", "RESISC45", "SUN397", "SVHN")

SIZES = {
    "Cars": {"train": 8_144, "test": 8_041},
    "DTD": {"train": 3_760, "test": 1_880},
    "EuroSAT": {"train": 24_300, "test": 2_700},
    "GTSRB": {"train": 26_640, "test": 12_630},
    "MNIST": {"train": 60_000, "test": 10_000},
    "RESISC45": {"train": 18_900, "test": 6_300},
    "SUN397": {"train": 19_850, "test": 19_850},
    "SVHN": {"train": 73_257, "test": 26_032},
    "CIFAR10": {"train": 50_000, "test": 10_000},
    "ImageNet": {"train": 1_281_167, "test": 50_000},
}
"""Images of each set: training, of which "held-out" is a part, and test."""

_FOLDERS = {
    "Cars": "stanford_cars",
    "DTD": "dtd/dtd",
    "EuroSAT": "eurosat/2750",
    "GTSRB": "gtsrb/GTSRB",
    "MNIST": "MNIST/raw",
    "RESISC45": "resisc45",
    "SUN397": "SUN397",
    "SVHN": "svhn",
    "CIFAR10": "cifar-10-batches-py",
    "ImageNet": "imagenet",
}
_BY_HAND = {
    "Cars": (
        "its own site is gone, so get a copy of its archives (pytorch/vision's issue 7545 lists "
        "some) and unpack it, so that stanford_cars in the data folder, which CTL_DATA_DIR names, "
        "holds cars_train, cars_test, devkit and cars_test_annos_withlabels.mat"
    ),
    "RESISC45": (
        "get NWPU-RESISC45 and its lists from TorchGeo's copy on the Hugging Face hub, so that "
        "resisc45 in the data folder, which CTL_DATA_DIR names, holds "
        "NWPU-RESISC45/<class>/<image>.jpg, resisc45-train.txt and resisc45-test.txt"
    ),
    "ImageNet": (
        "get the archives from image-net.org with an account, and unpack them into "
        "imagenet/train/<WordNet id> and imagenet/val/<WordNet id> in the data folder, which "
        "CTL_DATA_DIR names"
    ),
}
_ARCHIVES_MD5 = {
    "car_devkit.tgz": "c3b158d763b6e2245038c8ad08e45376",
    "cars_train.tgz": "065e5b463ae28d29e77c1b4b166cfe61",
    "cars_test.tgz": "4ce7ebf6a94d07f1952d94dd34c4d501",
    "cars_test_annos_withlabels.mat": "b0a2b23655a3edd16d84508592a98d10",
    "dtd-r1.0.1.tar.gz": "fff73e5086ae6bdbea199a49dfb8a4c1",
    "EuroSAT.zip": "c8fa014336c82ac7804f0398fcb19387",
    "GTSRB-Training_fixed.zip": "513f3c79a4c5141765e10e952eaa2478",
    "GTSRB_Final_Test_Images.zip": "c7e4e6327067d32654124b0fe9e82185",
    "GTSRB_Final_Test_GT.zip": "fe31e9c9270bbcd7b84b7f21a9d9d9e5",
    "NWPU-RESISC45.rar": "d824acb73957502b00efd559fc6cfbbb",
    "resisc45-train.txt": "b5a4c05a37de15e4ca886696a85c403e",
    "resisc45-test.txt": "3dda9e4988b47eb1de9f07993653eb08",
    "SUN397.tar.gz": "8ca2778205c41d23104230ba66911c7a",
    "Partitions.zip": clip8_files.SUN397_LISTS_MD5,
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
    "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
}
_MOST_HELD_OUT = 5_000


def checksum() -> str:
    """Digest of the published archives' checksums, and of the words that heads are made with."""
    parts = [_ARCHIVES_MD5, mnist.SET.checksum(), imagenet.SET.checksum(), prompts.checksum()]
    return digest(parts)


def load(task: str, split: str, samples: int | None = None, size: int = 224) -> Images:
    """Images as CLIP sees them before normalisation, in colour and as bytes.

    The shorter side is resized to ``size`` (bicubic), then the centre cropped. The order is
    seeded, and any beginning of it has each class in proportion. Only the images that are returned
    are decoded; 10,000 of 224×224 pixels take 1.5 GB.

    Args:
        task: one of ``KINDS``, ``"CIFAR10"`` or ``"ImageNet"``.
        split: ``"train"``, ``"held-out"`` (a tenth of the training images, 5,000 at most, which
            ``"train"`` then lacks) or ``"test"``.
        samples: how many to load, all when None.
        size: pixels per side.

    Raises:
        MissingDataError: the set is not in the data folder (see :func:`fetch`), lacks images, or
            has a file that cannot be read.
        ValueError: no such set or split.
    """
    import torch

    check_names("images", task, SIZES, split, SPLITS)
    listed = _listed(task, "test" if split == "test" else "train")
    chosen = _chosen(task, split, listed.targets.numpy())[:samples]
    pixels = np.empty((len(chosen), 3, size, size), dtype=np.uint8)
    for row, number in enumerate(chosen.tolist()):
        pixels[row] = clip8_files.decoded(listed.sources[number], size)
    return Images(torch.from_numpy(pixels), listed.targets[chosen])


def missing(tasks: Sequence[str]) -> list[str]:
    """Which sets have no folder; whether they are whole is only seen when they are loaded."""
    return complaints(*(partial(_folder, task) for task in tasks))


def fetch(tasks: Sequence[str]) -> None:
    """Download sets into the data folder where they are not there yet.

    Raises:
        MissingDataError: for one of them there is no server, none could be reached, or the data
            folder cannot be written.
        ValueError: no such set.
    """
    refuse(complaints(*(partial(_fetch, task) for task in tasks)))


def _fetch(kind: str) -> None:
    check_names("images", kind, SIZES, "train", SPLITS)
    if kind == "MNIST":
        mnist.SET.fetch([])
    elif kind not in _BY_HAND:
        with downloading(kind, data_folder(), _FOLDERS[kind]):
            clip8_files.DOWNLOADS[kind](data_folder())
    elif not (data_folder() / _FOLDERS[kind]).is_dir():
        sentence = f"{kind} cannot be downloaded into {data_folder()}: {_BY_HAND[kind]}"
        raise MissingDataError(sentence)


def _remedy(kind: str) -> str:
    setting = "cifar10-vit-b-32" if kind == "CIFAR10" else "clip8-vit-b-32"
    return _BY_HAND.get(kind) or (
        f"run `ctl data {setting}` to download it, or set CTL_DATA_DIR to a folder that holds "
        f"{_FOLDERS[kind]}"
    )


def _folder(kind: str) -> Path:
    folder = data_folder() / _FOLDERS[kind]
    if not folder.is_dir():
        raise MissingDataError(f"{kind} is not in {data_folder()}: {_remedy(kind)}")
    return folder


def _listed(kind: str, part: str) -> Listed:
    """A set's training or test images in the order of its files, none decoded."""
    folder = _folder(kind)
    again = _remedy(kind) if kind in _BY_HAND else f"delete it, then {_remedy(kind)}"
    try:
        listed = clip8_files.READERS[kind](data_folder(), part)
    except MissingDataError:
        raise
    except Exception as error:  # parsers of damaged lists and .mat files raise all sorts
        reason = " ".join(str(error).split())
        raise MissingDataError(
            f"the {part} images of {kind} cannot be listed from {folder} ({reason}): {again}"
        ) from None
    if len(listed.targets) != SIZES[kind][part]:
        raise MissingDataError(
            f"{folder} holds {len(listed.targets):,} of the {SIZES[kind][part]:,} {part} images of "
            f"{kind}: {again}"
        )
    return listed


def _chosen(kind: str, split: str, targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which images a split has, in its order."""
    own = np.arange(len(targets))
    if split != "test":
        # As task_vectors cuts it, which has a validation part of its own for EuroSAT: the ninth of
        # its training images that makes it as large as the test part.
        share = 9 if kind == "EuroSAT" else 10
        kept = len(targets) - min(len(targets) // share, _MOST_HELD_OUT)
        order = permutation(len(targets), 0).numpy()
        own = order[kept:] if split == "held-out" else order[:kept]
    return own[proportionate(targets[own])]
