"""What Section 4.3's experiments share: scores by role, the λ that they allow, null controls."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ctl_helpers.engine.batches import Streams
from ctl_helpers.engine.compare import measure
from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.engine.questions import addition

KEPT = 0.95
"""The rule of task arithmetic: what negation has to leave of the control's accuracy."""


def roles(scores: pd.DataFrame, control: Collection[str]) -> pd.DataFrame:
    """Mean accuracy of negated networks on the vector's own task and on the pretraining task.

    Args:
        scores: one row per edit and task, with columns ``i`` (whose vector is subtracted),
            ``task``, ``accuracy``, and any of ``split``, ``block``, ``model`` and ``lam``.
        control: the tasks that stand for the pretraining task, but for ``i`` itself.

    Returns:
        One row per edit and ``role``, which is ``"D_i"`` or ``"D_PT"``, with its ``accuracy``.
    """
    is_own = scores["i"] == scores["task"]
    scores = scores.assign(role=np.where(is_own, "D_i", "D_PT"))
    scores = scores[is_own | scores["task"].isin(list(control))]
    keys = [key for key in ("split", "block", "model", "i", "lam", "role") if key in scores]
    return scores.groupby(keys, sort=False)["accuracy"].mean().reset_index()


def strongest(scores: pd.DataFrame, share: float = KEPT) -> dict[str, float]:
    """The largest λ up to which negation keeps a share of the control's accuracy.

    That is task arithmetic's rule (Ilharco et al. 2023), here without gaps: no smaller λ that was
    tried may fall short.

    Args:
        scores: :func:`roles` with λ = 0 among the λ of each ``i``; held-out data, to be honest.
        share: how much of the accuracy at λ = 0 has to stay.

    Returns:
        ``i`` → λ, 0 where not even the smallest one keeps enough.
    """
    right = scores[scores["role"] == "D_PT"].set_index("lam")
    factors = {}
    for i, rows in right.groupby("i", sort=False):
        accuracy = rows["accuracy"].sort_index()
        enough = accuracy >= share * accuracy[0.0]
        factors[i] = float(enough.index[enough.cummin()].max())
    return factors


def shuffled(
    checkpoints: Mapping[str, StateDict],
    pretrained: str,
    names: Sequence[str],
    seed: int,
    factor: float = 1.0,
) -> dict[str, StateDict]:
    """Networks at the ends of shuffled task vectors: a null control for Equations 2 and 3.

    Args:
        checkpoints: name → state dict.
        pretrained: the name of θ_PT, which stays as it is.
        names: whose task vectors to shuffle, each within every tensor.
        seed: of the order of entries, the same for any ``factor``.
        factor: how many times as long the vectors are made.

    Returns:
        ``pretrained`` and ``names`` → state dict; where the checkpoint is read when it is asked
        for, so is what is made of it.
    """
    start = checkpoints[pretrained]
    networks = {pretrained: start}
    for name in names:
        make = partial(_shuffled, start, checkpoints[name], f"{seed}/{name}", factor)
        network = LazyState(described(start), make)
        networks[name] = dict(network) if isinstance(checkpoints[name], dict) else network
    return networks


def _shuffled(start: StateDict, end: StateDict, seed: str, factor: float, name: str) -> Tensor:
    """A tensor of the network at the end of a shuffled task vector."""
    origin = start[name]
    if not origin.is_floating_point():
        return origin
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}/{name}".encode()))
    vector = (end[name] - origin).flatten()
    order = torch.randperm(vector.numel(), generator=generator)
    return origin + factor * vector[order].view_as(origin)


def controls(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    pretrained: str,
    names: Sequence[str],
    lam: float,
    streams: Streams,
    seed: int,
) -> pd.DataFrame:
    """Equation 2 of task vectors beside what should do worse, if it is about fine-tuning.

    ``other samples``: the left side of a sample against the right side of the next. ``shuffled
    vectors``: see :func:`shuffled`. They hardly move the features, so ``shuffled vectors,
    stretched`` are longer by the root of the ratio of mean baselines, which go with the square of
    the length.

    Args:
        model, checkpoints, streams: as for :func:`~ctl_helpers.compare`.
        pretrained: the name of θ_PT.
        names: the fine-tuned models, whose pairs are compared.
        lam: the factor λ.
        seed: of the shuffled entries.

    Returns:
        :func:`~ctl_helpers.compare`'s table, with ``control``, which of the four it is, and
        ``stretch``, the factor on the vectors.
    """

    def compared(weights: Mapping[str, StateDict], permuted: bool = False) -> pd.DataFrame:
        pairs = addition(pretrained, names, [lam])
        return measure(model, weights, pairs, streams, permuted=permuted).table()

    def moved(table: pd.DataFrame) -> float:
        return table.loc[table["metric"] == "baseline", "mean"].mean()

    usual = compared(checkpoints)
    short = compared(shuffled(checkpoints, pretrained, names, seed))
    stretch = float(np.sqrt(moved(usual) / moved(short)))
    long = shuffled(checkpoints, pretrained, names, seed, stretch)
    tables = [
        usual.assign(control="task vectors", stretch=1.0),
        short.assign(control="shuffled vectors", stretch=1.0),
        compared(checkpoints, permuted=True).assign(control="other samples", stretch=1.0),
        compared(long).assign(control="shuffled vectors, stretched", stretch=stretch),
    ]
    return pd.concat(tables)
