"""Labelled images in memory: choosing, turning and replacing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
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
        # Imported here and in the loaders: it takes seconds, and most commands load no image.
        from torchvision.transforms.functional import InterpolationMode, rotate

        turned = rotate(floats(self.inputs), degrees, interpolation=InterpolationMode.BILINEAR)
        return Images(turned.clamp(0, 1), self.targets)

    def first(self, samples: int | None) -> Images:
        """The first ``samples`` of them, or all when None."""
        return self[:samples]

    def batches(self, size: int) -> Batches:
        """``(inputs, targets)`` in order, ``size`` samples each, the last perhaps fewer."""
        return Batches(self, size)

    def shuffled(self, seed: int) -> Images:
        """The same samples in an order that depends on ``seed`` alone."""
        return self[_order(len(self), seed)]

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
        count = round(ratio * len(self))
        if not 0 <= ratio <= 1 or count > len(donors):
            raise ValueError(
                f"cannot replace {ratio} of {len(self)} samples by some of {len(donors)}; "
                "choose a ratio between 0 and 1 and a donor that is large enough"
            )
        kept, new = _order(len(self), seed)[count:], _order(len(donors), seed + 1)[:count]
        return Images(
            torch.cat([self.inputs[kept], donors.inputs[new]]),
            torch.cat([self.targets[kept], donors.targets[new]]),
        )


@dataclass(frozen=True)
class Batches(Sequence[tuple[Tensor, Tensor]]):
    """Images in batches of floats, each made when it is asked for: bytes take less memory."""

    images: Images
    size: int

    def __len__(self) -> int:
        return -(-len(self.images) // self.size)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        if not -len(self) <= number < len(self):
            raise IndexError(f"there are {len(self)} batches, and no number {number}")
        first = number % len(self) * self.size
        part = self.images[first : first + self.size]
        return floats(part.inputs), part.targets


def _order(samples: int, seed: int) -> Tensor:
    return torch.randperm(samples, generator=torch.Generator().manual_seed(seed))
