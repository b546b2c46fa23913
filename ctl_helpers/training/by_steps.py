"""Plain SGD by steps at one rate, whose weights are kept on the way; also sharpness-aware."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.data.images import Images, floats
from ctl_helpers.training.loop import Snapshot, default_device, training


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
    """The weights after some numbers of steps of one run: steps → state dict.

    A run whose loss or weights are no longer finite ends there, and gives what it had before.

    The samples are those of :func:`ctl_helpers.training.loop.epochs`, in its order, so that the
    weights after all steps of some epochs are those after these epochs.

    Args:
        model: the architecture; it is copied, never changed.
        start: where to begin.
        images: the training set, a batch at least.
        wanted: after which steps, each 1 or more.
        lr, batch_size: of SGD on cross-entropy, without momentum.
        seed: decides the order of samples.
        radius: how far up the gradient the loss is looked at before each step (sharpness-aware
            minimization, Foret et al. 2021); 0 is SGD.

    Raises:
        ValueError: no steps are wanted, or there are too few samples.
    """
    per_epoch = len(images) // batch_size
    if not wanted or min(wanted) < 1 or per_epoch < 1:
        raise ValueError(
            f"{len(images)} samples in batches of {batch_size} cannot be trained on for "
            f"{sorted(wanted)} steps; ask for one step or more, and have a batch at least"
        )
    device = default_device()
    model = copy.deepcopy(model).to(device)
    model.load_state_dict(start)
    model.train()
    images = Images(floats(images.inputs).to(device), images.targets.to(device))
    optimizer = torch.optim.SGD(model.parameters(), lr)

    @lru_cache(maxsize=1)
    def order(epoch: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch + 1)
        used = torch.randperm(len(images), generator=generator)[: per_epoch * batch_size]
        return used.to(device).split(batch_size)

    def step(number: int) -> float:
        epoch, place = divmod(number, per_epoch)
        batch = images[order(epoch)[place]]
        loss = _backward(model, batch)
        if radius:
            _look_ahead(model, batch, radius)
        optimizer.step()
        return loss

    kept: dict[int, dict[str, Tensor]] = {}
    for done, last in pairwise([0, *sorted(set(wanted))]):
        begin = Snapshot(done, kept.get(done, dict(start)))
        try:
            (end,) = training(model, optimizer, begin, last, step, every=last)
        except ValueError:
            break
        kept[last] = end.weights
    return kept


def _backward(model: nn.Module, batch: Images) -> float:
    model.zero_grad()
    loss = F.cross_entropy(model(batch.inputs), batch.targets)
    loss.backward()
    return loss.item()


def _look_ahead(model: nn.Module, batch: Images, radius: float) -> None:
    """Put the gradient of a step of length ``radius`` up the gradient in its place."""
    parameters = [one for one in model.parameters() if one.grad is not None]
    gradients = [one.grad.clone() for one in parameters if one.grad is not None]
    length = torch.stack([one.norm() for one in gradients]).norm() + 1e-12
    moves = [one * (radius / length) for one in gradients]
    with torch.no_grad():
        origins = [one.clone() for one in parameters]
        for parameter, move in zip(parameters, moves, strict=True):
            parameter.add_(move)
    _backward(model, batch)
    with torch.no_grad():
        for parameter, origin in zip(parameters, origins, strict=True):
            parameter.copy_(origin)
