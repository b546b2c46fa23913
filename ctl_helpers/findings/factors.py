"""Section 5: what linearity depends on. A factor is a column of epochs or of a share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
def distance_at(table: pd.DataFrame, *, at: str) -> Sample:
    """The distance, mean over layers.

    Args:
        table: a comparison by layer and factor.
        at: the factor's ``"first"`` value or its ``"last"``, or where the mean is ``"least"``.
    """
    return _curves([table], _at(at))


@measure("{:.2f}")
def level_at(table: pd.DataFrame, *, metric: str, at: str) -> Sample:
    """:func:`distance_at` for the baseline or coef."""
    return _curves([table], _at(at), Metric(metric))


@measure("{:g}")
def least_distant(table: pd.DataFrame) -> Sample:
    """The factor's value of least distance, mean over layers."""
    places = np.sort(table[factor_of(table)].unique())[-_points(table) :]
    return _curves([table], lambda rows: float(places[np.nanmean(rows, axis=0).argmin()]))


@measure("{:.0%}")
def kept(table: pd.DataFrame) -> Sample:
    """The distance at the factor's last value over that at its first, mean over layers."""
    return _curves([table], lambda rows: ends(np.nanmean(rows, axis=0)))


@measure("{:.0%}")
def kept_of_baseline(table: pd.DataFrame) -> Sample:
    """The same for distance over baseline: is it more than networks being alike?"""
    metrics = (Metric.DISTANCE, Metric.BASELINE)
    apart, base = (_curves([table], np.nanmean, metric) for metric in metrics)
    both = np.stack([apart.values, base.values], axis=1)

    def ratio(rows: Values) -> float:
        one, other = np.nanmean(rows, axis=0)
        return ends(one / other)

    return Sample(both, apart.seeds, apart.unit, ratio)


@measure("{:+.2f}")
def trend(table: pd.DataFrame) -> Sample:
    """Rank correlation of the factor and the distance, mean over layers."""

    def correlation(rows: Values) -> float:
        curve = np.nanmean(rows, axis=0)
        return rank(np.arange(len(curve), dtype=float), curve)

    return _curves([table], correlation)


@measure("{:.2f}")
def change(table: pd.DataFrame) -> Sample:
    """Doublings from the factor's value of least distance to that of most."""
    return _curves([table], lambda rows: _doublings(np.nanmean(rows, axis=0)))


@measure("{:.2f}")
def change_against(table: pd.DataFrame, other: pd.DataFrame) -> Sample:
    """:func:`change` of one table over that of another."""
    first = _points(table)

    def share(rows: Values) -> float:
        curve = np.nanmean(rows, axis=0)
        return _doublings(curve[:first]) / _doublings(curve[first:])

    return _curves([table, other], share)


def factor_of(table: pd.DataFrame) -> str:
    """The column that is a table's factor."""
    return next(name for name in FACTORS if name in table)


def _points(table: pd.DataFrame) -> int:
    """How many values of its factor a table has, but for 0 epochs of fine-tuning.

    There both networks are the pretrained one, and the distance is 0 by definition.
    """
    name = factor_of(table)
    return table.loc[(table[name] > 0) | (name != "finetune_epochs"), name].nunique()


def _curves(
    tables: Sequence[pd.DataFrame],
    statistic: Callable[[Values], float],
    metric: Metric = Metric.DISTANCE,
) -> Sample:
    """A metric against the factors of some tables, side by side: shape (seeds, points).

    The mean over the layers where it is defined at every point.
    """
    parts = []
    for number, table in enumerate(tables):
        rows = table[table["metric"] == metric].assign(factor=table[factor_of(table)], table=number)
        points = sorted(rows["factor"].unique())[-_points(table) :]
        parts.append(rows[rows["factor"].isin(points)])
    both = pd.concat(parts)
    wide = both.pivot_table(
        index=["seed", "layer"], columns=["table", "factor"], values="mean", observed=True
    ).sort_index(axis=1)
    curves = wide.dropna().groupby("seed").mean()
    return Sample(curves.to_numpy(float), curves.index.tolist(), "seeds", statistic)


def _at(place: str) -> Callable[[Values], float]:
    """The mean over replicates at one point of a curve."""

    def value(rows: Values) -> float:
        curve = np.nanmean(rows, axis=0)
        return float({"first": curve[0], "last": curve[-1], "least": curve.min()}[place])

    return value


def _doublings(curve: Values) -> float:
    return float(np.log2(curve.max() / curve.min())) if len(curve) > 1 else float("nan")
