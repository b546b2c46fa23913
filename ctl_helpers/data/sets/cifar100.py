"""CIFAR-100 through torchvision, which compares its files with the published checksums."""

from __future__ import annotations

import torch

from ctl_helpers.data.images import Images
from ctl_helpers.project import MissingDataError, data_folder
from ctl_helpers.store.artifacts import digest

_FOLDER = "cifar-100-python"
_ARCHIVE_MD5 = "eb9058c3a382ffc7106e4002c42a8d85"


def checksum() -> str:
    """Digest of the published archive's checksum."""
    return digest({"cifar-100-python.tar.gz": _ARCHIVE_MD5})


def load(split: str, classes: range | None = None) -> Images:
    """Images of 32×32 pixels (Krizhevsky 2009), 500 a class for training and 100 for test.

    Args:
        split: ``"train"`` or ``"test"``.
        classes: indices of fine classes to load, all when None; labels are those indices.

    Raises:
        MissingDataError: the files are not in the data folder (see :func:`fetch`), or are damaged.
    """
    root = data_folder()
    missing = MissingDataError(
        f"CIFAR-100 is not in {root}, or a file in its {_FOLDER} is damaged: run `ctl data "
        "cifar100-resnet18` to download it, or set CTL_DATA_DIR to a folder that holds it"
    )
    if not (root / _FOLDER).is_dir():  # pages ask this, and torchvision takes two seconds to load
        raise missing
    from torchvision.datasets import CIFAR100

    try:
        held = CIFAR100(root, train={"train": True, "test": False}[split])
    except RuntimeError:  # its only reason: a file is missing or has another checksum
        raise missing from None
    images = Images(
        torch.from_numpy(held.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(held.targets)
    )
    if classes is None:
        return images
    return images[torch.isin(images.targets, torch.tensor(list(classes)))]


def fetch() -> None:
    """Download CIFAR-100 into the data folder where it is not there yet.

    Raises:
        MissingDataError: no server could be reached, or the data folder cannot be written.
    """
    from torchvision.datasets import CIFAR100

    root = data_folder()
    try:
        CIFAR100(root, download=True)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise MissingDataError(
            f"CIFAR-100 could not be downloaded into {root} ({reason}): connect to the network, or "
            f"set CTL_DATA_DIR to a folder that holds {_FOLDER}"
        ) from None
