"""Long fine-tuning: where ε leaves what it was at the usual length, and where merging suffers.

Lengths are multiples of the usual number of steps. ε is that of the worst layer, distances and
lengths of features are means over layers. Sharpness is the largest eigenvalue of each fine-tuned
network's loss, mean over both.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from ctl_helpers.analysis.levels import read_off
from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.linearity import epsilon, special_ratio
from ctl_helpers.findings.replicates import Replicates, Sample
from ctl_helpers.findings.words import times
from ctl_helpers.results.labels import Recipe

GROWN = 2.0
"""How many times its value at the usual length ε has to reach to have left it."""

FALLEN = 0.05
"""By how much merged accuracy has to fall under its best, from the usual length on, to suffer."""

STEPS = "equal steps"

_RECIPES = list(Recipe)
_NUMBERS = ("epsilon", "apart", "merged", "own", "start", "curvature")
_USUAL = 1.0

Statistic = Callable[[pd.DataFrame], float]
"""A number of one run's snapshots, whose index is the multiple, rising."""


def runs(along: pd.DataFrame) -> pd.DataFrame:
    """A row for each snapshot: ε of the worst layer, and means over layers of all else.

    Args:
        along: a row for each recipe, snapshot and layer, as the section stores it.
    """
    keys = [name for name in ("setting", "seed", "recipe", "multiple") if name in along]
    layers = along.groupby(keys)
    rows = layers.mean(numeric_only=True).assign(epsilon=layers["epsilon"].max())
    return rows.reset_index()


@measure(times)
def left_at(along: pd.DataFrame, *, what: str, recipe: str = Recipe.PLAIN) -> Sample:
    """The multiple of the usual length at which something is lost; NaN where it never is.

    Args:
        along: a row for each recipe, snapshot and layer.
        what: ``"linearity"`` where ε reaches :data:`GROWN` times its value at the usual length,
            ``"merging"`` where merged accuracy is :data:`FALLEN` under its best from there on.
        recipe: whose run.
    """
    return _of_run(along, recipe, _linearity if what == "linearity" else _merging)


@measure("{:.2f}")
def linearity_first(along: pd.DataFrame) -> Sample:
    """Doublings of the length of plain fine-tuning from linearity's leaving to merging's.

    What never leaves counts as leaving at the last snapshot, which is the least that is known.
    """

    def doublings(run: pd.DataFrame) -> float:
        last = float(run.index[-1])
        first, then = (last if math.isnan(at) else at for at in (_linearity(run), _merging(run)))
        return math.log2(then / first)

    return _of_run(along, Recipe.PLAIN, doublings)


@measure(lambda share: f"{100 * share:.0f} points")
def merged_lost(along: pd.DataFrame, *, recipe: str = Recipe.PLAIN) -> Sample:
    """The most that merged accuracy falls under its best before, from the usual length on."""
    return _of_run(along, recipe, lambda run: float(_fallen(run["merged"]).max()))


@measure("{:.0%}")
def own_gained(along: pd.DataFrame) -> Sample:
    """Own accuracy at the usual length of plain fine-tuning, less the pretrained network's."""
    return _of_run(
        along, Recipe.PLAIN, lambda run: _end(run, "own", "usual") - run["start"].iloc[0]
    )


@measure("{:.2f}")
def run_epsilon(along: pd.DataFrame, *, after: str, recipe: str = Recipe.PLAIN) -> Sample:
    """ε after the ``"usual"`` length of a recipe, or after the ``"most"``."""
    return _after(along, recipe, after, "epsilon")


@measure("{:.0%}")
def run_accuracy(along: pd.DataFrame, *, of: str, after: str, recipe: str = Recipe.PLAIN) -> Sample:
    """Accuracy of ``"merged"`` or ``"own"`` networks; other arguments of :func:`run_epsilon`."""
    return _after(along, recipe, after, of)


@measure("{:.2g}")
def run_sharpness(along: pd.DataFrame, *, after: str, recipe: str = Recipe.PLAIN) -> Sample:
    """Sharpness of the fine-tuned networks; arguments of :func:`run_epsilon`."""
    return _after(along, recipe, after, "curvature")


@measure(lambda halvings: f"{2**-halvings:.2f}×")
def aware_halvings(
    along: pd.DataFrame, *, of: str, at: str = STEPS, after: str = "usual"
) -> Sample:
    """Halvings of a number from plain fine-tuning to sharpness-aware.

    Args:
        along: a row for each recipe, snapshot and layer.
        of: ``"epsilon"`` or ``"curvature"``, which is the sharpness.
        at: :data:`STEPS`, or ``"equal displacement"`` where the features of both networks are as
            far apart as after plain fine-tuning.
        after: the length of plain fine-tuning, ``"usual"`` or ``"most"``.
    """
    return _aware(along, of, at, after, lambda plain, aware: math.log2(plain / aware))


@measure(lambda share: f"{100 * share:+.1f} points")
def aware_gain(
    along: pd.DataFrame, *, of: str = "merged", at: str = STEPS, after: str = "usual"
) -> Sample:
    """Accuracy of ``"merged"`` or ``"own"`` networks by sharpness-aware steps, less that without.

    Other arguments of :func:`aware_halvings`.
    """
    return _aware(along, of, at, after, lambda plain, aware: aware - plain)


@measure("{:.2f}")
def run_control(controls: pd.DataFrame, *, control: str, after: str) -> Sample:
    """ε of a control, mean over layers, after the ``"usual"`` length or the ``"most"``."""
    return epsilon(_controls_after(controls, after), control=control, at="mean")


@measure("{:.2f}")
def run_random_ratio(controls: pd.DataFrame, *, after: str) -> Sample:
    """ε of task vectors over ε of random vectors that move features as far, means over layers."""
    return special_ratio(_controls_after(controls, after))


def _controls_after(controls: pd.DataFrame, after: str) -> pd.DataFrame:
    place = _USUAL if after == "usual" else controls["multiple"].max()
    return controls[controls["multiple"] == place]


def _linearity(run: pd.DataFrame) -> float:
    late = run.loc[_USUAL:, "epsilon"]
    return read_off(late, late.index, GROWN * late.iloc[0])


def _merging(run: pd.DataFrame) -> float:
    kept = 1 - _fallen(run["merged"])
    return read_off(kept, kept.index, 1 - FALLEN)


def _fallen(merged: pd.Series) -> pd.Series:
    """How far under its best so far, from the usual length on."""
    late = merged.loc[_USUAL:]
    return late.cummax() - late


def _after(along: pd.DataFrame, recipe: str, after: str, name: str) -> Sample:
    return _of_run(along, recipe, lambda run: _end(run, name, after))


def _end(run: pd.DataFrame, name: str, after: str) -> float:
    return float(run[name].iloc[-1] if after == "most" else run[name][_USUAL])


def _of_run(along: pd.DataFrame, recipe: str, statistic: Statistic) -> Sample:
    """A number of each seed's run of a recipe."""
    return _of_runs(along, lambda both: statistic(both[Recipe(recipe)]))


def _aware(
    along: pd.DataFrame, of: str, at: str, after: str, differ: Callable[[float, float], float]
) -> Sample:
    """A number of sharpness-aware runs beside plain ones."""

    def of_both(both: dict[Recipe, pd.DataFrame]) -> float:
        plain, aware = both[Recipe.PLAIN], both[Recipe.AWARE]
        if at == STEPS:
            there = _end(aware, of, after)
        else:
            there = read_off(aware["apart"], aware[of], _end(plain, "apart", after))
        return differ(_end(plain, of, after), there)

    return _of_runs(along, of_both)


def _of_runs(along: pd.DataFrame, statistic: Callable[..., float]) -> Sample:
    rows = runs(along)
    numbers = rows.assign(recipe=rows["recipe"].map(_RECIPES.index))
    columns = ["recipe", "multiple", *_NUMBERS]

    def of_seed(values: np.ndarray) -> float:
        table = pd.DataFrame(values, columns=columns).set_index("multiple")
        by_recipe = {_RECIPES[int(code)]: run for code, run in table.groupby("recipe")}
        return statistic(by_recipe)

    whose = Replicates(rows["seed"].tolist(), [()] * len(rows))
    return Sample(numbers[columns].to_numpy(float), whose, "seeds", of_seed)
