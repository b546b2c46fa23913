"""ImageNet-1k from its unpacked folders, one class folder after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctl_helpers.data.images import Images, from_pixels
from ctl_helpers.data.tasks import LabelledSet
from ctl_helpers.project import MissingDataError, data_folder
from ctl_helpers.store.artifacts import digest

_ARCHIVES_MD5 = {
    "ILSVRC2012_img_train.tar": "1d675b47d978889d74fa0da5fadfb00e",
    "ILSVRC2012_img_val.tar": "29b22e2961454d5413ddabcf34fc5622",
}
_CLASSES = 1000


def read(split: str, classes: Sequence[int] | None = None) -> Images:
    """Images resized to 256 and cropped to 224×224 pixels (Deng et al. 2009), as bytes.

    About 1,300 images per class for training, and 50 for test (its validation part); ten classes
    of training images take 2 GB.

    Args:
        split: ``"train"`` or ``"test"``.
        classes: indices of the WordNet ids in sorted order, all when None; labels are those.

    Raises:
        MissingDataError: the folder ``imagenet/train`` or ``imagenet/val`` is not in the data
            folder, does not hold the 1,000 class folders, or has an image that cannot be read.
    """
    folders = _folders(split)
    labelled = [
        (pixels, label)
        for label in (classes if classes is not None else range(_CLASSES))
        for pixels in _pixels(folders[label])
    ]
    return from_pixels([pixels for pixels, _ in labelled], [label for _, label in labelled])


def _folders(split: str) -> list[Path]:
    """The folder of each class."""
    folder = data_folder() / "imagenet" / {"train": "train", "test": "val"}[split]
    found = sorted(path for path in folder.glob("n*") if path.is_dir())
    if len(found) != _CLASSES:
        raise MissingDataError(
            f"{folder} holds {len(found)} class folders of ImageNet's {_CLASSES}: get the archives "
            "from image-net.org with an account, and unpack them into imagenet/train/<WordNet id> "
            "and imagenet/val/<WordNet id> in the data folder, which CTL_DATA_DIR names"
        )
    return found


def _pixels(folder: Path) -> Iterator[NDArray[Any]]:
    """The images of one class, as arrays of shape (224, 224, 3)."""
    from PIL import Image
    from torchvision.transforms.functional import center_crop, resize

    for path in sorted(folder.glob("*.JPEG")):
        try:
            with Image.open(path) as image:
                yield np.asarray(center_crop(resize(image.convert("RGB"), 256), [224, 224]))
        except OSError:
            raise MissingDataError(
                f"{path} cannot be read as an image: unpack its archive again"
            ) from None


SET = LabelledSet(read, lambda: digest(_ARCHIVES_MD5), lambda: _folders("test"))
