"""Files of the sets that CLIP is fine-tuned on: listing, decoding and downloading them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ctl_helpers.data.prompts import class_names
from ctl_helpers.data.sets import mnist
from ctl_helpers.project import MissingDataError

Source = Path | NDArray[np.uint8]
"""An image file, or pixels of shape (height, width) or (height, width, 3)."""

SUN397_LISTS_MD5 = "29a205c0a0129d21f36cbecfefe81881"
_SUN397_LISTS = "https://vision.princeton.edu/projects/2010/SUN/download/Partitions.zip"


@dataclass(frozen=True)
class Listed:
    """Images that are not decoded yet, and their labels."""

    sources: Sequence[Source]
    targets: Tensor


def decoded(source: Source, size: int) -> NDArray[np.uint8]:
    """One image in colour, shorter side resized, centre cropped: (3, size, size).

    Raises:
        MissingDataError: a file that is not there or is damaged.
    """
    from torchvision.transforms.functional import InterpolationMode, center_crop, resize

    try:
        opened = Image.open(source) if isinstance(source, Path) else Image.fromarray(source)
        with opened as image:
            resized = resize(image.convert("RGB"), size, InterpolationMode.BICUBIC)
    except (OSError, ValueError, SyntaxError):  # the last from Pillow, for a broken header
        raise MissingDataError(
            f"{source} cannot be read as an image: unpack its archive again"
        ) from None
    return np.asarray(center_crop(resized, [size, size])).transpose(2, 0, 1)


def proportionate(targets: Tensor, seed: int = 0) -> Tensor:
    """A seeded order in which every beginning has each class in proportion, to one image.

    Args:
        targets: labels (samples,).
        seed: decides the order.

    Returns:
        Indices (samples,).
    """
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(targets), generator=generator)
    place = torch.rand(len(targets), generator=generator, dtype=torch.float64)
    for label in targets.unique():
        own = targets[shuffled] == label
        # The n-th image of a class falls somewhere in the n-th of as many equal stretches.
        place[own] = (torch.arange(int(own.sum())) + place[own]) / own.sum()
    return shuffled[place.argsort()]


def _torchvision(name: str, root: Path, **options: object) -> Any:
    from torchvision import datasets

    return getattr(datasets, name)(root, **options)


def _pairs(pairs: Iterable[tuple[str | Path, int]]) -> Listed:
    found = list(pairs)
    targets = torch.tensor([int(label) for _, label in found], dtype=torch.long)
    return Listed([Path(path) for path, _ in found], targets)


def _cars(root: Path, part: str) -> Listed:
    return _pairs(_torchvision("StanfordCars", root, split=part)._samples)


def _dtd(root: Path, part: str) -> Listed:
    found: list[tuple[Path, int]] = []
    for split in {"train": ["train", "val"], "test": ["test"]}[part]:
        held = _torchvision("DTD", root, split=split)
        found += zip(held._image_files, held._labels, strict=True)
    return _in_folders(found)


def _eurosat(root: Path, part: str) -> Listed:
    whole = _pairs(_torchvision("EuroSAT", root).samples)
    order = proportionate(whole.targets)
    tests = len(order) // 10
    chosen = order[:tests] if part == "test" else order[tests:]
    return Listed([whole.sources[number] for number in chosen], whole.targets[chosen])


def _gtsrb(root: Path, part: str) -> Listed:
    return _pairs(_torchvision("GTSRB", root, split=part)._samples)


def _mnist(root: Path, part: str) -> Listed:
    images = mnist.load(part)
    return Listed(images.inputs[:, 0].numpy(), images.targets)


def _resisc45(root: Path, part: str) -> Listed:
    folder = root / "resisc45"
    names = (folder / f"resisc45-{part}.txt").read_text(encoding="utf-8").split()
    labels = _labels("RESISC45")
    found = []
    for name in names:
        known = name.rpartition("_")[0]  # "sea_ice_001.jpg"
        path = folder / "NWPU-RESISC45" / known / name
        found.append((path, labels[known.replace("_", " ")]))
    return _in_folders(found)


def _sun397(root: Path, part: str) -> Listed:
    folder = root / "SUN397"
    file = {"train": "Training_01.txt", "test": "Testing_01.txt"}[part]
    labels = _labels("SUN397")
    found = []
    for line in (folder / file).read_text(encoding="utf-8").split():
        path = folder / line.lstrip("/")  # "/a/apse/indoor/sun_….jpg"
        parts = path.parent.relative_to(folder).parts[1:]
        found.append((path, labels[" ".join(parts).replace("_", " ")]))
    return _in_folders(found)


def _svhn(root: Path, part: str) -> Listed:
    held = _torchvision("SVHN", root / "svhn", split=part)
    return Listed(held.data.transpose(0, 2, 3, 1), torch.from_numpy(held.labels))


def _cifar10(root: Path, part: str) -> Listed:
    held = _torchvision("CIFAR10", root, train=part == "train")
    return Listed(held.data, torch.tensor(held.targets))


def _imagenet(root: Path, part: str) -> Listed:
    folder = root / "imagenet" / {"train": "train", "test": "val"}[part]
    classes = sorted(path for path in folder.glob("n*") if path.is_dir())
    return _pairs(
        (path, label)
        for label, folder in enumerate(classes)
        for path in sorted(folder.glob("*.JPEG"))
    )


def _labels(kind: str) -> dict[str, int]:
    return {name: label for label, name in enumerate(class_names(kind))}


def _in_folders(found: list[tuple[Path, int]]) -> Listed:
    """As task_vectors meets them in its folders, so that the same images are held out."""
    return _pairs(sorted(found, key=lambda pair: (pair[1], pair[0].name)))


READERS: dict[str, Callable[[Path, str], Listed]] = {
    "Cars": _cars,
    "DTD": _dtd,
    "EuroSAT": _eurosat,
    "GTSRB": _gtsrb,
    "MNIST": _mnist,
    "RESISC45": _resisc45,
    "SUN397": _sun397,
    "SVHN": _svhn,
    "CIFAR10": _cifar10,
    "ImageNet": _imagenet,
}
"""Lists the images of a data folder's ``"train"`` or ``"test"`` part in the order of its files."""


def _download_sun397(root: Path) -> None:
    from torchvision.datasets.utils import download_and_extract_archive

    _torchvision("SUN397", root, download=True)
    folder = root / "SUN397"
    if not (folder / "Testing_01.txt").is_file():
        download_and_extract_archive(_SUN397_LISTS, str(folder), md5=SUN397_LISTS_MD5)


def _download_both(name: str, root: Path) -> None:
    for split in ("train", "test"):
        _torchvision(name, root, split=split, download=True)


DOWNLOADS: dict[str, Callable[[Path], object]] = {
    "DTD": lambda root: _torchvision("DTD", root, download=True),
    "EuroSAT": lambda root: _torchvision("EuroSAT", root, download=True),
    "GTSRB": lambda root: _download_both("GTSRB", root),
    "SUN397": _download_sun397,
    "SVHN": lambda root: _download_both("SVHN", root / "svhn"),
    "CIFAR10": lambda root: _torchvision("CIFAR10", root, download=True),
}
"""Downloads a set that a server offers into a data folder, and compares the checksums."""
