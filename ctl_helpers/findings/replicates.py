"""Stored tables as replicates, from which a number and its interval are drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ctl_helpers.findings.intervals import Estimate, jackknife, over_seeds

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Replicates:
    """Whose numbers the rows of a :class:`Sample` are.

    Attributes:
        seeds: the seed of each row.
        members: what within its seed a reader would draw anew, and the row involves: the networks
            of a pair, or a task.
    """

    seeds: Sequence[object]
    members: Sequence[tuple[object, ...]]

    def __len__(self) -> int:
        return len(self.seeds)

    def only(self, rows: NDArray[np.bool_]) -> Replicates:
        """Those of a mask."""
        places = np.flatnonzero(rows).tolist()
        return Replicates([self.seeds[n] for n in places], [self.members[n] for n in places])


@dataclass(frozen=True)
class Sample:
    """A number of stored results, and the replicates that it is computed from.

    The number is the mean over seeds of each seed's statistic.

    Attributes:
        values: shape (rows, …); NaN where a row lacks a value.
        rows: whose each of them is; a list of seeds where each is its own unit.
        unit: what the rows within a seed are, in the plural; ``"seeds"`` if each has one.
        statistic: the number of some rows of one seed.
    """

    values: Values
    rows: Replicates | Sequence[object]
    unit: str
    statistic: Callable[[Values], float]

    @cached_property
    def replicates(self) -> Replicates:
        """Whose each row is."""
        if isinstance(self.rows, Replicates):
            return self.rows
        return Replicates(self.rows, [(number,) for number in range(len(self.rows))])

    @property
    def seeds(self) -> list[object]:
        """Each seed once, in the order of rows."""
        return list(dict.fromkeys(self.replicates.seeds))

    def of_seed(self, seed: object, without: object = None) -> float:
        """The number of one seed, also without the rows that involve one of its units."""
        pairs = zip(self.replicates.seeds, self.replicates.members, strict=True)
        rows = [own == seed and without not in members for own, members in pairs]
        if not any(rows):
            return math.nan
        with np.errstate(all="ignore"):
            return float(self.statistic(self.values[rows]))

    def pooled(self) -> Sample:
        """The same statistic of all seeds' rows together.

        Such as where a curve is lowest: the mean of each seed's place need not be a place at all.
        """
        seeds = self.replicates.seeds
        return replace(
            self, rows=Replicates(["all"] * len(seeds), [(seed,) for seed in seeds]), unit="seeds"
        )

    def units(self, seed: object) -> list[object]:
        """What one seed's rows involve, each once."""
        pairs = zip(self.replicates.seeds, self.replicates.members, strict=True)
        return list(dict.fromkeys(one for own, few in pairs if own == seed for one in few))

    @property
    def effect(self) -> float:
        """The number; NaN where the results are too few to give one."""
        numbers = np.array([self.of_seed(seed) for seed in self.seeds])
        known = numbers[~np.isnan(numbers)]
        return float(known.mean()) if len(known) else math.nan

    def estimate(self) -> Estimate:
        """The number with its standard error; see :func:`jointly`."""
        return jointly([self], lambda number: number)

    def interval(self) -> tuple[float, float] | None:
        """Its 95% interval; None where results are too few for one, or do not differ."""
        return self.estimate().interval()


def jointly(samples: Sequence[Sample], function: Callable[..., float]) -> Estimate:
    """A number that is made of several samples' numbers, with its standard error.

    With two seeds or more each gives a number, and seeds are what is drawn. With one seed its
    networks or tasks are: each is left out once, with all rows that involve it, of all samples
    (the jackknife).

    Args:
        samples: what it is made of.
        function: of one number per sample.
    """
    seeds = [seed for seed in samples[0].seeds if all(seed in one.seeds for one in samples)]

    def number(seed: object, without: object = None) -> float:
        with np.errstate(all="ignore"):
            return float(function(*(one.of_seed(seed, without) for one in samples)))

    by_seed = {seed: value for seed in seeds if not math.isnan(value := number(seed))}
    if len(by_seed) != 1:
        return over_seeds(list(by_seed.values()))
    ((seed, value),) = by_seed.items()
    units = list(dict.fromkeys(unit for one in samples for unit in one.units(seed)))
    left_out = [number(seed, without=unit) for unit in units]
    return jackknife(value, left_out, next(iter(samples)).unit)


def whole(
    values: Values,
    replicates: Replicates | Sequence[object],
    unit: str,
    statistic: Callable[[Values], float],
) -> Sample:
    """A sample of the rows that lack no value; NaN where each of them lacks one.

    A ratio of two means would otherwise be of one network's number over another's.
    """
    complete = np.asarray(~np.isnan(values).any(axis=tuple(range(1, np.ndim(values)))))
    every = Sample(values, replicates, unit, statistic).replicates

    def of_any(rows: Values) -> float:
        return float(statistic(rows)) if len(rows) else math.nan

    return Sample(values[complete], every.only(complete), unit, of_any)


def rows_of(table: pd.DataFrame, unit: Sequence[str]) -> Replicates:
    """Whose the rows of a table are.

    Args:
        table: columns ``seed`` and the unit's.
        unit: columns that name networks or tasks; ``models`` names several, with commas.
    """
    names = [_members(table[name]) for name in unit]
    members = [tuple(one for few in row for one in few) for row in zip(*names, strict=True)]
    return Replicates(table["seed"].tolist(), members or [()] * len(table))


def _members(names: pd.Series) -> list[tuple[object, ...]]:
    if names.name == "models":
        return [tuple(re.split("[,;] ", text)) for text in names]
    return [(name,) for name in names]


def column(
    table: pd.DataFrame,
    name: str,
    unit: str,
    statistic: Callable[[Values], float] = np.nanmean,
) -> Sample:
    """A table's column, each of its rows a replicate, by its network or task where it has one."""
    named = [key for key in ("models", "network", "task") if key in table][:1]
    rows = rows_of(table, named) if named else table["seed"].tolist()
    return Sample(table[name].to_numpy(float), rows, unit, statistic)


def cube(
    table: pd.DataFrame, unit: Sequence[str], value: str = "mean", **axes: Sequence[object] | None
) -> tuple[Values, Replicates]:
    """A table's values as (rows, *axes), averaged over all other columns, and whose they are.

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
    replicates = rows_of(wide.index.to_frame(), unit)
    return values.reshape(len(wide), *map(len, levels.values())), replicates


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
    return float(np.nanmax(np.nanmean(rows, axis=0)))


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
