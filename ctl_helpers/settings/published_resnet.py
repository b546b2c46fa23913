"""The setting of ResNets that others have pretrained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctl_helpers.settings.scratch import CifarResNet, Scratch
from ctl_helpers.training.checkpoints import Checkpoint
from ctl_helpers.weights import resnet

if TYPE_CHECKING:
    from typing_extensions import Self


class PublishedResNet(Scratch):
    """A setting whose pretrained weights are published too, in four depths."""

    model: CifarResNet

    def of_depth(self, depth: int) -> Self:
        """The same with another published network."""
        return self.model_copy(update={"model": self.model.model_copy(update={"depth": depth})})

    def published(self) -> Checkpoint:
        """The published weights, as :meth:`Scratch.published`."""
        depth = self.model.depth
        return self._path(
            self.pretrain,
            self.pretraining,
            [0],
            {"published": resnet.FILES[depth]},
            lambda: resnet.published(depth, self.build().state_dict()),
            lambda: self.images(self.pretrain, "train"),
            0,
        )[0]

    def source_parts(self) -> tuple[str, ...]:
        """The modules of this package that trained weights depend on."""
        return *super().source_parts(), "weights.resnet"
