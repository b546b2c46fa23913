"""Numbers on three ways to fine-tune: all parameters, the tangent space, linear layers only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import Finding, Measure, measure
from ctl_helpers.findings.replicates import Replicates, Sample, Values, cube, median, whole
from ctl_helpers.findings.words import plain
from ctl_helpers.results.labels import MAIN_PARADIGMS, PAPER_LAMBDA, Output, Paradigm
from ctl_helpers.training.trainable import VARIANTS

LOW = 0.1
"""Disentangled: at most so large an error ξ, a twentieth of the images of each task."""

ByParadigm = dict[Paradigm, dict[str, Finding]]
"""Paradigm → setting → finding."""

_OURS = Paradigm.ATTENTION_WEIGHTS
_ALPHAS = ("alpha_i", "alpha_j")
_TASKS, _PAIRS = ("task",), ("i", "j")
_UNITS = {(): "seeds", _TASKS: "tasks", _PAIRS: "pairs"}


def by_paradigm(measure: Measure, table: pd.DataFrame, **arguments: object) -> ByParadigm:
    """A measure of each of the three paradigms."""
    return {name: measure.by_setting(table, paradigm=name, **arguments) for name in MAIN_PARADIGMS}


def in_order(findings: ByParadigm, best: str = "lowest") -> list[Paradigm]:
    """The paradigms with the ``"lowest"`` or the ``"highest"`` first, on average over settings."""
    means = {name: np.mean([float(one) for one in of.values()]) for name, of in findings.items()}
    return sorted(means, key=lambda name: means[name], reverse=best == "highest")


def _behind(share: float) -> str:
    points = f"{100 * abs(share):.1f}"
    if points == "0.0":
        return "level with"
    return f"{points} points {'behind' if share > 0 else 'ahead of'}"


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


@measure(_behind)
def single_behind(single: pd.DataFrame, *, paradigm: str, over: str = "full") -> Sample:
    """How far a paradigm's accuracy on single tasks is behind another's, mean over tasks."""
    return _compared(_own(single), "accuracy", _TASKS, lambda mean: mean[over] - mean[paradigm])


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
    return _compared(_at_chosen(addition), value, _TASKS, lambda mean: mean[paradigm] - mean[over])


@measure("{:.3g}")
def ablation_over_tangent(addition: pd.DataFrame, *, value: str) -> Sample:
    """:func:`sum_reached`, the least of Table 2's four rows, less that of the tangent space."""
    paradigms = (Paradigm.TANGENT, *VARIANTS)

    def least(mean: Mapping[str, float]) -> float:
        return min(mean[row] for row in VARIANTS) - mean[Paradigm.TANGENT]

    return _compared(_at_chosen(addition), value, _TASKS, least, paradigms)


@measure("{:.0%}")
def disentangled(maps: pd.DataFrame, *, paradigm: str) -> Sample:
    """Share of the plane where classification is disentangled: ξ ≤ :data:`LOW`."""
    rows = _region(maps)
    return _mean(rows[rows["paradigm"] == paradigm], "low", *_PAIRS)


@measure("{:.3g}")
def disentangled_over(maps: pd.DataFrame, *, paradigm: str, over: str) -> Sample:
    """The same, a paradigm less another."""
    return _compared(_region(maps), "low", _PAIRS, lambda mean: mean[paradigm] - mean[over])


@measure(lambda nats: f"{plain(nats)} nats")
def representation_inside(maps: pd.DataFrame, *, paradigm: str) -> Sample:
    """Mean error of the representation (nats) for 0 ≤ α ≤ 1."""
    return _inside(maps, Output.REPRESENTATION, paradigm)


@measure("{:.1%}")
def classification_inside(maps: pd.DataFrame, *, paradigm: str) -> Sample:
    """Mean error of classification for 0 ≤ α ≤ 1."""
    return _inside(maps, Output.CLASSIFICATION, paradigm)


@measure("{:.2g} nats")
def representation_beyond(maps: pd.DataFrame) -> Sample:
    """Error of the representation (nats) where both α are over 1, linear layers only."""
    values, seeds = _beyond(maps)
    return Sample(values, seeds, "pairs", lambda rows: float(np.nanmean(rows[:, 0])))


@measure("{:.2f}")
def classification_beyond(maps: pd.DataFrame) -> Sample:
    """Error of classification there."""
    values, seeds = _beyond(maps)
    return Sample(values, seeds, "pairs", lambda rows: float(np.nanmean(rows[:, 1])))


@measure("{:.3g}")
def heads_degrade(maps: pd.DataFrame) -> Sample:
    """Error of classification less Pinsker's bound on the representation's, there.

    On a task's images ``√(ξ_t/2)`` with ξ_t in nats bounds the mean total variation of the two
    softmaxes, a probability as the share of changed classes is. Summed over both tasks, as both
    errors are, the bound is at most ``√ξ``.
    """
    values, seeds = _beyond(maps)

    def over(rows: Values) -> float:
        return float(np.nanmean(rows[:, 1] - np.sqrt(rows[:, 0])))

    return Sample(values, seeds, "pairs", over)


@measure(plain)
def mean_cosine(cosines: pd.DataFrame, *, paradigm: str) -> Sample:
    """Mean |cosine| between the task vectors of two tasks."""
    rows = _angles(cosines)
    return _mean(rows[rows["paradigm"] == paradigm], "size", *_PAIRS)


@measure("{:.3g}")
def nearer_orthogonal(cosines: pd.DataFrame, *, over: str) -> Sample:
    """The same, a paradigm over linear layers only."""
    return _compared(_angles(cosines), "size", _PAIRS, lambda mean: mean[over] / mean[_OURS])


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
def equation_2_error(linear: pd.DataFrame, *, paradigm: str) -> Sample:
    """1 − cosine of both sides of Equation 2, mean over blocks and pairs, at the paper's λ."""
    off = (linear["lam"] - PAPER_LAMBDA).abs()
    rows = linear[np.isclose(off, off.min()) & (linear["metric"] == "distance")]
    return _mean(rows[rows["paradigm"] == paradigm], "mean", *_PAIRS)


@measure("{:.2f}")
def step_cost(cost: pd.DataFrame, *, paradigm: str, value: str, over: str = "full") -> Sample:
    """A training step's ``seconds`` or peak ``bytes`` over another paradigm's, each a median."""
    values, seeds = cube(cost, ["repetition"], value, paradigm=[paradigm, over])

    def times(rows: Values) -> float:
        one, other = median(rows, axis=0)
        return float(one / other)

    return Sample(values, seeds, "repetitions", times)


def _mean(rows: pd.DataFrame, value: str, *unit: str) -> Sample:
    """The mean of a column; ``unit`` tells a seed's replicates apart."""
    means = rows.groupby(["seed", *unit], sort=False)[value].mean()
    seeds = means.index.get_level_values("seed").tolist()
    return Sample(means.to_numpy(float), seeds, _UNITS[unit], np.mean)


def _compared(
    table: pd.DataFrame,
    value: str,
    unit: tuple[str, ...],
    compare: Callable[[Mapping[str, float]], float],
    paradigms: Sequence[str] = MAIN_PARADIGMS,
) -> Sample:
    """A number of each paradigm's mean over the replicates that every paradigm has."""
    values, seeds = cube(table, unit, value, paradigm=paradigms)

    def number(rows: Values) -> float:
        return float(compare(dict(zip(paradigms, np.mean(rows, axis=0), strict=True))))

    return whole(values, seeds, _UNITS[unit], number)


def _own(single: pd.DataFrame) -> pd.DataFrame:
    """Each task's own network."""
    return single[single["network"] == single["task"]]


def _at_chosen(addition: pd.DataFrame) -> pd.DataFrame:
    """Test rows at the factor that held-out data chose."""
    return addition[addition["chosen"] & (addition["split"] == "test")]


def _region(maps: pd.DataFrame) -> pd.DataFrame:
    rows = maps[maps["measure"] == Output.CLASSIFICATION]
    return rows.assign(low=1.0 * (rows["error"] <= LOW))


def _inside(maps: pd.DataFrame, output: str, paradigm: str) -> Sample:
    inside = maps["alpha_i"].between(0, 1) & maps["alpha_j"].between(0, 1)
    rows = maps[inside & (maps["measure"] == output) & (maps["paradigm"] == paradigm)]
    return _mean(rows, "error", *_PAIRS)


def _beyond(maps: pd.DataFrame) -> tuple[Values, Replicates]:
    """Errors of linear layers only where both α are over 1, (pairs, both outputs, points)."""
    rows = maps[(maps["paradigm"] == _OURS) & (maps[list(_ALPHAS)] > 1).all(axis=1)]
    outputs = [Output.REPRESENTATION, Output.CLASSIFICATION]
    return cube(rows, ["i", "j"], "error", measure=outputs, **dict.fromkeys(_ALPHAS))


def _angles(cosines: pd.DataFrame) -> pd.DataFrame:
    rows = cosines[cosines["i"] < cosines["j"]]
    return rows.assign(size=rows["cosine"].abs())
