"""How far task vectors alone, in pairs and in triples explain what a sum of them does."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.judging import GOOD
from ctl_helpers.findings.replicates import Replicates, Sample, Values, cube
from ctl_helpers.findings.words import plain
from ctl_helpers.results.labels import Control, Metric, Scope, Terms

ENOUGH = 1 - GOOD
"""Terms suffice that leave no more than this share, a verdict's border of what is good."""


@measure(plain)
def unexplained(
    shares: pd.DataFrame,
    *,
    terms: str,
    control: str = Control.TASK_VECTORS,
    at: str = "worst",
    k: str = "most",
) -> Sample:
    """The share of the features' change that terms leave unexplained, mean over sets.

    Args:
        shares: by number of task vectors and layer; with ``control`` for that of a control.
        terms: one of :class:`~ctl_helpers.results.labels.Terms`.
        control: which of a control table's labels.
        at: ``"worst"`` for the layer where the share of task vectors is largest, or ``"mean"``.
        k: the ``"fewest"`` task vectors that leave anything to these terms, or the ``"most"``.
    """
    rows = shares[shares["terms"] == terms]
    rows = rows[rows["k"] == {"fewest": rows["k"].min(), "most": rows["k"].max()}[k]]
    controls = [Control.TASK_VECTORS, Control(control)]
    if "control" not in rows:
        rows = rows.assign(control=Control.TASK_VECTORS)
    if not set(controls) <= set(rows["control"]):
        return Sample(np.array([]), [], "seeds", lambda rows: float("nan"))
    several = rows["models"].nunique() > 1
    unit = ["models"] if several else []
    values, replicates = cube(rows, unit, "unexplained", control=controls, layer=None)

    def number(sets: Values) -> float:
        own, asked = np.nanmean(sets, axis=0)
        return float(np.nanmean(asked) if at == "mean" else asked[int(np.nanargmax(own))])

    return Sample(values, replicates, "networks" if several else "seeds", number)


@measure("{:.0f}")
def sufficient(shares: pd.DataFrame, *, terms: str) -> Sample:
    """Up to how many task vectors terms leave no more than a quarter unexplained at every layer.

    A mean over the sets of as many vectors. Sums of so few that the terms are all there is count.
    """
    rows = shares[shares["terms"] == terms]
    exact = list(Terms).index(Terms(terms)) + 1
    values, replicates = cube(rows, [], "unexplained", k=None, layer=None)
    counts = sorted(rows["k"].unique())

    def last(seeds: Values) -> float:
        worst = np.nanmax(np.nanmean(seeds, axis=0), axis=1)
        good = [exact]
        for count, share in zip(counts, worst, strict=True):
            if share > ENOUGH:
                break
            good.append(count)
        return float(good[-1])

    return Sample(values, replicates, "seeds", last)


@measure("{:.2f}")
def scope_error(local: pd.DataFrame, *, scope: str, at: str) -> Sample:
    """ε of one :class:`~.labels.Scope`: its ``"mean"`` over layers, or at the ``"last"``."""

    def over(seeds: Values) -> float:
        layers = np.mean(seeds, axis=0)
        return float(layers.mean() if at == "mean" else layers[-1])

    return Sample(*_by_layer(local, scope), "seeds", over)


@measure("{:.0f}")
def falls(local: pd.DataFrame) -> Sample:
    """At how many layers ε with all layers mixed is less than at the layer before."""

    def count(seeds: Values) -> float:
        return float((np.diff(np.mean(seeds, axis=0)) < 0).sum())

    return Sample(*_by_layer(local, Scope.ALL), "seeds", count)


def _by_layer(local: pd.DataFrame, scope: str) -> tuple[Values, Replicates]:
    """ε, shape (seeds, layers): of layers in the table's order that have one."""
    rows = local[(local["metric"] == Metric.EPSILON) & (local["scope"] == scope)]
    return cube(rows, [], layer=list(dict.fromkeys(rows.loc[rows["mean"].notna(), "layer"])))
