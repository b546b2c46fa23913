"""Numbers on three ways to fine-tune: all parameters, the tangent space, linear layers only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import Finding, Measure, measure
from ctl_helpers.findings.replicates import Replicates, Sample, Values, cube, rows_of, whole
from ctl_helpers.findings.words import plain
from ctl_helpers.results.labels import MAIN_PARADIGMS, PAPER_LAMBDA, Metric, Output, Paradigm

ByParadigm = dict[Paradigm, dict[str, Finding]]
"""Paradigm → setting → finding."""

_OURS = Paradigm.ATTENTION_WEIGHTS
_ALPHAS = ("alpha_i", "alpha_j")
_TASKS, _PAIRS = ("task",), ("i", "j")
_UNITS = {(): "seeds", _TASKS: "tasks", _PAIRS: "task vectors"}


def by_paradigm(measure: Measure, table: pd.DataFrame, **arguments: object) -> ByParadigm:
    """A measure of each of the three paradigms."""
    return {name: measure.by_setting(table, paradigm=name, **arguments) for name in MAIN_PARADIGMS}


def in_order(findings: ByParadigm, best: str = "lowest") -> list[Paradigm]:
    """The paradigms with the ``"lowest"`` or the ``"highest"`` first, on average over settings."""
    means = {name: np.mean([float(one) for one in of.values()]) for name, of in findings.items()}
    return sorted(means, key=lambda name: means[name], reverse=best == "highest")


@measure("{:.1%}")
def paradigm_accuracy(single: pd.DataFrame, *, paradigm: str) -> Sample:
    """Accuracy of each task's own network, mean over tasks; of θ_PT where it is ``PT``."""
    if paradigm == "PT":
        return _mean(single[single["network"] == "PT"], "accuracy", *_TASKS)
    own = _own(single)
    return _mean(own[own["paradigm"] == paradigm], "accuracy", *_TASKS)


@measure("{:.3g}")
def single_nearer(single: pd.DataFrame) -> Sample:
    """How much farther from all parameters' accuracy the tangent space is than linear layers."""

    def nearer(mean: Mapping[str, float]) -> float:
        full = mean[Paradigm.FULL]
        return abs(full - mean[Paradigm.TANGENT]) - abs(full - mean[_OURS])

    return _compared(_own(single), "accuracy", _TASKS, nearer)


@measure(lambda share: f"{-100 * share:+.1f} points")
def single_behind(single: pd.DataFrame, *, paradigm: str, over: str = "full") -> Sample:
    """How far a paradigm's accuracy on single tasks is behind another's, mean over tasks.

    It is written as what a reader looks for, the paradigm's lead: with the other sign.
    """
    return _less(_own(single), "accuracy", _TASKS, over, paradigm)


@measure("{:.3g}")
def own_over_pretrained(single: pd.DataFrame, *, paradigm: str) -> Sample:
    """Accuracy of tasks' own networks less that of θ_PT, mean over tasks: is anything learned?"""
    own = _own(single)
    rows = [own[own["paradigm"] == paradigm], _start(single)]
    return _less(pd.concat(rows), "accuracy", _TASKS, paradigm, "PT")


@measure("{:.0%}")
def sum_reached(addition: pd.DataFrame, *, paradigm: str, value: str = "share") -> Sample:
    """Mean over tasks of what all task vectors added reach at the chosen α, on test data.

    Args:
        value: ``accuracy``, or ``share``: of the accuracy of the tasks' own networks.
    """
    rows = _at_chosen(addition)
    return _mean(rows[rows["paradigm"] == paradigm], value, *_TASKS)


@measure("{:.2g}")
def sum_alpha(addition: pd.DataFrame, *, paradigm: str) -> Sample:
    """The chosen α, mean over seeds."""
    rows = _at_chosen(addition)
    return _mean(rows[rows["paradigm"] == paradigm], "alpha")


@measure("{:.3g}")
def sum_over(addition: pd.DataFrame, *, paradigm: str, over: str, value: str) -> Sample:
    """:func:`sum_reached` of a paradigm less that of another."""
    return _less(_at_chosen(addition), value, _TASKS, paradigm, over)


@measure("{:.3g}")
def mean_xi(maps: pd.DataFrame, *, paradigm: str, over: str, measure: str) -> Sample:
    """Mean disentanglement error for 0 ≤ α ≤ 1 of another paradigm less that of this one.

    Args:
        measure: of ``"classification"`` or ``"representation"``.
    """
    return _less(_square(maps, measure), "error", _PAIRS, over, paradigm)


@measure(lambda nats: f"{plain(nats)} nats")
def representation_inside(maps: pd.DataFrame, *, paradigm: str) -> Sample:
    """Mean error of the representation (nats) for 0 ≤ α ≤ 1."""
    return _inside(maps, Output.REPRESENTATION, paradigm)


@measure("{:.1%}")
def classification_inside(maps: pd.DataFrame, *, paradigm: str) -> Sample:
    """Mean error of classification for 0 ≤ α ≤ 1."""
    return _inside(maps, Output.CLASSIFICATION, paradigm)


@measure("{:.2f}")
def scale_free_beyond(maps: pd.DataFrame, *, paradigm: str = _OURS) -> Sample:
    """How far the other vector moves embeddings over how far the own one does, both α over 1.

    Mean over points, pairs and both tasks: 1 where the other task's vector moves them as far.
    """
    values, rows = _beyond(maps, paradigm)
    return Sample(values, rows, "task vectors", lambda rows: float(np.mean(rows[:, 0])))


@measure("{:.0%}")
def classification_beyond(maps: pd.DataFrame, *, paradigm: str = _OURS) -> Sample:
    """Share of predictions that the other vector changes, there."""
    values, rows = _beyond(maps, paradigm)
    return Sample(values, rows, "task vectors", lambda rows: float(np.mean(rows[:, 1])))


@measure("{:.2f}")
def heads_degrade(maps: pd.DataFrame, *, paradigm: str = _OURS) -> Sample:
    """:func:`classification_beyond` less :func:`scale_free_beyond`: what heads add to the error."""
    values, rows = _beyond(maps, paradigm)
    return Sample(
        values, rows, "task vectors", lambda rows: float(np.mean(rows[:, 1] - rows[:, 0]))
    )


@measure(plain)
def mean_cosine(cosines: pd.DataFrame, *, paradigm: str) -> Sample:
    """Mean |cosine| between the task vectors of two tasks."""
    rows = _angles(cosines)
    return _mean(rows[rows["paradigm"] == paradigm], "size", *_PAIRS)


@measure("{:.3g}")
def nearer_orthogonal(cosines: pd.DataFrame, *, over: str) -> Sample:
    """The same, a paradigm over linear layers only."""
    both = (over, _OURS)
    return _compared(_angles(cosines), "size", _PAIRS, lambda mean: mean[over] / mean[_OURS], both)


@measure("{:+.2f}")
def orthogonal_doublings(cosines: pd.DataFrame, *, over: str) -> Sample:
    """:func:`nearer_orthogonal` in doublings, so that its sign says which is nearer."""
    ratio = nearer_orthogonal(cosines, over=over)
    return replace(ratio, statistic=lambda rows: float(np.log2(ratio.statistic(rows))))


@measure("{:.2f}")
def interference(moved: pd.DataFrame, *, paradigm: str, over: str | None = None) -> Sample:
    """What vectors move of other tasks' embeddings over their own's; over another paradigm's."""
    own = moved["i"] == moved["task"]
    rows = moved.assign(whose=np.where(own, "own", "other"))
    names = [paradigm] if over is None else [paradigm, over]
    values, seeds = cube(rows, ["i"], "moved", paradigm=names, whose=["other", "own"])

    def times(rows: Values) -> float:
        other, own = np.nanmean(rows, axis=0).T
        ratios = other / own
        return float(ratios[0] if over is None else ratios[0] / ratios[1])

    return Sample(values, seeds, "task vectors", times)


@measure(plain)
def paradigm_epsilon(linear: pd.DataFrame, *, paradigm: str) -> Sample:
    """The linearity error ε of Equation 2, mean over blocks and pairs, at the paper's λ."""
    off = (linear["lam"] - PAPER_LAMBDA).abs()
    rows = linear[np.isclose(off, off.min()) & (linear["metric"] == Metric.EPSILON)]
    return _mean(rows[rows["paradigm"] == paradigm], "mean", *_PAIRS)


@measure("{:.2f}")
def step_cost(cost: pd.DataFrame, *, paradigm: str, value: str, over: str = "full") -> Sample:
    """A training step's ``seconds`` or peak ``bytes`` over another paradigm's in the same round.

    The geometric mean over rounds, in which paradigms take turns.
    """
    values, rows = cube(cost, ["repetition"], value, paradigm=[paradigm, over])
    ratios = np.log(values[:, 0] / values[:, 1])
    return Sample(ratios, rows, "repetitions", lambda logs: float(np.exp(np.mean(logs))))


@measure("{:.0%}")
def step_saved(cost: pd.DataFrame, *, paradigm: str, value: str, over: str = "full") -> Sample:
    """The share of another paradigm's time or memory that a step saves, one less the ratio."""
    ratio = step_cost(cost, paradigm=paradigm, value=value, over=over)
    return replace(ratio, statistic=lambda rows: 1 - ratio.statistic(rows))


def _mean(rows: pd.DataFrame, value: str, *unit: str) -> Sample:
    """The mean of a column; ``unit`` tells a seed's replicates apart."""
    means = rows.groupby(["seed", *unit], sort=False)[value].mean().reset_index()
    return Sample(means[value].to_numpy(float), rows_of(means, unit), _UNITS[unit], np.mean)


def _compared(
    table: pd.DataFrame,
    value: str,
    unit: tuple[str, ...],
    compare: Callable[[Mapping[str, float]], float],
    paradigms: Sequence[str] = MAIN_PARADIGMS,
) -> Sample:
    """A number of each paradigm's mean over the replicates that every paradigm has."""
    values, rows = cube(table, unit, value, paradigm=paradigms)

    def number(rows: Values) -> float:
        return float(compare(dict(zip(paradigms, np.mean(rows, axis=0), strict=True))))

    return whole(values, rows, _UNITS[unit], number)


def _less(
    table: pd.DataFrame, value: str, unit: tuple[str, ...], paradigm: str, other: str
) -> Sample:
    """A paradigm's mean less another one's, over the replicates that both have."""
    both = (paradigm, other)
    return _compared(table, value, unit, lambda mean: mean[paradigm] - mean[other], both)


def _own(single: pd.DataFrame) -> pd.DataFrame:
    """Each task's own network."""
    return single[single["network"] == single["task"]]


def _start(single: pd.DataFrame) -> pd.DataFrame:
    """θ_PT as if it were a paradigm."""
    return single[single["network"] == "PT"].assign(paradigm="PT")


def _at_chosen(addition: pd.DataFrame) -> pd.DataFrame:
    """Test rows at the factor that held-out data chose."""
    return addition[addition["chosen"] & (addition["split"] == "test")]


def _square(maps: pd.DataFrame, output: str) -> pd.DataFrame:
    """Where addition's α is searched."""
    inside = maps["alpha_i"].between(0, 1) & maps["alpha_j"].between(0, 1)
    return maps[inside & (maps["measure"] == output)]


def _inside(maps: pd.DataFrame, output: str, paradigm: str) -> Sample:
    rows = _square(maps, output)
    return _mean(rows[rows["paradigm"] == paradigm], "error", *_PAIRS)


def _beyond(maps: pd.DataFrame, paradigm: str) -> tuple[Values, Replicates]:
    """Errors where both α are over 1, mean over both tasks: (pairs, (scale-free, classified))."""
    rows = maps[(maps["paradigm"] == paradigm) & (maps[list(_ALPHAS)] > 1).all(axis=1)]
    outputs = [Output.SCALE_FREE, Output.CLASSIFICATION]
    return cube(rows.assign(error=rows["error"] / 2), ["i", "j"], "error", measure=outputs)


def _angles(cosines: pd.DataFrame) -> pd.DataFrame:
    rows = cosines[cosines["i"] < cosines["j"]]
    return rows.assign(size=rows["cosine"].abs())
