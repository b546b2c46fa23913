"""Settings whose tasks are texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from ctl_helpers.data.batches import Batches
from ctl_helpers.data.texts import Texts, majority
from ctl_helpers.data.tokens import Batch, Coder
from ctl_helpers.settings.schema import Setting

_POOLS = {"last": "last token of the prompt", "answer": "mean over the answer"}


class OnTexts(Setting):
    """A setting whose tasks are sets of prompts with answers.

    Attributes:
        longest: tokens of a prompt, marks included; longer ones are cut. None for any number.
    """

    usual_batch: ClassVar[int] = 200
    usual_answers: ClassVar[str] = "train"

    longest: int | None = None

    @abstractmethod
    def coder(self) -> Coder:
        """What makes tokens of texts, as the network takes them."""

    def texts(self, task: str, split: str, samples: int | None = None) -> Texts:
        """The prompts and answers of a task, as :meth:`Setting.loaded`."""
        return self.loaded(task, split, samples)

    def streams(
        self,
        tasks: Sequence[str],
        samples: int | None = None,
        batch_size: int | None = None,
        split: str = "test",
    ) -> dict[str, Batches[Batch]]:
        """Batches by task: task → batches of ``(keyword inputs, targets)``."""
        coder, size = self.coder(), batch_size or self.usual_batch
        return {task: coder.batches(self.texts(task, split, samples), size) for task in tasks}

    def majority(self, task: str, samples: int | None = None) -> float:
        """Exact match on test examples of always giving the most frequent usual answer."""
        return majority(self.texts(task, self.usual_answers), self.texts(task, "test", samples))

    def readings(self) -> dict[str, nn.Module]:
        """The network once for each way in which a text's states can become a feature."""
        if "pool" not in type(self.model).model_fields:
            return {"the paper's": self.build()}
        models = {pool: self.model.model_copy(update={"pool": pool}) for pool in _POOLS}
        return {
            name: self.model_copy(update={"model": models[pool]}).build()
            for pool, name in _POOLS.items()
        }
