"""Settings whose tasks are images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from ctl_helpers.data.batches import Batches
from ctl_helpers.data.images import Images
from ctl_helpers.settings.schema import Setting


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
