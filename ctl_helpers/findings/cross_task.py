"""The numbers that claims are judged by, each with what it may be drawn again from.

A measure takes stored tables of one setting, with a ``seed`` column, and gives a :class:`Sample`.
``book/claims.yml`` calls measures by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import (
    Sample,
    Values,
    cube,
    ends,
    largest_mean,
    long,
    median,
    rank,
    whole,
)

NO_BARRIER = 0.01
"""Nats; a barrier under it counts as none, and so does a gap between losses."""

LINEAR = 0.1
"""1 − cosine up to which a pair counts as linear: an angle of 26°."""

_REAL, *_CONTROLS = ("shared pretraining", "pretrained apart", "other samples")


# Section 4.1.


@measure("{:.3g}")
def loss_rise(barriers: pd.DataFrame) -> Sample:
    """Median over pairs and tasks of how far the loss gets over its better end (nats)."""
    return _line_median(barriers, "rise")


@measure("{:.3g}")
def pretraining_rise(barriers: pd.DataFrame) -> Sample:
    """The same on the pretraining task alone, which neither end was fine-tuned on."""
    third = (barriers["task"] != barriers["i"]) & (barriers["task"] != barriers["j"])
    return _line_median(barriers[third], "rise")


@measure("{:.3g}")
def loss_barrier(barriers: pd.DataFrame) -> Sample:
    """Median over pairs and tasks of how far the loss gets over the chord of its ends (nats)."""
    return _line_median(barriers, "barrier")


@measure("{:.3g}")
def times_nearer(direction: pd.DataFrame) -> Sample:
    """Median over layers and pairs, at α = 0.5, of baseline over distance."""
    return _nearer(direction, median)


@measure("{:.3g}")
def least_nearer(direction: pd.DataFrame) -> Sample:
    """The same at the layer where it is least: each layer's median over pairs."""
    return _nearer(direction, lambda rows: median(rows, axis=0).min())


@measure("{:.3g}")
def worst_distance(direction: pd.DataFrame) -> Sample:
    """Mean 1 − cosine at the layer and α where its median over pairs is largest."""
    values, seeds = cube(direction, ["i", "j"], metric=["distance"], alpha=None, layer=None)
    return Sample(values, seeds, "pairs", lambda rows: median(rows, axis=0).max())


@measure("{:.3g}")
def length_error(direction: pd.DataFrame) -> Sample:
    """Mean over layers, pairs and α of |1 − coef|, coef being the mean over samples."""
    return _off_length(direction, np.nanmean)


@measure("{:.3g}")
def worst_length(direction: pd.DataFrame) -> Sample:
    """The same at the layer and α where its mean over pairs is largest."""
    return _off_length(direction, largest_mean)


@measure("{:.3g}")
def times_farther(controls: pd.DataFrame) -> Sample:
    """At the output: a control's distance over the real one's, median over pairs.

    The smaller of the two controls' numbers.
    """
    values, seeds = _output(controls, "distance")
    return Sample(values[:, 1:] / values[:, :1], seeds, "pairs", _smallest_median)


@measure("{:.3g}")
def length_drop(controls: pd.DataFrame) -> Sample:
    """At the output: the real coef less a control's, median over pairs; the smaller one."""
    values, seeds = _output(controls, "coef")
    return Sample(values[:, :1] - values[:, 1:], seeds, "pairs", _smallest_median)


@measure("{:.3g}")
def worst_ratio(triples: pd.DataFrame) -> Sample:
    """The largest error of a third pair over the larger error of the two given pairs."""
    ratios = (triples["conclusion"] / triples["premise"]).to_numpy(float)
    return Sample(ratios, triples["seed"].tolist(), "triples", np.max)


@measure("{:.3g}")
def counterexamples(triples: pd.DataFrame) -> Sample:
    """Of the triples whose two given pairs are linear, the share whose third pair is not."""

    def share(rows: Values) -> float:
        given = rows[rows[:, 0] <= LINEAR]
        return float(np.mean(given[:, 1] > LINEAR)) if len(given) else float("nan")

    return _tripled(triples, share)


@measure("{:.3g}")
def nonlinear_thirds(triples: pd.DataFrame) -> Sample:
    """Of all triples, the share whose third pair is not linear."""
    return _tripled(triples, lambda rows: float(np.mean(rows[:, 1] > LINEAR)))


@measure("{:.3g}")
def premise_rank(triples: pd.DataFrame) -> Sample:
    """Rank correlation of the third pair's error and the larger given one.

    Over triples with shared pretraining: one pretrained apart spoils premise and conclusion alike.
    """
    related = triples[triples["group"] != "one pretrained apart"]
    return _tripled(related, lambda rows: rank(rows[:, 0], rows[:, 1]))


# Section 3.


@measure("{:.3g}")
def share_left(spawning: pd.DataFrame) -> Sample:
    """Of the barrier and of the distance at the smallest k, the share left at the largest.

    The larger of the two shares. A barrier under :data:`NO_BARRIER` counts as none.
    """

    def larger(rows: Values) -> float:
        barrier, apart = np.mean(rows, axis=0)
        left = ends(barrier) if barrier[-1] >= NO_BARRIER else 0.0
        return float(np.max([left, ends(apart)]))

    return _spawned(spawning, ["barrier", "distance"], larger)


@measure("{:.3g}")
def first_barrier(spawning: pd.DataFrame) -> Sample:
    """The barrier at the smallest k (nats)."""
    return _spawned(spawning, ["barrier"], lambda rows: rows[:, 0, 0].mean())


@measure("{:.3g}")
def last_rise(spawning: pd.DataFrame) -> Sample:
    """The rise of the loss over its better end at the largest k (nats)."""
    return _spawned(spawning, ["rise"], lambda rows: rows[:, 0, -1].mean())


@measure("{:.3g}")
def last_distance(spawning: pd.DataFrame) -> Sample:
    """The features' distance at the largest k, mean over layers."""
    return _spawned(spawning, ["distance"], lambda rows: rows[:, 0, -1].mean())


@measure("{:.3g}")
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


@measure("{:.3g}")
def broken_steps(induced: pd.DataFrame) -> Sample:
    """Share of k and inner α where gap > √2 · error, or where Jensen's part is positive."""

    def share(rows: Values) -> float:
        gap, error, jensen = (part[~np.isnan(part)] for part in np.moveaxis(rows, 1, 0))
        return float(np.mean((gap > 2**0.5 * error + 1e-9) | (jensen > 1e-9)))

    return _induced(induced, share)


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
    """Shape (seeds, names, k), of the seeds that have every k."""
    values, seeds = cube(long(spawning, ["seed", "k"], names), [], name=names, k=None)
    return whole(values, seeds, "seeds", statistic)


def _induced(induced: pd.DataFrame, statistic: Callable[[Values], float]) -> Sample:
    """Shape (seeds and k, (gap, error, jensen), inner α)."""
    names = ("gap", "error", "jensen")
    inner = induced[~induced["alpha"].isin([0, 1])]
    values, seeds = cube(long(inner, ["seed", "k", "alpha"], names), ["k"], name=names, alpha=None)
    return Sample(values, seeds, "values of k", statistic)
