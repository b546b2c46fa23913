"""Which merges work: what predicts the accuracy of merged networks that were not seen.

A predictor's line is fitted to the merges left in, and told of those left out: all that have one
task, or all of one learning rate. So a predictor that goes one way on some tasks and the other way
on others has a negative correlation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ctl_helpers.analysis.left_out import best_cut, forecasts
from ctl_helpers.analysis.regression import partial_correlation
from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Sample, Values, rank, rows_of
from ctl_helpers.probing.track_record import KEPT

PREDICTORS = {
    "epsilon_worst": "ε, worst layer",
    "epsilon_last": "ε, last layer",
    "local": "ε, one layer alone",
    "distance": "1 − cosine of both sides",
    "xi": "disentanglement error ξ",
    "apart": "features apart",
    "moved": "features moved",
    "length": "‖τ‖, mean",
    "sum_length": "‖λΣτ‖",
    "cosine": "cosine of τ",
    "conflict": "sign conflict",
    "gradient": "gradient norm at the start",
    "k": "number of networks",
    "lam": "λ",
    "constant": "constant",
}
"""What may predict a merge → what it is called; the first one is what the claim is about."""

LENGTHS = ("length", "sum_length")
_COLUMNS = (*PREDICTORS, "normalized", "gain", "rate")
_PAIR = 2


@measure("{:+.2f}")
def merge_forecast(
    merges: pd.DataFrame,
    *,
    by: str = "epsilon_worst",
    kind: str = "pearson",
    out: str = "task",
    over: str = "folds",
    outcome: str = "normalized",
    sets: str = "all",
) -> Sample:
    """Correlation of what a predictor's line says of merges left out with what came of them.

    Args:
        merges: a row for each merge, as the section stores it.
        by: one of :data:`PREDICTORS`.
        kind: ``"pearson"`` or ``"spearman"``.
        out: what is left out in turn: each ``"task"`` or each learning ``"rate"``.
        over: ``"folds"``, the mean of each fold's correlation, or ``"all"`` folds pooled.
        outcome: ``"normalized"`` accuracy, or the ``"gain"`` over the best network.
        sets: ``"all"`` merges, ``"pairs"`` alone or ``"averages"`` alone, of which kλ = 1.
    """
    chosen = {
        "all": merges["k"] > 0,
        "pairs": merges["k"] == _PAIR,
        "averages": np.isclose(merges["k"] * merges["lam"], 1),
    }[sets]
    return _sample(merges[chosen], lambda rows: _forecast(rows, by, kind, out, over, outcome))


@measure("{:+.2f}")
def over_lengths(
    merges: pd.DataFrame, *, kind: str = "pearson", out: str = "task", over: str = "folds"
) -> Sample:
    """:func:`merge_forecast` of the worst layer's ε, less the better one of both lengths."""

    def more(rows: Values) -> float:
        told = [
            _forecast(rows, name, kind, out, over, "normalized")
            for name in ("epsilon_worst", *LENGTHS)
        ]
        return told[0] - max(told[1:])

    return _sample(merges, more)


@measure("{:+.2f}")
def beside_lengths(
    merges: pd.DataFrame, *, by: str = "epsilon_worst", outcome: str = "normalized"
) -> Sample:
    """Partial rank correlation of a predictor with the outcome, both lengths given.

    Arguments as for :func:`merge_forecast`. Where ε adds to the lengths, it is negative.
    """

    def partial(rows: Values) -> float:
        columns = [_column(rows, name) for name in (by, outcome, *LENGTHS)]
        ranks = pd.DataFrame(np.column_stack(columns)).rank().to_numpy()
        return partial_correlation(ranks[:, 0], ranks[:, 1], ranks[:, 2:])

    return _sample(merges, partial)


@measure("{:.0%}")
def told_to_work(
    merges: pd.DataFrame, *, of: str = "hits", by: str = "epsilon_worst", out: str = "task"
) -> Sample:
    """How often a threshold on a predictor says of merges left out that they work.

    The threshold is the one that parts working merges best from others among those left in.

    Args:
        merges, by, out: as for :func:`merge_forecast`.
        of: ``"hits"``, of those that work, or ``"false alarms"``, of those that do not.
    """

    def share(rows: Values) -> float:
        x, works = _column(rows, by), _column(rows, "normalized") >= KEPT
        said, so = [], []
        for fold in _folds(rows, out):
            cut, side = best_cut(x[~fold], works[~fold])
            if not np.isnan(cut):
                said.append(side * (x[fold] - cut) > 0)
                so.append(works[fold])
        wanted = np.concatenate(so) == (of == "hits") if so else np.zeros(0, bool)
        return float(np.concatenate(said)[wanted].mean()) if wanted.any() else float("nan")

    return _sample(merges, share)


@measure("{:.0%}")
def working_merges(merges: pd.DataFrame) -> Sample:
    """The share of merges that keep 90% of their parts' accuracy."""
    return _sample(merges, lambda rows: float((_column(rows, "normalized") >= KEPT).mean()))


@measure("{:.2f}")
def outcome_spread(merges: pd.DataFrame) -> Sample:
    """Standard deviation over merges of the normalized accuracy."""
    return _sample(merges, lambda rows: float(_column(rows, "normalized").std()))


@measure("{:.0f}")
def merge_count(merges: pd.DataFrame) -> Sample:
    """How many merges there are of a seed's networks."""
    return _sample(merges, lambda rows: float(len(rows)))


def _sample(merges: pd.DataFrame, statistic: Callable[[Values], float]) -> Sample:
    """Merges as rows of numbers, then whether each has each task; networks are the units."""
    names = [models.split(", ") for models in merges["models"]]
    tasks = sorted({name for few in names for name in few})
    members = np.array([[task in few for task in tasks] for few in names], dtype=float)
    numbers = merges.assign(constant=0.0)[list(_COLUMNS)].to_numpy(float)
    values = np.column_stack([numbers, members.reshape(len(merges), len(tasks))])
    networks = [
        ", ".join(f"{name} at {rate:g}" for name in few)
        for few, rate in zip(names, merges["rate"], strict=True)
    ]

    def of_any(rows: Values) -> float:
        return statistic(rows) if len(rows) else float("nan")

    return Sample(values, rows_of(merges.assign(models=networks), ["models"]), "networks", of_any)


def _column(rows: Values, name: str) -> Values:
    return np.asarray(rows[:, _COLUMNS.index(name)])


def _folds(rows: Values, out: str) -> Sequence[NDArray[np.bool_]]:
    """Whether each row is left out, fold by fold."""
    if out == "task":
        return [*(rows[:, len(_COLUMNS) :].T > 0)]
    rates = _column(rows, "rate")
    return [rates == rate for rate in np.unique(rates)]


def _forecast(rows: Values, by: str, kind: str, out: str, over: str, outcome: str) -> float:
    known = rows[~np.isnan(_column(rows, by)) & ~np.isnan(_column(rows, outcome))]
    y, folds = _column(known, outcome), np.array(_folds(known, out))
    if len(known) < _PAIR:
        return float("nan")
    told = forecasts(_column(known, by), y, folds)
    correlation = _pearson if kind == "pearson" else rank
    if over == "all":
        return correlation(told[folds], np.broadcast_to(y, folds.shape)[folds])
    each = [correlation(one[fold], y[fold]) for one, fold in zip(told, folds, strict=True)]
    return float(np.nanmean(each)) if not np.isnan(each).all() else float("nan")


def _pearson(x: Values, y: Values) -> float:
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known], y[known]
    if len(x) < _PAIR + 1 or np.ptp(x) < 1e-12 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
