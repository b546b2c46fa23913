"""SGD counted by steps, so that the first steps of a run can be kept too; also sharpness-aware."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ctl_helpers.data.images import Images, floats
from ctl_helpers.training.class_mask import ClassMask
from ctl_helpers.training.loop import Recipe, Snapshot, _channels_last, default_device, training


def sgd_steps(
    model: nn.Module,
    start: Snapshot,
    images: Images,
    recipe: Recipe,
    seed: int,
    wanted: Collection[int],
    radius: float = 0.0,
) -> Iterator[Snapshot]:
    """Train from ``start`` on, and give a snapshot after some numbers of steps.

    The samples are those of :func:`ctl_helpers.training.loop.epochs`, in its order.

    Args:
        model: the architecture; it is copied, never changed.
        start: where to begin.
        images: the training set.
        recipe: how to train; its rate never falls here, and its epochs do not count.
        seed: decides the order of samples.
        wanted: after which steps; those up to the start's are left out.
        radius: how far up the gradient each step takes its gradient (sharpness-aware minimization,
            Foret et al. 2021, Equation 3); 0 is plain SGD.

    Raises:
        ValueError: less than a batch of samples; or the loss or a weight became NaN or infinite.
    """
    per_epoch = len(images) // recipe.batch_size
    if per_epoch == 0:
        raise ValueError(
            f"{len(images)} samples make no batch of {recipe.batch_size}; give more samples, or a "
            "smaller batch_size"
        )
    device = default_device()
    model = _trainable(model, start, recipe).to(device)
    head = ClassMask(images.targets.unique()) if recipe.masked else nn.Identity()
    images = Images(images.inputs.to(device), images.targets.to(device))
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay
    )
    half = recipe.precision == "bfloat16"
    order = _orders(images, recipe.batch_size, seed)

    def backward(batch: Images) -> float:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
            logits = model(_channels_last(floats(batch.inputs)))
        loss = F.cross_entropy(head(logits.float()), batch.targets)
        loss.backward()
        return loss.item()

    def step(number: int) -> float:
        batch = images[order(number // per_epoch)[number % per_epoch]]
        loss = backward(batch)
        if radius:
            with _uphill(model, radius):
                backward(batch)
        optimizer.step()
        return loss

    for number in sorted(number for number in set(wanted) if number > start.done):
        (start,) = training(model, optimizer, start, number, step, every=number)
        yield start


def _orders(images: Images, batch_size: int, seed: int) -> Callable[[int], tuple[Tensor, ...]]:
    """Which samples the batches of an epoch have; the last epoch asked for is remembered."""

    @lru_cache(maxsize=1)
    def order(epoch: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch + 1)
        used = torch.randperm(len(images), generator=generator)
        whole = used[: len(images) // batch_size * batch_size]
        return whole.to(images.targets.device).split(batch_size)

    return order


def _trainable(model: nn.Module, start: Snapshot, recipe: Recipe) -> nn.Module:
    """A copy of the model at the start, in training mode but for BatchNorm that is frozen."""
    model = copy.deepcopy(model)
    model.load_state_dict(start.weights)
    model.train()
    for module in model.modules():
        if recipe.frozen_norm and isinstance(module, _BatchNorm):
            module.eval()
    return model


@contextmanager
def _uphill(model: nn.Module, radius: float) -> Iterator[None]:
    """The parameters a step of length ``radius`` up their gradient; afterwards where they were."""
    moving = [(one, one.grad) for one in model.parameters() if one.grad is not None]
    length = torch.stack([gradient.norm() for _, gradient in moving]).norm() + 1e-12
    origins = [parameter.detach().clone() for parameter, _ in moving]
    with torch.no_grad():
        for parameter, gradient in moving:
            parameter.add_(gradient * (radius / length))
    yield
    with torch.no_grad():
        for (parameter, _), origin in zip(moving, origins, strict=True):
            parameter.copy_(origin)


def along(
    model: nn.Module,
    start: Mapping[str, Tensor],
    images: Images,
    wanted: Collection[int],
    *,
    lr: float,
    batch_size: int,
    seed: int,
    radius: float = 0.0,
) -> dict[int, dict[str, Tensor]]:
    """The weights after some numbers of steps of one run of SGD: steps → state dict.

    A run whose loss or weights are no longer finite ends there, and gives what it had before.

    Args:
        model, images, seed, radius: as for :func:`sgd_steps`.
        start: the weights to begin with.
        wanted: after which steps, each 1 or more.
        lr, batch_size: of SGD on cross-entropy, without momentum.

    Raises:
        ValueError: no steps are wanted, or there are too few samples.
    """
    if not wanted or min(wanted) < 1 or len(images) < batch_size:
        raise ValueError(
            f"{len(images)} samples in batches of {batch_size} cannot be trained on for "
            f"{sorted(wanted)} steps; ask for one step or more, and have a batch at least"
        )
    recipe = Recipe(epochs=0, lr=lr, batch_size=batch_size)
    kept: dict[int, dict[str, Tensor]] = {}
    with suppress(ValueError):  # no longer finite
        begin = Snapshot(0, dict(start))
        for snapshot in sgd_steps(model, begin, images, recipe, seed, wanted, radius):
            kept[snapshot.done] = snapshot.weights
    return kept
