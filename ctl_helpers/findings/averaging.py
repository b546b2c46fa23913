"""The numbers that Section 4.2's claims are judged by: averages of fine-tuned networks.

As in :mod:`ctl_helpers.findings.cross_task`, a measure takes stored tables of one setting and
gives a :class:`~ctl_helpers.findings.replicates.Sample`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Sample, Values, cube, ends, largest_mean, median, whole


@measure("{:.3g}")
def ensemble_correlation(ensembles: pd.DataFrame) -> Sample:
    """Correlation over triples of the accuracies of averaged weights and of the ensemble."""

    def statistic(both: Values, weights: Values) -> float:
        if np.ptp(both, axis=0).min() == 0:
            return float("nan")
        spread = np.cov(both.T, aweights=weights)
        return float(spread[0, 1] / np.sqrt(spread[0, 0] * spread[1, 1]))

    return _by_network(ensembles, statistic)


@measure("{:.3g}")
def ensemble_gap(ensembles: pd.DataFrame) -> Sample:
    """Mean over triples of |accuracy of averaged weights − accuracy of the ensemble|."""
    return _by_network(
        ensembles,
        lambda both, weights: float(np.average(abs(both[:, 0] - both[:, 1]), None, weights)),
    )


@measure("{:.3g}")
def average_least_nearer(averaging: pd.DataFrame) -> Sample:
    """Baseline over distance, each block's median over averages, where it is least."""
    values, seeds = cube(averaging, ["models"], metric=["baseline", "distance"], layer=None)
    ratio = values[:, 0] / values[:, 1]
    return Sample(ratio, seeds, "averages", lambda rows: median(rows, axis=0).min())


@measure("{:.3g}")
def average_worst_distance(averaging: pd.DataFrame) -> Sample:
    """1 − cosine, each block's median over averages, where it is largest."""
    values, seeds = cube(averaging, ["models"], metric=["distance"], layer=None)
    return Sample(values, seeds, "averages", lambda rows: median(rows, axis=(0, 1)).max())


@measure("{:.3g}")
def average_worst_length(averaging: pd.DataFrame) -> Sample:
    """|1 − coef|, each block's mean over averages, where it is largest."""
    values, seeds = cube(averaging, ["models"], metric=["coef"], layer=None)
    off = abs(1 - values)
    return Sample(off, seeds, "averages", largest_mean)


@measure("{:.3g}")
def growth(many: pd.DataFrame) -> Sample:
    """Equal weights: the distance at the largest k over that at the smallest, mean over layers."""
    rows = many[(many["weights"] == "equal") & (many["metric"] == "distance")]
    values, seeds = cube(rows, ["draw"], k=None)
    return whole(values, seeds, "draws", lambda rows: ends(np.mean(rows, axis=0)))


@measure("{:.3g}")
def largest_mix(many: pd.DataFrame) -> Sample:
    """The distance at the largest k and the layer where it is largest, equal or random weights."""
    values, seeds = _largest(many, "distance")
    return Sample(values, seeds, "draws", largest_mean)


@measure("{:.3g}")
def largest_mix_length(many: pd.DataFrame) -> Sample:
    """|1 − coef| of the mean coefficient there, where it is largest."""
    values, seeds = _largest(many, "coef")
    off = abs(1 - values)
    return Sample(off, seeds, "draws", largest_mean)


def _largest(many: pd.DataFrame, metric: str) -> tuple[Values, list[object]]:
    """A metric of the mixes of most networks, shape (draws, (equal, random weights), layers)."""
    rows = many[(many["k"] == many["k"].max()) & (many["metric"] == metric)]
    return cube(rows, ["draw"], weights=None, layer=None)


def _by_network(ensembles: pd.DataFrame, statistic: Callable[[Values, Values], float]) -> Sample:
    """Networks are drawn again, not triples, which share them.

    A triple then counts as often as its three networks were drawn, multiplied, in each drawing
    of its seed.

    Args:
        ensembles: columns ``seed``, ``models`` (names joined by ``"; "``), ``averaged``,
            ``ensemble``.
        statistic: of (triples, (averaged, ensemble)) with a weight each.
    """
    both = ensembles[["averaged", "ensemble"]].to_numpy(float)
    members = [
        [(seed, name) for name in models.split("; ")]
        for seed, models in zip(ensembles["seed"], ensembles["models"], strict=True)
    ]
    networks = sorted({network for triple in members for network in triple}, key=str)
    place = {network: number for number, network in enumerate(networks)}
    triples = np.array([[place[network] for network in triple] for triple in members])

    of_seed = Counter(seed for seed, _ in networks)

    def drawn(numbers: Values) -> float:
        left, weights = numbers.astype(int), np.zeros(len(triples))
        while len(left):
            # Each drawing of a seed comes in a row.
            size = of_seed[networks[left[0]][0]]
            times = np.bincount(left[:size], minlength=len(networks))
            weights, left = weights + times[triples].prod(axis=1), left[size:]
        kept = weights > 0
        return statistic(both[kept], weights[kept]) if kept.sum() > 2 else float("nan")

    numbers = np.arange(len(networks), dtype=float)
    return Sample(numbers, [seed for seed, _ in networks], "networks", drawn)
