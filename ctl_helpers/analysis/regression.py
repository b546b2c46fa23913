"""How well a line explains a relation, and how sure a number is over few seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray


def r_squared(x: ArrayLike, y: ArrayLike) -> float:
    """``R² = ⟨x − x̄, y − ȳ⟩² / (‖x − x̄‖² ‖y − ȳ‖²)``: the share of y's variance that the
    least-squares line ``a + bx`` explains.

    Args:
        x, y: shape (samples,), two samples or more, all finite; computed in float64.

    Returns:
        In [0, 1]; NaN where x or y does not vary, so that no line is better than another.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ValueError(
            f"x and y have shapes {x.shape} and {y.shape}; pass two sequences of one length, two "
            "at least"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("x or y has NaN or infinite values; drop those rows first")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1] ** 2)


def partial_correlation(x: ArrayLike, y: ArrayLike, given: ArrayLike) -> float:
    """Pearson's correlation of what least squares on ``given`` leave of x and of y.

    Args:
        x, y: shape (samples,); computed in float64.
        given: shape (samples, regressors); a constant is added.

    Returns:
        In [−1, 1]; NaN where nothing is left of x or of y, or where samples are no more than
        coefficients.
    """
    pair = np.column_stack([x, y]).astype(np.float64)
    design = np.column_stack([np.ones(len(pair)), given]).astype(np.float64)
    if len(pair) <= design.shape[1]:
        return float("nan")
    fit, *_ = np.linalg.lstsq(design, pair, rcond=None)
    left = pair - design @ fit
    if (np.linalg.norm(left, axis=0) <= 1e-9 * np.linalg.norm(pair, axis=0)).any():
        return float("nan")
    return float(np.corrcoef(left.T)[0, 1])


def bootstrap(
    statistic: Callable[[NDArray[np.float64]], float],
    values: ArrayLike,
    groups: Sequence[object] | None = None,
    *,
    within: bool = False,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """The percentile interval of ``statistic(values)`` under resampling with replacement.

    Args:
        statistic: a number of an array like ``values``; where it is NaN the resample is left out.
        values: shape (observations, …).
        groups: a name for each observation, such as its seed or pair: groups are then drawn, as
            many as there are. By default each observation is its own.
        within: draw again within each drawn group, too, as many observations as it has; otherwise
            it comes whole.
        resamples: how many arrays to draw, by a generator with this ``seed``.
        level: the share of resamples inside the interval.

    Returns:
        Its lower and upper end.

    Raises:
        ValueError: nothing to draw from, an observation without a group, numbers out of range, or
            a statistic that is NaN on every resample.
    """
    values = np.asarray(values, dtype=np.float64)
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(
            f"{resamples} resamples at level {level} make no interval; give one at least, and a "
            "level between 0 and 1"
        )
    members = _members(len(values), groups)
    generator = np.random.default_rng(seed)
    resampled = []
    for _ in range(resamples):
        drawn = [members[group] for group in generator.integers(len(members), size=len(members))]
        if within:
            drawn = [rows[generator.integers(len(rows), size=len(rows))] for rows in drawn]
        resampled.append(statistic(values[np.concatenate(drawn)]))
    return _middle(resampled, level)


def _middle(resampled: Sequence[float], level: float) -> tuple[float, float]:
    """The ends of the middle share ``level`` of numbers, NaN left out."""
    numbers = np.asarray(resampled, dtype=np.float64)
    numbers = numbers[~np.isnan(numbers)]
    if len(numbers) == 0:
        raise ValueError("the statistic is NaN on every resample; check it on the whole table")
    low, high = np.quantile(numbers, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _members(count: int, groups: Sequence[object] | None) -> list[NDArray[np.intp]]:
    """The observations of each group, groups in the order in which they come."""
    names = pd.Series(range(count) if groups is None else list(groups))
    if count == 0 or len(names) != count or names.isna().any():
        raise ValueError(
            f"{count} observations and {names.count()} names of groups; give one observation at "
            "least, and each its group"
        )
    indices = names.groupby(names, sort=False).indices
    return [np.asarray(rows) for rows in indices.values()]


def explained(
    table: pd.DataFrame,
    target: str,
    regressors: Sequence[str],
    groups: str | None = None,
    resamples: int = 1000,
) -> pd.DataFrame:
    """``R²`` of a column on each of others, as it is and between logarithms, with intervals.

    Args:
        table: one row per observation.
        target: the column to explain.
        regressors: columns, each on its own.
        groups: a column of names, and
        resamples: as in :func:`bootstrap`.

    Returns:
        A row for each ``scale`` (``"linear"``, ``"log"``) and ``regressor``: ``r_squared``, ``low``
        and ``high``. Logarithms leave out values that are not positive. All three are NaN where a
        column does not vary.
    """
    rows = []
    for scale in ("linear", "log"):
        for name in regressors:
            pairs = table[[target, name]].to_numpy(float)
            usable = (pairs > 0).all(axis=1) if scale == "log" else np.full(len(pairs), True)
            pairs = np.log(pairs[usable]) if scale == "log" else pairs
            share = _share(pairs) if len(pairs) > 1 else float("nan")
            names = None if groups is None else table.loc[usable, groups].tolist()
            low, high = share, share
            if not np.isnan(share):
                low, high = bootstrap(_share, pairs, names, resamples=resamples)
            row = {"r_squared": share, "low": low, "high": high}
            rows.append({"scale": scale, "regressor": name, **row})
    return pd.DataFrame(rows)


def _share(pairs: NDArray[np.float64]) -> float:
    return r_squared(pairs[:, 1], pairs[:, 0])
