"""Stored tables as replicates, from which a number and its interval are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ctl_helpers.analysis.regression import bootstrap

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """A number of stored results, and the replicates that it is computed from.

    Attributes:
        values: shape (replicates, …); NaN where a replicate lacks a value.
        seeds: the seed of each replicate.
        unit: what the replicates within a seed are, in the plural; ``"seeds"`` if each has one.
        statistic: the number of values such as ``values``.
    """

    values: Values
    seeds: Sequence[object]
    unit: str
    statistic: Callable[[Values], float]

    @property
    def effect(self) -> float:
        """The number; NaN where the results are too few to give one."""
        with np.errstate(all="ignore"):
            return float(self.statistic(self.values))

    def interval(self, resamples: int = 1000) -> tuple[float, float] | None:
        """Its 95% interval: draw seeds again, and within each drawn seed its replicates.

        Returns:
            Lower and upper end, the same at every call; None for a single replicate.
        """
        if len(self.values) < 2:
            return None
        with np.errstate(all="ignore"):
            return bootstrap(
                self.statistic, self.values, self.seeds, within=True, resamples=resamples
            )

    @property
    def replicates(self) -> str:
        """How many replicates there are: “18 pairs of 3 seeds”."""
        seeds = len(set(self.seeds))
        counted = f"{seeds} seed{'s' * (seeds > 1)}"
        return counted if self.unit == "seeds" else f"{len(self.values)} {self.unit} of {counted}"


def whole(
    values: Values, seeds: Sequence[object], unit: str, statistic: Callable[[Values], float]
) -> Sample:
    """A sample of the replicates that lack no value; NaN where each of them lacks one.

    A ratio of two means would otherwise be of one seed's number over another's.
    """
    complete = np.asarray(~np.isnan(values).reshape(len(values), -1).any(axis=1))

    def of_any(rows: Values) -> float:
        return float(statistic(rows)) if len(rows) else float("nan")

    return Sample(values[complete], list(compress(seeds, complete)), unit, of_any)


def column(
    table: pd.DataFrame,
    name: str,
    unit: str,
    statistic: Callable[[Values], float] = np.nanmean,
) -> Sample:
    """A table's column, each of its rows a replicate."""
    return Sample(table[name].to_numpy(float), table["seed"].tolist(), unit, statistic)


def cube(
    table: pd.DataFrame, unit: Sequence[str], value: str = "mean", **axes: Sequence[object] | None
) -> tuple[Values, list[object]]:
    """A table's values as (replicates, *axes), averaged over all other columns, and the seeds.

    Args:
        unit: the columns that tell a seed's replicates apart.
        value: the column that is averaged.
        axes: column → its values in order; None for all, sorted.
    """
    levels = {
        name: sorted(table[name].unique()) if order is None else list(order)
        for name, order in axes.items()
    }
    wide = table.pivot_table(
        index=["seed", *unit], columns=list(axes), values=value, aggfunc="mean", observed=True
    )
    if len(axes) > 1:
        columns = pd.MultiIndex.from_product(list(levels.values()))
    else:
        columns = pd.Index(next(iter(levels.values())))
    values = wide.reindex(columns=columns).to_numpy(float)
    seeds = wide.index.get_level_values("seed").tolist()
    return values.reshape(len(wide), *map(len, levels.values())), seeds


def long(table: pd.DataFrame, keys: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """Columns under each other, as ``mean``, with their ``name``."""
    return table.melt([*keys], [*names], var_name="name", value_name="mean")


def median(values: Values, axis: int | tuple[int, ...] | None = None) -> Values:
    """The median along ``axis``, NaN left out."""
    medians = np.asarray(np.median(values, axis))
    # numpy's own way of leaving NaN out takes ten times as long.
    return np.asarray(np.nanmedian(values, axis)) if np.isnan(medians).any() else medians


def middle(rows: Values) -> float:
    """The median of all values, NaN left out."""
    return float(median(rows))


def largest_mean(rows: Values) -> float:
    """The mean over replicates, NaN left out, where it is largest."""
    return float(np.nanmean(rows, axis=0).max())


def ends(curve: Values) -> float:
    """The last value over the first; NaN for a single point."""
    return float(curve[-1] / curve[0]) if len(curve) > 1 else float("nan")


def rank(x: Values, y: Values) -> float:
    """Spearman's correlation; NaN where one of them does not vary."""
    known = ~(np.isnan(x) | np.isnan(y))
    first, second = _ranks(x[known]), _ranks(y[known])
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    # Ranks are few: without the last digits, −1/2 is −1/2.
    return round(float(np.corrcoef(first, second)[0, 1]), 12)


def _ranks(values: Values) -> Values:
    """From smallest to largest; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
