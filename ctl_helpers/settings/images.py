"""Settings whose tasks are images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from ctl_helpers.data.batches import Batches
from ctl_helpers.data.images import Images
from ctl_helpers.settings.schema import Setting
from ctl_helpers.settings.tuned import Job
from ctl_helpers.training.loop import default_device
from ctl_helpers.training.steps import classification


class OnImages(Setting):
    """A setting whose tasks are sets of labelled images."""

    usual_batch: ClassVar[int] = 200

    def images(self, task: str, split: str, samples: int | None = None) -> Images:
        """The images of a task, as :meth:`Setting.loaded`."""
        return self.loaded(task, split, samples)

    def streams(
        self,
        tasks: Sequence[str],
        samples: int | None = None,
        batch_size: int | None = None,
        split: str = "test",
    ) -> dict[str, Batches[tuple[Tensor, Tensor]]]:
        """Batches by task: task → batches of ``(inputs, targets)``."""
        size = batch_size or self.usual_batch
        return {task: self.images(task, split, samples).batches(size) for task in tasks}


def under_head(model: nn.Module, images: Images, head: Callable[[Tensor], Tensor]) -> Job:
    """What training by steps trains: a network that embeds images, under a frozen head."""
    device = default_device()
    images = Images(images.inputs.to(device), images.targets.to(device))
    return model.to(device), classification(images, head), len(images)
