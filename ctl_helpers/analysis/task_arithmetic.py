"""What Section 4.3's experiments share: scores by role, and the λ that they allow."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

KEPT = 0.95
"""The rule of task arithmetic: what negation has to leave of the control's accuracy."""


def roles(scores: pd.DataFrame, control: Collection[str]) -> pd.DataFrame:
    """Mean accuracy of negated networks on the vector's own task and on the pretraining task.

    Args:
        scores: one row per edit and task, with columns ``i`` (whose vector is subtracted),
            ``task``, ``accuracy``, and any of ``chance``, ``split``, ``block``, ``model``, ``lam``.
        control: the tasks that stand for the pretraining task, but for ``i`` itself.

    Returns:
        One row per edit and ``role``, which is ``"D_i"`` or ``"D_PT"``, with its ``accuracy``, and
        ``chance`` where it is known.
    """
    is_own = scores["i"] == scores["task"]
    scores = scores.assign(role=np.where(is_own, "D_i", "D_PT"))
    scores = scores[is_own | scores["task"].isin(list(control))]
    keys = [key for key in ("split", "block", "model", "i", "lam", "role") if key in scores]
    values = [value for value in ("accuracy", "chance") if value in scores]
    return scores.groupby(keys, sort=False)[values].mean().reset_index()


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
