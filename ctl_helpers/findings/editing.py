"""Numbers on what task vectors do to features: Equations 2 and 3, controls and Theorem 4.3.

A measure takes stored tables of one setting and gives a
:class:`~ctl_helpers.findings.replicates.Sample`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import (
    Replicates,
    Sample,
    Values,
    column,
    cube,
    largest_mean,
    median,
    whole,
)
from ctl_helpers.findings.words import FLOOR, plain
from ctl_helpers.results.labels import PAPER_LAMBDA, Metric, Scheme

_METRICS = [Metric.BASELINE, Metric.DISTANCE]


@measure("{:.0f} times")
def edit_times_nearer(
    table: pd.DataFrame, *, at: str = "median", lam: float = PAPER_LAMBDA
) -> Sample:
    """Baseline over distance, median over edits.

    Args:
        at: ``"median"`` over blocks as well, or ``"least"`` for the block where it is least.
    """
    values, seeds = cube(_at(table, lam), _unit(table), metric=_METRICS, layer=None)
    over_blocks = {"median": median, "least": lambda rows: median(rows, axis=0).min()}
    return _edits(table, values[:, 0] / values[:, 1], seeds, over_blocks[at])


@measure(plain)
def edit_worst_distance(table: pd.DataFrame) -> Sample:
    """1 − cosine at λ = 0.4, each block's median over edits, where it is largest."""
    values, seeds = cube(_at(table), _unit(table), metric=[Metric.DISTANCE], layer=None)
    return _edits(table, values, seeds, lambda rows: median(rows, axis=(0, 1)).max())


def worst_block(table: pd.DataFrame, metric: str = Metric.DISTANCE) -> str:
    """The block where the median over edits of a metric is largest, in one setting's table."""
    rows = _at(table)
    rows = blocks(rows[rows["metric"] == metric].assign(setting=""))
    edits = rows.groupby([*_unit(rows), "seed", "layer"], sort=False)["mean"].mean()
    return str(edits.groupby("layer", sort=False).median().idxmax())


@measure("{:.2f}")
def edit_extreme_length(table: pd.DataFrame, *, least: bool) -> Sample:
    """The least or the largest coef of an edit at a block, λ = 0.4."""
    values, seeds = cube(_at(table), _unit(table), metric=[Metric.COEF], layer=None)
    return _edits(table, values, seeds, np.nanmin if least else np.nanmax)


@measure("{:.1%}")
def edit_drawn_length(histograms: pd.DataFrame, *, last: int | None, lam: float) -> Sample:
    """Mean coef at a λ over edits and over the last blocks, from a histogram."""
    layers = list(dict.fromkeys(histograms["layer"]))[-(last or 0) :]
    rows = _at(histograms[histograms["layer"].isin(layers)], lam)
    weighted = rows.assign(mean=rows["share"] * (rows["low"] + rows["high"]) / 2)
    sums = weighted.groupby(["seed", *_unit(rows)])[["mean", "share"]].sum().reset_index()
    return _edits(
        rows,
        sums[["mean", "share"]].to_numpy(float),
        sums["seed"].tolist(),
        lambda parts: float(np.divide(*parts.sum(axis=0))),
    )


@measure(plain)
def edit_mean(
    table: pd.DataFrame, *, metric: str, lam: float = PAPER_LAMBDA, **only: str
) -> Sample:
    """A metric's mean over edits and blocks, at a λ.

    Args:
        only: column → its one value; of ``layer``, a part of its name, such as ``"decoder"``.
    """
    return _mean(table, metric, lam, only)


@measure("{:.3f}")
def edit_mean_length(table: pd.DataFrame, **only: str) -> Sample:
    """The mean of coef, as :func:`edit_mean`."""
    return _mean(table, Metric.COEF, PAPER_LAMBDA, only)


@measure("{:.1f} times")
def edit_growth(table: pd.DataFrame, *, step: int) -> Sample:
    """By what ε grows when λ doubles, from a λ of the grid to the next.

    Args:
        step: which of the steps; −1 for the last one.
    """
    rows = table[table["metric"] == Metric.EPSILON]
    values, seeds = cube(rows, _unit(table), lam=None)
    logs = np.log2(sorted(table["lam"].unique()))

    def grown(curves: Values) -> float:
        slopes = np.diff(np.log2(curves.mean(axis=0))) / np.diff(logs)
        return float(2 ** slopes[step]) if len(slopes) else float("nan")

    return whole(values, seeds, "task vectors", grown)


@measure("{:.2g}")
def edit_excess(table: pd.DataFrame) -> Sample:
    """Distance over the square of the baseline, median over blocks and λ; means over edits."""
    rows = table[table["metric"].isin(_METRICS)]
    values, seeds = cube(rows, _unit(table), metric=_METRICS, lam=None, layer=None)

    def excess(edits: Values) -> float:
        baseline, distance = np.nanmean(edits, axis=0)
        seen = (baseline >= FLOOR) & (distance >= FLOOR)
        ratios = np.log(distance[seen] / baseline[seen] ** 2)
        return float(np.exp(np.median(ratios))) if seen.any() else float("nan")

    return _edits(table, values, seeds, excess)


@measure(plain)
def theorem_distance(theorem: pd.DataFrame) -> Sample:
    """1 − cosine with the most task vectors, at the block and scheme of α where it is largest."""
    values, seeds = _last(theorem, Metric.DISTANCE)
    return Sample(values, seeds, "seeds", largest_mean)


@measure("{:.2g} times")
def theorem_nearer(theorem: pd.DataFrame) -> Sample:
    """Baseline over distance with the most task vectors, median over blocks, the smaller one.

    In units of k + 1. If ``θ_PT``'s feature were taken for the left side, and the parts on the
    right differed from it by equally long vectors, orthogonal to each other, baseline over distance
    would be k + 1: the baseline goes with k / (k + 1), the distance with k / (k + 1)².
    """
    baseline, seeds = _last(theorem, Metric.BASELINE)
    distance, _ = _last(theorem, Metric.DISTANCE)
    ratio = baseline / distance / (theorem["k"].max() + 1)
    return Sample(ratio, seeds, "seeds", lambda rows: median(rows, axis=(0, 2)).min())


@measure(plain)
def theorem_mean(theorem: pd.DataFrame, *, metric: str, scheme: str) -> Sample:
    """A metric with the most task vectors, mean over blocks, for one scheme of α."""
    values, seeds = _last(theorem[theorem["scheme"] == scheme], metric)
    return Sample(values, seeds, "seeds", np.nanmean)


@measure("{:.3f}")
def theorem_mean_length(theorem: pd.DataFrame, *, scheme: Scheme) -> Sample:
    """The same of coef."""
    return theorem_mean(theorem, metric=Metric.COEF, scheme=scheme)


@measure("{:.0%}")
def nearest_share(nearest: pd.DataFrame, *, chance: bool = False) -> Sample:
    """Of the images that move most along a task vector, or of all, how many are of its kind."""
    return column(nearest, "chance" if chance else "own", "task vectors")


@measure("{:.0f}")
def nearest_classes(nearest: pd.DataFrame) -> Sample:
    """To how many classes they belong, mean over task vectors."""
    return column(nearest, "classes", "task vectors")


def blocks(table: pd.DataFrame) -> pd.DataFrame:
    """The table with each setting's layers called block 1, block 2, … in their order.

    Of a network with an encoder and a decoder they are encoder 1, …, decoder 1, ….
    """
    names = {}
    for setting, rows in table.groupby("setting", sort=False):
        counts: Counter[str] = Counter()
        for layer in dict.fromkeys(rows["layer"]):
            side = next((side for side in ("encoder", "decoder") if f".{side}." in layer), "block")
            counts[side] += 1
            names[setting, layer] = f"{side} {counts[side]}"
    both = zip(table["setting"], table["layer"], strict=True)
    return table.assign(layer=[names[key] for key in both])


def nearest_to(values: Iterable[float], wanted: float) -> float:
    """The one of some values that is nearest to a wanted one."""
    return float(min(values, key=lambda value: abs(value - wanted)))


def _unit(table: pd.DataFrame) -> list[str]:
    """The columns that name an edit: a pair of task vectors, or a single one."""
    return [name for name in ("i", "j") if name in table]


def _at(table: pd.DataFrame, lam: float = PAPER_LAMBDA) -> pd.DataFrame:
    return table[np.isclose(table["lam"], lam)]


def _mean(table: pd.DataFrame, metric: str, lam: float, only: dict[str, str]) -> Sample:
    rows = _at(table[table["metric"] == metric], lam)
    for name, value in only.items():
        names = rows[name]
        inside = ("." + names + ".").str.contains(f".{value}.", regex=False)
        rows = rows[inside if name == "layer" else names == value]
    values, seeds = cube(rows, _unit(table), metric=[metric])
    return _edits(table, values, seeds, np.nanmean)


def _edits(
    table: pd.DataFrame,
    values: Values,
    seeds: Replicates,
    statistic: Callable[[Values], float],
) -> Sample:
    return Sample(values, seeds, "task vectors", statistic)


def _last(theorem: pd.DataFrame, metric: str) -> tuple[Values, Replicates]:
    """A metric with the most task vectors, shape (seeds, schemes, blocks)."""
    rows = theorem[(theorem["k"] == theorem["k"].max()) & (theorem["metric"] == metric)]
    return cube(rows, [], scheme=None, layer=None)
