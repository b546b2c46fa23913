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


def forecasts(x: ArrayLike, y: ArrayLike, folds: ArrayLike) -> NDArray[np.float64]:
    """What a least-squares line ``a + bx`` says of each fold that it has not seen.

    Args:
        x, y: shape (samples,).
        folds: shape (folds, samples), whether a sample belongs to a fold; it may to several.

    Returns:
        Shape (folds, samples): the prediction where a sample belongs to a fold, else NaN; NaN too
        in a fold that leaves fewer than three samples to fit.

    Raises:
        ValueError: shapes that do not match, or values that are not finite.
    """
    held_out = np.asarray(folds, dtype=bool)
    x, y = _checked(x, y, held_out.shape[1])
    design = np.column_stack([np.ones(len(y)), x])
    told = np.full(held_out.shape, np.nan)
    for fold, out in enumerate(held_out):
        if (~out).sum() > design.shape[1]:
            fit, *_ = np.linalg.lstsq(design[~out], y[~out], rcond=None)
            told[fold, out] = design[out] @ fit
    return told


def best_cut(x: ArrayLike, good: ArrayLike) -> tuple[float, int]:
    """The threshold on x that tells good samples from others best: hits less false alarms.

    Args:
        x: shape (samples,).
        good: shape (samples,), of truth values.

    Returns:
        The threshold, half way between two values of x, and the side: a sample is said to be good
        where ``side * (x − threshold) > 0``. Of equally good thresholds the first is taken, from
        small x to large ones, below before above. NaN and 1 where no threshold tells anything.
    """
    x, good = np.asarray(x, dtype=np.float64), np.asarray(good, dtype=bool)
    values = np.unique(x)
    if len(values) < 2 or good.all() or not good.any():
        return float("nan"), 1
    cuts = (values[1:] + values[:-1]) / 2
    below = x[:, None] < cuts
    apart = below[good].mean(axis=0) - below[~good].mean(axis=0)
    best = int(np.argmax(np.round(np.abs(apart), 12)))
    return float(cuts[best]), -1 if apart[best] >= 0 else 1


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
