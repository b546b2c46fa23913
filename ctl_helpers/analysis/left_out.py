"""How well least squares predict what they have not seen: fits with groups left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def left_out_r_squared(x: ArrayLike, y: ArrayLike, groups: Sequence[object]) -> float:
    """``1 − Σ(y − ŷ)² / Σ(y − ȳ)²``, where ŷ and ȳ know nothing of a sample's own group.

    For each group the least-squares fit ``ŷ = a + ⟨b, x⟩`` and the mean ȳ are those of all other
    groups. So 1 is a prediction without error, and at 0 or less the fit predicts no better than the
    mean of what was seen.

    Args:
        x: shape (samples,), or (samples, regressors).
        y: shape (samples,).
        groups: a name for each sample, such as its learning rate.

    Returns:
        At most 1; NaN for fewer than two groups, where the samples outside a group are no more than
        the fit's coefficients, or where all y are alike.

    Raises:
        ValueError: shapes that do not match, or values that are not finite.
    """
    x, y = _checked(x, y, len(groups))
    design = np.column_stack([np.ones(len(y)), x])
    names = np.unique([str(group) for group in groups], return_inverse=True)[1]
    missed, spread = 0.0, 0.0
    for name in range(names.max(initial=-1) + 1):
        out = names == name
        if (~out).sum() <= design.shape[1]:
            return float("nan")
        fit, *_ = np.linalg.lstsq(design[~out], y[~out], rcond=None)
        missed += np.square(y[out] - design[out] @ fit).sum()
        spread += np.square(y[out] - y[~out].mean()).sum()
    return float(1 - missed / spread) if spread > 0 else float("nan")


def _checked(
    x: ArrayLike, y: ArrayLike, groups: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim not in (1, 2) or y.ndim != 1 or not len(x) == len(y) == groups:
        raise ValueError(
            f"x and y have shapes {x.shape} and {y.shape} for {groups} names of groups; give one "
            "row of x, one y and one group a sample"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("x or y has NaN or infinite values; drop those rows first")
    return x, y
