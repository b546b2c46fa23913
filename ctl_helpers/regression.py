"""How well a line explains a relation, and how sure a number is over few seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def r_squared(x: ArrayLike, y: ArrayLike) -> float:
    """``R² = ⟨x − x̄, y − ȳ⟩² / (‖x − x̄‖² ‖y − ȳ‖²)``: the share of y's variance that the
    least-squares line ``a + bx`` explains.

    Args:
        x, y: shape (samples,); computed in float64.

    Returns:
        In [0, 1]; NaN where x or y does not vary, so that no line is better than another.

    Raises:
        ValueError: other shapes, fewer than two samples, or values that are not finite.
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


def bootstrap(
    statistic: Callable[[pd.DataFrame], float],
    frame: pd.DataFrame,
    groups: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """The percentile interval of ``statistic(frame)`` under resampling with replacement.

    Args:
        statistic: a number of a table like ``frame``. It sees rows with a fresh index; where it
            is NaN the resample is left out.
        frame: one row an observation.
        groups: a column whose equal values stay together, such as a seed or a pair: whole groups
            are then drawn, as many as there are. By default each row is its own.
        resamples: how many tables to draw.
        seed: the same seed gives the same interval.
        level: the share of resamples inside the interval.

    Returns:
        Its lower and upper end.

    Raises:
        KeyError: no such column.
        ValueError: an empty table, a group without a name, numbers out of range, or a statistic
            that is NaN on every resample.
    """
    if groups is not None and groups not in frame:
        raise KeyError(f"the table has no column {groups!r}; it has {list(frame.columns)}")
    if frame.empty or (groups is not None and frame[groups].isna().any()):
        raise ValueError(f"the table has no rows, or rows without {groups!r}; drop those first")
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(
            f"{resamples} resamples at level {level} make no interval; give one at least, and a "
            "level between 0 and 1"
        )
    rows = [[row] for row in range(len(frame))]
    if groups is not None:
        rows = list(frame.groupby(groups, sort=False, observed=True).indices.values())
    generator = np.random.default_rng(seed)
    drawn = (
        np.concatenate([rows[group] for group in generator.integers(len(rows), size=len(rows))])
        for _ in range(resamples)
    )
    values = [statistic(frame.iloc[chosen].reset_index(drop=True)) for chosen in drawn]
    return percentiles(values, level)


def percentiles(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """The interval that holds the middle share ``level`` of a statistic's resampled values.

    Args:
        values: the statistic of each resample; NaN is left out.
        level: the share of them inside the interval.

    Raises:
        ValueError: all of them are NaN.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if len(known) == 0:
        raise ValueError("the statistic is NaN on every resample; check it on the whole table")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def explained(
    table: pd.DataFrame,
    target: str,
    regressors: Sequence[str],
    groups: str | None = None,
    resamples: int = 1000,
) -> pd.DataFrame:
    """``R²`` of a column on each of others, as it is and between logarithms, with intervals.

    Args:
        table: one row an observation.
        target: the column to explain.
        regressors: columns, each on its own.
        groups, resamples: as in :func:`bootstrap`.

    Returns:
        A row a ``scale`` (``"linear"``, ``"log"``) and ``regressor``: ``r_squared``, ``low`` and
        ``high``. Logarithms leave out values that are not positive. All three are NaN where a
        column does not vary.
    """
    rows = []
    for scale in ("linear", "log"):
        for name in regressors:
            chosen = table.reset_index(drop=True)
            if scale == "log":
                chosen = chosen[(chosen[[target, name]] > 0).all(axis=1)]
                chosen = chosen.assign(**{c: np.log(chosen[c]) for c in (target, name)})

            def share(rows: pd.DataFrame, name: str = name) -> float:
                return r_squared(rows[name], rows[target])

            whole = share(chosen) if len(chosen) > 1 else float("nan")
            known = not np.isnan(whole)
            ends = bootstrap(share, chosen, groups, resamples) if known else (whole, whole)
            found = {"r_squared": whole, "low": ends[0], "high": ends[1]}
            rows.append({"scale": scale, "regressor": name} | found)
    return pd.DataFrame(rows)
