"""The numbers that Section 4.3's claims are judged by: edited and stitched networks.

As in :mod:`ctl_helpers.findings.cross_task`, a measure takes stored tables of one setting and
gives a :class:`~ctl_helpers.findings.replicates.Sample`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Sample, Values, cube, largest_mean, median, whole

LAMBDA = 0.4
"""Where Equations 2 and 3 are judged: λ of the paper's Figures 7 and 8."""

TUNED = 0.5
"""Where Figure 9 is judged: single networks at 2λ = 1 are the fine-tuned ones."""

WHOLE = 1.0
"""Where Figure 10 is judged: the whole task vector, the end of the paper's range."""

_AVERAGED, _ONE, _OTHER = "averaged features", "features of i", "features of j"


# Equations 2 and 3.


@measure("{:.3g}")
def edit_least_nearer(table: pd.DataFrame) -> Sample:
    """Baseline over distance at λ = 0.4, each block's median over edits, where it is least."""
    return _nearer(table, lambda rows: median(rows, axis=0).min())


@measure("{:.3g}")
def edit_times_nearer(table: pd.DataFrame) -> Sample:
    """The same, median over blocks and edits."""
    return _nearer(table, median)


@measure("{:.3g}")
def edit_worst_distance(table: pd.DataFrame) -> Sample:
    """1 − cosine at λ = 0.4, each block's median over edits, where it is largest."""
    values, seeds = cube(_at(table), _unit(table), metric=["distance"], layer=None)
    return _edits(table, values, seeds, lambda rows: median(rows, axis=(0, 1)).max())


@measure("{:.3g}")
def edit_worst_length(table: pd.DataFrame) -> Sample:
    """|1 − coef| at λ = 0.4, each block's mean over edits, where it is largest."""
    values, seeds = cube(_at(table), _unit(table), metric=["coef"], layer=None)
    off = abs(1 - values)
    return _edits(table, off, seeds, largest_mean)


# Stitching.


@measure("{:.3g}")
def stitch_kept(stitched: pd.DataFrame) -> Sample:
    """Of the gain over θ_PT of a network's features on its own task, what averaged features keep.

    On that task of a pair where they lose more; all pairs together, at 2λ = 1.
    """
    return _stitched(stitched, _nearest(stitched, TUNED), _kept)


@measure("{:.3g}")
def stitch_kept_at_last(stitched: pd.DataFrame) -> Sample:
    """The same with the features averaged at the largest λ, and the gain that of 2λ = 1."""
    return _stitched(stitched, stitched["lam"].max(), _kept)


@measure("{:.3g}")
def stitch_single(stitched: pd.DataFrame) -> Sample:
    """Accuracy of one network's features on the other's task, less that of θ_PT; at 2λ = 1."""

    def gain(rows: Values) -> float:
        other = np.stack([rows[:, 3, 0], rows[:, 2, 1]], axis=1)
        return float(np.nanmean(other - rows[:, 0]))

    return _stitched(stitched, _nearest(stitched, TUNED), gain)


@measure("{:.3g}")
def stitch_agreement(stitched: pd.DataFrame) -> Sample:
    """How far accuracies of averaged features and of merged weights are apart, up to 2λ = 1."""
    rows = stitched[(stitched["lam"] > 0) & (stitched["lam"] <= _nearest(stitched, TUNED))]
    both = rows.melt(["seed", "i", "j", "lam", "model"], ["D_i", "D_j"], "role", "mean")
    models = [_AVERAGED, "merged weights"]
    values, seeds = cube(both, ["i", "j"], model=models, lam=None, role=None)
    return Sample(values, seeds, "pairs", lambda rows: np.nanmean(abs(rows[:, 0] - rows[:, 1])))


@measure("{:.3g}")
def negation_left(stitched: pd.DataFrame) -> Sample:
    """Accuracy on D_i with Δ(τ_i) subtracted, as a share of θ_PT's."""
    return _left(stitched, "D_i", _nearest(stitched, WHOLE))


@measure("{:.3g}")
def negation_kept(stitched: pd.DataFrame) -> Sample:
    """The same on D_PT."""
    return _left(stitched, "D_PT", _nearest(stitched, WHOLE))


@measure("{:.3g}")
def negation_left_at_last(stitched: pd.DataFrame) -> Sample:
    """Accuracy on D_i with Δ(λτ_i) subtracted at the largest λ, as a share of θ_PT's."""
    return _left(stitched, "D_i", stitched["lam"].max())


@measure("{:.3g}")
def negation_agreement(stitched: pd.DataFrame) -> Sample:
    """How far accuracies are apart with Δ and with τ subtracted, mean over λ up to 1, D_i, D_PT."""
    rows = stitched[(stitched["lam"] > 0) & (stitched["lam"] <= WHOLE)]
    models = ["feature subtracted", "weights subtracted"]
    values, seeds = cube(rows, ["i"], "accuracy", model=models, lam=None, role=None)
    apart = abs(values[:, 0] - values[:, 1])
    return Sample(apart, seeds, "task vectors", np.nanmean)


# Theorem 4.3.


@measure("{:.3g}")
def theorem_distance(theorem: pd.DataFrame) -> Sample:
    """1 − cosine with the most task vectors, at the block and scheme of α where it is largest."""
    values, seeds = _last(theorem, "distance")
    return Sample(values, seeds, "seeds", largest_mean)


@measure("{:.3g}")
def theorem_length(theorem: pd.DataFrame) -> Sample:
    """|1 − coef| with the most task vectors, at the block and scheme where it is largest."""
    values, seeds = _last(theorem, "coef")
    off = abs(1 - values)
    return Sample(off, seeds, "seeds", largest_mean)


@measure("{:.3g}")
def theorem_nearer(theorem: pd.DataFrame) -> Sample:
    """Baseline over distance with the most task vectors, median over blocks, the smaller one.

    In units of k + 1. If ``θ_PT``'s feature were taken for the left side, and the parts on the
    right differed from it by equally long vectors, orthogonal to each other, baseline over distance
    would be k + 1: the baseline goes with k / (k + 1), the distance with k / (k + 1)².
    """
    baseline, seeds = _last(theorem, "baseline")
    distance, _ = _last(theorem, "distance")
    ratio = baseline / distance / (theorem["k"].max() + 1)
    return Sample(ratio, seeds, "seeds", lambda rows: median(rows, axis=(0, 2)).min())


def _unit(table: pd.DataFrame) -> list[str]:
    """The columns that name an edit: a pair of task vectors, or a single one."""
    return [name for name in ("i", "j") if name in table]


def _nearest(table: pd.DataFrame, wanted: float) -> float:
    return float(min(table["lam"].unique(), key=lambda lam: abs(lam - wanted)))


def _at(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of λ = 0.4."""
    return table[np.isclose(table["lam"], LAMBDA)]


def _nearer(table: pd.DataFrame, statistic: Callable[[Values], float]) -> Sample:
    """Baseline over distance, shape (edits, blocks)."""
    metrics = ["baseline", "distance"]
    values, seeds = cube(_at(table), _unit(table), metric=metrics, layer=None)
    return _edits(table, values[:, 0] / values[:, 1], seeds, statistic)


def _edits(
    table: pd.DataFrame,
    values: Values,
    seeds: list[object],
    statistic: Callable[[Values], float],
) -> Sample:
    return Sample(values, seeds, "pairs" if "j" in table else "task vectors", statistic)


def _stitched(stitched: pd.DataFrame, lam: float, statistic: Callable[[Values], float]) -> Sample:
    """Accuracies of θ_PT, averaged features at λ, networks at 2λ = 1: (pairs, models, tasks)."""
    models = {
        "θ_PT": (_ONE, 0.0),
        _AVERAGED: (_AVERAGED, lam),
        _ONE: (_ONE, _nearest(stitched, TUNED)),
        _OTHER: (_OTHER, _nearest(stitched, TUNED)),
    }
    rows = pd.concat(
        stitched[(stitched["model"] == model) & (stitched["lam"] == at)].assign(model=name)
        for name, (model, at) in models.items()
    )
    both = rows.melt(["seed", "i", "j", "model"], ["D_i", "D_j"], "role", "mean")
    values, seeds = cube(both, ["i", "j"], model=list(models), role=["D_i", "D_j"])
    return Sample(values, seeds, "pairs", statistic)


def _kept(rows: Values) -> float:
    """The share of gains that averaged features keep, from :func:`_stitched`'s accuracies."""
    start, averaged = rows[:, 0], rows[:, 1]
    own = np.stack([rows[:, 2, 0], rows[:, 3, 1]], axis=1)
    loser = np.argmin(averaged - own, axis=1)[:, None]
    kept, full = (np.take_along_axis(part - start, loser, 1).sum() for part in (averaged, own))
    return float(kept / full) if full > 0 else float("nan")


def _left(stitched: pd.DataFrame, role: str, lam: float) -> Sample:
    """Shape (task vectors, (λ = 0, the given λ))."""
    chosen = (stitched["model"] == "feature subtracted") & (stitched["role"] == role)
    ends = [0.0, lam]
    values, seeds = cube(stitched[chosen], ["i"], "accuracy", lam=ends)

    def share(rows: Values) -> float:
        first, last = np.mean(rows, axis=0)
        return float(last / first)

    return whole(values, seeds, "task vectors", share)


def _last(theorem: pd.DataFrame, metric: str) -> tuple[Values, list[object]]:
    """A metric with the most task vectors, shape (seeds, schemes, blocks)."""
    rows = theorem[(theorem["k"] == theorem["k"].max()) & (theorem["metric"] == metric)]
    return cube(rows, [], scheme=None, layer=None)
