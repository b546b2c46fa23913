"""Section 5: what linearity depends on. A factor is a column of epochs or of a share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Sample, Values, ends, rank
from ctl_helpers.findings.words import plain
from ctl_helpers.results.labels import Metric

FACTORS = {
    "pretrain_epochs": "epochs of pretraining",
    "finetune_epochs": "epochs of fine-tuning",
    "replaced": "ratio of replaced samples",
}
"""Columns of factors, and what they are called."""


@measure(plain)
def level_at(table: pd.DataFrame, *, at: str, metric: str = Metric.EPSILON) -> Sample:
    """A metric, mean over layers.

    Args:
        table: a comparison by layer and factor.
        at: the factor's ``"first"`` value or its ``"last"``, or where the mean over seeds is
            ``"least"``.
        metric: the linearity error if not another one.
    """
    sample = _curve(table, _at(at), Metric(metric))
    return sample.pooled() if at == "least" else sample


@measure("{:g}")
def most_linear_at(table: pd.DataFrame) -> Sample:
    """The factor's value of least ε, mean over layers and seeds."""
    places = np.sort(table[factor_of(table)].unique())[-_points(table) :]

    def place(rows: Values) -> float:
        return float(places[np.nanmean(rows, axis=0).argmin()])

    return _curve(table, place, Metric.EPSILON).pooled()


@measure("{:.0%}")
def kept(table: pd.DataFrame, *, metric: str = Metric.EPSILON) -> Sample:
    """ε, or another metric, at the factor's last value over that at its first.

    The ratio of the means over seeds, since it stands beside them.
    """
    return _curve(table, lambda rows: ends(np.nanmean(rows, axis=0)), Metric(metric)).pooled()


@measure("{:.0%}")
def kept_of_baseline(table: pd.DataFrame) -> Sample:
    """:func:`kept` for the distance over its baseline: is it more than networks being alike?"""
    apart, base = (_curve(table, np.nanmean, one) for one in (Metric.DISTANCE, Metric.BASELINE))
    both = np.stack([apart.values, base.values], axis=1)

    def ratio(rows: Values) -> float:
        one, other = np.nanmean(rows, axis=0)
        return ends(one / other)

    return Sample(both, apart.rows, apart.unit, ratio)


@measure("{:+.2f}")
def trend(table: pd.DataFrame, *, metric: str = Metric.EPSILON) -> Sample:
    """Rank correlation of the factor and ε, or another metric, mean over layers."""

    def correlation(rows: Values) -> float:
        curve = np.nanmean(rows, axis=0)
        return rank(np.arange(float(len(curve))), curve)

    return _curve(table, correlation, Metric(metric))


@measure("{:.2f}")
def change(table: pd.DataFrame, *, metric: str = Metric.EPSILON) -> Sample:
    """Doublings of ε, or another metric, from the factor's value of least to that of most."""
    return _curve(table, lambda rows: _doublings(np.nanmean(rows, axis=0)), Metric(metric))


def factor_of(table: pd.DataFrame) -> str:
    """The column that is a table's factor."""
    return next(name for name in FACTORS if name in table)


def _points(table: pd.DataFrame) -> int:
    """How many values of its factor a table has, but for 0 epochs of fine-tuning.

    There both networks are the pretrained one: the distance is 0, and ε is 0 over 0.
    """
    name = factor_of(table)
    return table.loc[(table[name] > 0) | (name != "finetune_epochs"), name].nunique()


def _curve(table: pd.DataFrame, statistic: Callable[[Values], float], metric: Metric) -> Sample:
    """A metric against the factor: shape (seeds, points).

    The mean over the layers where it is defined at every point.
    """
    factor = factor_of(table)
    rows = table[table["metric"] == metric]
    rows = rows[rows[factor].isin(sorted(rows[factor].unique())[-_points(table) :])]
    wide = rows.pivot_table(index=["seed", "layer"], columns=factor, values="mean", observed=True)
    curves = wide.sort_index(axis=1).dropna().groupby("seed").mean()
    return Sample(curves.to_numpy(float), curves.index.tolist(), "seeds", statistic)


def _at(place: str) -> Callable[[Values], float]:
    """The mean over replicates at one point of a curve."""

    def value(rows: Values) -> float:
        curve = np.nanmean(rows, axis=0)
        return float({"first": curve[0], "last": curve[-1], "least": curve.min()}[place])

    return value


def _doublings(curve: Values) -> float:
    return float(np.log2(curve.max() / curve.min())) if len(curve) > 1 else float("nan")
