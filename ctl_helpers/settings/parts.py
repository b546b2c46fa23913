"""The setting of small networks whose parts are changed one at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError
from torch import nn

from ctl_helpers import models
from ctl_helpers.project import SettingError
from ctl_helpers.settings.schema import Checked, Network
from ctl_helpers.settings.scratch import Scratch
from ctl_helpers.training.by_steps import sgd_steps
from ctl_helpers.training.checkpoints import Checkpoint
from ctl_helpers.training.loop import Snapshot

if TYPE_CHECKING:
    from typing_extensions import Self


class _Parts(Network, Checked):
    """A network of :mod:`ctl_helpers.models.parts`."""

    width: int
    depth: int
    classes: int
    residual: bool = True
    norm: Literal["none", "batch", "group", "layer"]
    activation: Literal["relu", "gelu", "tanh", "linear"]

    def build(self) -> nn.Module:
        """The architecture, with weights that nobody should use."""
        return models.build(**self.model_dump())


class _MLP(_Parts):
    architecture: Literal["parts-mlp"]
    inputs: int


class _OnImages(_Parts):
    architecture: Literal["parts-resnet", "parts-vit"]


class InParts(Scratch):
    """A setting whose network's parts are changed one at a time."""

    model: Annotated[_MLP | _OnImages, Field(discriminator="architecture")]  # type: ignore[assignment]

    def with_parts(self, *, frozen_norm: bool = False, **parts: object) -> Self:
        """The same with some of the network's parts changed.

        Args:
            frozen_norm: whether BatchNorm keeps its statistics in fine-tuning.
            parts: fields of :attr:`model`.

        Raises:
            SettingError: no such part, or of a wrong kind.
        """
        try:
            model = type(self.model).model_validate({**self.model.model_dump(), **parts})
        except ValidationError as error:
            first = error.errors()[0]
            place, message = ".".join(map(str, first["loc"])), first["msg"].lower()
            raise SettingError(f"{self.name}: the part {place!r}: {message}") from None
        tuning = replace(self.finetuning, frozen_norm=frozen_norm)
        return self.model_copy(update={"model": model, "finetuning": tuning})

    def finetuning_steps(
        self,
        seed: int,
        task: str,
        wanted: Sequence[int],
        start: Checkpoint,
        samples: int | None = None,
    ) -> dict[int, Checkpoint]:
        """Checkpoints along fine-tuning, from one run: steps → checkpoint.

        Args:
            seed: decides the order of samples, together with the task.
            task: what to fine-tune on.
            wanted: after which steps, 0 giving the start.
            start: the pretrained checkpoint.
            samples: training images to use, all when None.
        """
        task = self._named(task)
        order = zlib.crc32(f"{task}/{seed}".encode())

        def train(begin: Snapshot, last: int) -> Iterator[Snapshot]:
            images = self.images(task, "train", samples)
            until = [number for number in wanted if number <= last]
            return sgd_steps(self.build(), begin, images, self.finetuning, order, until)

        facts = {"task": task, "order": order, "start": start.key, "samples": samples}
        recipe = replace(self.finetuning, epochs=0)  # all lengths are one run
        run = self.run(f"{task}, seed {seed}", facts, recipe, start.weights, train, "steps")
        return run.checkpoints(wanted)

    def source_parts(self) -> tuple[str, ...]:
        """The modules of this package that trained weights depend on."""
        return *super().source_parts(), "training.by_steps"
