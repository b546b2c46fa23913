"""Settings whose networks are trained from random weights, by epochs."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from ctl_helpers import models
from ctl_helpers.data.images import Images
from ctl_helpers.data.tasks import is_task, labels_of, reordered
from ctl_helpers.project import SettingError
from ctl_helpers.settings.images import OnImages
from ctl_helpers.settings.schema import Checked, Network
from ctl_helpers.settings.trained import Trained
from ctl_helpers.training.checkpoints import Checkpoint
from ctl_helpers.training.class_mask import ClassMask
from ctl_helpers.training.loop import Recipe, Snapshot, epochs, initial_weights

if TYPE_CHECKING:
    from typing_extensions import Self


class _Sizes(Network, Checked):
    """An architecture and its sizes, which are the arguments of its class in ``models``."""

    def build(self) -> nn.Module:
        """The architecture, with weights that nobody should use."""
        return models.build(**self.model_dump())


class MLP(_Sizes):
    """:class:`ctl_helpers.models.mlp.MLP`."""

    architecture: Literal["mlp"]
    inputs: int
    width: int
    hidden_layers: int
    classes: int


class SmallImageResNet18(_Sizes):
    """The one of :mod:`ctl_helpers.models.resnet` for small images, usual or for split tasks."""

    architecture: Literal["resnet18", "split-resnet18"]
    width: int
    classes: int


class CifarResNet(_Sizes):
    """:class:`ctl_helpers.models.resnet.CifarResNet`."""

    architecture: Literal["cifar-resnet"]
    depth: Literal[20, 32, 44, 56]
    classes: int


class ImageNetResNet18(_Sizes):
    """:class:`ctl_helpers.models.resnet.ImageNetResNet18`."""

    architecture: Literal["imagenet-resnet18"]
    classes: int


class Scratch(Trained, OnImages):
    """A setting whose networks are trained from scratch.

    Attributes:
        model: the network and its sizes.
        pretrain: the pretraining task ``D_PT``.
        far: further fine-tuning tasks, farther from ``D_PT``, where linearity should weaken.
        pretraining, finetuning: recipes.
        class_order: seed of the order in which ``"classes 1–5"`` counts; 0 is the set's own.
    """

    usual_batch: ClassVar[int] = 500

    model: Annotated[
        MLP | SmallImageResNet18 | CifarResNet | ImageNetResNet18,
        Field(discriminator="architecture"),
    ]
    pretrain: str
    far: list[str] = Field(default_factory=list)
    pretraining: Recipe
    finetuning: Recipe
    class_order: int = 0

    def build(self) -> nn.Module:
        """The architecture, with weights that nobody should use."""
        return self.model.build()

    def check_task(self, task: str) -> None:
        """Any task of :mod:`ctl_helpers.data.tasks` will do."""
        if not is_task(task):
            raise SettingError(
                f"{self.name} has no task {task!r}; its tasks are {[self.pretrain, *self.finetune]}"
            )

    def split_by(self, seed: int) -> Self:
        """The same with the classes split otherwise, by a seed; 0 is the set's own order."""
        return self.model_copy(update={"class_order": seed})

    def with_trained_norm(self) -> Self:
        """The same with BatchNorm's statistics trained in fine-tuning."""
        return self.model_copy(update={"finetuning": replace(self.finetuning, frozen_norm=False)})

    def loaded(self, task: str, split: str, samples: int | None = None) -> Any:
        """As :meth:`Setting.loaded`."""
        return super().loaded(self._named(task), split, samples)

    def heads(self, seed: int, tasks: Sequence[str]) -> Mapping[str, Any] | None:
        """Masks of the classes of each task, where training has them."""
        if not self.finetuning.masked:
            return None
        labels = {task: labels_of(self._named(task)) for task in tasks}
        return {task: ClassMask(each) for task, each in labels.items() if each is not None}

    def _named(self, task: str) -> str:
        """A task as the data set has it."""
        if self.class_order == 0:
            return task
        order = np.random.default_rng(self.class_order).permutation(self.model.classes)
        return reordered(task, order.tolist())

    def start(self, seed: int, samples: int | None) -> Mapping[str, Tensor]:
        """The pretrained network's weights."""
        return self.pretrained(seed, samples).weights()

    def pretrained(
        self, seed: int, samples: int | None = None, task: str | None = None
    ) -> Checkpoint:
        """The end of :meth:`pretraining_path`."""
        last = self.pretraining.epochs
        return self.pretraining_path(seed, [last], samples, task)[last]

    def pretraining_path(
        self, seed: int, wanted: Sequence[int], samples: int | None = None, task: str | None = None
    ) -> dict[int, Checkpoint]:
        """Checkpoints along pretraining, from one run: epoch → checkpoint.

        Args:
            seed: decides the initial weights and the order of samples.
            wanted: after which epochs, 0 giving the initial weights.
            samples: training images to use, all when None.
            task: in place of :attr:`pretrain`.
        """
        task = task or self.pretrain
        return self._path(
            task,
            self.pretraining,
            wanted,
            {"initial": seed, "samples": samples},
            lambda: initial_weights(self.build, seed),
            lambda: self.images(task, "train", samples),
            seed,
        )

    def finetuned(
        self, seed: int, task: str, *, recipe: Recipe | None = None, **how: Any
    ) -> Checkpoint:
        """The end of :meth:`finetuning_path`, which takes the same."""
        last = (recipe or self.finetuning).epochs
        return self.finetuning_path(seed, task, [last], recipe=recipe, **how)[last]

    def finetuning_path(
        self,
        seed: int,
        task: str,
        wanted: Sequence[int],
        *,
        start: Checkpoint | None = None,
        recipe: Recipe | None = None,
        order: int | None = None,
        samples: int | None = None,
        replaced: tuple[str, float] | None = None,
    ) -> dict[int, Checkpoint]:
        """Checkpoints along fine-tuning, from one run: epoch → checkpoint.

        Args:
            seed: decides the order of samples, together with the task.
            task: what to fine-tune on.
            wanted: after which epochs, 0 giving the start.
            start: another pretrained checkpoint than the seed's.
            recipe: in place of :attr:`finetuning`.
            order: in place of the seed, another order of samples.
            samples: training images to use, all when None; also of the start where none is given.
            replaced: (donor task, ratio): that share of the images is replaced by the donor's.
        """
        start = start or self.pretrained(seed, samples)
        swapped = (self._named(replaced[0]), replaced[1]) if replaced and replaced[1] else None

        def images() -> Images:
            images = self.images(task, "train", samples)
            if swapped is None:
                return images
            donor, ratio = swapped
            return images.replaced(self.images(donor, "train", samples), ratio, seed)

        return self._path(
            task,
            recipe or self.finetuning,
            wanted,
            {"start": start.key, "samples": samples, "replaced": swapped and [*swapped, seed]},
            start.weights,
            images,
            seed if order is None else order,
        )

    def published(self) -> Checkpoint:
        """The pretrained weights that others have published for this network.

        Raises:
            SettingError: none are known.
            MissingDataError: they are not on this machine.
        """
        raise SettingError(f"{self.name}: no published weights of {self.architecture}")

    def source_parts(self) -> tuple[str, ...]:
        """The modules of this package that trained weights depend on."""
        network, data = models.source(self.architecture), f"data.sets.{self.data.set}"
        return network, data, "training.checkpoints", "training.loop"

    def _path(
        self,
        task: str,
        recipe: Recipe,
        wanted: Sequence[int],
        facts: Mapping[str, object],
        start: Callable[[], Mapping[str, Tensor]],
        images: Callable[[], Images],
        seed: int,
    ) -> dict[int, Checkpoint]:
        task = self._named(task)
        # Each task shuffles in its own order, as independent fine-tunes do.
        order = zlib.crc32(f"{task}/{seed}".encode())

        def train(begin: Snapshot, last: int) -> Iterator[Snapshot]:
            return epochs(self.build(), begin, images(), replace(recipe, epochs=last), order)

        facts = {"task": task, "order": order, **facts}
        anytime = replace(recipe, epochs=0)  # all lengths are one run
        run = self.run(f"{task}, seed {seed}", facts, anytime, start, train, "epochs")
        return run.checkpoints(wanted)
