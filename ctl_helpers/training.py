"""Pretraining and fine-tuning: one loop, seeded, on data that is on the device once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.data.images import Images
from ctl_helpers.mix import StateDict


@dataclass(frozen=True)
class Recipe:
    """Plain SGD on cross-entropy: passes over the data, learning rate and batch size.

    Raises:
        ValueError: a number that is not positive (epochs may be 0: the start weights).
    """

    epochs: int
    lr: float
    batch_size: int

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.lr <= 0 or self.batch_size < 1:
            raise ValueError(f"{self} is no recipe: rate and batch size must be positive")


def initial_weights(build: Callable[[], nn.Module], seed: int) -> dict[str, Tensor]:
    """The random weights that ``build`` gives under ``seed``; the global generator is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dict(build().state_dict())


def train(
    model: nn.Module,
    start: StateDict,
    images: Images,
    recipe: Recipe,
    seed: int,
    device: torch.device | str | None = None,
) -> dict[str, Tensor]:
    """Weights after training from ``start``; the same on the same machine for the same seed.

    Args:
        model: the architecture; it is copied, never changed.
        start: the weights to begin with.
        images: the training set.
        recipe: how to train.
        seed: decides the order of samples.
        device: where to train; by default a GPU where there is one.

    Returns:
        A new state dict on the CPU.

    Raises:
        ValueError: no samples; or the weights became NaN or infinite.
    """
    if len(images) == 0:
        raise ValueError("the training set is empty; check the split and the number of samples")
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model = copy.deepcopy(model)
    model.load_state_dict(start)
    model.to(device).train()
    inputs, targets = images.inputs.to(device), images.targets.to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.lr)
    order = torch.Generator().manual_seed(seed)
    for epoch in range(recipe.epochs):
        for chosen in (
            torch.randperm(len(images), generator=order).to(device).split(recipe.batch_size)
        ):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs[chosen]), targets[chosen])
            loss.backward()
            optimizer.step()
        values = (loss, *model.parameters())
        if not all(value.isfinite().all() for value in values):
            raise ValueError(
                f"loss or weights are not finite after epoch {epoch + 1}; lower the learning rate "
                f"from {recipe.lr}"
            )
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
