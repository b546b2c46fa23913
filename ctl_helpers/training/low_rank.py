"""LoRA: the linear layers that train move by a product of two thin matrices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ctl_helpers.training.loop import Snapshot
from ctl_helpers.training.steps import Loss, StepRecipe, steps
from ctl_helpers.training.trainable import Paradigm, trainable

SCALING = 2.0
"""What the product is multiplied by: LoRA's ``alpha`` over its rank."""


class LowRank(nn.Module):
    """A network whose chosen weights are ``W + 2 · B·A``, of which A and B alone train.

    A (rank, inputs) starts at random and B (outputs, rank) at 0, so that the network starts as it
    was (Hu et al. 2022). The factors are no checkpoint to mix: a product is not linear in them.

    Args:
        network: the architecture, on the device where it is to train.
        pretrained: the weights W.
        recipe: its paradigm chooses the weights, its rank is that of the factors.
        seed: decides A.
    """

    def __init__(
        self, network: nn.Module, pretrained: Mapping[str, Tensor], recipe: StepRecipe, seed: int
    ) -> None:
        super().__init__()
        network.load_state_dict(pretrained)
        self._network = (network.requires_grad_(False),)  # in a tuple, to be no part of the state
        weights = dict(network.named_parameters())
        self._names = trainable(weights, recipe.paradigm)
        generator = torch.Generator().manual_seed(seed)
        self._down, self._up = nn.ParameterList(), nn.ParameterList()
        for name in self._names:
            outputs, inputs = weights[name].shape
            down = torch.empty(recipe.rank, inputs)
            nn.init.kaiming_uniform_(down, math.sqrt(5), generator=generator)
            self._down.append(down.to(weights[name].device))
            self._up.append(weights[name].new_zeros(outputs, recipe.rank))

    def train(self, mode: bool = True) -> LowRank:
        """Sets the network's mode, too."""
        self._network[0].train(mode)
        return super().train(mode)

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        """The network's output with the moved weights."""
        return functional_call(self._network[0], self._moved(), arguments, keywords)

    def merged(self) -> dict[str, Tensor]:
        """The state dict of the network with the moved weights, on the CPU."""
        moved = {name: value.detach() for name, value in self._moved().items()}
        state = {**self._network[0].state_dict(), **moved}
        return {name: value.cpu().clone() for name, value in state.items()}

    def _moved(self) -> dict[str, Tensor]:
        weights = dict(self._network[0].named_parameters())
        factors = zip(self._names, self._up, self._down, strict=True)
        return {name: weights[name] + SCALING * up @ down for name, up, down in factors}


def low_rank_steps(
    network: nn.Module,
    pretrained: Mapping[str, Tensor],
    loss: Loss,
    samples: int,
    start: Snapshot,
    recipe: StepRecipe,
    seed: int,
) -> Iterator[Snapshot]:
    """As :func:`ctl_helpers.training.steps.steps`, but by factors of the recipe's rank.

    Args:
        network: the architecture.
        pretrained: the weights that the factors are added to.
        loss, samples, recipe: as there.
        start: the pretrained network, or a snapshot of this training, which has the factors alone.
        seed: decides which samples a step sees, and the factors to begin with.

    Yields:
        Snapshots; the last has the merged weights.
    """
    model = LowRank(network, pretrained, recipe, seed)
    factors = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    begin = start if start.done else replace(start, weights=factors)
    # Of this model, factors are all that there is to train.
    by_factors = replace(recipe, paradigm=Paradigm.FULL, rank=0)
    for snapshot in steps(model, loss, samples, begin, by_factors, seed):
        is_last = snapshot.done == recipe.steps
        yield replace(snapshot, weights=model.merged()) if is_last else snapshot
