"""Section 4.2: averages of fine-tuned networks, against ensembles and for more and more of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ctl_helpers.analysis.regression import r_squared
from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import (
    Replicates,
    Sample,
    Values,
    column,
    cube,
    ends,
    largest_mean,
    median,
    middle,
    rows_of,
)
from ctl_helpers.findings.words import plain, times
from ctl_helpers.results.labels import Metric, Weights


def _points(value: float) -> str:
    return f"{100 * value:+.1f} points"


@measure("{:.2f}")
def ensemble_correlation(ensembles: pd.DataFrame) -> Sample:
    """Correlation over triples of the accuracies of averaged weights and of the ensemble."""

    def statistic(both: Values) -> float:
        if np.ptp(both, axis=0).min() == 0:
            return float("nan")
        return float(np.corrcoef(both.T)[0, 1])

    return _by_network(ensembles, statistic)


@measure(lambda value: _points(value).lstrip("+"))
def ensemble_gap(ensembles: pd.DataFrame) -> Sample:
    """Mean over triples of |accuracy of averaged weights − accuracy of the ensemble|."""
    return _by_network(ensembles, lambda both: float(np.mean(abs(both[:, 0] - both[:, 1]))))


@measure("{:.2f}")
def ensemble_behind(ensembles: pd.DataFrame, accuracy: pd.DataFrame) -> Sample:
    """How far averaged weights are behind the ensemble, over what it gains on a single network.

    ``Σ (ensemble − averaged) / Σ (ensemble − mean of its networks)``, sums over triples: 0 where
    both are as accurate, 1 where averaging the weights gains nothing, less than 0 where averaged
    weights are ahead; NaN where the ensemble gains nothing.
    """

    def share(triples: Values) -> float:
        averaged, ensemble, single = triples.sum(axis=0)
        gain = ensemble - single
        return float((ensemble - averaged) / gain) if gain > 0 else float("nan")

    return _by_network(_with_single(ensembles, accuracy), share, "single")


@measure(_points)
def ensemble_gain(ensembles: pd.DataFrame, accuracy: pd.DataFrame) -> Sample:
    """What the ensemble gains on a single one of its networks, mean over triples."""

    def gain(triples: Values) -> float:
        return float(np.mean(triples[:, 1] - triples[:, 2]))

    return _by_network(_with_single(ensembles, accuracy), gain, "single")


@measure(_points)
def ensemble_lead(ensembles: pd.DataFrame, *, of: str = "all") -> Sample:
    """Mean over triples of the accuracy of averaged weights less that of the ensemble.

    Args:
        ensembles: both accuracies by triple.
        of: ``"all"`` triples, or those with ``"fewest"`` or ``"most"`` networks of the highest
            learning rate; NaN for these where rates are not known.
    """
    gaps = ensembles.assign(gap=ensembles["averaged"] - ensembles["ensemble"])
    if of == "all":
        return column(gaps, "gap", "triples")
    rates = gaps["models"].str.findall(r"rate ([\d.e-]+)").map(lambda few: [*map(float, few)])
    if not rates.map(bool).all():
        return Sample(np.array([]), [], "triples", lambda rows: float("nan"))
    top = max(rates.map(max))
    fast = rates.map(lambda few: few.count(top))
    return column(gaps[fast == {"fewest": fast.min(), "most": fast.max()}[of]], "gap", "triples")


@measure("{:.0%}")
def ensemble_order(ensembles: pd.DataFrame, *, averaged: str) -> Sample:
    """Share of triples whose averaged weights are ``"ahead"`` of the ensemble, or ``"behind"``."""
    sign = {"ahead": 1, "behind": -1}[averaged]
    ordered = ensembles.assign(order=sign * (ensembles["averaged"] - ensembles["ensemble"]))
    return column(ordered, "order", "triples", lambda rows: float(np.mean(rows > 0)))


@measure("{:.0%}")
def single_accuracy(accuracy: pd.DataFrame, *, at: str) -> Sample:
    """Accuracy of the ``"least"`` accurate single network, or of the ``"most"`` accurate."""
    return column(accuracy, "accuracy", "networks", {"least": np.min, "most": np.max}[at])


@measure(times)
def average_nearer(averaging: pd.DataFrame, *, at: str = "median") -> Sample:
    """Baseline over distance, median over averages.

    Args:
        averaging: comparisons by block.
        at: ``"median"`` over blocks as well, ``"least"`` for the block where it is least, or the
            ``"first"`` or ``"last"`` block.
    """
    layers = list(dict.fromkeys(averaging["layer"]))
    metrics = [Metric.BASELINE, Metric.DISTANCE]
    values, seeds = cube(averaging, ["models"], metric=metrics, layer=layers)
    statistics: dict[str, Callable[[Values], float]] = {
        "median": middle,
        "least": lambda rows: median(rows, axis=0).min(),
        "first": lambda rows: middle(rows[:, 0]),
        "last": lambda rows: middle(rows[:, -1]),
    }
    return Sample(values[:, 0] / values[:, 1], seeds, "averages", statistics[at])


@measure(plain)
def average_worst_distance(averaging: pd.DataFrame) -> Sample:
    """1 − cosine, each block's median over averages, where it is largest."""
    values, seeds = cube(averaging, ["models"], metric=[Metric.DISTANCE], layer=None)
    return Sample(values, seeds, "averages", lambda rows: median(rows, axis=(0, 1)).max())


@measure("{:.3f}")
def average_length(averaging: pd.DataFrame, *, at: str) -> Sample:
    """Coef, each block's mean over averages, where it is ``"least"`` or ``"most"``."""
    values, seeds = cube(averaging, ["models"], metric=[Metric.COEF], layer=None)
    end = {"least": np.min, "most": np.max}[at]
    return Sample(values, seeds, "averages", lambda rows: float(end(rows.mean(axis=0))))


@measure("{:.0%}")
def length_of_all(averaging: pd.DataFrame) -> Sample:
    """Coef of the average of all networks, mean over blocks."""
    rows = averaging[averaging["k"] == averaging["k"].max()]
    values, seeds = cube(rows, ["models"], metric=[Metric.COEF], layer=None)
    return Sample(values, seeds, "averages", np.nanmean)


# More and more networks.


@measure("{:.2f} times")
def growth(many: pd.DataFrame) -> Sample:
    """Equal weights: the distance at the largest k over that at the smallest.

    Means over layers, draws and seeds before the ratio: a seed whose first two networks happen to
    lie near each other would decide a mean of ratios.
    """
    rows = many[(many["weights"] == Weights.EQUAL) & (many["metric"] == Metric.DISTANCE)]
    values, seeds = cube(rows, ["draw"], k=None)
    return Sample(values, seeds, "draws", _grown).pooled()


@measure(plain)
def largest_mix(many: pd.DataFrame) -> Sample:
    """The distance at the largest k and the layer where it is largest, equal or random weights."""
    values, seeds = _largest(many, Metric.DISTANCE)
    return Sample(values, seeds, "draws", largest_mean)


@measure(plain)
def mix_distance(spread: pd.DataFrame, *, at: str) -> Sample:
    """Equal weights: the mean distance over layers at the ``"smallest"`` or ``"largest"`` k."""
    return column(_equal(spread, at), "distance", "draws")


@measure("{:.2f}")
def mix_length(spread: pd.DataFrame, *, at: str) -> Sample:
    """Mean coef over layers, of equal weights at the ``"largest"`` k or of the ``"least"`` mix."""
    if at == "least":
        return column(spread, "coef", "draws", np.nanmin)
    return column(_equal(spread, at), "coef", "draws")


@measure("{:.2f} times")
def spread_growth(spread: pd.DataFrame) -> Sample:
    """Equal weights: the weights' spread at the largest k over that at the smallest.

    A ratio of means, as :func:`growth` is.
    """
    values, seeds = cube(spread[spread["weights"] == Weights.EQUAL], ["draw"], "spread", k=None)
    return Sample(values, seeds, "draws", _grown).pooled()


@measure("{:.0%}")
def share_of_baseline(spread: pd.DataFrame) -> Sample:
    """Distance over baseline, means over layers, median over mixes."""
    ratios = spread.assign(ratio=spread["distance"] / spread["baseline"])
    return column(ratios, "ratio", "draws", np.nanmedian)


@measure("{:.2f} times")
def unequal_over_equal(spread: pd.DataFrame) -> Sample:
    """The distance with unequal weights over that with equal ones, means over k."""
    values, seeds = cube(spread, ["draw"], "distance", weights=list(Weights), k=None)

    def ratio(rows: Values) -> float:
        equal, unequal = np.nanmean(rows, axis=0).mean(axis=1)
        return float(unequal / equal)

    return Sample(values, seeds, "draws", ratio)


@measure("{:.1f}")
def power_of_spread(spread: pd.DataFrame) -> Sample:
    """Over all mixes: the power of the weights' spread that the distance goes with."""
    return _logs(spread, "spread", lambda x, y: np.polyfit(x, y, 1)[0])


@measure("{:.2f}")
def explained_by(spread: pd.DataFrame, *, name: str) -> Sample:
    """R² of a line from the logarithm of ``spread`` or ``k`` to that of the distance."""
    return _logs(spread, name, r_squared)


def _grown(rows: Values) -> float:
    return ends(np.nanmean(rows, axis=0))


def _equal(spread: pd.DataFrame, at: str) -> pd.DataFrame:
    """Mixes of equal weights at the ``"smallest"`` or the ``"largest"`` k."""
    k = {"smallest": spread["k"].min(), "largest": spread["k"].max()}[at]
    return spread[(spread["weights"] == Weights.EQUAL) & (spread["k"] == k)]


def _logs(spread: pd.DataFrame, name: str, statistic: Callable[[Values, Values], float]) -> Sample:
    """Shape (mixes, (a column, distance))."""
    values = np.log(spread[[name, "distance"]].to_numpy(float))
    return Sample(values, spread["seed"].tolist(), "mixes", lambda rows: float(statistic(*rows.T)))


def _largest(many: pd.DataFrame, metric: Metric) -> tuple[Values, Replicates]:
    """A metric of the mixes of most networks, shape (draws, (equal, random weights), layers)."""
    rows = many[(many["k"] == many["k"].max()) & (many["metric"] == metric)]
    return cube(rows, ["draw"], weights=None, layer=None)


def _with_single(ensembles: pd.DataFrame, accuracy: pd.DataFrame) -> pd.DataFrame:
    """The mean accuracy of each triple's networks beside those of the triple."""
    alone = accuracy.groupby(["seed", "network"])["accuracy"].mean()
    names = ensembles["models"].str.split("; ")
    means = [
        float(np.mean([alone[seed, name] for name in few]))
        for seed, few in zip(ensembles["seed"], names, strict=True)
    ]
    return ensembles.assign(single=means)


def _by_network(
    ensembles: pd.DataFrame, statistic: Callable[[Values], float], *beside: str
) -> Sample:
    """Shape (triples, (averaged, ensemble)); networks are drawn again, which triples share.

    Args:
        ensembles: columns ``seed``, ``models`` (names joined by ``"; "``), ``averaged``,
            ``ensemble``.
        statistic: of three triples or more.
        beside: further columns that it takes.
    """
    both = ensembles[["averaged", "ensemble", *beside]].to_numpy(float)

    def of_enough(rows: Values) -> float:
        return statistic(rows) if len(rows) >= 3 else float("nan")

    return Sample(both, rows_of(ensembles, ["models"]), "networks", of_enough)
