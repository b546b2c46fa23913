"""Two tasks at a distance: variants of one task that lie as far from it on either side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctl_helpers.data.images import Images

if TYPE_CHECKING:
    from torch import Tensor

_FEWEST = 3
"""Of two classes, passing labels on and passing them back are the same."""


@dataclass(frozen=True)
class TaskPair:
    """Images turned one way and the other, or labels passed on and passed back.

    Attributes:
        angle: degrees between the images of both tasks, each of which is turned by half of it.
        share: of the classes whose labels are others. In the first task each of these classes has
            the label of the next one, in the second that of the one before.
    """

    angle: float = 0.0
    share: float = 0.0

    @property
    def name(self) -> str:
        """What a reader calls it."""
        return f"{self.angle:g}° apart" if self.angle else f"{self.share:.0%} of labels"

    @property
    def tasks(self) -> tuple[str, str]:
        """The names of both tasks."""
        if self.angle:
            return f"+{self.angle / 2:g}°", f"−{self.angle / 2:g}°"
        return f"labels +{self.share:.0%}", f"labels −{self.share:.0%}"

    def images(self, upright: Images, classes: int) -> dict[str, Images]:
        """The images of both tasks: name → images.

        Args:
            upright: those of the task that both are variants of.
            classes: how many there are in all.
        """
        sides = zip(self.tasks, (1, -1), strict=True)
        if self.angle:
            return {name: upright.rotated(side * self.angle / 2) for name, side in sides}
        return {
            name: Images(upright.inputs, self._labels(classes, side)[upright.targets])
            for name, side in sides
        }

    def _labels(self, classes: int, side: int) -> Tensor:
        """The label of each class."""
        import torch

        changed = min(max(math.ceil(self.share * classes), _FEWEST), classes)
        labels = torch.arange(classes)
        labels[:changed] = labels[:changed].roll(-side)
        return labels
