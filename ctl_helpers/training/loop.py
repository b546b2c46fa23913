"""Training: one loop, seeded, that may stop and go on; and its epochs of SGD."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ctl_helpers.data.images import Images, floats
from ctl_helpers.training.class_mask import ClassMask

Limits = Mapping[str, tuple[bool, str]]
"""Field → whether it is within its limits, and these in words."""


class AnyRecipe:
    """A recipe whose numbers are checked.

    Attributes:
        lr: learning rate, the highest where it changes.
        batch_size: samples per step.
        weight_decay: the optimizer's.

    Raises:
        ValueError: a number or word that is no such thing, named with what it has to be.
    """

    lr: float
    batch_size: int
    weight_decay: float

    def limits(self) -> Limits:
        """Of further fields."""
        raise NotImplementedError

    def shortened(self, share: float) -> AnyRecipe:
        """A share of the training, for a quick look."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        limits: Limits = {
            "lr": (0 < self.lr < math.inf, "positive"),
            "batch_size": (self.batch_size >= 1, "1 or more"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "0 or more"),
            **self.limits(),
        }
        for name, (fits, wanted) in limits.items():
            if not fits:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r} in a recipe; it has to be {wanted}"
                )


@dataclass(frozen=True)
class Recipe(AnyRecipe):
    """SGD on cross-entropy; see :class:`AnyRecipe`.

    Attributes:
        epochs: passes over the data. An incomplete last batch is left out, since the statistics of
            a handful of samples wreck BatchNorm.
        momentum: SGD's.
        lr_step: epochs after each of which the rate falls to a tenth; never when None.
        masked: whether the loss looks at the logits of the training set's classes alone, where
            tasks share a head over the classes of all of them (Mirzadeh et al. 2021).
        frozen_norm: whether BatchNorm keeps its statistics and uses them, as in evaluation.
        precision: of the forward pass; ``"bfloat16"`` trains a ResNet-18 1.3 to 1.6 times faster
            on a CPU that has it. Weights and updates stay in float32.
    """

    epochs: int
    lr: float
    batch_size: int
    momentum: float = 0.0
    weight_decay: float = 0.0
    lr_step: int | None = None
    masked: bool = False
    frozen_norm: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"

    def limits(self) -> Limits:
        """Of epochs, momentum, steps of the rate and precision."""
        precisions = ("float32", "bfloat16")
        return {
            "epochs": (self.epochs >= 0, "0 or more"),
            "momentum": (0 <= self.momentum < 1, "from 0 to under 1"),
            "lr_step": (self.lr_step is None or self.lr_step >= 1, "1 or more, or None"),
            "precision": (self.precision in precisions, "'float32' or 'bfloat16'"),
        }

    def shortened(self, share: float) -> Recipe:
        """A share of the epochs, one at least."""
        return replace(self, epochs=max(round(share * self.epochs), 1))


@dataclass(frozen=True)
class Snapshot:
    """Training after some epochs or steps: all that is needed to use the weights, and to go on.

    Attributes:
        done: how many.
        weights: a state dict on the CPU.
        optimizer: its state: number of a parameter and name of a tensor → that tensor.
        loss: mean training loss since the snapshot before, None before the first.
    """

    done: int
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    loss: float | None = None


def initial_weights(build: Callable[[], nn.Module], seed: int) -> dict[str, Tensor]:
    """The random weights that ``build`` gives under ``seed``; the global generator is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dict(build().state_dict())


def default_device() -> torch.device:
    """Where networks train and run: a GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def training(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    start: Snapshot,
    last: int,
    once: Callable[[int], float],
    every: int = 1,
) -> Iterator[Snapshot]:
    """Train from ``start`` on, and give a snapshot now and then and after the last epoch or step.

    Args:
        model: trained in place, with the weights of ``start``.
        optimizer: of its parameters that train.
        start: where to begin.
        last: how many epochs or steps there are in all.
        once: does the epoch or step of that number, from 0 on, and gives its mean loss.
        every: epochs or steps between snapshots.

    Raises:
        ValueError: the loss or a weight became NaN or infinite.
    """
    _restore(optimizer, start.optimizer)
    losses: list[float] = []
    for number in range(start.done, last):
        losses.append(once(number))
        wanted = (number + 1) % every == 0 or number + 1 == last
        parts = model.parameters() if wanted else ()
        if not math.isfinite(losses[-1]) or not all(part.isfinite().all() for part in parts):
            raise ValueError(
                f"the loss or a weight is not finite after {number + 1} of {last}; lower the "
                f"learning rate from {optimizer.defaults['lr']}"
            )
        if wanted:
            weights = {name: _copied(value) for name, value in model.state_dict().items()}
            mean = sum(losses) / len(losses)
            yield Snapshot(number + 1, weights, _state(optimizer), mean)
            losses = []


def _state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{number}/{name}": _copied(value)
        for number, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def _restore(optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    by_number: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        number, name = key.split("/")
        by_number.setdefault(int(number), {})[name] = value.clone()
    if by_number:
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": by_number, "param_groups": groups})


def _copied(value: Tensor) -> Tensor:
    """On the CPU in the usual layout."""
    return value.detach().to("cpu", copy=True).contiguous()


def epochs(
    model: nn.Module, start: Snapshot, images: Images, recipe: Recipe, seed: int
) -> Iterator[Snapshot]:
    """Train from ``start`` on, and give a snapshot after each epoch up to the recipe's last.

    An epoch's order of samples depends on ``seed`` and its number alone, so that training may
    stop and go on at any snapshot, with the same weights in the end on the same machine.

    Args:
        model: the architecture; it is copied, never changed.
        start: where to begin.
        images: the training set.
        recipe: how to train.
        seed: decides the order of samples.

    Raises:
        ValueError: no samples; or the loss or a weight became NaN or infinite.
    """
    if len(images) == 0:
        raise ValueError("the training set is empty; check the split and the number of samples")
    device = default_device()
    model = copy.deepcopy(model)
    model.load_state_dict(start.weights)
    # Convolutions run a third faster with channels last, on CPUs as on GPUs.
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    _set_training(model, recipe.frozen_norm)
    images = Images(images.inputs.to(device), images.targets.to(device))
    head = ClassMask(images.targets.unique()) if recipe.masked else nn.Identity()
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay
    )

    def epoch(number: int) -> float:
        if recipe.lr_step is not None:
            optimizer.param_groups[0]["lr"] = recipe.lr * 0.1 ** (number // recipe.lr_step)
        total = torch.zeros((), device=device)
        order = _order(len(images), recipe.batch_size, seed, number + 1).to(device)
        for batch in map(images.__getitem__, order.split(recipe.batch_size)):
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, recipe.precision == "bfloat16"):
                logits = model(_channels_last(floats(batch.inputs)))
            loss = F.cross_entropy(head(logits.float()), batch.targets)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(batch)
        return total.item() / len(order)

    return training(model, optimizer, start, recipe.epochs, epoch)


def _set_training(model: nn.Module, frozen_norm: bool) -> None:
    model.train()
    for module in model.modules():
        if frozen_norm and isinstance(module, _BatchNorm):
            module.eval()


def _order(samples: int, batch_size: int, seed: int, epoch: int) -> Tensor:
    """A permutation of the samples, without those of an incomplete last batch."""
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    used = samples - samples % batch_size if samples >= batch_size else samples
    return torch.randperm(samples, generator=generator)[:used]


def _channels_last(pixels: Tensor) -> Tensor:
    return pixels.contiguous(memory_format=torch.channels_last) if pixels.dim() == 4 else pixels
