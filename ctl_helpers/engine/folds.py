"""What a forward pass gives, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from ctl_helpers.engine.mix import MixKey


@dataclass(frozen=True)
class Pass:
    """What one forward pass gives: layer → feature (samples, width), and the model's output.

    The output is None for a fold that does not need it.
    """

    features: Mapping[str, Tensor]
    output: Any


class Fold(Protocol):
    """Keeps a few numbers per sample of the passes over one task.

    ``steps`` are the groups of mixes whose passes are looked at together, in the order in which
    the engine should reach them. ``reduce`` gives the numbers of one step and changes nothing,
    since a batch that does not fit in memory is begun again in halves; ``keep`` takes in those of
    all steps, once for each batch or part of one. ``needs_output`` says whether ``reduce`` looks
    at the model's output or at features alone.
    """

    steps: Sequence[Sequence[MixKey]]
    needs_output: bool

    def reduce(self, step: int, targets: Tensor | None, passes: Mapping[MixKey, Pass]) -> Any:
        """The numbers of one step."""

    def keep(self, results: Sequence[Any]) -> None:
        """Take in what ``reduce`` gave, step by step."""


class OutputFold(Fold):
    """Keeps in ``parts`` what a function makes of each mix's output and targets, by batch."""

    needs_output = True

    def __init__(
        self, mixes: Iterable[MixKey], function: Callable[[Any, Tensor | None], Tensor]
    ) -> None:
        self.parts: dict[MixKey, list[Tensor]] = {mix: [] for mix in mixes}
        self.steps = [(mix,) for mix in self.parts]
        self._function = function

    def reduce(self, step: int, targets: Tensor | None, passes: Mapping[MixKey, Pass]) -> Tensor:
        (mix,) = self.steps[step]
        return self._function(passes[mix].output, targets)

    def keep(self, results: Sequence[Tensor]) -> None:
        for (mix,), result in zip(self.steps, results, strict=True):
            self.parts[mix].append(result)


def last_uses(fold: Fold) -> dict[MixKey, int]:
    """Mix → the last step that looks at it."""
    return {mix: step for step, mixes in enumerate(fold.steps) for mix in mixes}
