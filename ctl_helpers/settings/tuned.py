"""Settings whose networks are fine-tuned by steps from one that is pretrained."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from ctl_helpers.data.images import Images
from ctl_helpers.engine.linearized import Linearized
from ctl_helpers.settings.schema import PRETRAINED, Start, Strangers
from ctl_helpers.settings.trained import Trained
from ctl_helpers.training.checkpoints import Checkpoint
from ctl_helpers.training.loop import Snapshot, default_device, initial_weights
from ctl_helpers.training.low_rank import low_rank_steps
from ctl_helpers.training.steps import Loss, StepRecipe, classification, steps
from ctl_helpers.training.trainable import Paradigm

Job = tuple[nn.Module, Loss, int]
"""What training by steps trains: a network, its loss, and the number of samples."""


def under_head(model: nn.Module, images: Images, head: Callable[[Tensor], Tensor]) -> Job:
    """The training of a network that embeds images, under a frozen head."""
    device = default_device()
    images = Images(images.inputs.to(device), images.targets.to(device))
    return model.to(device), classification(images, head), len(images)


class Tuned(Trained):
    """A setting whose networks are fine-tuned by steps from one that is pretrained.

    Attributes:
        finetuning: the recipe.
    """

    finetuning: StepRecipe

    @abstractmethod
    def task_job(self, seed: int, task: str, samples: int | None) -> Job:
        """What fine-tuning on a task trains, on the first ``samples`` examples if given."""

    def start_weights(self, start: Start) -> Mapping[str, Tensor]:
        """The part of a pretrained network that is fine-tuned."""
        return start.weights()

    def facts(self) -> dict[str, object]:
        """What fine-tuned weights depend on besides what those of every setting do."""
        return {}

    def start(self, seed: int, samples: int | None) -> Mapping[str, Tensor]:
        """The part of the pretrained network that is fine-tuned."""
        return self.start_weights(self.pretrained(seed))

    def finetuned(
        self,
        seed: int,
        task: str,
        *,
        start: Start | None = None,
        recipe: StepRecipe | None = None,
        order: int | None = None,
        samples: int | None = None,
    ) -> Checkpoint:
        """As :meth:`Trained.finetuned`."""
        recipe, start = recipe or self.finetuning, start or self.pretrained(seed)
        shuffle = zlib.crc32(f"{task}/{seed}/{order or 0}".encode())
        return self.end(
            f"{task}, seed {seed}",
            {"start": start.key, "task": task, "samples": samples, **self.facts()},
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
            f"rate {rate:g} order {order}": self.finetuned(
                seed, task, recipe=replace(self.finetuning, lr=rate), order=order
            ).weights()
            for rate in rates
            for order in orders
        }

    def strange_variants(
        self, seed: int, task: str, rates: Sequence[float], orders: Sequence[int]
    ) -> Strangers:
        """As :meth:`strangers`, to be compared with :meth:`variants`: one stands in for all."""
        names = (f"rate {rate:g} order {order}" for rate in rates for order in orders)
        networks = self.strangers(seed, [task])["foreign"]
        start, one = networks[PRETRAINED], networks[task]
        return {"foreign": {PRETRAINED: start, **dict.fromkeys(names, one)}}

    def network(self, paradigm: str, pretrained: Mapping[str, Tensor]) -> nn.Module:
        """The network that takes the checkpoints of a paradigm, with θ_PT's weights or nobody's.

        Args:
            paradigm: a :class:`ctl_helpers.training.trainable.Paradigm`, or its name.
            pretrained: θ_PT, around which the network of ``"tangent"`` is linear.
        """
        model = self.build()
        if paradigm == Paradigm.TANGENT:
            return Linearized(model, pretrained).to(default_device())
        return model

    def end(
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
            label, facts, recipe, start: as :meth:`Trained.run`.
            job: gives what is trained.
            seed: decides which samples a step sees.
        """

        def train(begin: Snapshot, last: int) -> Iterator[Snapshot]:
            model, loss, samples = job()
            if recipe.paradigm == Paradigm.TANGENT:
                model = Linearized(model, start()).to(default_device())
            if recipe.rank:
                return low_rank_steps(model, start(), loss, samples, begin, recipe, seed)
            return steps(model, loss, samples, begin, recipe, seed)

        run = self.run(label, {**facts, "order": seed}, recipe, start, train, "steps")
        return run.checkpoints([recipe.steps])[recipe.steps]


class PretrainedHere(Tuned):
    """A setting whose network is pretrained here too.

    Attributes:
        pretraining: the recipe.
    """

    pretraining: StepRecipe

    @abstractmethod
    def pretraining_job(self, seed: int) -> Job:
        """What pretraining trains."""

    def whole(self) -> nn.Module:
        """The network that is pretrained, with weights that nobody should use."""
        return self.build()

    def pretraining_facts(self) -> dict[str, object]:
        """What pretrained weights depend on besides what those of every setting do."""
        return {}

    def pretrained(self, seed: int) -> Checkpoint:
        """The whole network, trained from random weights.

        Args:
            seed: decides the initial weights, the order of samples, and what else is drawn.
        """
        return self.end(
            f"pretraining, seed {seed}",
            self.pretraining_facts(),
            self.pretraining,
            lambda: initial_weights(self.whole, seed),
            lambda: self.pretraining_job(seed),
            seed,
        )
