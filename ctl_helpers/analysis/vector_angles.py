"""The angles between task vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import pandas as pd
import torch
from torch import Tensor

from ctl_helpers.engine.checkpoints import Checkpoint, opened
from ctl_helpers.engine.mix import check_compatible, check_finite
from ctl_helpers.engine.similarity import cosine
from ctl_helpers.engine.tensor_kinds import is_extra_state, is_mixed, same
from ctl_helpers.engine.tensor_sums import aliases, check_integers

_VALUES = 2**20  # of a tensor that are looked at together, in float64


def cosines(
    checkpoints: Mapping[str, Checkpoint], pretrained: str, names: Sequence[str]
) -> pd.DataFrame:
    """``cos[τ_i, τ_j]`` of task vectors ``τ = θ − θ_PT`` (Jin et al. 2024, Figure 5).

    All real and complex tensors count, as one long vector, in float64; one that stands under
    several names in all checkpoints counts once. One tensor of each checkpoint is looked at at a
    time, so that lazy state dicts are never in memory as a whole.

    Args:
        checkpoints: name → state dict, or what :func:`ctl_helpers.read` makes one of.
        pretrained: the name of θ_PT.
        names: the fine-tuned models.

    Returns:
        One row for each ordered pair, those of a model with itself among them: ``i``, ``j``,
        ``cosine``, which is NaN for a task vector of length 0.

    Raises:
        KeyError, ValueError: as :func:`~ctl_helpers.compare`; θ_PT among the names, or one twice.
    """
    for name in (pretrained, *names):
        if name not in checkpoints:
            raise KeyError(f"no checkpoint named {name!r}; there are {sorted(checkpoints)}")
    if len({pretrained, *names}) <= len(names):
        raise ValueError(
            f"the pretrained model {pretrained!r} or a name occurs twice in {list(names)}; name "
            "each fine-tuned model once, and the pretrained one apart"
        )
    states = opened(checkpoints, [pretrained, *names])
    base = states[pretrained]
    check_compatible({name: states[name] for name in names}, base, repr(pretrained))
    products = torch.zeros(len(names), len(names), dtype=torch.float64)
    for key in dict.fromkeys(aliases(list(states.values()), base).values()):
        tensors = {name: state[key] for name, state in states.items() if key in state}
        if is_extra_state(key) or _is_shared(tensors):
            continue
        if not is_mixed(tensors[pretrained]):
            check_integers(key, tensors, base)
            continue
        check_finite({name: {key: tensor} for name, tensor in tensors.items()})
        flat = [_numbers(tensor).split(_VALUES) for tensor in tensors.values()]
        for origin, *parts in zip(*flat, strict=True):
            vectors = torch.stack([part.double() - origin.double() for part in parts])
            products += (vectors @ vectors.T).to(products)
    squared = products.diagonal()
    table = cosine(products, squared[:, None].expand_as(products), squared.expand_as(products))
    return pd.DataFrame(
        {"i": i, "j": j, "cosine": value}
        for (i, j), value in zip(product(names, repeat=2), table.flatten().tolist(), strict=True)
    )


def _is_shared(tensors: Mapping[str, Tensor]) -> bool:
    """Whether all checkpoints have one tensor, such as a mask, whose infinities do not count."""
    first, *others = tensors.values()
    return all(same(first, other) for other in others)


def _numbers(tensor: Tensor) -> Tensor:
    """All real numbers of a tensor, of complex ones both parts."""
    flat = tensor.reshape(-1)
    return torch.view_as_real(flat.resolve_conj()).reshape(-1) if flat.is_complex() else flat
