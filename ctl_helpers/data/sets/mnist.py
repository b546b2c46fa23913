"""MNIST through torchvision, with the checksums of its four files."""

from __future__ import annotations

from collections.abc import Sequence

from ctl_helpers.data.dataset import downloading
from ctl_helpers.data.images import Images
from ctl_helpers.data.tasks import LabelledSet
from ctl_helpers.project import data_folder
from ctl_helpers.store.artifacts import digest
from ctl_helpers.weights.checksums import checked

_RAW = "MNIST/raw"
CHECKSUMS = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def _download() -> None:
    """Download MNIST's files into the data folder where they are not there yet."""
    from torchvision import datasets

    with downloading("MNIST", data_folder(), _RAW):
        datasets.MNIST(data_folder(), download=True)


def read(split: str, classes: Sequence[int] | None = None) -> Images:
    """MNIST (LeCun et al. 1998): 60,000 training or 10,000 test images of 28×28 pixels.

    Raises:
        MissingDataError: the files are not in the data folder, or are damaged.
    """
    _check()
    # Its data set class would prefer a converted copy that nobody has checked, where there is one.
    from torchvision.datasets.mnist import read_image_file, read_label_file

    part = {"train": "train", "test": "t10k"}[split]
    raw = data_folder() / _RAW
    pixels = read_image_file(str(raw / f"{part}-images-idx3-ubyte"))
    labels = read_label_file(str(raw / f"{part}-labels-idx1-ubyte"))
    return Images(pixels.unsqueeze(1), labels).only(classes)


def _check() -> None:
    files = {f"{_RAW}/{name}": value for name, value in CHECKSUMS.items()}
    remedy = (
        "run `ctl data mnist-mlp` to download it, or set CTL_DATA_DIR to a folder that holds "
        f"{_RAW}"
    )
    checked("MNIST", files, remedy)


SET = LabelledSet(read, lambda: digest(CHECKSUMS), _check, _download)
