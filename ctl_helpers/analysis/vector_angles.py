"""The angles between task vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import pandas as pd
import torch

from ctl_helpers.engine.mix import StateDict, check_compatible, check_finite
from ctl_helpers.engine.similarity import cosine

_VALUES = 2**20  # of a tensor that are looked at together, in float64


def cosines(
    checkpoints: Mapping[str, StateDict], pretrained: str, names: Sequence[str]
) -> pd.DataFrame:
    """``cos[τ_i, τ_j]`` of task vectors ``τ = θ − θ_PT`` (Jin et al. 2024, Figure 5).

    All floating tensors count, as one long vector, in float64. One tensor of each checkpoint is
    looked at at a time, so that lazy state dicts are never in memory as a whole.

    Args:
        checkpoints: name → state dict.
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
    base = checkpoints[pretrained]
    check_compatible({name: checkpoints[name] for name in names}, base, repr(pretrained))
    products = torch.zeros(len(names), len(names), dtype=torch.float64)
    for key in base:
        start = base[key]
        if start.is_floating_point():
            tensors = {name: checkpoints[name][key] for name in names}
            check_finite({name: {key: t} for name, t in ({pretrained: start} | tensors).items()})
            flat = [tensor.reshape(-1).split(_VALUES) for tensor in tensors.values()]
            for origin, *parts in zip(start.reshape(-1).split(_VALUES), *flat, strict=True):
                vectors = torch.stack([part.double() - origin.double() for part in parts])
                products += (vectors @ vectors.T).to(products)
    squared = products.diagonal()
    table = cosine(products, squared[:, None].expand_as(products), squared.expand_as(products))
    return pd.DataFrame(
        {"i": i, "j": j, "cosine": value}
        for (i, j), value in zip(product(names, repeat=2), table.flatten().tolist(), strict=True)
    )
