"""Numbers that say whether a claim can be tested at all."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Sample, cube, rows_of

_PRETRAINED = "PT"


@measure("{:.0%}")
def learned(accuracy: pd.DataFrame) -> Sample:
    """Accuracy of each task's own network less that of θ_PT on it, mean over tasks.

    Args:
        accuracy: columns ``network``, ``task`` and ``accuracy``; a network bears its task's name.
    """
    own = accuracy["network"] == accuracy["task"]
    start = accuracy["network"] == _PRETRAINED
    tuned = accuracy.loc[own, "task"].unique()
    rows = accuracy[own | (start & accuracy["task"].isin(tuned))]
    rows = rows.assign(whose=np.where(rows["network"] == _PRETRAINED, "start", "own"))
    values, replicates = cube(rows, ["task"], "accuracy", whose=["own", "start"])
    return Sample(values[:, 0] - values[:, 1], replicates, "tasks", lambda few: float(few.mean()))


@measure("{:.1f}")
def over_majority(accuracy: pd.DataFrame) -> Sample:
    """How far own networks are over always giving the commonest answer, mean over tasks.

    In standard errors of an accuracy of n examples, ``√(m(1 − m)/n)`` at the majority's share m.
    NaN where majorities are not stored, as in older runs on balanced classes.

    Args:
        accuracy: columns as for :func:`learned`, ``n`` and ``majority``.
    """
    if "majority" not in accuracy:
        return Sample(np.array([]), [], "tasks", lambda few: float("nan"))
    rows = accuracy[accuracy["network"] == accuracy["task"]]
    majority = rows["majority"].clip(1 / rows["n"], 1 - 1 / rows["n"])
    error = np.sqrt(majority * (1 - majority) / rows["n"])
    values = ((rows["accuracy"] - majority) / error).to_numpy(float)
    return Sample(values, rows_of(rows, ["task"]), "tasks", lambda few: float(few.mean()))
