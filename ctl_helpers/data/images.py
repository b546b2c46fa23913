"""Labelled images in memory, bytes or floats: choosing, turning, replacing and batching them.

torch is imported where images are made, so that asking a data set for what is missing takes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctl_helpers.data.batches import Batches

if TYPE_CHECKING:
    from torch import Tensor


def floats(inputs: Tensor) -> Tensor:
    """Pixels in [0, 1]: bytes are divided by 255, floats are left as they are."""
    return inputs if inputs.is_floating_point() else inputs.float() / 255


@dataclass(frozen=True)
class Images:
    """``inputs`` (samples, channels, height, width) and ``targets`` (samples,).

    Inputs are floats in [0, 1] or, in a quarter of the memory, bytes; see :func:`floats`.
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, chosen: Tensor | slice) -> Images:
        """The samples at an index, a mask or a slice."""
        return Images(self.inputs[chosen], self.targets[chosen])

    def rotated(self, degrees: float) -> Images:
        """The images turned counter-clockwise about their centre, bilinear, zero outside."""
        from torchvision.transforms.functional import InterpolationMode, rotate

        turned = rotate(floats(self.inputs), degrees, interpolation=InterpolationMode.BILINEAR)
        return Images(turned.clamp(0, 1), self.targets)

    def first(self, samples: int | None) -> Images:
        """The first ``samples`` of them, or all when None."""
        return self[:samples]

    def only(self, classes: Sequence[int] | None) -> Images:
        """Those with the given labels, or all when None."""
        import torch

        if classes is None:
            return self
        return self[torch.isin(self.targets, torch.tensor(list(classes)))]

    def batches(self, size: int) -> Batches[tuple[Tensor, Tensor]]:
        """``(inputs, targets)`` in order, inputs as floats, the last batch perhaps smaller."""
        return Batches(len(self), size, self._batch)

    def _batch(self, part: slice) -> tuple[Tensor, Tensor]:
        return floats(self.inputs[part]), self.targets[part]

    def shuffled(self, seed: int) -> Images:
        """The same samples in an order that depends on ``seed`` alone."""
        return self[permutation(len(self), seed)]

    def replaced(self, donors: Images, ratio: float, seed: int) -> Images:
        """Some samples replaced by as many of another set, labels included (paper's Figure 12).

        The replaced ones at a larger ratio include those at a smaller one.

        Args:
            donors: where the new samples come from.
            ratio: replaced samples over all, in [0, 1].
            seed: decides which samples go and which come.

        Raises:
            ValueError: a ratio outside [0, 1], or more samples wanted than there are donors.
        """
        import torch

        count = round(ratio * len(self))
        if not 0 <= ratio <= 1 or count > len(donors):
            raise ValueError(
                f"cannot replace {ratio} of {len(self)} samples by some of {len(donors)}; "
                "choose a ratio between 0 and 1 and a donor that is large enough"
            )
        stay = self[permutation(len(self), seed)[count:]]
        come = donors[permutation(len(donors), seed + 1)[:count]]
        return Images(
            torch.cat([stay.inputs, come.inputs]), torch.cat([stay.targets, come.targets])
        )


@dataclass(frozen=True)
class Captioned:
    """``inputs`` (samples, channels, height, width) as bytes, and a caption for each."""

    inputs: Tensor
    captions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.captions)


def from_pixels(
    pixels: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], labels: ArrayLike
) -> Images:
    """Images of arrays as files give them.

    Args:
        pixels: bytes (samples, height, width, 3), or a list of one array per image.
        labels: (samples,).
    """
    import torch

    inputs = torch.from_numpy(np.asarray(pixels)).permute(0, 3, 1, 2).contiguous()
    return Images(inputs, torch.from_numpy(np.asarray(labels, dtype=np.int64)))


def permutation(samples: int, seed: int) -> Tensor:
    """Indices of samples in an order that depends on ``seed`` alone."""
    import torch

    return torch.randperm(samples, generator=torch.Generator().manual_seed(seed))
