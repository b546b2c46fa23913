"""Numbers on what edited and stitched networks can do: accuracies of Section 4.3.

A measure takes stored tables of one setting and gives a
:class:`~ctl_helpers.findings.replicates.Sample`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ctl_helpers.findings.editing import nearest_to
from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Sample, Values, column, cube, whole
from ctl_helpers.results.labels import AddedModel, NegatedModel, Role, Split

TUNED = 0.5
"""Where Figure 9 is judged: single networks at 2λ = 1 are the fine-tuned ones."""

WHOLE = 1.0
"""Where Figure 10 is judged: the whole task vector, the end of the paper's range."""

_PAIR = [Role.FIRST, Role.SECOND]


@measure("{:.0%}")
def network_accuracy(accuracy: pd.DataFrame, *, of: str) -> Sample:
    """Mean accuracy over tasks and networks.

    Args:
        of: ``"start"`` for the pretrained network, else of fine-tuned ones, on their ``"own"`` task
            or on the ``"other"`` ones; or ``"majority"``, of always giving the commonest answer.
    """
    start = accuracy["network"] == "PT"
    own = accuracy["network"] == accuracy["task"]
    chosen = {"start": start, "own": own, "other": ~start & ~own, "majority": start}[of]
    name = "majority" if of == "majority" else "accuracy"
    return column(accuracy[chosen], name, "accuracies", _average)


@measure("{:.2g}")
def added_lambda(addition: pd.DataFrame) -> Sample:
    """The λ that held-out examples choose for the sum of all task vectors, mean over seeds."""
    return column(_chosen(addition).groupby("seed")["lam"].mean().reset_index(), "lam", "seeds")


@measure("{:.0%}")
def added_accuracy(addition: pd.DataFrame, *, share: bool = False) -> Sample:
    """Mean test accuracy over tasks with all task vectors added at the chosen λ.

    Args:
        share: as a share of the accuracy of the task's own network.
    """
    name = "share" if share else "accuracy"
    return column(_chosen(addition), name, "accuracies", _average)


@measure("{:.0%}")
def negated_accuracy(negation: pd.DataFrame, *, role: str, before: bool = False) -> Sample:
    """Mean test accuracy with one task vector subtracted, on its own or the pretraining task.

    Args:
        before: with none subtracted, instead.
    """
    test = negation[negation["split"] == Split.TEST]
    rows = test[test["lam"] == 0 if before else test["chosen"]]
    return column(rows[rows["role"] == role], "accuracy", "accuracies", _average)


@measure("{:.0%}")
def stitch_kept(stitched: pd.DataFrame, *, at: str = "tuned") -> Sample:
    """Of the gain over θ_PT of a network's features on its own task, what averaged features keep.

    On that task of a pair where they lose more; all pairs together, at 2λ = 1.

    Args:
        at: ``"last"`` to average features at the largest λ, against the same gain.
    """
    return _stitched(stitched, stitched["lam"].max() if at == "last" else _tuned(stitched), _kept)


@measure("{:.1%}")
def stitch_single(stitched: pd.DataFrame) -> Sample:
    """Accuracy of one network's features on the other's task, less that of θ_PT; at 2λ = 1."""

    def gain(rows: Values) -> float:
        other = np.stack([rows[:, 3, 0], rows[:, 2, 1]], axis=1)
        return float(np.nanmean(other - rows[:, 0]))

    return _stitched(stitched, _tuned(stitched), gain)


@measure("{:.1%}")
def stitch_agreement(stitched: pd.DataFrame, *, beyond: bool = False) -> Sample:
    """How far accuracies of averaged features and of merged weights are apart, up to 2λ = 1.

    Args:
        beyond: over larger λ, instead.
    """
    near = stitched["lam"] <= _tuned(stitched)
    rows = _by_role(stitched[(stitched["lam"] > 0) & (near != beyond)])
    models = [AddedModel.FEATURES, AddedModel.WEIGHTS]
    values, seeds = cube(rows, ["i", "j"], model=models, lam=None, role=None)

    def mean(apart: Values) -> float:
        # A grid may have no λ on that side.
        return float(np.nanmean(apart)) if apart.size else float("nan")

    return Sample(abs(values[:, 0] - values[:, 1]), seeds, "pairs", mean)


@measure("{:.0%}")
def stitch_accuracy(stitched: pd.DataFrame, *, model: str, lam: float = TUNED) -> Sample:
    """Mean accuracy of a stitched model on both tasks of a pair, at the λ nearest to a given one.

    λ = 0 is the pretrained network, whatever the model.
    """
    at = stitched["lam"] == nearest_to(stitched["lam"].unique(), lam)
    rows = _by_role(stitched[at & (stitched["model"] == model)])
    values, seeds = cube(rows, ["i", "j"], role=_PAIR)
    return Sample(values, seeds, "pairs", _average)


@measure("{:.0%}")
def stitch_alone(stitched: pd.DataFrame, *, own: bool) -> Sample:
    """Mean accuracy at 2λ = 1 of one network's features, on its own task or on the other's."""
    places = [(2, 0), (3, 1)] if own else [(2, 1), (3, 0)]

    def mean(rows: Values) -> float:
        return _average(np.array([rows[:, model, task] for model, task in places]))

    return _stitched(stitched, _tuned(stitched), mean)


@measure("{:.0%}")
def negation_left(stitched: pd.DataFrame, *, role: str, at: str = "whole") -> Sample:
    """Accuracy on D_i or D_PT with Δ(λτ_i) subtracted, as a share of θ_PT's.

    Args:
        at: ``"whole"`` for λ = 1, or ``"last"`` for the largest λ.
    """
    lams = stitched["lam"].unique()
    end = lams.max() if at == "last" else nearest_to(lams, WHOLE)
    rows = stitched[(stitched["model"] == NegatedModel.FEATURE) & (stitched["role"] == role)]
    values, seeds = cube(rows, ["i"], "accuracy", lam=[0.0, end])

    def share(rows: Values) -> float:
        first, last = np.mean(rows, axis=0)
        return float(last / first)

    return whole(values, seeds, "task vectors", share)


@measure("{:.1%}")
def negation_agreement(stitched: pd.DataFrame) -> Sample:
    """How far accuracies are apart with Δ and with τ subtracted, mean over λ up to 1, D_i, D_PT."""
    rows = stitched[(stitched["lam"] > 0) & (stitched["lam"] <= WHOLE)]
    models = [NegatedModel.FEATURE, NegatedModel.WEIGHTS]
    values, seeds = cube(rows, ["i"], "accuracy", model=models, lam=None, role=None)
    apart = abs(values[:, 0] - values[:, 1])
    return Sample(apart, seeds, "task vectors", np.nanmean)


@measure("{:.0%}")
def negation_accuracy(stitched: pd.DataFrame, *, role: str, lam: float) -> Sample:
    """Mean accuracy on D_i or D_PT with Δ(λτ_i) subtracted, at the λ nearest to a given one."""
    at = stitched["lam"] == nearest_to(stitched["lam"].unique(), lam)
    rows = stitched[at & (stitched["model"] == NegatedModel.FEATURE) & (stitched["role"] == role)]
    return column(rows, "accuracy", "task vectors", _average)


@measure("{:.0%}")
def nearest_share(nearest: pd.DataFrame, *, chance: bool = False) -> Sample:
    """Of the images that move most along a task vector, or of all, how many are of its kind."""
    return column(nearest, "chance" if chance else "own", "task vectors", _average)


@measure("{:.0f}")
def nearest_classes(nearest: pd.DataFrame) -> Sample:
    """To how many classes they belong, mean over task vectors."""
    return column(nearest, "classes", "task vectors", _average)


def _average(values: Values) -> float:
    """The mean, NaN left out, without the last digits: 74.5% is rounded alike on every page."""
    return round(float(np.nanmean(values)), 12)


def _chosen(addition: pd.DataFrame) -> pd.DataFrame:
    return addition[(addition["split"] == Split.TEST) & addition["chosen"]]


def _tuned(stitched: pd.DataFrame) -> float:
    return nearest_to(stitched["lam"].unique(), TUNED)


def _by_role(stitched: pd.DataFrame) -> pd.DataFrame:
    return stitched.melt(["seed", "i", "j", "lam", "model"], _PAIR, "role", "mean")


def _stitched(stitched: pd.DataFrame, lam: float, statistic: Callable[[Values], float]) -> Sample:
    """Accuracies of θ_PT, averaged features at λ, networks at 2λ = 1: (pairs, models, tasks)."""
    tuned, one, other = _tuned(stitched), AddedModel.FIRST, AddedModel.SECOND
    models = {
        "θ_PT": (one, 0.0),
        "averaged": (AddedModel.FEATURES, lam),
        "one": (one, tuned),
        "other": (other, tuned),
    }
    rows = pd.concat(
        stitched[(stitched["model"] == model) & (stitched["lam"] == at)].assign(model=name)
        for name, (model, at) in models.items()
    )
    values, seeds = cube(_by_role(rows), ["i", "j"], model=list(models), role=_PAIR)
    return Sample(values, seeds, "pairs", statistic)


def _kept(rows: Values) -> float:
    """The share of gains that averaged features keep, from :func:`_stitched`'s accuracies."""
    start, averaged = rows[:, 0], rows[:, 1]
    own = np.stack([rows[:, 2, 0], rows[:, 3, 1]], axis=1)
    loser = np.argmin(averaged - own, axis=1)[:, None]
    kept, full = (np.take_along_axis(part - start, loser, 1).sum() for part in (averaged, own))
    return float(kept / full) if full > 0 else float("nan")
