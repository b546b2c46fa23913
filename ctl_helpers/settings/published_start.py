"""Settings that fine-tune a published network, beside the same network from random weights."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from ctl_helpers.settings.schema import PRETRAINED, Start, Strangers
from ctl_helpers.settings.tuned import Tuned

if TYPE_CHECKING:
    from typing_extensions import Self


class PublishedStart(Tuned):
    """A setting whose pretrained network is published, so that there is one pretraining.

    Attributes:
        from_random: whether networks start from random weights, under the same heads: the control
            of what pretraining does.
    """

    far: ClassVar[tuple[str, ...]] = ()  # no task is farther than others

    from_random: bool = False

    @abstractmethod
    def published(self) -> Start:
        """The published network."""

    @abstractmethod
    def random(self, seed: int) -> Start:
        """The same network with random weights."""

    @property
    def pretrain(self) -> str:
        """What stands for the pretraining task."""
        return self.control[0]

    def pretrained(self, seed: int) -> Start:
        """The published network, the same for every seed; or one with random weights."""
        return self.random(seed) if self.from_random else self.published()

    def strangers(self, seed: int, tasks: Sequence[str] | None = None, **how: Any) -> Strangers:
        """Networks fine-tuned from random weights: no other pretraining was published."""
        return _both(self._from_random.checkpoints(seed, tasks, **how))

    def strange_variants(
        self, seed: int, task: str, rates: Sequence[float], orders: Sequence[int]
    ) -> Strangers:
        """The same of :meth:`variants`."""
        variants = self._from_random.variants(seed, task, rates, orders)
        return _both({PRETRAINED: self._from_random.start(seed, None), **variants})

    @property
    def _from_random(self) -> Self:
        return self.model_copy(update={"from_random": True})


def _both(networks: Mapping[str, Mapping[str, Tensor]]) -> Strangers:
    """Networks beside the published ones, and by themselves."""
    return {"foreign": networks, "scratch": networks}
