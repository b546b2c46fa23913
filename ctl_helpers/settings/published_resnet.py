"""The setting of a ResNet-20 that others have pretrained."""

from __future__ import annotations

from ctl_helpers.settings.scratch import Scratch
from ctl_helpers.training.checkpoints import Checkpoint
from ctl_helpers.weights import resnet


class PublishedResNet(Scratch):
    """A setting whose pretrained weights are published too."""

    def published(self) -> Checkpoint:
        """The published weights, as :meth:`Scratch.published`."""
        return self._path(
            self.pretrain,
            self.pretraining,
            [0],
            {"published": resnet.RESNET20},
            lambda: resnet.resnet20(self.build().state_dict()),
            lambda: self.images(self.pretrain, "train"),
            0,
        )[0]

    def source_parts(self) -> tuple[str, ...]:
        """The modules of this package that trained weights depend on."""
        return *super().source_parts(), "weights.resnet"
