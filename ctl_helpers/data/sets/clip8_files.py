"""Files of the sets that CLIP is fine-tuned on: listing, decoding and downloading them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ctl_helpers.data.prompts import class_names
from ctl_helpers.data.sets import mnist
from ctl_helpers.project import MissingDataError

if TYPE_CHECKING:
    from torch import Tensor

Source = Path | NDArray[np.uint8]
"""An image file, or pixels of shape (height, width) or (height, width, 3)."""

SUN397_LISTS_MD5 = "29a205c0a0129d21f36cbecfefe81881"
_SUN397_LISTS = "https://vision.princeton.edu/projects/2010/SUN/download/Partitions.zip"


@dataclass(frozen=True)
class Listed:
    """Images that are not decoded yet, and their labels."""

    sources: Sequence[Source] | NDArray[np.uint8]
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


def proportionate(targets: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """A seeded order in which every beginning has each class in proportion, to one image.

    Args:
        targets: labels (samples,).
        seed: decides the order.

    Returns:
        Indices (samples,).
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(targets), generator=generator)
    place = torch.rand(len(targets), generator=generator, dtype=torch.float64)
    for label in np.unique(targets):
        same = torch.from_numpy(targets == label)[shuffled]
        # The n-th image of a class falls somewhere in the n-th of as many equal stretches.
        place[same] = (torch.arange(int(same.sum())) + place[same]) / same.sum()
    return shuffled[place.argsort()].numpy()


def _torchvision(name: str, root: Path, **options: object) -> Any:
    from torchvision import datasets

    return getattr(datasets, name)(root, **options)


def _pairs(pairs: Iterable[tuple[Path | str, int]]) -> Listed:
    rows = list(pairs)
    return _listed([Path(path) for path, _ in rows], [label for _, label in rows])


def _listed(sources: Sequence[Source] | NDArray[np.uint8], labels: Iterable[int]) -> Listed:
    import torch

    return Listed(sources, torch.tensor([int(label) for label in labels], dtype=torch.long))


def _dtd(root: Path, part: str) -> Listed:
    pairs: list[tuple[Path, int]] = []
    for split in {"train": ["train", "val"], "test": ["test"]}[part]:
        content = _torchvision("DTD", root, split=split)
        pairs += zip(content._image_files, content._labels, strict=True)
    return _in_folders(pairs)


def _eurosat(root: Path, part: str) -> Listed:
    every = _pairs(_torchvision("EuroSAT", root).samples)
    order = proportionate(every.targets.numpy())
    tests = len(order) // 10
    chosen = order[:tests] if part == "test" else order[tests:]
    return Listed([every.sources[number] for number in chosen], every.targets[chosen])


def _mnist(root: Path, part: str) -> Listed:
    images = mnist.read(part)
    return Listed(images.inputs[:, 0].numpy(), images.targets)


def _resisc45(root: Path, part: str) -> Listed:
    folder = root / "resisc45"
    names = (folder / f"resisc45-{part}.txt").read_text(encoding="utf-8").split()
    labels = _labels("RESISC45")
    pairs = []
    for name in names:
        known = name.rpartition("_")[0]  # "sea_ice_001.jpg"
        path = folder / "NWPU-RESISC45" / known / name
        pairs.append((path, labels[known.replace("_", " ")]))
    return _in_folders(pairs)


def _sun397(root: Path, part: str) -> Listed:
    folder = root / "SUN397"
    file = {"train": "Training_01.txt", "test": "Testing_01.txt"}[part]
    labels = _labels("SUN397")
    pairs = []
    for line in (folder / file).read_text(encoding="utf-8").split():
        path = folder / line.lstrip("/")  # "/a/apse/indoor/sun_….jpg"
        parts = path.parent.relative_to(folder).parts[1:]
        pairs.append((path, labels[" ".join(parts).replace("_", " ")]))
    return _in_folders(pairs)


def _svhn(root: Path, part: str) -> Listed:
    content = _torchvision("SVHN", root / "svhn", split=part)
    return _listed(content.data.transpose(0, 2, 3, 1), content.labels)


def _arrays(content: Any) -> Listed:
    return _listed(content.data, content.targets)


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


def _in_folders(pairs: Iterable[tuple[Path, int]]) -> Listed:
    """As task_vectors meets them in its folders, so that the same images are held out."""
    rows = sorted((label, path.name, path) for path, label in pairs)
    return _listed([path for _, _, path in rows], [label for label, _, _ in rows])


READERS: dict[str, Callable[[Path, str], Listed]] = {
    "Cars": lambda root, part: _pairs(_torchvision("StanfordCars", root, split=part)._samples),
    "DTD": _dtd,
    "EuroSAT": _eurosat,
    "GTSRB": lambda root, part: _pairs(_torchvision("GTSRB", root, split=part)._samples),
    "MNIST": _mnist,
    "RESISC45": _resisc45,
    "SUN397": _sun397,
    "SVHN": _svhn,
    "CIFAR10": lambda root, part: _arrays(_torchvision("CIFAR10", root, train=part == "train")),
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
