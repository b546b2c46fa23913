"""Reading weights that others have published, safely."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.checksums import checked

if TYPE_CHECKING:
    from torch import Tensor

# Y. Idelbayev, Proper ResNet Implementation for CIFAR10 (BSD 2-clause): 91.7 % on the test set.
RESNET20 = {
    "weights/resnet_cifar10/resnet20-12fca82f.th": (
        "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8"
    )
}
_REMEDY = (
    "download pretrained_models/resnet20-12fca82f.th of akamaster/pytorch_resnet_cifar10 into "
    "weights/resnet_cifar10 of the data folder, which CTL_DATA_DIR names"
)


def resnet20_file() -> Path:
    """The published file.

    Raises:
        MissingDataError: it is not in the data folder, or is damaged.
    """
    (path,) = checked("The pretrained ResNet-20", RESNET20, _REMEDY)
    return path


def resnet20(like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published ResNet-20 for CIFAR-10, under this package's names.

    Args:
        like: a state dict of :class:`~ctl_helpers.models.resnet.ResNet20`. The file is older than
            BatchNorm's counter of batches, which is taken from here.

    Raises:
        MissingDataError: the file is not in the data folder, is damaged, or asks for foreign code.
    """
    import torch

    path = resnet20_file()
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except (pickle.UnpicklingError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise MissingDataError(f"{path} holds no plain weights ({reason}): {_REMEDY}") from None
    named = {name.removeprefix("module."): value for name, value in content.items()}
    counters = {name: value for name, value in like.items() if name.endswith("num_batches_tracked")}
    return {**counters, **named}
