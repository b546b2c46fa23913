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

# Y. Idelbayev, Proper ResNet Implementation for CIFAR10 (BSD 2-clause): 91.7 to 93.4 % on the test
# set.
FILES = {
    20: {
        "weights/resnet_cifar10/resnet20-12fca82f.th": (
            "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8"
        )
    },
    32: {
        "weights/resnet_cifar10/resnet32-d509ac18.th": (
            "d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850"
        )
    },
    44: {
        "weights/resnet_cifar10/resnet44-014dd654.th": (
            "014dd6541728a1c700b1642ab640e211dc6eb8ed507d70697458dc8f8a0ae2e4"
        )
    },
    56: {
        "weights/resnet_cifar10/resnet56-4bfd9763.th": (
            "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367"
        )
    },
}
"""Depth → file and its SHA-256."""

_REMEDY = (
    "download the files resnet20 to resnet56 in pretrained_models of "
    "akamaster/pytorch_resnet_cifar10 into weights/resnet_cifar10 of the data folder, which "
    "CTL_DATA_DIR names"
)


def published_file(depth: int) -> Path:
    """The published file of a depth.

    Raises:
        MissingDataError: it is not in the data folder, or is damaged.
    """
    (path,) = checked(f"The pretrained ResNet-{depth}", FILES[depth], _REMEDY)
    return path


def published(depth: int, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published ResNet for CIFAR-10, under this package's names.

    Args:
        depth: 20, 32, 44 or 56.
        like: a state dict of :class:`~ctl_helpers.models.resnet.CifarResNet`. The file is older
            than BatchNorm's counter of batches, which is taken from here.

    Raises:
        MissingDataError: the file is not in the data folder, is damaged, or asks for foreign code.
    """
    import torch

    path = published_file(depth)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except (pickle.UnpicklingError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise MissingDataError(f"{path} holds no plain weights ({reason}): {_REMEDY}") from None
    named = {name.removeprefix("module."): value for name, value in content.items()}
    counters = {name: value for name, value in like.items() if name.endswith("num_batches_tracked")}
    return {**counters, **named}
