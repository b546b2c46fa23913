"""Numbers of networks along one run of fine-tuning, read off where the run reaches a level.

Two architectures are not fine-tuned alike by the same number of steps: one moves farther than the
other. So they are compared where their features are equally far apart, or where they are equally
accurate, between the snapshots of one run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

DISPLACEMENT, ACCURACY = "equal displacement", "equal own accuracy"
WORST, LAST = "worst layer", "last layer"


def largest(epsilons: pd.Series, level: float) -> float:
    """The largest strength up to which ε is at most a level; 0 where it never is.

    Args:
        epsilons: ε by strength, NaN where nothing moves.
        level: no smaller strength that was tried may be over it.
    """
    under = epsilons.sort_index().fillna(0.0) <= level
    return float(max(under.index[under.cummin()], default=0.0))


def at_level(places: Sequence[float], values: Sequence[float], level: float) -> float:
    """The value of a curve where it first reaches a level: a straight line in log–log.

    Between the first two neighbours that have the level between them, ``log value`` is linear in
    ``log place``, so that a power law ``value = c · place^p`` is met exactly.

    Args:
        places: how far each snapshot is, in the order of snapshots; all positive.
        values: what is read off there; all positive.
        level: the place at which it is read off; positive.

    Raises:
        ValueError: places, values or level that are not positive and finite, or of different
            number; a level that no two neighbours have between them.
    """
    if len(places) != len(values):
        raise ValueError(f"there are {len(places)} places and {len(values)} values; give as many")
    if not all(0 < number < math.inf for number in (*places, *values, level)):
        raise ValueError(
            "a place, a value or the level is not a positive number; leave out snapshots in which "
            "nothing has moved"
        )
    known = zip(np.log(places), np.log(values), strict=True)
    wanted = math.log(level)
    for (before, low), (after, high) in pairwise(known):
        if min(before, after) <= wanted <= max(before, after):
            share = (wanted - before) / (after - before) if after != before else 0.0
            return float(np.exp(low + share * (high - low)))
    raise ValueError(
        f"no two snapshots in a row have {level:g} between them, they reach from "
        f"{min(places, default=math.nan):.3g} to {max(places, default=math.nan):.3g}; take "
        "snapshots that do, since beyond them nothing is known"
    )


def read_off(places: Iterable[float], values: Iterable[float], level: float) -> float:
    """As :func:`at_level`; NaN where it would refuse."""
    try:
        return at_level([*places], [*values], level)
    except ValueError:
        return math.nan


def features(compared: pd.DataFrame) -> pd.DataFrame:
    """How far features move along a run, and how linear they stay, a row for each snapshot.

    Args:
        compared: :func:`ctl_helpers.compare` of two networks at each snapshot, with a column
            ``steps``.

    Returns:
        By ``steps``, rising: ``moved``, the baseline distance, mean over layers; and ε at the
        ``worst layer`` and the ``last layer``.
    """
    layers = list(dict.fromkeys(compared["layer"]))
    means = compared.pivot_table(index="steps", columns=["metric", "layer"], values="mean")
    epsilon, baseline = means["epsilon"][layers], means["baseline"][layers]
    columns = {
        "moved": baseline.mean(axis=1),
        WORST: epsilon.max(axis=1),
        LAST: epsilon[layers[-1]],
    }
    return pd.DataFrame(columns).sort_index()


def curve(compared: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    """:func:`features` of a run, with ``wrong``, the share of wrong answers on the own tasks.

    Args:
        compared: as there.
        own: :func:`ctl_helpers.evaluate` of each network on its own task, with ``steps``. Half an
            example at least counts as wrong.
    """
    on_task = own.groupby("steps").agg({"accuracy": "mean", "n": "sum"})
    wrong = (1 - on_task["accuracy"]).clip(lower=0.5 / on_task["n"])
    return features(compared).assign(wrong=wrong).dropna()


def matched(along: pd.DataFrame, displacement: float, accuracy: float) -> pd.DataFrame:
    """ε where a run reaches a displacement, and where it reaches an accuracy.

    Args:
        along: :func:`curve`.
        displacement: the baseline distance, mean over layers.
        accuracy: the share of right answers on the own tasks.

    Returns:
        ``at``, ``where`` and ``epsilon``, which is NaN where the snapshots do not reach so far.
    """
    levels = {DISPLACEMENT: ("moved", displacement), ACCURACY: ("wrong", 1 - accuracy)}
    return pd.DataFrame(
        {"at": at, "where": where, "epsilon": read_off(along[column], along[where], level)}
        for at, (column, level) in levels.items()
        for where in (WORST, LAST)
    )


def equally_moved(along: pd.DataFrame, displacement: float) -> pd.DataFrame:
    """ε where features have moved so far: ``where`` and ``epsilon``, NaN as in :func:`matched`.

    Args:
        along: :func:`features`.
        displacement: the level of its ``moved``.
    """
    return pd.DataFrame(
        {"where": where, "epsilon": read_off(along["moved"], along[where], displacement)}
        for where in (WORST, LAST)
    )


def gain(accuracy: pd.DataFrame) -> float:
    """Accuracy of the last snapshots on their own tasks, less that of θ_PT.

    Args:
        accuracy: :func:`ctl_helpers.evaluate` with ``steps``, 0 of them for θ_PT.
    """
    means = accuracy.groupby("steps")["accuracy"].mean()
    return float(means.iloc[-1] - means[0])


def nearest(along: pd.DataFrame, displacement: float) -> int:
    """The steps of the snapshot whose displacement is nearest to one, in logarithms."""
    return int((np.log(along["moved"]) - math.log(displacement)).abs().idxmin())


def around(along: pd.DataFrame, displacement: float) -> list[int]:
    """The steps of the first two snapshots that have a displacement between them.

    Where no two have it, the steps of the nearest one alone.
    """
    places = zip(along.index.tolist(), along["moved"].tolist(), strict=True)
    for (before, low), (after, high) in pairwise(places):
        if min(low, high) <= displacement <= max(low, high):
            return [before, after]
    return [nearest(along, displacement)]
