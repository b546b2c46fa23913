"""The numbers that claims are judged by, each with what it may be drawn again from.

A measure takes stored tables of one setting, with a ``seed`` column, and gives a :class:`Sample`.
``book/claims.yml`` calls measures by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ctl_helpers.regression import percentiles, r_squared

Values = NDArray[np.float64]

NO_BARRIER = 0.01
"""Nats; a barrier under it counts as none."""

_FACTORS = ("pretrain_epochs", "finetune_epochs", "replaced")
_REAL, *_CONTROLS = ("shared pretraining", "pretrained apart", "other samples")
_REGRESSORS = ("product", "curvature", "squared_distance")


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
        groups = list(pd.Series(range(len(self.values))).groupby(list(self.seeds)).indices.values())
        generator = np.random.default_rng(0)

        def again() -> float:
            drawn = generator.integers(len(groups), size=len(groups))
            chosen = [groups[number] for number in drawn]
            rows = [rows[generator.integers(len(rows), size=len(rows))] for rows in chosen]
            return float(self.statistic(self.values[np.concatenate(rows)]))

        with np.errstate(all="ignore"):
            return percentiles([again() for _ in range(resamples)])

    @property
    def replicates(self) -> str:
        """How many replicates there are: “18 pairs of 3 seeds”."""
        seeds = len(set(self.seeds))
        counted = f"{seeds} seed{'s' * (seeds > 1)}"
        return counted if self.unit == "seeds" else f"{len(self.values)} {self.unit} of {counted}"


# Section 4.1.


def loss_rise(barriers: pd.DataFrame) -> Sample:
    """Median over pairs and tasks of how far the loss gets over its better end (nats)."""
    return _line_median(barriers, "rise")


def loss_barrier(barriers: pd.DataFrame) -> Sample:
    """Median over pairs and tasks of how far the loss gets over the chord of its ends (nats)."""
    return _line_median(barriers, "barrier")


def times_nearer(direction: pd.DataFrame) -> Sample:
    """Median over layers and pairs, at α = 0.5, of baseline over distance."""
    half = direction[np.isclose(direction["alpha"], 0.5)]
    values, seeds = _cube(half, ["i", "j"], metric=["baseline", "distance"], layer=None)
    return Sample(values[:, 0] / values[:, 1], seeds, "pairs", np.nanmedian)


def distance(direction: pd.DataFrame) -> Sample:
    """Median over layers, pairs and α of the mean 1 − cosine."""
    values, seeds = _cube(direction, ["i", "j"], metric=["distance"], alpha=None, layer=None)
    return Sample(values, seeds, "pairs", np.nanmedian)


def length_error(direction: pd.DataFrame) -> Sample:
    """Mean over layers, pairs and α of |1 − coef|, coef being the mean over samples."""
    values, seeds = _cube(direction, ["i", "j"], metric=["coef"], alpha=None, layer=None)
    return Sample(abs(1 - values), seeds, "pairs", np.nanmean)


def times_farther(controls: pd.DataFrame) -> Sample:
    """At the output: a control's distance over the real one's, median over pairs.

    The smaller of the two controls' numbers.
    """
    values, seeds = _output(controls, "distance")
    return Sample(values[:, 1:] / values[:, :1], seeds, "pairs", _smallest_median)


def length_drop(controls: pd.DataFrame) -> Sample:
    """At the output: the real coef less a control's, median over pairs; the smaller one."""
    values, seeds = _output(controls, "coef")
    return Sample(values[:, :1] - values[:, 1:], seeds, "pairs", _smallest_median)


def worst_ratio(triples: pd.DataFrame) -> Sample:
    """The largest error of a third pair over the larger error of the two given pairs."""
    ratios = (triples["conclusion"] / triples["premise"]).to_numpy(float)
    return Sample(ratios, triples["seed"].tolist(), "triples", np.max)


def premise_rank(triples: pd.DataFrame) -> Sample:
    """Rank correlation of the third pair's error and the larger given one.

    Over triples with shared pretraining: one pretrained apart spoils premise and conclusion alike.
    """
    related = triples[triples["group"] != "one pretrained apart"]
    values = related[["premise", "conclusion"]].to_numpy(float)
    return Sample(
        values, related["seed"].tolist(), "triples", lambda rows: _rank(rows[:, 0], rows[:, 1])
    )


# Section 3.


def share_left(spawning: pd.DataFrame) -> Sample:
    """Of the barrier and of the distance at the smallest k, the share left at the largest.

    The larger of the two shares. A barrier under :data:`NO_BARRIER` counts as none.
    """

    def larger(rows: Values) -> float:
        barrier, apart = np.nanmean(rows, axis=0)
        left = barrier[-1] / barrier[0] if barrier[-1] >= NO_BARRIER else 0.0
        return max(left, apart[-1] / apart[0])

    return _spawned(spawning, ["barrier", "distance"], larger)


def first_barrier(spawning: pd.DataFrame) -> Sample:
    """The barrier at the smallest k (nats)."""
    return _spawned(spawning, ["barrier"], lambda rows: np.nanmean(rows[:, 0, 0]))


def last_rise(spawning: pd.DataFrame) -> Sample:
    """The rise of the loss over its better end at the largest k (nats)."""
    return _spawned(spawning, ["rise"], lambda rows: np.nanmean(rows[:, 0, -1]))


def last_distance(spawning: pd.DataFrame) -> Sample:
    """The features' distance at the largest k, mean over layers."""
    return _spawned(spawning, ["distance"], lambda rows: np.nanmean(rows[:, 0, -1]))


def gap_rank(induced: pd.DataFrame) -> Sample:
    """Rank correlation of the loss's gap and the logits' error, over k and inner α."""
    return _induced(induced, lambda rows: _rank(rows[:, 0].ravel(), rows[:, 1].ravel()))


def broken_steps(induced: pd.DataFrame) -> Sample:
    """Share of k and inner α where gap > √2 · error, or where Jensen's part is positive."""

    def share(rows: Values) -> float:
        gap, error, jensen = (part[~np.isnan(part)] for part in np.moveaxis(rows, 1, 0))
        return float(np.mean((gap > 2**0.5 * error + 1e-9) | (jensen > 1e-9)))

    return _induced(induced, share)


# Theorem 4.2.


def growth(many: pd.DataFrame) -> Sample:
    """Equal weights: the distance at the largest k over that at the smallest, mean over layers."""
    rows = many[(many["weights"] == "equal") & (many["metric"] == "distance")]
    values, seeds = _cube(rows, ["draw"], k=None)
    return Sample(values, seeds, "draws", lambda rows: _ends(np.nanmean(rows, axis=0)))


def largest_mix(many: pd.DataFrame) -> Sample:
    """The distance at the largest k, mean over layers and over equal and unequal weights."""
    rows = many[(many["k"] == many["k"].max()) & (many["metric"] == "distance")]
    values, seeds = _cube(rows, ["draw"], weights=None)
    return Sample(values, seeds, "draws", np.nanmean)


# Section 5.


def kept(table: pd.DataFrame) -> Sample:
    """The distance at the factor's last value over that at its first, mean over layers."""
    return _curves([table], lambda rows: _ends(np.nanmean(rows, axis=0)))


def kept_of_baseline(table: pd.DataFrame) -> Sample:
    """The same for distance over baseline: is it more than networks being alike?"""
    apart, base = (_curves([table], np.nanmean, name) for name in ("distance", "baseline"))
    both = np.stack([apart.values, base.values], axis=1)

    def ratio(rows: Values) -> float:
        one, other = np.nanmean(rows, axis=0)
        return _ends(one / other)

    return Sample(both, apart.seeds, apart.unit, ratio)


def trend(table: pd.DataFrame) -> Sample:
    """Rank correlation of the factor and the distance, mean over layers."""

    def rank(rows: Values) -> float:
        curve = np.nanmean(rows, axis=0)
        return _rank(np.arange(len(curve)), curve)

    return _curves([table], rank)


def change(table: pd.DataFrame) -> Sample:
    """Doublings or halvings of the distance from the factor's first value to its last."""
    return _curves([table], lambda rows: _doublings(np.nanmean(rows, axis=0)))


def change_against(table: pd.DataFrame, other: pd.DataFrame) -> Sample:
    """:func:`change` of one table over that of another."""
    first = _points(table)

    def share(rows: Values) -> float:
        curve = np.nanmean(rows, axis=0)
        return _doublings(curve[:first]) / _doublings(curve[first:])

    return _curves([table, other], share)


def explained(regression: pd.DataFrame) -> Sample:
    """R² of a line through the product; negative where the line falls."""
    return _regressed(regression, lambda rows: _explained(rows, 0))


def explained_more(regression: pd.DataFrame) -> Sample:
    """R² of the product, as above, less the larger of R² of the curvature and of the distance."""

    def more(rows: Values) -> float:
        # One start has one curvature, which explains nothing.
        others = np.nan_to_num([abs(_explained(rows, number)) for number in (1, 2)])
        return _explained(rows, 0) - max(others)

    return _regressed(regression, more)


MEASURES: Mapping[str, Callable[..., Sample]] = {
    measure.__name__: measure
    for measure in (
        loss_rise, loss_barrier, times_nearer, distance, length_error, times_farther, length_drop,
        worst_ratio, premise_rank, share_left, first_barrier, last_rise, last_distance, gap_rank,
        broken_steps, growth, largest_mix, kept, kept_of_baseline, trend, change, change_against,
        explained, explained_more,
    )
}  # fmt: skip


def _cube(
    table: pd.DataFrame, unit: Sequence[str], value: str = "mean", **axes: Sequence[object] | None
) -> tuple[Values, list[object]]:
    """A table's values as (replicates, *axes), averaged over all other columns, and the seeds.

    Args:
        unit: the columns that tell a seed's replicates apart.
        axes: column → its values in order; None for all, sorted.
    """
    levels = {
        name: list(known) if known is not None else sorted(table[name].unique())
        for name, known in axes.items()
    }
    wide = table.pivot_table(
        index=["seed", *unit], columns=list(axes), values=value, aggfunc="mean", observed=True
    )
    if len(axes) > 1:
        names = pd.MultiIndex.from_product(levels.values())
    else:
        (names,) = levels.values()
    values = wide.reindex(columns=names).to_numpy(float)
    seeds = wide.index.get_level_values("seed").tolist()
    return values.reshape(len(wide), *map(len, levels.values())), seeds


def _long(table: pd.DataFrame, keys: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    return table.melt([*keys], [*names], var_name="name", value_name="mean")


def _line_median(barriers: pd.DataFrame, name: str) -> Sample:
    lines = barriers.assign(line=barriers.groupby(["seed", "i", "j"]).cumcount())
    values, seeds = _cube(lines, ["i", "j"], name, line=None)
    return Sample(values, seeds, "pairs", np.nanmedian)


def _output(controls: pd.DataFrame, metric: str) -> tuple[Values, list[object]]:
    """A metric at the last layer, shape (pairs, controls), the real comparison first."""
    rows = controls[controls["layer"] == controls["layer"].iloc[-1]]
    rows = rows[rows["metric"] == metric]
    # A network pretrained apart bears its twin's name with a prime.
    rows = rows.assign(j=rows["j"].str.removesuffix("′"))
    return _cube(rows, ["i", "j"], control=[_REAL, *_CONTROLS])


def _smallest_median(rows: Values) -> float:
    return float(np.median(rows, axis=0).min())


def _spawned(
    spawning: pd.DataFrame, names: Sequence[str], statistic: Callable[[Values], float]
) -> Sample:
    """Shape (seeds, names, k)."""
    values, seeds = _cube(_long(spawning, ["seed", "k"], names), [], name=names, k=None)
    return Sample(values, seeds, "seeds", statistic)


def _induced(induced: pd.DataFrame, statistic: Callable[[Values], float]) -> Sample:
    """Shape (seeds and k, (gap, error, jensen), inner α)."""
    names = ("gap", "error", "jensen")
    inner = induced[~induced["alpha"].isin([0, 1])]
    values, seeds = _cube(
        _long(inner, ["seed", "k", "alpha"], names), ["k"], name=names, alpha=None
    )
    return Sample(values, seeds, "values of k", statistic)


def _factor(table: pd.DataFrame) -> str:
    return next(name for name in _FACTORS if name in table)


def _points(table: pd.DataFrame) -> int:
    """How many values of its factor a table has, but for 0 epochs of fine-tuning.

    There both networks are the pretrained one, and the distance is 0 by definition.
    """
    name = _factor(table)
    return table.loc[(table[name] > 0) | (name != "finetune_epochs"), name].nunique()


def _curves(
    tables: Sequence[pd.DataFrame],
    statistic: Callable[[Values], float],
    metric: str = "distance",
) -> Sample:
    """A metric against the factors of some tables, side by side: shape (layers, points)."""
    parts = []
    for number, table in enumerate(tables):
        rows = table[table["metric"] == metric].assign(factor=table[_factor(table)], table=number)
        points = sorted(rows["factor"].unique())[-_points(table) :]
        parts.append(rows[rows["factor"].isin(points)])
    both = pd.concat(parts)
    wide = both.pivot_table(
        index=["seed", "layer"], columns=["table", "factor"], values="mean", observed=True
    ).sort_index(axis=1)
    seeds = wide.index.get_level_values("seed").tolist()
    return Sample(wide.to_numpy(float), seeds, "layers", statistic)


def _ends(curve: Values) -> float:
    return float(curve[-1] / curve[0]) if len(curve) > 1 else float("nan")


def _doublings(curve: Values) -> float:
    return float(abs(np.log2(_ends(curve))))


def _rank(x: Values, y: Values) -> float:
    """Spearman's correlation; NaN where one of them does not vary."""
    known = ~(np.isnan(x) | np.isnan(y))
    ranks = [_ranks(part[known]) for part in (x, y)]
    if any(len(rank) < 2 or np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    # Ranks are few: without the last digits, −1/2 is −1/2.
    return round(float(np.corrcoef(*ranks)[0, 1]), 12)


def _ranks(values: Values) -> Values:
    """From smallest to largest; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _regressed(table: pd.DataFrame, statistic: Callable[[Values], float]) -> Sample:
    """Shape (starts, (δ and regressors), pairs)."""
    names = ("delta", *_REGRESSORS)
    keys = ["seed", "start", "pair"]
    numbered = table.assign(pair=table.groupby(["seed", "start"]).cumcount())
    values, seeds = _cube(_long(numbered, keys, names), ["start"], name=names, pair=None)
    return Sample(values, seeds, "starts", statistic)


def _explained(rows: Values, number: int) -> float:
    delta, x = rows[:, 0].ravel(), rows[:, number + 1].ravel()
    known = ~(np.isnan(delta) | np.isnan(x))
    # Through two points there is always a line.
    if known.sum() < 3:
        return float("nan")
    slope = np.sum((x[known] - x[known].mean()) * (delta[known] - delta[known].mean()))
    return float(np.sign(slope) * r_squared(x[known], delta[known]))
