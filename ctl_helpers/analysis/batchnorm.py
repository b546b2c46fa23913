"""BatchNorm's running statistics of a mix: recomputed on data instead of mixed."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from ctl_helpers.engine.mix import StateDict, check_compatible


def recomputed(
    model: nn.Module, state: StateDict, batches: Iterable[Tensor | tuple[Tensor, Tensor]]
) -> dict[str, Tensor]:
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
