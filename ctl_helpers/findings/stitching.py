"""Numbers on what edited and stitched networks can do: accuracies of Section 4.3.

A measure takes stored tables of one setting and gives a
:class:`~ctl_helpers.findings.replicates.Sample`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ctl_helpers.findings.editing import nearest_to
from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Replicates, Sample, Values, column, cube, whole
from ctl_helpers.results.labels import AddedModel, NegatedModel, Role, Split

TUNED = 0.5
"""Where Figure 9 is judged: single networks at 2λ = 1 are the fine-tuned ones."""

WHOLE = 1.0
"""The whole task vector, the end of the paper's range in Figure 10."""

_PAIR = [Role.FIRST, Role.SECOND]


@measure("{:.0%}")
def network_accuracy(accuracy: pd.DataFrame, *, of: str, exact: bool = False) -> Sample:
    """Mean accuracy over tasks and networks.

    Args:
        of: ``"start"`` for the pretrained network, else of fine-tuned ones, on their ``"own"`` task
            or on the ``"other"`` ones; or ``"majority"``, of always giving the commonest answer.
        exact: of labels that greedy decoding writes, where the accuracy is of the likeliest ones.
    """
    start = accuracy["network"] == "PT"
    own = accuracy["network"] == accuracy["task"]
    chosen = {"start": start, "own": own, "other": ~start & ~own, "majority": start}[of]
    name = "majority" if of == "majority" else "exact" if exact else "accuracy"
    return column(accuracy[chosen], name, "accuracies", _average)


@measure("{:.2g}")
def added_lambda(addition: pd.DataFrame) -> Sample:
    """The λ that held-out examples choose for the sum of all task vectors, mean over seeds."""
    return column(_chosen(addition).groupby("seed")["lam"].mean().reset_index(), "lam", "seeds")


@measure("{:.0%}")
def added_accuracy(addition: pd.DataFrame, *, share: bool = False, before: bool = False) -> Sample:
    """Mean test accuracy over tasks with all task vectors added at the chosen λ.

    Args:
        share: as a share of the accuracy of the task's own network.
        before: with none added, instead.
    """
    name = "share" if share else "accuracy"
    test = addition[addition["split"] == Split.TEST]
    rows = test[test["lam"] == 0] if before else _chosen(addition)
    return column(rows, name, "accuracies", _average)


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


@measure("{:.0%}")
def stitch_single(stitched: pd.DataFrame) -> Sample:
    """The share of that gain that the other network's features bring, all pairs; at 2λ = 1."""

    def share(rows: Values) -> float:
        other, own = (_alone(rows, own) - rows[:, 0] for own in (False, True))
        return _ratio(other.sum(), own.sum())

    return _stitched(stitched, _tuned(stitched), share)


@measure("{:.0%}")
def stitch_gain(stitched: pd.DataFrame, *, of: str = "own") -> Sample:
    """Accuracy over that of θ_PT's features, mean over pairs; at 2λ = 1.

    Args:
        of: one network's features on its ``"own"`` task or on the ``"other"`` one; or a model of
            both networks, on that task of a pair where it gains less.
    """

    def gain(rows: Values) -> float:
        if of in ("own", "other"):
            return _average(_alone(rows, of == "own") - rows[:, 0])
        return _average((rows[:, 1] - rows[:, 0]).min(axis=1))

    model = AddedModel.FEATURES if of in ("own", "other") else of
    return _stitched(stitched, _tuned(stitched), gain, model)


@measure("{:.0%}")
def stitch_agreement(stitched: pd.DataFrame, *, beyond: bool = False) -> Sample:
    """Accuracy between averaged features and merged weights over what averaged features gain.

    Absolute differences, summed over pairs, both tasks and all λ up to 2λ = 1: 0 where the two
    agree, 1 for merged weights that would still be θ_PT.

    Args:
        beyond: over larger λ, instead.
    """
    near = stitched["lam"] <= _tuned(stitched)
    rows = _by_role(stitched[(stitched["lam"] == 0) | (near != beyond)])
    models = [AddedModel.FEATURES, AddedModel.WEIGHTS]
    return _between(rows, ["i", "j"], "networks", models)


@measure("{:.0%}")
def stitch_accuracy(stitched: pd.DataFrame, *, model: str, lam: float = TUNED) -> Sample:
    """Mean accuracy of a stitched model on both tasks of a pair, at the λ nearest to a given one.

    λ = 0 is the pretrained network, whatever the model.
    """
    at = stitched["lam"] == nearest_to(stitched["lam"].unique(), lam)
    rows = _by_role(stitched[at & (stitched["model"] == model)])
    values, seeds = cube(rows, ["i", "j"], role=_PAIR)
    return Sample(values, seeds, "networks", _average)


@measure("{:.0%}")
def stitch_alone(stitched: pd.DataFrame, *, own: bool) -> Sample:
    """Mean accuracy at 2λ = 1 of one network's features, on its own task or on the other's."""
    return _stitched(stitched, _tuned(stitched), lambda rows: _average(_alone(rows, own)))


@measure("{:.0%}")
def negation_left(stitched: pd.DataFrame, *, role: str, at: str = "chosen") -> Sample:
    """Accuracy over chance with Δ(λτ_i) subtracted, as a share of θ_PT's over chance.

    Chance is the share of the commonest label. Sums over task vectors before the ratio.

    Args:
        role: on D_i or D_PT.
        at: ``"chosen"`` for the λ that keeps 95% of D_PT on held-out examples, or ``"last"`` for
            the largest λ.
    """
    values, rows = _negated(stitched, role, ["start", at], "over_chance")

    def share(rows: Values) -> float:
        first, last = rows.sum(axis=0)
        return _ratio(last, first)

    return whole(values, rows, "task vectors", share)


@measure("{:.0%}")
def negation_start(stitched: pd.DataFrame) -> Sample:
    """θ_PT's accuracy on D_i over chance: what there is to forget, mean over task vectors."""
    values, rows = _negated(stitched, Role.FIRST, ["start"], "over_chance")
    return Sample(values, rows, "task vectors", _average)


@measure("{:.2g}")
def negation_lambda(stitched: pd.DataFrame) -> Sample:
    """The λ that held-out examples choose, mean over task vectors."""
    values, rows = _negated(stitched, Role.FIRST, ["chosen"], "lam")
    return Sample(values, rows, "task vectors", _average)


@measure("{:.0%}")
def negation_agreement(stitched: pd.DataFrame) -> Sample:
    """Accuracy on D_i between Δ and τ subtracted over what it falls with Δ subtracted (Equation 4).

    Absolute differences, summed over task vectors and λ up to 1: 0 where both curves agree, 1 for
    one that would stay where it starts.
    """
    test = stitched[stitched["split"] == Split.TEST]
    rows = test[(test["role"] == Role.FIRST) & (test["lam"] <= WHOLE)]
    models = [NegatedModel.FEATURE, NegatedModel.WEIGHTS]
    return _between(rows.assign(mean=rows["accuracy"]), ["i"], "task vectors", models)


@measure("{:.0%}")
def negation_accuracy(stitched: pd.DataFrame, *, role: str, at: str) -> Sample:
    """Mean test accuracy on D_i or D_PT with Δ(λτ_i) subtracted.

    Args:
        at: ``"start"`` for λ = 0, ``"chosen"`` or ``"last"``, as for :func:`negation_left`.
    """
    values, rows = _negated(stitched, role, [at], "accuracy")
    return Sample(values, rows, "task vectors", _average)


def _average(values: Values) -> float:
    """The mean, NaN left out, without the last digits: 74.5% is rounded alike on every page."""
    known = values[~np.isnan(values)]
    return round(float(known.mean()), 12) if known.size else float("nan")


def _chosen(addition: pd.DataFrame) -> pd.DataFrame:
    return addition[(addition["split"] == Split.TEST) & addition["chosen"]]


def _tuned(stitched: pd.DataFrame) -> float:
    return nearest_to(stitched["lam"].unique(), TUNED)


def _by_role(stitched: pd.DataFrame) -> pd.DataFrame:
    return stitched.melt(["seed", "i", "j", "lam", "model"], _PAIR, "role", "mean")


def _stitched(
    stitched: pd.DataFrame,
    lam: float,
    statistic: Callable[[Values], float],
    both: str = AddedModel.FEATURES,
) -> Sample:
    """Accuracies of θ_PT, a model of both at λ, networks at 2λ = 1: (pairs, models, tasks)."""
    tuned, one, other = _tuned(stitched), AddedModel.FIRST, AddedModel.SECOND
    models = {
        "θ_PT": (one, 0.0),
        "both": (both, lam),
        "one": (one, tuned),
        "other": (other, tuned),
    }
    rows = pd.concat(
        stitched[(stitched["model"] == model) & (stitched["lam"] == at)].assign(model=name)
        for name, (model, at) in models.items()
    )
    values, replicates = cube(_by_role(rows), ["i", "j"], model=list(models), role=_PAIR)
    return whole(values, replicates, "networks", statistic)


def _alone(rows: Values, own: bool = True) -> Values:
    """:func:`_stitched`'s accuracies on both tasks of the network of each, or of the other."""
    one, other = (2, 3) if own else (3, 2)
    return np.stack([rows[:, one, 0], rows[:, other, 1]], axis=1)


def _kept(rows: Values) -> float:
    """The share of gains that averaged features keep, from :func:`_stitched`'s accuracies."""
    start, averaged, own = rows[:, 0], rows[:, 1], _alone(rows)
    loser = np.argmin(averaged - own, axis=1)[:, None]
    kept, full = (np.take_along_axis(part - start, loser, 1).sum() for part in (averaged, own))
    return _ratio(kept, full)


def _between(rows: pd.DataFrame, unit: Sequence[str], name: str, models: Sequence[str]) -> Sample:
    """|Second model − first| over |first − what it is at λ = 0|, sums over all that is compared."""
    values, replicates = cube(rows, unit, model=models, lam=None, role=None)
    start, first, second = values[:, 0, :1], values[:, 0, 1:], values[:, 1, 1:]
    moved = np.stack([abs(second - first), abs(first - start)], axis=1)

    def over(parts: Values) -> float:
        apart, far = parts.sum(axis=(0, 2, 3))
        return _ratio(apart, far)

    return whole(moved, replicates, name, over)


def _negated(
    stitched: pd.DataFrame, role: str, places: Sequence[str], value: str
) -> tuple[Values, Replicates]:
    """A number of test examples with Δ subtracted, at places along λ: (task vectors, places)."""
    test = stitched[(stitched["split"] == Split.TEST) & (stitched["role"] == role)]
    test = test[test["model"] == NegatedModel.FEATURE]
    test = test.assign(over_chance=test["accuracy"] - test["chance"])
    of = {
        "start": test[test["lam"] == 0],
        "chosen": test[test["chosen"]],
        "last": test[test["lam"] == test["lam"].max()],
    }
    rows = pd.concat(of[place].assign(place=place) for place in dict.fromkeys(places))
    return cube(rows, ["i"], value, place=places)


def _ratio(part: float, full: float) -> float:
    return float(part / full) if full > 0 else float("nan")
