"""The numbers that claims are judged by, each with what it may be drawn again from.

A measure takes stored tables of one setting, with a ``seed`` column, and gives a :class:`Sample`.
``book/claims.yml`` calls measures by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from ctl_helpers.measures_averaging import MEASURES_AVERAGING
from ctl_helpers.measures_editing import MEASURES_EDITING
from ctl_helpers.regression import r_squared
from ctl_helpers.samples import Sample, Values, cube, long, median, rank

NO_BARRIER = 0.01
"""Nats; a barrier under it counts as none, and so does a gap between losses."""

LINEAR = 0.1
"""1 − cosine up to which a pair counts as linear: an angle of 26°."""

_FACTORS = ("pretrain_epochs", "finetune_epochs", "replaced")
_REAL, *_CONTROLS = ("shared pretraining", "pretrained apart", "other samples")
_REGRESSORS = ("product", "curvature", "squared_distance")


# Section 4.1.


def loss_rise(barriers: pd.DataFrame) -> Sample:
    """Median over pairs and tasks of how far the loss gets over its better end (nats)."""
    return _line_median(barriers, "rise")


def pretraining_rise(barriers: pd.DataFrame) -> Sample:
    """The same on the pretraining task alone, which neither end was fine-tuned on."""
    third = (barriers["task"] != barriers["i"]) & (barriers["task"] != barriers["j"])
    return _line_median(barriers[third], "rise")


def loss_barrier(barriers: pd.DataFrame) -> Sample:
    """Median over pairs and tasks of how far the loss gets over the chord of its ends (nats)."""
    return _line_median(barriers, "barrier")


def times_nearer(direction: pd.DataFrame) -> Sample:
    """Median over layers and pairs, at α = 0.5, of baseline over distance."""
    return _nearer(direction, median)


def least_nearer(direction: pd.DataFrame) -> Sample:
    """The same at the layer where it is least: each layer's median over pairs."""
    return _nearer(direction, lambda rows: median(rows, axis=0).min())


def worst_distance(direction: pd.DataFrame) -> Sample:
    """Mean 1 − cosine at the layer where it is largest: each layer's median over pairs and α."""
    values, seeds = cube(direction, ["i", "j"], metric=["distance"], alpha=None, layer=None)
    return Sample(values, seeds, "pairs", lambda rows: median(rows, axis=(0, 1, 2)).max())


def length_error(direction: pd.DataFrame) -> Sample:
    """Mean over layers, pairs and α of |1 − coef|, coef being the mean over samples."""
    return _off_length(direction, np.nanmean)


def worst_length(direction: pd.DataFrame) -> Sample:
    """The same at the layer where it is largest."""
    return _off_length(direction, lambda rows: np.nanmean(rows, axis=(0, 1, 2)).max())


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


def counterexamples(triples: pd.DataFrame) -> Sample:
    """Of the triples whose two given pairs are linear, the share whose third pair is not."""

    def share(rows: Values) -> float:
        given = rows[rows[:, 0] <= LINEAR]
        return float(np.mean(given[:, 1] > LINEAR)) if len(given) else float("nan")

    return _tripled(triples, share)


def nonlinear_thirds(triples: pd.DataFrame) -> Sample:
    """Of all triples, the share whose third pair is not linear."""
    return _tripled(triples, lambda rows: float(np.mean(rows[:, 1] > LINEAR)))


def premise_rank(triples: pd.DataFrame) -> Sample:
    """Rank correlation of the third pair's error and the larger given one.

    Over triples with shared pretraining: one pretrained apart spoils premise and conclusion alike.
    """
    related = triples[triples["group"] != "one pretrained apart"]
    return _tripled(related, lambda rows: rank(rows[:, 0], rows[:, 1]))


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
    """Rank correlation of the loss's gap and the logits' error over k, at the α nearest to ½.

    NaN where no gap reaches :data:`NO_BARRIER`: ranks of gaps that small are noise. Other α would
    add the curve α(1 − α), which both share whatever one has to do with the other.
    """

    def correlation(rows: Values) -> float:
        gap, error = rows[:, 0].ravel(), rows[:, 1].ravel()
        return rank(gap, error) if np.nanmax(gap) >= NO_BARRIER else float("nan")

    off = (induced["alpha"] - 0.5).abs()
    return _induced(induced[np.isclose(off, off.min())], correlation)


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
    values, seeds = cube(rows, ["draw"], k=None)
    return Sample(values, seeds, "draws", lambda rows: _ends(np.nanmean(rows, axis=0)))


def largest_mix(many: pd.DataFrame) -> Sample:
    """The distance at the largest k, mean over layers and over equal and unequal weights."""
    rows = many[(many["k"] == many["k"].max()) & (many["metric"] == "distance")]
    values, seeds = cube(rows, ["draw"], weights=None)
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

    def correlation(rows: Values) -> float:
        curve = np.nanmean(rows, axis=0)
        return rank(np.arange(len(curve)), curve)

    return _curves([table], correlation)


def change(table: pd.DataFrame) -> Sample:
    """Doublings from the factor's value of least distance to that of most."""
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
    return _regressed(regression, "", lambda rows: _explained(rows, 0))


def explained_parameters(regression: pd.DataFrame) -> Sample:
    """The same with θ read as the parameters alone, without running statistics."""
    return _regressed(regression, "_parameters", lambda rows: _explained(rows, 0))


def explained_more(regression: pd.DataFrame) -> Sample:
    """R² of the product, as above, less the larger of R² of the curvature and of the distance.

    NaN for a single start, whose curvature is one number and makes the product the distance.
    """
    return _regressed(regression, "", _more)


def explained_more_parameters(regression: pd.DataFrame) -> Sample:
    """The same with θ read as the parameters alone."""
    return _regressed(regression, "_parameters", _more)


MEASURES: Mapping[str, Callable[..., Sample]] = {
    measure.__name__: measure
    for measure in (
        loss_rise, pretraining_rise, loss_barrier, times_nearer, least_nearer, worst_distance,
        length_error, worst_length, times_farther, length_drop, worst_ratio, counterexamples,
        nonlinear_thirds, premise_rank, share_left, first_barrier, last_rise, last_distance,
        gap_rank, broken_steps, growth, largest_mix, kept, kept_of_baseline, trend, change,
        change_against, explained, explained_parameters, explained_more,
        explained_more_parameters,
    )
} | MEASURES_AVERAGING | MEASURES_EDITING  # fmt: skip


def _line_median(barriers: pd.DataFrame, name: str) -> Sample:
    lines = barriers.assign(line=barriers.groupby(["seed", "i", "j"]).cumcount())
    values, seeds = cube(lines, ["i", "j"], name, line=None)
    return Sample(values, seeds, "pairs", median)


def _nearer(direction: pd.DataFrame, statistic: Callable[[Values], float]) -> Sample:
    """Baseline over distance at α = 0.5, shape (pairs, layers)."""
    half = direction[np.isclose(direction["alpha"], 0.5)]
    values, seeds = cube(half, ["i", "j"], metric=["baseline", "distance"], layer=None)
    return Sample(values[:, 0] / values[:, 1], seeds, "pairs", statistic)


def _off_length(direction: pd.DataFrame, statistic: Callable[[Values], float]) -> Sample:
    """|1 − coef|, shape (pairs, 1, α, layers)."""
    values, seeds = cube(direction, ["i", "j"], metric=["coef"], alpha=None, layer=None)
    return Sample(abs(1 - values), seeds, "pairs", statistic)


def _tripled(triples: pd.DataFrame, statistic: Callable[[Values], float]) -> Sample:
    """Shape (triples, (premise, conclusion))."""
    values = triples[["premise", "conclusion"]].to_numpy(float)
    return Sample(values, triples["seed"].tolist(), "triples", statistic)


def _output(controls: pd.DataFrame, metric: str) -> tuple[Values, list[object]]:
    """A metric at the last layer, shape (pairs, controls), the real comparison first."""
    rows = controls[controls["layer"] == controls["layer"].iloc[-1]]
    rows = rows[rows["metric"] == metric]
    # A network pretrained apart bears its twin's name with a prime.
    rows = rows.assign(j=rows["j"].str.removesuffix("′"))
    return cube(rows, ["i", "j"], control=[_REAL, *_CONTROLS])


def _smallest_median(rows: Values) -> float:
    return float(median(rows, axis=0).min())


def _spawned(
    spawning: pd.DataFrame, names: Sequence[str], statistic: Callable[[Values], float]
) -> Sample:
    """Shape (seeds, names, k)."""
    values, seeds = cube(long(spawning, ["seed", "k"], names), [], name=names, k=None)
    return Sample(values, seeds, "seeds", statistic)


def _induced(induced: pd.DataFrame, statistic: Callable[[Values], float]) -> Sample:
    """Shape (seeds and k, (gap, error, jensen), inner α)."""
    names = ("gap", "error", "jensen")
    inner = induced[~induced["alpha"].isin([0, 1])]
    values, seeds = cube(long(inner, ["seed", "k", "alpha"], names), ["k"], name=names, alpha=None)
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
    """A metric against the factors of some tables, side by side: shape (seeds, points).

    The mean over the layers where it is defined at every point.
    """
    parts = []
    for number, table in enumerate(tables):
        rows = table[table["metric"] == metric].assign(factor=table[_factor(table)], table=number)
        points = sorted(rows["factor"].unique())[-_points(table) :]
        parts.append(rows[rows["factor"].isin(points)])
    both = pd.concat(parts)
    wide = both.pivot_table(
        index=["seed", "layer"], columns=["table", "factor"], values="mean", observed=True
    ).sort_index(axis=1)
    curves = wide.dropna().groupby("seed").mean()
    return Sample(curves.to_numpy(float), curves.index.tolist(), "seeds", statistic)


def _ends(curve: Values) -> float:
    return float(curve[-1] / curve[0]) if len(curve) > 1 else float("nan")


def _doublings(curve: Values) -> np.float64:
    return np.log2(curve.max() / curve.min()) if len(curve) > 1 else np.float64("nan")


def _regressed(table: pd.DataFrame, reading: str, statistic: Callable[[Values], float]) -> Sample:
    """Shape (starts, (δ and regressors), pairs), regressors being columns that end in a reading."""
    names = ("delta", *(name + reading for name in _REGRESSORS))
    keys = ["seed", "start", "pair"]
    numbered = table.assign(pair=table.groupby(["seed", "start"]).cumcount())
    values, seeds = cube(long(numbered, keys, names), ["start"], name=names, pair=None)
    return Sample(values, seeds, "starts", statistic)


def _more(rows: Values) -> float:
    curvature = rows[:, 1 + _REGRESSORS.index("curvature")]
    if np.nanmin(curvature) == np.nanmax(curvature):
        return float("nan")
    return _explained(rows, 0) - max(abs(_explained(rows, number)) for number in (1, 2))


def _explained(rows: Values, number: int) -> float:
    delta, x = rows[:, 0].ravel(), rows[:, number + 1].ravel()
    known = ~(np.isnan(delta) | np.isnan(x))
    # Through two points there is always a line.
    if known.sum() < 3:
        return float("nan")
    slope = np.sum((x[known] - x[known].mean()) * (delta[known] - delta[known].mean()))
    return float(np.sign(slope) * r_squared(x[known], delta[known]))
