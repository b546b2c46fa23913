"""The numbers that claims on linearized networks and on linear layers only are judged by.

As in :mod:`ctl_helpers.findings.cross_task`, a measure takes stored tables of one setting and
gives a :class:`~ctl_helpers.findings.replicates.Sample`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Sample, Values, cube, median, whole

LOW = 0.1
"""Disentangled: at most so large an error ξ, a twentieth of the images of each task."""

_FULL, _TANGENT, _OURS = MAIN = ("full", "tangent", "attention-weights")
_ABLATION = (_OURS, "attention", "block-weights", "block")


# Appendix A of the CTL paper.


@measure("{:.3g}")
def taylor_lost(single: pd.DataFrame) -> Sample:
    """Of the accuracy that fine-tuning gained, mean over tasks, what the Taylor model has not."""
    rows = single.assign(network=np.where(single["network"] == "PT", "PT", "own"))
    values, seeds = cube(
        rows, ["task"], "accuracy", network=["PT", "own"], model=["network", "taylor"]
    )

    def lost(rows: Values) -> float:
        (start, _), (tuned, taylor) = np.mean(rows, axis=0)
        return float((tuned - taylor) / (tuned - start))

    return whole(values, seeds, "tasks", lost)


@measure("{:.3g}")
def taylor_times_farther(taylor: pd.DataFrame, ctl: pd.DataFrame) -> Sample:
    """Distance over baseline of Taylor models over that of CTL, at the block where it is least.

    Replicates are tasks; CTL's share is the median over a seed's pairs that have the task.
    """
    off, seeds = _share(taylor)
    both = pd.concat([ctl, ctl.assign(i=ctl["j"])])
    mixed, _ = _share(both.groupby(["seed", "i", "layer", "metric"])["mean"].median().reset_index())

    def times(rows: Values) -> float:
        return float((median(rows[:, 0], axis=0) / median(rows[:, 1], axis=0)).min())

    return Sample(np.stack([off, mixed], axis=1), seeds, "tasks", times)


# Fine-tuning linear layers only.


@measure("{:.3g}")
def single_nearer(single: pd.DataFrame) -> Sample:
    """How much farther from all parameters' accuracy the tangent space is than linear layers."""
    return _single(single, lambda full, tangent, ours: abs(full - tangent) - abs(full - ours))


@measure("{:.3g}")
def single_behind(single: pd.DataFrame) -> Sample:
    """Accuracy of all parameters less that of linear layers only, mean over tasks."""
    return _single(single, lambda full, _, ours: full - ours)


@measure("{:.3g}")
def sum_over_tangent(addition: pd.DataFrame) -> Sample:
    """Accuracy of added task vectors, linear layers only less tangent space, mean over tasks."""
    return _added(addition, "accuracy", MAIN, lambda _, tangent, ours: ours - tangent)


@measure("{:.3g}")
def sum_over_full(addition: pd.DataFrame) -> Sample:
    """The same, tangent space less all parameters."""
    return _added(addition, "accuracy", MAIN, lambda full, tangent, _: tangent - full)


@measure("{:.3g}")
def share_over_tangent(addition: pd.DataFrame) -> Sample:
    """Normalized accuracy of added task vectors, linear layers only less tangent space."""
    return _added(addition, "share", MAIN, lambda _, tangent, ours: ours - tangent)


@measure("{:.3g}")
def share_over_full(addition: pd.DataFrame) -> Sample:
    """The same, tangent space less all parameters."""
    return _added(addition, "share", MAIN, lambda full, tangent, _: tangent - full)


@measure("{:.3g}")
def ablation_sum(addition: pd.DataFrame) -> Sample:
    """Accuracy of the sum less that of the tangent space, the least of Table 2's four rows."""
    return _added(addition, "accuracy", (_TANGENT, *_ABLATION), _least_over_first)


@measure("{:.3g}")
def ablation_share(addition: pd.DataFrame) -> Sample:
    """The same for normalized accuracy."""
    return _added(addition, "share", (_TANGENT, *_ABLATION), _least_over_first)


@measure("{:.3g}")
def region_tangent(maps: pd.DataFrame) -> Sample:
    """Share of the plane where classification is disentangled, tangent space less full."""
    return _region(maps, "classification", lambda full, tangent, _: tangent - full)


@measure("{:.3g}")
def region_ours(maps: pd.DataFrame) -> Sample:
    """The same, linear layers only less full."""
    return _region(maps, "classification", lambda full, _, ours: ours - full)


@measure("{:.3g}")
def representation_beyond(maps: pd.DataFrame) -> Sample:
    """Error of the representation (nats) where both α are over 1, linear layers only."""
    values, seeds = _beyond(maps)
    return Sample(values, seeds, "pairs", lambda rows: np.nanmean(rows[:, 0]))


@measure("{:.3g}")
def heads_degrade(maps: pd.DataFrame) -> Sample:
    """Error of classification less Pinsker's bound on the representation's, there.

    On a task's images ``√(ξ_t/2)`` with ξ_t in nats bounds the mean total variation of the two
    softmaxes, a probability as the share of changed classes is. Summed over both tasks, as both
    errors are, the bound is at most ``√ξ``.
    """
    values, seeds = _beyond(maps)
    return Sample(values, seeds, "pairs", lambda rows: np.nanmean(rows[:, 1] - np.sqrt(rows[:, 0])))


@measure("{:.3g}")
def nearer_orthogonal_than_full(cosines: pd.DataFrame) -> Sample:
    """Mean |cosine| between task vectors, all parameters over linear layers only."""
    return _angles(cosines, lambda full, _, ours: full / ours)


@measure("{:.3g}")
def nearer_orthogonal_than_tangent(cosines: pd.DataFrame) -> Sample:
    """The same, tangent space over linear layers only."""
    return _angles(cosines, lambda _, tangent, ours: tangent / ours)


@measure("{:.3g}")
def interference_of_full(interference: pd.DataFrame) -> Sample:
    """What vectors move of other tasks' embeddings over their own's: full over linear layers."""
    own = interference["i"] == interference["task"]
    rows = interference.assign(whose=np.where(own, "own", "other"))
    values, seeds = cube(rows, ["i"], "moved", paradigm=MAIN, whose=["other", "own"])

    def times(rows: Values) -> float:
        other, own = np.nanmean(rows, axis=0).T
        full, _, ours = other / own
        return float(full / ours)

    return Sample(values, seeds, "task vectors", times)


@measure("{:.3g}")
def step_time_tangent(cost: pd.DataFrame) -> Sample:
    """Time of a training step, tangent space over all parameters."""
    return _cost(cost, "seconds", lambda full, tangent, _: tangent / full)


@measure("{:.3g}")
def step_time_ours(cost: pd.DataFrame) -> Sample:
    """The same, linear layers only over all parameters."""
    return _cost(cost, "seconds", lambda full, _, ours: ours / full)


@measure("{:.3g}")
def step_memory_tangent(cost: pd.DataFrame) -> Sample:
    """Peak memory of a training step, tangent space over all parameters."""
    return _cost(cost, "bytes", lambda full, tangent, _: tangent / full)


@measure("{:.3g}")
def step_memory_ours(cost: pd.DataFrame) -> Sample:
    """The same, linear layers only over all parameters."""
    return _cost(cost, "bytes", lambda full, _, ours: ours / full)


Statistic = Callable[..., float]
"""Of a number for each paradigm."""


def _share(table: pd.DataFrame) -> tuple[Values, list[object]]:
    """Distance over baseline, shape (tasks, layers)."""
    values, seeds = cube(table, ["i"], metric=["distance", "baseline"], layer=None)
    return values[:, 0] / values[:, 1], seeds


def _by_paradigm(values: Values, seeds: list[object], unit: str, statistic: Statistic) -> Sample:
    """A statistic of each paradigm's mean over the replicates that every paradigm has.

    Values have shape (replicates, paradigms).
    """
    return whole(values, seeds, unit, lambda rows: statistic(*np.mean(rows, axis=0)))


def _single(single: pd.DataFrame, statistic: Statistic) -> Sample:
    own = single[single["network"] == single["task"]]
    values, seeds = cube(own, ["task"], "accuracy", paradigm=MAIN)
    return _by_paradigm(values, seeds, "tasks", statistic)


def _added(
    addition: pd.DataFrame, value: str, paradigms: Sequence[str], statistic: Statistic
) -> Sample:
    """At the α that held-out data chose, on test data."""
    rows = addition[addition["chosen"] & (addition["split"] == "test")]
    values, seeds = cube(rows, ["task"], value, paradigm=paradigms)
    return _by_paradigm(values, seeds, "tasks", statistic)


def _least_over_first(first: float, *others: float) -> float:
    return min(others) - first


def _region(maps: pd.DataFrame, measure: str, statistic: Statistic) -> Sample:
    rows = maps[maps["measure"] == measure]
    values, seeds = cube(
        rows.assign(low=1.0 * (rows["error"] <= LOW)), ["i", "j"], "low", paradigm=MAIN
    )
    return _by_paradigm(values, seeds, "pairs", statistic)


def _beyond(maps: pd.DataFrame) -> tuple[Values, list[object]]:
    """Errors of linear layers only where both α are over 1, (pairs, both measures, points)."""
    rows = maps[(maps["paradigm"] == _OURS) & (maps["alpha_i"] > 1) & (maps["alpha_j"] > 1)]
    measures = ["representation", "classification"]
    return cube(rows, ["i", "j"], "error", measure=measures, alpha_i=None, alpha_j=None)


def _angles(cosines: pd.DataFrame, statistic: Statistic) -> Sample:
    rows = cosines[cosines["i"] < cosines["j"]]
    values, seeds = cube(rows.assign(size=rows["cosine"].abs()), ["i", "j"], "size", paradigm=MAIN)
    return _by_paradigm(values, seeds, "pairs", statistic)


def _cost(cost: pd.DataFrame, value: str, statistic: Statistic) -> Sample:
    """Medians over repetitions."""
    values, seeds = cube(cost, ["repetition"], value, paradigm=MAIN)
    return Sample(values, seeds, "repetitions", lambda rows: statistic(*median(rows, axis=0)))
