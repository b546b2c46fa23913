"""The numbers that the page of the live network sets its single images against."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Replicates, Sample, Values, cube
from ctl_helpers.findings.words import plain
from ctl_helpers.results.labels import Metric


@measure(plain)
def halfway_mean(direction: pd.DataFrame, *, metric: Metric) -> Sample:
    """Mean of a metric at α = 0.5, over pairs and layers."""
    return Sample(*_halfway(direction, metric), "networks", np.mean)


@measure(plain)
def halfway_of_pair(direction: pd.DataFrame, *, metric: Metric, i: str, j: str) -> Sample:
    """The same for one pair of tasks."""
    pair = direction[(direction["i"] == i) & (direction["j"] == j)]
    return Sample(*_halfway(pair, metric), "networks", np.mean)


@measure("{:.2f}")
def halfway_length(direction: pd.DataFrame, *, end: str) -> Sample:
    """Mean coef at α = 0.5 over layers, by pair: the ``"smallest"`` or the ``"largest"``."""
    rows = direction[(direction["alpha"] == 0.5) & (direction["metric"] == Metric.COEF)]
    pairs = rows["i"] + " and " + rows["j"]
    values, seeds = cube(rows.assign(pair=pairs), [], pair=None)
    extreme = np.min if end == "smallest" else np.max
    return Sample(values, seeds, "seeds", lambda drawn: extreme(drawn.mean(axis=0)))


def _halfway(direction: pd.DataFrame, metric: Metric) -> tuple[Values, Replicates]:
    """Mean over layers, shape (pairs,)."""
    rows = direction[direction["alpha"] == 0.5]
    values, seeds = cube(rows, ["i", "j"], metric=[metric])
    return values[:, 0], seeds
