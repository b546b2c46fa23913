"""Settings whose tasks have a data set each, fine-tuned by steps from one pretrained network."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from ctl_helpers.engine.linearized import Linearized
from ctl_helpers.project import MissingDataError, SettingError
from ctl_helpers.settings.schema import PRETRAINED, Checked, Described
from ctl_helpers.store.artifacts import digest
from ctl_helpers.store.code_keys import module_checksum
from ctl_helpers.training.checkpoints import Checkpoint, stored
from ctl_helpers.training.loop import Snapshot, initial_weights
from ctl_helpers.training.steps import StepRecipe, steps

Job = tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor], int]
"""What training by steps trains: a network, its loss, and the number of samples."""


class Start(Protocol):
    """A pretrained network: what it depends on, and its state dict."""

    @property
    def key(self) -> str:
        """Digest of all that the weights depend on."""

    def weights(self) -> Mapping[str, Tensor]:
        """All of it."""


class ByTask(Described):
    """A setting whose tasks have a data set each.

    Attributes:
        control: what stands for the pretraining task where a task vector is subtracted; all other
            tasks when empty.
    """

    control: list[str] = Field(default_factory=list)

    def loaded(self, task: str, split: str, samples: int | None = None) -> Any:
        """What the data set has of a task, the first ``samples`` examples if given.

        Args:
            task: one of :attr:`finetune` or :attr:`control`.
            split: ``"train"``, ``"held-out"`` (where λ is chosen) or ``"test"``.
            samples: how many, all when None.

        Raises:
            SettingError: no such task.
            MissingDataError: the data set is not on this machine.
        """
        known = [*self.finetune, *self.control]
        if task not in known:
            raise SettingError(f"{self.name} has no task {task!r}; its tasks are {known}")
        return self.data.module.load(task, split, samples)


class Tuned(ByTask):
    """A setting whose networks are fine-tuned by steps from one that is pretrained.

    Attributes:
        model: the sizes of the network.
        finetuning: the recipe.
    """

    model: Checked
    finetuning: StepRecipe

    @abstractmethod
    def pretrained(self, seed: int) -> Start:
        """The pretrained network, which ``seed`` may decide."""

    @abstractmethod
    def build(self) -> nn.Module:
        """The network that is fine-tuned, with weights that nobody should use."""

    @abstractmethod
    def task_job(self, seed: int, task: str, samples: int | None) -> Job:
        """What fine-tuning on a task trains, on the first ``samples`` examples if given."""

    @abstractmethod
    def source_parts(self) -> tuple[str, ...]:
        """The modules of this package that trained weights depend on."""

    def start_weights(self, start: Start) -> Mapping[str, Tensor]:
        """The part of the pretrained network that is fine-tuned."""
        return start.weights()

    def facts(self) -> dict[str, object]:
        """What fine-tuned weights depend on besides what those of every setting do."""
        return {}

    def sizes(self) -> dict[str, object]:
        """What of :attr:`model` decides the weights."""
        return self.model.model_dump()

    def shortened(self, share: float) -> Tuned:
        """The same with a share of the training steps, for a quick look."""
        recipes = {name: value for name, value in self if isinstance(value, StepRecipe)}
        return self.model_copy(update={name: _short(one, share) for name, one in recipes.items()})

    def finetuned(
        self,
        seed: int,
        task: str,
        recipe: StepRecipe | None = None,
        order: int = 0,
        samples: int | None = None,
    ) -> Checkpoint:
        """The network, fine-tuned on a task.

        Args:
            seed: whose pretrained network to start from; it decides the order of samples, together
                with the task.
            task: one of :attr:`finetune` or :attr:`control`.
            recipe: in place of :attr:`finetuning`.
            order: another number, another order.
            samples: training examples to use, all when None.
        """
        recipe, start = recipe or self.finetuning, self.pretrained(seed)
        shuffle = zlib.crc32(f"{task}/{seed}/{order}".encode())
        known = {"start": start.key, "task": task, "order": shuffle, "samples": samples}
        return self.kept(
            f"{self.name}, {task}, seed {seed}",
            {**known, **self.facts()},
            recipe,
            lambda: self.start_weights(start),
            lambda: self.task_job(seed, task, samples),
            shuffle,
        )

    def variants(
        self, seed: int, task: str, rates: Sequence[float], orders: Sequence[int]
    ) -> dict[str, Mapping[str, Tensor]]:
        """Networks fine-tuned on one task at each learning rate in each order of samples.

        Returns:
            What tells it from the others → state dict.
        """
        return {
            f"rate {rate:g}, order {order}": self.finetuned(
                seed, task, replace(self.finetuning, lr=rate), order
            ).weights()
            for rate in rates
            for order in orders
        }

    def checkpoints(
        self,
        seed: int,
        tasks: Sequence[str] | None = None,
        samples: int | None = None,
        recipe: StepRecipe | None = None,
    ) -> dict[str, Mapping[str, Tensor]]:
        """Networks, trained here unless they are in the store.

        Args:
            seed: decides the initial weights and the order of samples.
            tasks: what to fine-tune on; by default :attr:`finetune`.
            samples: training examples to use for fine-tuning, all when None.
            recipe: in place of :attr:`finetuning`.

        Returns:
            ``"PT"`` and each task's name → state dict.
        """
        chosen = self.finetune if tasks is None else tasks
        tuned = {task: self.finetuned(seed, task, recipe, 0, samples).weights() for task in chosen}
        return {PRETRAINED: self.start_weights(self.pretrained(seed)), **tuned}

    def network(self, paradigm: str, pretrained: Mapping[str, Tensor]) -> nn.Module:
        """The network that takes the checkpoints of a paradigm, with θ_PT's weights or nobody's.

        Args:
            paradigm: one of :data:`ctl_helpers.training.steps.PARADIGMS`.
            pretrained: θ_PT, around which the network of ``"tangent"`` is linear.
        """
        model = self.build()
        return Linearized(model, pretrained).to(device()) if paradigm == "tangent" else model

    def source_checksum(self) -> str:
        """Digest of the code behind this setting's own network and data set."""
        return digest([module_checksum(part) for part in self.source_parts()])

    def kept(
        self,
        label: str,
        facts: Mapping[str, object],
        recipe: StepRecipe,
        start: Callable[[], Mapping[str, Tensor]],
        job: Callable[[], Job],
        seed: int,
    ) -> Checkpoint:
        """The end of a training run, from the store or trained now.

        Args:
            label: what a person calls it.
            facts: what the weights depend on, besides the network, the data, the recipe and code.
            recipe: how to train.
            start: gives the weights to begin with.
            job: gives what is trained.
            seed: decides which samples a step sees.
        """
        known = {
            "model": self.sizes(),
            "data": [self.data.model_dump(), self.data_checksum()],
            "recipe": asdict(recipe),
            "code": self.source_checksum(),
        }

        def train(begin: Snapshot, last: int) -> Iterator[Snapshot]:
            model, loss, samples = job()
            if recipe.paradigm == "tangent":
                model = Linearized(model, start()).to(device())
            return steps(model, loss, samples, begin, recipe, seed)

        last = recipe.steps
        return stored(label, {**known, **facts}, [last], start, train, "steps")[last]


class PretrainedHere(Tuned):
    """A setting whose network is pretrained here too.

    Attributes:
        pretraining: the recipe.
    """

    pretraining: StepRecipe

    @abstractmethod
    def whole(self) -> nn.Module:
        """The network that is pretrained, with weights that nobody should use."""

    @abstractmethod
    def pretraining_job(self, seed: int) -> Job:
        """What pretraining trains."""

    def pretraining_facts(self) -> dict[str, object]:
        """What pretrained weights depend on besides what those of every setting do."""
        return {}

    def pretrained(self, seed: int) -> Checkpoint:
        """The whole network, trained from random weights.

        Args:
            seed: decides the initial weights, the order of samples, and what else is drawn.
        """
        return self.kept(
            f"{self.name}, pretraining, seed {seed}",
            {"seed": seed, **self.pretraining_facts()},
            self.pretraining,
            lambda: initial_weights(self.whole, seed),
            lambda: self.pretraining_job(seed),
            seed,
        )

    def missing(self) -> str | None:
        """What is not on this machine and how to get it, in one sentence; None if all is here."""
        try:
            self.data.module.check()
        except MissingDataError as error:
            return str(error)
        return None


def device() -> torch.device:
    """Where networks run: a GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _short(recipe: StepRecipe, share: float) -> StepRecipe:
    count, warmup = (round(share * part) for part in (recipe.steps, recipe.warmup))
    return replace(recipe, steps=max(count, 1), warmup=warmup)
