"""Section 3: two copies of one network that part after k epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import (
    Sample,
    Values,
    column,
    cube,
    long,
    middle,
    rank,
    whole,
)
from ctl_helpers.findings.words import FLOOR, LINEAR, plain, times

NO_BARRIER = 0.01
"""Nats; a barrier under it counts as none, and so does a gap between losses."""

FLAT = 0.1
"""Nats that a flat loss may rise over its better end."""


@measure(plain)
def spawned(spawning: pd.DataFrame, *, name: str, at: str) -> Sample:
    """A column's mean over seeds; features are means over layers, at α = 0.5.

    Args:
        spawning: columns ``k``, ``barrier`` and ``rise`` (nats), ``epsilon``, ``distance``,
            ``baseline`` and ``coef``.
        name: which column.
        at: the ``"first"`` k or the ``"last"``, or where the mean is ``"least"`` or ``"most"``.
    """

    def value(rows: Values) -> float:
        curve = rows[:, 0].mean(axis=0)
        at_ends = {"first": curve[0], "last": curve[-1], "least": curve.min(), "most": curve.max()}
        return float(at_ends[at])

    return _spawned(spawning, [name], value)


@measure(plain)
def spawned_fall(spawning: pd.DataFrame, *, name: str) -> Sample:
    """A column's mean at the smallest k over that at the largest."""

    def fall(rows: Values) -> float:
        curve = rows[:, 0].mean(axis=0)
        return float(curve[0] / max(curve[-1], FLOOR))

    return _spawned(spawning, [name], fall)


@measure("{:g}")
def flat_from(spawning: pd.DataFrame) -> Sample:
    """The smallest k from which on the loss rises by at most :data:`FLAT`, mean over seeds.

    NaN if there is none.
    """
    return _from(spawning, ["rise"], lambda means: means[0] <= FLAT)


@measure("{:g}")
def linear_from(spawning: pd.DataFrame) -> Sample:
    """The smallest k from which on ε, mean over layers and seeds, is at most :data:`LINEAR`.

    NaN if there is none.
    """
    return _from(spawning, ["epsilon"], lambda means: means[0] <= LINEAR)


@measure("{:+.2f}")
def gap_rank(induced: pd.DataFrame) -> Sample:
    """Rank correlation of the loss's gap and the logits' error over k, at the α nearest to ½.

    Other α would add the curve α(1 − α), which both share whatever one has to do with the other.
    Ranks of gaps under :data:`NO_BARRIER` are noise, see :func:`largest_gap`.
    """
    return _halfway(induced, lambda gap, error: rank(gap, error))


@measure("{:.2g} nats")
def largest_gap(induced: pd.DataFrame) -> Sample:
    """The largest gap over k, at the α nearest to ½: is there anything to explain?"""
    return _halfway(induced, lambda gap, error: float(np.nanmax(gap)))


@measure(times)
def error_span(induced: pd.DataFrame) -> Sample:
    """The logits' largest error over their smallest over k, at the α nearest to ½."""
    return _halfway(induced, lambda gap, error: float(np.nanmax(error) / np.nanmin(error)))


@measure("{:.0%}")
def broken_steps(induced: pd.DataFrame) -> Sample:
    """Share of k and inner α where gap > √2 · error, or where Jensen's part is positive."""

    def share(rows: Values) -> float:
        gap, error, jensen = (part[~np.isnan(part)] for part in np.moveaxis(rows, 1, 0))
        return float(np.mean((gap > 2**0.5 * error + 1e-9) | (jensen > 1e-9)))

    return _induced(induced, share)


@measure(lambda value: f"{abs(value):.2g} nats")
def induced_mean(induced: pd.DataFrame, *, name: str) -> Sample:
    """Mean over k and inner α of the ``gap`` or of Jensen's part (nats)."""
    return column(inner(induced), name, "mixes")


@measure("{:.1%}")
def bound_used(induced: pd.DataFrame, *, at: str = "median") -> Sample:
    """Gap over its bound √2 · error, over k and inner α: the ``"median"`` or the ``"most"``."""
    rows = inner(induced)
    ratios = rows.assign(ratio=rows["gap"] / (2**0.5 * rows["error"]))
    return column(ratios, "ratio", "mixes", middle if at == "median" else np.nanmax)


@measure("{:.0%}")
def under_chord(induced: pd.DataFrame) -> Sample:
    """Share of k and inner α whose loss is not over the chord of its ends."""
    return column(inner(induced), "excess", "mixes", lambda rows: float(np.mean(rows <= 0)))


@measure("{:.2f}")
def from_other_weights(control: pd.DataFrame, *, name: str) -> Sample:
    """A column's mean for two networks from different random weights."""
    return column(control, name, "seeds")


@measure(times)
def other_weights_over_copies(control: pd.DataFrame, induced: pd.DataFrame, *, name: str) -> Sample:
    """The ``gap`` or ``error`` from different random weights over that of copies at smallest k."""
    rows = inner(induced)
    copies = rows[rows["k"] == rows["k"].min()].groupby("seed")[name].mean()
    both = pd.concat([control.groupby("seed")[name].mean(), copies], axis=1)

    def ratio(rows: Values) -> float:
        other, own = np.nanmean(rows, axis=0)
        return float(other / own)

    return Sample(both.to_numpy(float), both.index.tolist(), "seeds", ratio)


def inner(induced: pd.DataFrame) -> pd.DataFrame:
    """Without both ends of the line, where everything is exact."""
    return induced[~induced["alpha"].isin([0, 1])]


def _from(
    spawning: pd.DataFrame, names: Sequence[str], condition: Callable[[Values], Values]
) -> Sample:
    epochs = np.sort(spawning["k"].unique())

    def first(rows: Values) -> float:
        # Where the condition holds, counted from the last k.
        holds = np.cumprod(condition(rows.mean(axis=0))[::-1])
        return float(epochs[-int(holds.sum())]) if holds.any() else float("nan")

    return _spawned(spawning, names, first).pooled()


def _spawned(
    spawning: pd.DataFrame, names: Sequence[str], statistic: Callable[[Values], float]
) -> Sample:
    """Shape (seeds, names, k), of the seeds that have every k."""
    values, seeds = cube(long(spawning, ["seed", "k"], names), [], name=names, k=None)
    return whole(values, seeds, "seeds", statistic)


def _halfway(induced: pd.DataFrame, statistic: Callable[[Values, Values], float]) -> Sample:
    """A number of the gaps and errors at the α nearest to ½."""
    off = (induced["alpha"] - 0.5).abs()
    middle = induced[np.isclose(off, off.min())]
    return _induced(middle, lambda rows: statistic(rows[:, 0].ravel(), rows[:, 1].ravel()))


def _induced(induced: pd.DataFrame, statistic: Callable[[Values], float]) -> Sample:
    """Shape (seeds and k, (gap, error, jensen), inner α)."""
    names = ("gap", "error", "jensen")
    rows = long(inner(induced), ["seed", "k", "alpha"], names)
    values, seeds = cube(rows, ["k"], name=names, alpha=None)
    return Sample(values, seeds, "values of k", statistic)
