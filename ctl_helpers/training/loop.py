"""Pretraining and fine-tuning: one loop, seeded, on data that is on the device once."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.data.images import Images, floats


@dataclass(frozen=True)
class Recipe:
    """SGD on cross-entropy.

    Attributes:
        epochs: passes over the data.
        lr: learning rate.
        batch_size: samples a step; an incomplete last batch is left out, since the statistics of
            a handful of samples wreck BatchNorm.
        momentum, weight_decay: SGD's.
        lr_step: epochs after each of which the rate falls to a tenth; never when None.
        precision: of the forward pass; ``"bfloat16"`` trains a ResNet-18 1.3 to 1.6 times faster
            on a CPU that has it. Weights and updates stay in float32.

    Raises:
        ValueError: a number or word that is no such thing, named with what it has to be.
    """

    epochs: int
    lr: float
    batch_size: int
    momentum: float = 0.0
    weight_decay: float = 0.0
    lr_step: int | None = None
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        asked = {
            "epochs": (self.epochs >= 0, "0 or more"),
            "lr": (0 < self.lr < math.inf, "positive"),
            "batch_size": (self.batch_size >= 1, "1 or more"),
            "momentum": (0 <= self.momentum < 1, "from 0 to under 1"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "0 or more"),
            "lr_step": (self.lr_step is None or self.lr_step >= 1, "1 or more, or None"),
            "precision": (
                self.precision in ("float32", "bfloat16"),
                "'float32' or 'bfloat16'",
            ),
        }
        for name, (fits, wanted) in asked.items():
            if not fits:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r} in a recipe; it has to be {wanted}"
                )


@dataclass(frozen=True)
class Snapshot:
    """Training after some epochs: all that is needed to use the weights, and to go on.

    Attributes:
        epoch: epochs done.
        weights: a state dict on the CPU.
        momentum: SGD's buffer for each parameter that has one.
        loss: mean training loss of the last epoch, None before the first.
    """

    epoch: int
    weights: dict[str, Tensor]
    momentum: dict[str, Tensor] = field(default_factory=dict)
    loss: float | None = None


def initial_weights(build: Callable[[], nn.Module], seed: int) -> dict[str, Tensor]:
    """The random weights that ``build`` gives under ``seed``; the global generator is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dict(build().state_dict())


def epochs(
    model: nn.Module,
    start: Snapshot,
    images: Images,
    recipe: Recipe,
    seed: int,
    device: torch.device | str | None = None,
) -> Iterator[Snapshot]:
    """Train from ``start`` on, and give a snapshot after each epoch up to the recipe's last.

    An epoch's order of samples depends on ``seed`` and its number alone, so that training may
    stop and go on at any snapshot, with the same weights in the end on the same machine.

    Args:
        model: the architecture; it is copied, never changed.
        start: where to begin; epoch 0 for fresh training.
        images: the training set.
        recipe: how to train.
        seed: decides the order of samples.
        device: where to train; by default a GPU where there is one.

    Raises:
        ValueError: no samples; or the weights became NaN or infinite.
    """
    if len(images) == 0:
        raise ValueError("the training set is empty; check the split and the number of samples")
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model = copy.deepcopy(model)
    model.load_state_dict(start.weights)
    # Convolutions run a third faster with channels last, on CPUs as on GPUs.
    model.to(device, memory_format=torch.channels_last).train()
    inputs = images.inputs.to(device)
    targets = images.targets.to(device)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    for name, parameter in model.named_parameters():
        if name in start.momentum:
            moved = start.momentum[name].to(device).clone()
            optimizer.state[parameter]["momentum_buffer"] = moved
    for epoch in range(start.epoch + 1, recipe.epochs + 1):
        if recipe.lr_step is not None:
            optimizer.param_groups[0]["lr"] = recipe.lr * 0.1 ** ((epoch - 1) // recipe.lr_step)
        total = torch.zeros((), device=device)
        order = _order(len(images), recipe.batch_size, seed, epoch).to(device)
        for chosen in order.split(recipe.batch_size):
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, recipe.precision == "bfloat16"):
                logits = model(_batch(inputs[chosen]))
            loss = F.cross_entropy(logits.float(), targets[chosen])
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(chosen)
        if not all(value.isfinite().all() for value in (total, *model.parameters())):
            raise ValueError(
                f"loss or weights are not finite after epoch {epoch}; lower the learning rate "
                f"from {recipe.lr}"
            )
        yield Snapshot(
            epoch,
            {name: kept(value) for name, value in model.state_dict().items()},
            {
                name: kept(optimizer.state[parameter]["momentum_buffer"])
                for name, parameter in model.named_parameters()
                if recipe.momentum
            },
            total.item() / len(order),
        )


def _order(samples: int, batch_size: int, seed: int, epoch: int) -> Tensor:
    """A permutation of the samples, without those of an incomplete last batch."""
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    whole = samples - samples % batch_size if samples >= batch_size else samples
    return torch.randperm(samples, generator=generator)[:whole]


def _batch(inputs: Tensor) -> Tensor:
    pixels = floats(inputs)
    return pixels.contiguous(memory_format=torch.channels_last) if pixels.dim() == 4 else pixels


def kept(value: Tensor) -> Tensor:
    """A copy on the CPU in the usual layout."""
    return value.detach().to("cpu", copy=True).contiguous()
