"""How sure a mean over some of all pairs is, where each checkpoint has equally many of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit


@dataclass(frozen=True)
class SampledMean:
    """A mean over some pairs, as an estimate of that over all.

    Attributes:
        value: the mean.
        low, high: its interval.
        measured, whole: how many pairs were measured, and how many there are.
    """

    value: float
    low: float
    high: float
    measured: int
    whole: int


def mean_over_all_pairs(table: pd.DataFrame, value: str, level: float = 0.95) -> SampledMean:
    """The mean over all pairs of these checkpoints, from the pairs of :func:`~ctl_helpers.pairs`.

    A pair's value is ``μ + a_i + a_j + e_ij``. Each checkpoint has equally many partners, so that
    the mean of ``a`` over the drawn pairs is that over all: the error is that of ``e`` alone. With
    the residuals' variance ``s²`` of the least-squares fit, n pairs of N and K checkpoints it is
    ``√(s²/n · (1 − n/N))``, with n − K degrees of freedom (as for a sample without replacement,
    Cochran 1977, Section 2.6). Other checkpoints than these are not spoken of.

    Args:
        table: columns ``i``, ``j`` and the value, a row a pair.
        value: the column.
        level: what the interval covers.

    Raises:
        ValueError: a pair twice; checkpoints with different numbers of partners; fewer than four
            partners, of which none is left to tell ``e`` by.
    """
    names, places = np.unique(table[["i", "j"]].to_numpy().ravel(), return_inverse=True)
    ends = places.reshape(-1, 2)
    count, measured, whole = len(names), len(ends), math.comb(len(names), 2)
    if len(np.unique(np.sort(ends, axis=1), axis=0)) < measured:
        raise ValueError("the table has a pair twice; choose one α, layer and metric")
    partners = np.bincount(ends.ravel())
    if partners.min() != partners.max() or partners[0] < min(4, count - 1) or count < 4:
        raise ValueError(
            f"checkpoints have from {partners.min()} to {partners.max()} partners; measure "
            "ctl.pairs(names, alphas, partners=4) or more, all of them"
        )
    values = table[value].to_numpy(float)
    design = np.zeros((measured, count))
    np.put_along_axis(design, ends, 1.0, axis=1)
    effects = np.linalg.lstsq(design, values, rcond=None)[0]
    free = measured - count
    spread = float(np.sum((values - design @ effects) ** 2)) / free
    error = math.sqrt(spread / measured * (1 - measured / whole))
    reach, mean = float(stdtrit(free, (1 + level) / 2)) * error, float(values.mean())
    return SampledMean(mean, mean - reach, mean + reach, measured, whole)
