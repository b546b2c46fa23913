"""Settings whose networks are trained here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ctl_helpers.settings.schema import PRETRAINED, Setting, Start
from ctl_helpers.store.artifacts import digest
from ctl_helpers.store.code_keys import module_checksum
from ctl_helpers.training.checkpoints import Checkpoint, Run
from ctl_helpers.training.loop import AnyRecipe, Snapshot

if TYPE_CHECKING:
    from typing_extensions import Self


class Trained(Setting):
    """A setting whose networks are trained here."""

    @abstractmethod
    def pretrained(self, seed: int) -> Start:
        """The pretrained network, which ``seed`` may decide."""

    @abstractmethod
    def finetuned(
        self,
        seed: int,
        task: str,
        *,
        start: Any = None,
        recipe: Any = None,
        order: int | None = None,
        samples: int | None = None,
    ) -> Checkpoint:
        """The network, fine-tuned on a task.

        Args:
            seed: whose pretrained network to start from; it decides the order of samples, together
                with the task.
            task: what to fine-tune on.
            start: another pretrained network to start from.
            recipe: in place of the setting's own.
            order: another number, another order of samples.
            samples: training examples to use, all when None.
        """

    @abstractmethod
    def start(self, seed: int, samples: int | None) -> Mapping[str, Tensor]:
        """The part of the pretrained network that is fine-tuned."""

    @abstractmethod
    def source_parts(self) -> tuple[str, ...]:
        """The modules of this package that trained weights depend on, as ``"models.mlp"``."""

    def sizes(self) -> dict[str, object]:
        """What of :attr:`model` decides the weights."""
        return self.model.model_dump()

    def shortened(self, share: float) -> Self:
        """The same with a share of each recipe's training, for a quick look."""
        recipes = {name: value for name, value in self if isinstance(value, AnyRecipe)}
        short = {name: recipe.shortened(share) for name, recipe in recipes.items()}
        return self.model_copy(update=short)

    def checkpoints(
        self,
        seed: int,
        tasks: Sequence[str] | None = None,
        samples: int | None = None,
        recipe: Any = None,
    ) -> dict[str, Mapping[str, Tensor]]:
        """Networks, from the store or trained now.

        Args:
            seed: decides the initial weights and the order of samples.
            tasks: what to fine-tune on; by default :attr:`finetune`.
            samples: training examples to use, all when None.
            recipe: of fine-tuning, in place of the setting's own.

        Returns:
            ``"PT"`` and each task's name → state dict.
        """
        found = {PRETRAINED: self.start(seed, samples)}
        for task in self.finetune if tasks is None else tasks:
            tuned = self.finetuned(seed, task, recipe=recipe, samples=samples)
            found[task] = tuned.weights()
        return found

    def source_checksum(self) -> str:
        """Digest of the code behind this setting's own network and data set, and of training."""
        return digest([module_checksum(part) for part in self.source_parts()])

    def run(
        self,
        label: str,
        facts: Mapping[str, object],
        recipe: AnyRecipe,
        start: Callable[[], Mapping[str, Tensor]],
        train: Callable[[Snapshot, int], Iterator[Snapshot]],
        unit: str,
    ) -> Run:
        """A run of training in the store.

        Args:
            label: what a person calls it, after the setting's name.
            facts: what the weights depend on, besides the network, the data, the recipe and code.
            recipe: how to train.
            start, train, unit: as :class:`ctl_helpers.training.checkpoints.Run`.
        """
        common = {
            "model": self.sizes(),
            "data": [self.data.model_dump(), self.data_checksum()],
            "recipe": asdict(recipe),  # type: ignore[call-overload]  # the two recipes are
            "code": self.source_checksum(),
        }
        return Run(f"{self.name}, {label}", {**common, **facts}, start, train, unit)
