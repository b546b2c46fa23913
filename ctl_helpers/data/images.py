"""Labelled images in memory, and turning them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


class MissingDataError(RuntimeError):
    """A data set is not on this machine; the message says in one sentence how to get it."""


@dataclass(frozen=True)
class Images:
    """``inputs`` of shape (samples, 1, height, width) in [0, 1] and ``targets`` (samples,)."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def rotated(self, degrees: float) -> Images:
        """The images turned counter-clockwise about their centre, bilinear, zero outside."""
        # Imported here and in the loaders: it takes seconds, and most commands load no image.
        from torchvision.transforms.functional import InterpolationMode, rotate

        turned = rotate(self.inputs, degrees, interpolation=InterpolationMode.BILINEAR)
        return Images(turned.clamp(0, 1), self.targets)

    def first(self, samples: int | None) -> Images:
        """The first ``samples`` of them, or all when None."""
        return Images(self.inputs[:samples], self.targets[:samples])

    def batches(self, size: int) -> list[tuple[Tensor, Tensor]]:
        """``(inputs, targets)`` in order, ``size`` samples each, the last perhaps fewer."""
        return list(zip(self.inputs.split(size), self.targets.split(size), strict=True))

    def shuffled(self, seed: int) -> Images:
        """The same samples in an order that depends on ``seed`` alone."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        return Images(self.inputs[order], self.targets[order])
