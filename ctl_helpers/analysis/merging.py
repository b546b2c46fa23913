"""Merging methods: each turns task vectors into parts p_i whose mean is the merged task vector.

So every method gives networks ``θ_PT + (s/k) Σ_i p_i`` of one strength s, and the linearity of the
merge can be asked of its own parts. All work tensor by tensor, but for the trimming of TIES.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from ctl_helpers.engine.checkpoints import StateDict
from ctl_helpers.engine.devices import device_for
from ctl_helpers.engine.inputs import Batch, Inputs
from ctl_helpers.engine.mix import task_vector
from ctl_helpers.engine.network import Network
from ctl_helpers.engine.ties import first_names

Vector = Mapping[str, Tensor]
"""Name of a tensor → its change."""

Parts = Mapping[str, Vector]
"""Task → its part of a merge; of a plain sum that is its task vector."""

Recipe = Callable[[Parts], Parts]
"""A merging method: task vectors → parts."""


def vectors(
    model: nn.Module, checkpoints: Mapping[str, StateDict], pretrained: str, names: Iterable[str]
) -> dict[str, dict[str, Tensor]]:
    """The task vectors of some networks; a tensor with several names has its first one alone."""
    first, start = first_names(model), checkpoints[pretrained]
    return {
        task: {
            name: change
            for name, change in task_vector(checkpoints[task], start).items()
            if first.get(name, name) == name
        }
        for task in names
    }


def ends(model: nn.Module, start: StateDict, parts: Parts) -> dict[str, StateDict]:
    """``θ_PT + p_i`` by task, in θ_PT's own types.

    Args:
        model: the architecture, which knows the tensors that stand under several names.
        start: θ_PT.
        parts: what :func:`vectors` gives, or a method makes of it.
    """
    first = first_names(model)
    return {
        task: {
            name: value + part[first.get(name, name)].to(value)
            if first.get(name, name) in part
            else value
            for name, value in start.items()
        }
        for task, part in parts.items()
    }


def ties(parts: Parts, keep: float = 0.2) -> dict[str, dict[str, Tensor]]:
    """Trim, elect a sign, and average what agrees (TIES, Yadav et al. 2023).

    Each vector keeps its largest entries; an entry's sign is that of the sum over tasks (plus where
    that is zero); its value is the mean of those entries that are left and have this sign.

    Args:
        keep: the share of a whole vector's entries that is kept.
    """
    borders = {task: _border(vector, keep) for task, vector in parts.items()}
    merged: dict[str, dict[str, Tensor]] = {task: {} for task in parts}
    for name in next(iter(parts.values())):
        rows = torch.stack(
            [
                vector[name].where(vector[name].abs() > borders[task], 0)
                for task, vector in parts.items()
            ]
        )
        sign = torch.where(rows.sum(0) >= 0, 1.0, -1.0).to(rows)
        agreeing = rows.where(rows.sign() == sign, 0)
        count = (agreeing != 0).sum(0).clamp(min=1)
        # The mean of all k parts has to be the mean of those that agree.
        for task, row in zip(parts, agreeing * len(parts) / count, strict=True):
            merged[task][name] = row
    return merged


def dare(parts: Parts, drop: float = 0.9, seed: int = 0) -> dict[str, dict[str, Tensor]]:
    """Drop entries at random and rescale the others (DARE, Yu et al. 2024).

    Args:
        drop: the chance of each entry to be dropped.
        seed: of what is drawn.
    """
    generator = torch.Generator().manual_seed(seed)

    def thinned(change: Tensor) -> Tensor:
        kept = torch.rand(change.shape, generator=generator) >= drop
        return change * kept.to(change) / (1 - drop)

    return _by_tensor(parts, thinned)


def breadcrumbs(
    parts: Parts, small: float = 0.85, large: float = 0.01
) -> dict[str, dict[str, Tensor]]:
    """Mask the smallest and the largest entries of each tensor (Davari and Belilovsky 2024).

    Args:
        small, large: which share of a tensor's entries is masked at either end.
    """

    def between(change: Tensor) -> Tensor:
        flat = change.flatten()
        order, count = flat.abs().argsort(), flat.numel()
        kept = order[round(small * count) : count - round(large * count)]
        masked = torch.zeros_like(flat)
        masked[kept] = flat[kept]
        return masked.view_as(change)

    return _by_tensor(parts, between)


def regmean(
    parts: Parts, grams: Mapping[str, Mapping[str, Tensor]], diagonal: float = 0.1
) -> dict[str, dict[str, Tensor]]:
    """Weigh linear layers by their inputs' Gram matrices (RegMean, Jin et al. 2023).

    A layer's merged weight gives on all tasks' inputs what the tasks' own weights give there, in
    least squares: ``W = Σ_i W_i G_i (Σ_j G_j)⁻¹``. All else is averaged.

    Args:
        grams: task → :func:`gram_matrices` of its own network on its own samples.
        diagonal: the share by which entries off the diagonal are made smaller.
    """
    merged = {task: dict(vector) for task, vector in parts.items()}
    layers = dict.fromkeys(name for own in grams.values() for name in own)
    for name in layers.keys() & next(iter(parts.values())).keys():
        shrunk = {task: _shrunk(grams[task][name], diagonal) for task in parts}
        total = torch.stack(list(shrunk.values())).sum(0)
        for task, vector in parts.items():
            change, share = vector[name], torch.linalg.solve(total, shrunk[task])
            # All G are symmetric, so that the transpose of their quotient is what stands above.
            weighed = len(parts) * change.flatten(1).double() @ share.T.to(change.device)
            merged[task][name] = weighed.view_as(change).to(change)
    return merged


def gram_matrices(
    model: nn.Module,
    state: StateDict,
    batches: Iterable[Batch],
    device: torch.device | str | None = None,
) -> dict[str, Tensor]:
    """``XᵀX`` of the inputs of each linear layer, by the name of its weight, on the CPU.

    Convolutions of one pixel are linear layers, whose inputs are the pixels. A layer whose weight
    is used without a pass of its own, as in torch's own attention, is left out.

    Args:
        model, device: as for :func:`~ctl_helpers.compare`.
        state: the weights.
        batches: targets are not used.
    """
    place = device_for(model, device)
    network, sums = Network(model, place), dict[str, Tensor]()

    def add(name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        rows = inputs[0].movedim(1, -1) if isinstance(module, nn.Conv2d) else inputs[0]
        rows = rows.flatten(end_dim=-2).float()
        product = (rows.T @ rows).cpu()
        sums[name] = sums[name] + product if name in sums else product

    for name, module in network.model.named_modules():
        if _is_linear(module):
            module.register_forward_pre_hook(partial(add, f"{name}.weight"))
    weights = {name: value.to(place) for name, value in state.items()}
    for batch in batches:
        network.forward(weights, Inputs.of(batch, place))
    return sums


def _is_linear(module: nn.Module) -> bool:
    pixel = isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1
    return isinstance(module, nn.Linear) or (pixel and module.stride == (1, 1))


def _shrunk(gram: Tensor, diagonal: float) -> Tensor:
    """A Gram matrix that can be inverted, in double precision."""
    wide = gram.double()
    line = wide.diagonal()
    return (1 - diagonal) * wide + torch.diag(diagonal * line + 1e-6 * line.mean() + 1e-30)


def _border(vector: Vector, keep: float) -> Tensor:
    """The size over which a share of a vector's entries is, all tensors taken together."""
    sizes = torch.cat([change.flatten().abs() for change in vector.values()])
    under = len(sizes) - round(keep * len(sizes))
    return sizes.kthvalue(under).values if under else sizes.new_tensor(-1.0)


def _by_tensor(parts: Parts, function: Callable[[Tensor], Tensor]) -> dict[str, dict[str, Tensor]]:
    return {
        task: {name: function(change) for name, change in vector.items()}
        for task, vector in parts.items()
    }
