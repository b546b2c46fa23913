"""A forward pass as a chain of stages, each with the weights that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Stage:
    """One part of a forward pass.

    Attributes:
        name: what errors call it, such as ``"encoder.3"``.
        prefixes: what the names of the weights that it reads begin with, in the state dict.
        layer: the module that a feature passes through here, if there is one.
        run: state → state; a new one, since several mixes share what has no weights in it.
    """

    name: str
    prefixes: tuple[str, ...]
    layer: str | None
    run: Callable[[State], State]


class Staged(nn.Module):
    """A network whose forward pass is a loop over stages.

    A network that is larger than the memory can then be run stage by stage, by the same code.
    """

    def begin(self, *arguments: Any, **keywords: Any) -> State:
        """The state before the first stage, which no weight has touched, from a batch."""
        raise NotImplementedError

    def stages(self) -> Sequence[Stage]:
        """The stages in their order; the last one leaves the model's output as ``output``."""
        raise NotImplementedError

    def forward(self, *arguments: Any, **keywords: Any) -> Tensor:
        """The output for what :meth:`begin` takes."""
        state = self.begin(*arguments, **keywords)
        for stage in self.stages():
            state = stage.run(state)
        return state["output"]
