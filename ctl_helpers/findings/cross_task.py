"""Section 4.1: loss and features on the line between two fine-tuned networks."""

from __future__ import annotations

from collections.abc import Callable

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
    middle,
)
from ctl_helpers.findings.words import times
from ctl_helpers.results.labels import Control, Metric, Role

NO_BUMP = 0.05
"""Nats that a loss may get over the chord of its ends without a bump to speak of."""

_PRETRAINED = "PT"


@measure("{:.0%}")
def tuned_accuracy(accuracy: pd.DataFrame, *, task: str) -> Sample:
    """Mean accuracy of fine-tuned networks.

    Args:
        accuracy: of every network on every task.
        task: the ``"own"`` one, those of ``"other"`` networks or the ``"pretraining"`` task.
    """
    tuned = accuracy[accuracy["network"] != _PRETRAINED]
    own = tuned["network"] == tuned["task"]
    downstream = tuned["task"].isin(tuned.loc[own, "task"])
    rows = {"own": own, "other": downstream & ~own, "pretraining": ~downstream}[task]
    return column(tuned[rows], "accuracy", "accuracies")


# Loss.


@measure("{:.2f} nats")
def loss_rise(barriers: pd.DataFrame, *, tasks: str = "all") -> Sample:
    """Median over pairs and tasks of how far the loss gets over its better end (nats).

    Args:
        barriers: a row per line and task.
        tasks: ``"all"``, ``"both"`` of a pair, or ``"pretraining"`` alone, which neither end was
            fine-tuned on.
    """
    third = (barriers["task"] != barriers["i"]) & (barriers["task"] != barriers["j"])
    rows = {"all": third | True, "both": ~third, "pretraining": third}[tasks]
    return _lines(barriers[rows], "rise", middle)


@measure("{:.2f} nats")
def loss_barrier(barriers: pd.DataFrame, *, at: str = "median") -> Sample:
    """How far the loss gets over the chord of its ends (nats), over pairs and tasks.

    Args:
        barriers: a row per line and task.
        at: ``"median"`` or ``"most"``.
    """
    return _lines(barriers, "barrier", middle if at == "median" else np.nanmax)


@measure("{:.2f} nats")
def valley(paths: pd.DataFrame, *, under: str = "chord") -> Sample:
    """How deep the loss on the pretraining task falls half way between two networks, median (nats).

    Args:
        paths: the loss along lines, with the role of each task.
        under: ``"chord"`` for the depth at α = ½ under the mean of both ends, ``"ends"`` for that
            under the better end; negative where the loss is over it.
    """
    rows = paths[paths["role"] == Role.PRETRAINING]
    rows = rows[rows["alpha"].isin([0, 0.5, 1])]
    values, replicates = cube(rows, ["i", "j"], "loss", alpha=[0, 0.5, 1])
    ends = values[:, [0, 2]]
    level = ends.mean(axis=1) if under == "chord" else ends.min(axis=1)
    return Sample(level - values[:, 1], replicates, "networks", middle)


@measure("{:.0%}")
def lines_without_bump(barriers: pd.DataFrame) -> Sample:
    """Share of pairs and tasks whose loss gets over its chord by at most :data:`NO_BUMP`."""
    return column(barriers, "barrier", "lines", lambda rows: float(np.mean(rows <= NO_BUMP)))


# Features.


@measure(times)
def times_nearer(
    direction: pd.DataFrame, *, at: str = "median", control: str | None = None
) -> Sample:
    """Baseline over distance at α = 0.5, median over pairs.

    Args:
        direction: a comparison over pairs and layers.
        at: ``"median"`` over layers as well, ``"least"`` for the layer where it is least, or a
            layer's name.
        control: which of several comparisons in the table.
    """
    rows = direction[np.isclose(direction["alpha"], 0.5)]
    if control is not None:
        rows = rows[rows["control"] == control]
    if at not in ("median", "least"):
        rows = rows[rows["layer"] == at]
    metrics = [Metric.BASELINE, Metric.DISTANCE]
    values, seeds = cube(rows, ["i", "j"], metric=metrics, layer=None)
    statistic = _smallest_median if at == "least" else middle
    return Sample(values[:, 0] / values[:, 1], seeds, "networks", statistic)


@measure("{:.0%}")
def quartiles_apart(direction: pd.DataFrame) -> Sample:
    """Share of pairs, α and layers whose distance and baseline have quartiles that lie apart."""
    keys = ["seed", "i", "j", "alpha", "layer"]
    wide = direction.pivot_table(["q25", "q75"], keys, "metric").reset_index()
    apart = wide["q75", Metric.DISTANCE] < wide["q25", Metric.BASELINE]
    return Sample(apart.to_numpy(float), wide["seed"].tolist(), "comparisons", np.mean)


@measure("{:.2f}")
def length_error(direction: pd.DataFrame, *, at: str = "mean") -> Sample:
    """|1 − coef|, coef being the mean over samples.

    Args:
        direction: a comparison over pairs, α and layers.
        at: ``"mean"`` over all of them, or ``"most"``: at the layer and α where the mean over pairs
            is largest.
    """
    values, seeds = _features(direction, Metric.COEF)
    statistic = largest_mean if at == "most" else np.nanmean
    return Sample(abs(1 - values), seeds, "networks", statistic)


@measure("{:.2f}")
def length(direction: pd.DataFrame, *, at: str, alpha: float | None = None) -> Sample:
    """Coef, the mean over samples, over pairs, α and layers.

    Args:
        direction: a comparison over pairs, α and layers.
        alpha: the only α; all of them if None.
        at: ``"median"``, ``"least"``, ``"early"`` for the least layer's mean but for the last
            three, or a layer's name for its mean.
    """
    rows = direction[direction["metric"] == Metric.COEF]
    if alpha is not None:
        rows = rows[np.isclose(rows["alpha"], alpha)]
    layers = list(dict.fromkeys(rows["layer"]))
    chosen = {"median": layers, "least": layers, "early": layers[:-3]}.get(at, [at])
    values, seeds = cube(rows, ["i", "j"], layer=chosen, alpha=None)
    statistics: dict[str, Callable[[Values], float]] = {
        "median": middle,
        "least": np.nanmin,
        "early": lambda rows: np.nanmean(rows, axis=(0, 2)).min(),
    }
    return Sample(values, seeds, "networks", statistics.get(at, np.nanmean))


@measure("{:.0%}")
def too_short(direction: pd.DataFrame) -> Sample:
    """Share of pairs, α and layers with a coef under 1."""
    rows = direction[direction["metric"] == Metric.COEF]
    return column(rows, "mean", "comparisons", lambda values: float(np.mean(values < 1)))


@measure("{:.0%}")
def drawn_length(histograms: pd.DataFrame) -> Sample:
    """Mean coef over samples, pairs, α and layers, of histograms."""
    middle = (histograms["low"] + histograms["high"]) / 2
    summed = histograms.assign(coef=middle * histograms["share"])
    pairs = summed.groupby(["seed", "i", "j"], sort=False)[["coef", "share"]].sum()
    seeds = pairs.index.get_level_values("seed").tolist()

    def mean(rows: Values) -> float:
        coef, share = rows.sum(axis=0)
        return float(coef / share)

    return Sample(pairs.to_numpy(), seeds, "pairs", mean)


# Null controls.


@measure("{:.2f}")
def control_length(controls: pd.DataFrame, *, control: str) -> Sample:
    """At the output: mean coef over pairs, of task vectors or of a control."""
    rows = controls[controls["layer"] == controls["layer"].iloc[-1]]
    rows = rows[rows["metric"] == Metric.COEF]
    values, replicates = cube(rows, ["i", "j"], control=[Control(control)])
    return Sample(values, replicates, "networks", np.nanmean)


@measure("{:.0%}")
def common_logits(common: pd.DataFrame) -> Sample:
    """Of the logits' squared length, the share that is their mean over a task's images."""
    return column(common, "share", "networks")


def _lines(barriers: pd.DataFrame, name: str, statistic: Callable[[Values], float]) -> Sample:
    lines = barriers.assign(line=barriers.groupby(["seed", "i", "j"]).cumcount())
    values, seeds = cube(lines, ["i", "j"], name, line=None)
    return Sample(values, seeds, "networks", statistic)


def _features(direction: pd.DataFrame, metric: Metric) -> tuple[Values, Replicates]:
    """Shape (pairs, 1, α, layers)."""
    return cube(direction, ["i", "j"], metric=[metric], alpha=None, layer=None)


def _smallest_median(rows: Values) -> float:
    return float(median(rows, axis=0).min())
