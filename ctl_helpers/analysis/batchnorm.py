"""BatchNorm's running statistics of a mix: recomputed on data instead of mixed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from ctl_helpers.engine.linearity import Comparison
from ctl_helpers.engine.mix import StateDict, check_compatible, combine

Inputs = Iterable[Tensor | tuple[Tensor, Tensor]]


def renewed(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    comparisons: Sequence[Comparison],
    batches: Callable[[Comparison], Inputs],
) -> tuple[dict[str, StateDict], list[Comparison]]:
    """Comparisons whose left side has BatchNorm's statistics taken anew from data.

    Args:
        model: the architecture.
        checkpoints: name → state dict, of all that is mixed.
        comparisons: what to compare; the right sides keep their own statistics.
        batches: the data of a comparison, as for :func:`recomputed`.

    Returns:
        The checkpoints and the left networks, and the comparisons with those on the left.
    """
    networks, asked = dict(checkpoints), []
    for comparison in comparisons:
        name = " + ".join(f"{weight:g} {one}" for one, weight in comparison.left.items())
        mixed = combine(checkpoints, comparison.left)
        networks[name] = recomputed(model, mixed, batches(comparison))
        asked.append(replace(comparison, left={name: 1.0}))
    return networks, asked


def recomputed(model: nn.Module, state: StateDict, batches: Inputs) -> dict[str, Tensor]:
    """The weights with BatchNorm's statistics taken anew from data; all else is as it was.

    Running mean and variance become the averages of those of the batches, each seen once, as
    Izmailov et al. (2018) do after averaging weights.

    Args:
        model: the architecture; neither changed nor used for its weights.
        state: the weights, such as :func:`ctl_helpers.combine` gives.
        batches: inputs or ``(inputs, targets)`` of the data to take statistics from.

    Raises:
        ValueError: weights that do not fit the model; a model without BatchNorm; no batch.
    """
    check_compatible({"the given one": state}, model.state_dict())
    fresh = copy.deepcopy(model)
    fresh.load_state_dict(state)
    if not any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in fresh.modules()):
        raise ValueError("the model has no BatchNorm, so there are no statistics to recompute")
    batches = list(batches)
    if not batches:
        raise ValueError("no batch to take BatchNorm's statistics from; pass a list of batches")
    with torch.no_grad():
        update_bn(batches, fresh)
    return {name: value.detach().clone() for name, value in fresh.state_dict().items()}
