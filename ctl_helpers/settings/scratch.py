"""Settings: an architecture, its tasks, recipes and grids, each read from one YAML file."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from ctl_helpers import models
from ctl_helpers.data.images import Images
from ctl_helpers.project import MissingDataError, SettingError
from ctl_helpers.settings.schema import PRETRAINED, Checked, Described
from ctl_helpers.settings.tasks import Data
from ctl_helpers.store.artifacts import digest
from ctl_helpers.store.code_keys import module_checksum
from ctl_helpers.training.checkpoints import Checkpoint, trajectory
from ctl_helpers.training.loop import Recipe, initial_weights
from ctl_helpers.weights import resnet


class _Network(Checked):
    """An architecture and its sizes, which are the arguments of its class in ``models``."""

    def build(self) -> nn.Module:
        """The architecture, with weights that nobody should use."""
        return models.build(**self.model_dump())


class MLP(_Network):
    """:class:`ctl_helpers.models.mlp.MLP`."""

    architecture: Literal["mlp"]
    inputs: int
    width: int
    hidden_layers: int
    classes: int


class ResNet18(_Network):
    """:class:`ctl_helpers.models.resnet.ResNet18`."""

    architecture: Literal["resnet18"]
    width: int
    classes: int


class OtherResNet(_Network):
    """A network of :mod:`ctl_helpers.models.resnet` whose widths are given."""

    architecture: Literal["resnet20", "imagenet-resnet18"]
    classes: int


Network = Annotated[MLP | ResNet18 | OtherResNet, Field(discriminator="architecture")]


class Setting(Described):
    """A setting whose networks are trained from scratch; see ``settings/*.yaml``.

    Attributes:
        model: the network and its sizes.
        pretrain: the pretraining task ``D_PT``.
        far: further fine-tuning tasks, farther from ``D_PT``, where linearity should weaken.
        pretraining, finetuning: recipes.
    """

    model: Network
    data: Data
    pretrain: str
    far: list[str] = Field(default_factory=list)
    pretraining: Recipe
    finetuning: Recipe

    def build(self) -> nn.Module:
        """The architecture, with weights that nobody should use."""
        return self.model.build()

    def shortened(self, share: float) -> Setting:
        """The same with a share of the training epochs, one at least, for a quick look."""

        def short(recipe: Recipe) -> Recipe:
            return replace(recipe, epochs=max(round(share * recipe.epochs), 1))

        recipes = {"pretraining": short(self.pretraining), "finetuning": short(self.finetuning)}
        return self.model_copy(update=recipes)

    def missing(self) -> str | None:
        """What is not on this machine and how to get it, in one sentence; None if all is here."""
        try:
            self.data.images(self.pretrain, "test")
            if self.model.architecture == "resnet20":
                resnet.resnet20(self.build().state_dict())
        except MissingDataError as error:
            return str(error)
        return None

    def images(self, task: str, split: str, samples: int | None = None) -> Images:
        """The images of a task, the first ``samples`` of them (in the set's order) if given.

        Raises:
            SettingError: a task that the data does not have.
            MissingDataError: the data set is not on this machine.
        """
        if not self.data.knows(task):
            raise SettingError(
                f"{self.name} has no task {task!r}; its tasks are {[self.pretrain, *self.finetune]}"
            )
        return self.data.images(task, split).first(samples)

    def streams(
        self, tasks: Sequence[str], samples: int | None = None, batch_size: int = 500
    ) -> dict[str, list[tuple[Tensor, Tensor]]]:
        """Test batches by task: task → list of ``(inputs, targets)``."""
        return {task: self.images(task, "test", samples).batches(batch_size) for task in tasks}

    def pretrained(
        self,
        seed: int,
        epochs: Sequence[int] | None = None,
        samples: int | None = None,
        task: str | None = None,
    ) -> dict[int, Checkpoint]:
        """Checkpoints along pretraining, from one run: epoch → checkpoint.

        Args:
            seed: decides the initial weights and the order of samples.
            epochs: which to give, 0 being the initial weights; the recipe's last when None.
            samples: training images to use, all when None.
            task: in place of :attr:`pretrain`.
        """
        task = task or self.pretrain
        return self._trained(
            task,
            self.pretraining,
            epochs,
            {"initial": seed, "samples": samples},
            lambda: initial_weights(self.build, seed),
            lambda: self.images(task, "train", samples),
            seed,
        )

    def finetuned(
        self,
        start: Checkpoint,
        task: str,
        seed: int,
        epochs: Sequence[int] | None = None,
        samples: int | None = None,
        recipe: Recipe | None = None,
        replaced: tuple[str, float] | None = None,
    ) -> dict[int, Checkpoint]:
        """Checkpoints along fine-tuning, from one run: epoch → checkpoint.

        Args:
            start: the pretrained checkpoint.
            task: what to fine-tune on.
            seed: decides the order of samples, together with the task.
            epochs: which to give, 0 being the start; the recipe's last when None.
            samples: training images to use, all when None.
            recipe: in place of :attr:`finetuning`.
            replaced: (donor task, ratio): that share of the images is replaced by the donor's.
        """

        swapped = replaced if replaced and replaced[1] else None

        def images() -> Images:
            own = self.images(task, "train", samples)
            if swapped is None:
                return own
            donor, ratio = swapped
            return own.replaced(self.images(donor, "train", samples), ratio, seed)

        return self._trained(
            task,
            recipe or self.finetuning,
            epochs,
            {"start": start.key, "samples": samples, "replaced": swapped},
            start.weights,
            images,
            seed,
        )

    def resnet(
        self, seed: int, tasks: Sequence[str] | None = None, samples: int | None = None
    ) -> dict[str, Mapping[str, Tensor]]:
        """Pretrained and fine-tuned weights, trained here unless they are in the store.

        Args:
            seed: decides the initial weights and the order of samples.
            tasks: what to fine-tune on; by default :attr:`finetune`.
            samples: training images to use, all when None.

        Returns:
            ``"PT"`` and each task's name → state dict.
        """
        (start,) = self.pretrained(seed, samples=samples).values()
        found = {PRETRAINED: start.weights()}
        for task in self.finetune if tasks is None else tasks:
            (tuned,) = self.finetuned(start, task, seed, samples=samples).values()
            found[task] = tuned.weights()
        return found

    def heads(self, seed: int, tasks: Sequence[str]) -> None:
        """None: these networks give logits themselves."""

    def published(self) -> Checkpoint:
        """The pretrained weights that others have published for this network.

        Raises:
            SettingError: none are known.
            MissingDataError: they are not on this machine.
        """
        if self.model.architecture != "resnet20":
            raise SettingError(f"{self.name}: no published weights of {self.model.architecture}")
        return self._trained(
            self.pretrain,
            self.pretraining,
            [0],
            {"published": resnet.RESNET20},
            lambda: resnet.resnet20(self.build().state_dict()),
            lambda: self.images(self.pretrain, "train"),
            0,
        )[0]

    def source_checksum(self) -> str:
        """Digest of the code behind this setting's own network and data set."""
        own = (models.source(self.model.architecture), f"data.sets.{self.data.set}")
        shared = ("training.checkpoints", "settings.tasks", "weights.resnet")
        return digest([module_checksum(part) for part in (*own, *shared)])

    def _trained(
        self,
        task: str,
        recipe: Recipe,
        epochs: Sequence[int] | None,
        facts: Mapping[str, object],
        start: Callable[[], Mapping[str, Tensor]],
        images: Callable[[], Images],
        seed: int,
    ) -> dict[int, Checkpoint]:
        known = {
            "model": self.model.model_dump(),
            "data": [self.data.model_dump(), self.data_checksum()],
            "task": task,
            "code": self.source_checksum(),
        }
        # Each task shuffles in its own order, as independent fine-tunes do.
        order = zlib.crc32(f"{task}/{seed}".encode())
        wanted = [recipe.epochs] if epochs is None else epochs
        label = f"{self.name}, {task}, seed {seed}"
        return trajectory(
            label, {**known, **facts}, recipe, wanted, self.build, start, images, order
        )
