"""The linearity error ε and lengths, beside the controls of every section that measures linearity.

A control table holds the same comparisons under each label of
:class:`~ctl_helpers.results.labels.Control`, at one point of the grid.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Replicates, Sample, Values, cube, ends, largest_mean
from ctl_helpers.findings.words import plain
from ctl_helpers.results.labels import Control, Metric, Scheme, Weights

HALF = 0.5
"""The ε at which a mix is half way to being no nearer than one of its parts."""


def controls_in(table: pd.DataFrame) -> list[Control]:
    """Task vectors and the controls that a table has, in the order of their labels.

    Random weights are a control beside published networks alone.
    """
    return [one for one in Control if (table["control"] == one).any()]


@measure("{:.2f}")
def epsilon(controls: pd.DataFrame, *, control: str = Control.TASK_VECTORS, at: str) -> Sample:
    """ε of a control or of task vectors, mean over pairs.

    Args:
        controls: a control table.
        control: which of its labels.
        at: ``"worst"`` for the layer where ε of task vectors is largest, ``"last"`` for the last
            layer, or ``"mean"`` over layers.
    """
    return _beside(controls, Metric.EPSILON, control, at)


@measure("{:.2g}")
def features_apart(
    controls: pd.DataFrame, *, control: str = Control.TASK_VECTORS, at: str
) -> Sample:
    """1 − cosine of what is mixed, mean over pairs; arguments of :func:`epsilon`."""
    return _beside(controls, Metric.BASELINE, control, at)


@measure("{:.2f}")
def length_spread(
    controls: pd.DataFrame, *, control: str = Control.TASK_VECTORS, at: str
) -> Sample:
    """Root mean square over samples of ``coef − 1``, mean over pairs; arguments of :func:`epsilon`.

    From a table's mean m and standard deviation s of n samples: ``√((m − 1)² + s²(n − 1)/n)``.
    """
    rows = controls[controls["metric"] == Metric.COEF]
    spread = rows["std"].fillna(0) ** 2 * (rows["n"] - 1) / rows["n"]
    squared = (rows["mean"] - 1) ** 2 + spread
    return _beside(rows.assign(mean=np.sqrt(squared)), Metric.COEF, control, at)


@measure("{:.2f}")
def special_ratio(controls: pd.DataFrame) -> Sample:
    """ε of task vectors over ε of random vectors of equal effect, means over pairs and layers."""
    values, rows = _values(controls, Metric.EPSILON, [Control.TASK_VECTORS, Control.RANDOM])

    def ratio(pairs: Values) -> float:
        own, random = np.nanmean(pairs, axis=(0, 2))
        return float(own / random)

    return Sample(values, rows, _unit(controls)[1], ratio)


@measure("{:.2f}")
def half_linear(table: pd.DataFrame) -> Sample:
    """The λ at which ε reaches ½ at the worst block, on a line through log λ and log ε.

    The largest λ of the grid where ε stays under ½ up to it.
    """
    rows = table[table["metric"] == Metric.EPSILON]
    keys, unit = _unit(table)
    values, replicates = cube(rows, keys, layer=None, lam=None)
    grid = np.log(sorted(rows["lam"].unique()))

    def crossing(pairs: Values) -> float:
        worst = np.log(np.nanmax(np.nanmean(pairs, axis=0), axis=0))
        over = np.flatnonzero(worst >= np.log(HALF))
        if not len(over) or over[0] == 0:
            return float(np.exp(grid[0 if len(over) else -1]))
        before, after = over[0] - 1, over[0]
        part = (np.log(HALF) - worst[before]) / (worst[after] - worst[before])
        return float(np.exp(grid[before] + part * (grid[after] - grid[before])))

    return Sample(values, replicates, unit, crossing)


@measure("{:.2f}")
def epsilon_growth(many: pd.DataFrame) -> Sample:
    """Doublings of ε from mixes of fewest networks to the mix of most, where weights are equal.

    Means over draws and layers before the ratio. There is one mix of most, so seeds are drawn.
    """
    rows = many[many["metric"] == Metric.EPSILON]
    rows = rows[rows["weights"] == Weights.EQUAL] if "weights" in rows else rows
    values, replicates = cube(rows, [], k=None)
    return Sample(values, replicates, "seeds", lambda k: float(np.log2(ends(k[0]))))


@measure(plain)
def mix_level(table: pd.DataFrame, *, at: str, metric: str = Metric.EPSILON) -> Sample:
    """A metric of mixes of ever more parts, mean over draws and layers; ε if not another one.

    Args:
        table: by number of parts ``k``. Of several kinds of weights the equal ones count, of
            several schemes of α that which shrinks.
        at: the ``"fewest"`` parts or the ``"most"``.
    """
    rows = table[table["metric"] == metric]
    for name, kind in (("weights", Weights.EQUAL), ("scheme", Scheme.FALLING)):
        rows = rows[rows[name] == kind] if name in rows else rows
    values, replicates = cube(rows, [], k=None)
    place = {"fewest": 0, "most": -1}[at]
    return Sample(values, replicates, "seeds", lambda k: float(np.nanmean(k[:, place])))


@measure("{:.2f}")
def displacement_off(displacement: pd.DataFrame) -> Sample:
    """How far random vectors are from moving features as far as task vectors do, 1 being as far.

    The mean over vectors of ``|moved − 1|`` at the layer where it is largest.
    """
    unit = ["i", *(name for name in ("objective", "steps") if name in displacement)]
    values, rows = cube(displacement, unit, "moved", layer=None)
    return Sample(abs(values - 1), rows, "networks", largest_mean)


def _beside(table: pd.DataFrame, metric: Metric, control: str, at: str) -> Sample:
    values, rows = _values(table, metric, [Control.TASK_VECTORS, Control(control)])
    place: dict[str, Callable[[Values], int]] = {
        "worst": lambda own: int(np.nanargmax(own)),
        "last": lambda own: len(own) - 1,
    }

    def number(pairs: Values) -> float:
        if np.isnan(pairs).all(axis=(0, 2)).any():  # a control that this setting does not have
            return float("nan")
        own, asked = np.nanmean(pairs, axis=0)
        return float(np.nanmean(asked) if at == "mean" else asked[place[at](own)])

    return Sample(values, rows, _unit(table)[1], number)


def _values(
    table: pd.DataFrame, metric: Metric, controls: list[Control]
) -> tuple[Values, Replicates]:
    """Shape (pairs, controls, layers), layers in the table's order."""
    rows = table[table["metric"] == metric]
    layers = list(dict.fromkeys(rows["layer"]))
    return cube(rows, _unit(table)[0], control=controls, layer=layers)


def _unit(table: pd.DataFrame) -> tuple[list[str], str]:
    """The columns that name a comparison's networks, and what these are."""
    names = [name for name in ("i", "j") if name in table]
    if names:
        return names, "networks"
    return (["models"], "networks") if table["models"].nunique() > 1 else ([], "seeds")
