"""CIFAR-100 through torchvision, which compares its files with the published checksums."""

from __future__ import annotations

from collections.abc import Sequence

from ctl_helpers.data.dataset import downloading
from ctl_helpers.data.images import Images, from_pixels
from ctl_helpers.data.tasks import LabelledSet
from ctl_helpers.project import MissingDataError, data_folder
from ctl_helpers.store.artifacts import digest

_FOLDER = "cifar-100-python"
_ARCHIVE_MD5 = "eb9058c3a382ffc7106e4002c42a8d85"


def _download() -> None:
    """Download CIFAR-100 into the data folder where it is not there yet."""
    from torchvision.datasets import CIFAR100

    with downloading("CIFAR-100", data_folder(), _FOLDER):
        CIFAR100(data_folder(), download=True)


def read(split: str, classes: Sequence[int] | None = None) -> Images:
    """Images of 32×32 pixels (Krizhevsky 2009), 500 per class for training and 100 for test.

    Args:
        split: ``"train"`` or ``"test"``.
        classes: labels of fine classes to load, all when None.

    Raises:
        MissingDataError: the files are not in the data folder, or are damaged.
    """
    _check()
    from torchvision.datasets import CIFAR100

    try:
        content = CIFAR100(data_folder(), train={"train": True, "test": False}[split])
    except RuntimeError:  # its only reason: a file is missing or has another checksum
        raise _missing() from None
    return from_pixels(content.data, content.targets).only(classes)


def _check() -> None:
    if not (data_folder() / _FOLDER).is_dir():
        raise _missing()


def _missing() -> MissingDataError:
    return MissingDataError(
        f"CIFAR-100 is not in {data_folder()}, or a file in its {_FOLDER} is damaged: run `ctl "
        "data cifar100-resnet18` to download it, or set CTL_DATA_DIR to a folder that holds it"
    )


SET = LabelledSet(
    read, lambda: digest({"cifar-100-python.tar.gz": _ARCHIVE_MD5}), _check, _download
)
