"""Numbers on Theorem 5.1: what the loss's deviation from linearity has to do with its bound.

A regressor is ``product`` (the bound), ``curvature`` or ``squared_distance``. θ is the parameters;
``theta`` may ask for the reading that has the running statistics of BatchNorm, too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ctl_helpers.analysis import regression
from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Sample, Values, cube, long, median, rows_of
from ctl_helpers.findings.words import times
from ctl_helpers.results.labels import Buffers, Scale

REGRESSORS = ("product", "curvature", "squared_distance")


def start_name(start: str) -> str:
    """What a reader sees of a start: stored tables have "1 epochs", too."""
    return "1 epoch" if start == "1 epochs" else start


@measure("{:.2f}")
def explained(
    pairs: pd.DataFrame,
    *,
    name: str = "product",
    theta: str = Buffers.PARAMETERS,
    scale: str = Scale.LINEAR,
) -> Sample:
    """R² of the least-squares line of δ through a regressor; negative where the line falls.

    Args:
        pairs: δ and its regressors, a row a pair of networks.
        name: the regressor.
        theta: what θ holds.
        scale: ``"log"`` for the line between logarithms, without what is not positive.
    """
    return _regressed(pairs, theta, lambda rows: _explained(rows, name, scale))


@measure("{:+.2f}")
def explained_more(pairs: pd.DataFrame, *, theta: str = Buffers.PARAMETERS) -> Sample:
    """R² of the product, as above, less the larger of R² of the curvature and of the distance.

    NaN for a single start, whose curvature is one number and makes the product the distance.
    """
    return _regressed(pairs, theta, _more)


@measure(times)
def predictor_span(
    pairs: pd.DataFrame, *, name: str = "product", theta: str = Buffers.PARAMETERS
) -> Sample:
    """A regressor's largest value over its smallest: what does not vary explains nothing."""

    def span(rows: Values) -> float:
        column = rows[:, 1 + REGRESSORS.index(name)]
        return float(np.nanmax(column) / np.nanmin(column))

    return _regressed(pairs, theta, span)


@measure(lambda share: f"{100 * share:.2g}%")
def share_of_bound(pairs: pd.DataFrame, *, term: str = "delta") -> Sample:
    """``delta`` or ``second_order`` over the bound, median over pairs."""
    return _median(pairs[term] / pairs["product"], pairs)


@measure("{:.0%}")
def under_bound(pairs: pd.DataFrame) -> Sample:
    """Share of the pairs whose δ is under the bound of second order."""
    under = (pairs["delta"] <= pairs["product"]).to_numpy(float)
    return Sample(under, rows_of(pairs, ["start"]), "starts", np.mean)


@measure("{:.2f}")
def rest_over_second_order(pairs: pd.DataFrame) -> Sample:
    """The third-order rest over the second-order term, median over pairs."""
    return _median(pairs["third_order"] / pairs["second_order"], pairs)


@measure("{:.0%}")
def off_second_order(nearer: pd.DataFrame, *, scale: float) -> Sample:
    """How far the deviation over its second-order term is from 1, median over pairs.

    Args:
        nearer: of networks drawn to their start.
        scale: how much of the way from the start is left.
    """
    rows = nearer[nearer["scale"] == scale]
    return _median((rows["ratio"] - 1).abs(), rows)


def _median(values: pd.Series, rows: pd.DataFrame) -> Sample:
    return Sample(values.to_numpy(float), rows_of(rows, ["start"]), "starts", _middle)


def _middle(rows: Values) -> float:
    return float(median(rows)) if len(rows) else float("nan")


def _regressed(pairs: pd.DataFrame, theta: str, statistic: Callable[[Values], float]) -> Sample:
    """Shape (starts, (δ and regressors), pairs)."""
    reading = "" if theta == Buffers.PARAMETERS else "_buffers"
    names = ("delta", *(name + reading for name in REGRESSORS))
    keys = ["seed", "start", "pair"]
    numbered = pairs.assign(pair=pairs.groupby(["seed", "start"]).cumcount())
    values, seeds = cube(long(numbered, keys, names), ["start"], name=names, pair=None)
    return Sample(values, seeds, "starts", statistic)


def _more(rows: Values) -> float:
    curvature = rows[:, 1 + REGRESSORS.index("curvature")]
    if np.nanmin(curvature) == np.nanmax(curvature):
        return float("nan")
    others = (abs(_explained(rows, name)) for name in REGRESSORS[1:])
    return _explained(rows, "product") - max(others)


def _explained(rows: Values, regressor: str, scale: str = Scale.LINEAR) -> float:
    """R² of the line, with the sign of its slope; logarithms leave out what is not positive."""
    delta, x = rows[:, 0].ravel(), rows[:, 1 + REGRESSORS.index(regressor)].ravel()
    if scale == Scale.LOG:
        delta, x = np.log(np.where(delta > 0, delta, np.nan)), np.log(np.where(x > 0, x, np.nan))
    known = ~(np.isnan(delta) | np.isnan(x))
    # Through two points there is always a line.
    if known.sum() < 3:
        return float("nan")
    slope = np.sum((x[known] - x[known].mean()) * (delta[known] - delta[known].mean()))
    return float(np.sign(slope) * regression.r_squared(x[known], delta[known]))
