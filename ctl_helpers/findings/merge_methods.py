"""What merging methods keep of each network's accuracy, and what a strength without labels costs.

All networks of a setting are merged, and pairs. Of all, what is drawn are tasks; of pairs, their
networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ctl_helpers.analysis.levels import largest
from ctl_helpers.analysis.merge_names import MergeMethod
from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Replicates, Sample, Values, cube, rows_of, whole

ALL, PAIRS = "all", "pairs"
"""How many networks a merge has: all of a setting, or two."""

LEAST_GAIN = 0.01
"""What a plain sum has to win over the pretrained network for a share of it to say anything."""


@measure("{:.0%}")
def merge_share(merges: pd.DataFrame, *, method: str, of: str = ALL) -> Sample:
    """Accuracy of a merge over that of each task's own network, mean over tasks.

    Args:
        merges: by merge, method and task.
        method: one of :class:`~ctl_helpers.analysis.merge_names.MergeMethod`.
        of: :data:`ALL` or :data:`PAIRS`.
    """
    return _mean(merges, method, of, "share")


@measure("{:.2f}")
def merge_epsilon(merges: pd.DataFrame, *, method: str, of: str = ALL) -> Sample:
    """ε of a merge at its worst layer; arguments as for :func:`merge_share`."""
    return _mean(merges, method, of, "epsilon")


@measure("{:.1f}")
def merge_strength(merges: pd.DataFrame, *, method: str, of: str = ALL) -> Sample:
    """The strength s that was chosen; arguments as for :func:`merge_share`."""
    return _mean(merges, method, of, "strength")


@measure(lambda value: f"{100 * value:+.1f} points")
def merge_lead(
    merges: pd.DataFrame, *, method: str, over: str = MergeMethod.ARITHMETIC, of: str = ALL
) -> Sample:
    """How much more of the own networks' accuracy a merge keeps than another one.

    Args:
        method, of: as for :func:`merge_share`.
        over: the other one.
    """
    values, replicates = _shares(merges, [method, over], of)
    return whole(values, replicates, _UNITS[of], lambda rows: float(_means(rows) @ [1, -1]))


@measure("{:.0%}")
def gain_kept(merges: pd.DataFrame, *, method: str = MergeMethod.EPSILON, of: str = ALL) -> Sample:
    """Of what a plain sum wins over the pretrained network by labels, what it wins without.

    NaN where that is less than :data:`LEAST_GAIN` of the own networks' accuracy.

    Args:
        method: a way to choose the strength without labels.
        of: as for :func:`merge_share`.
    """
    values, replicates = _shares(merges, [method, MergeMethod.ARITHMETIC, MergeMethod.START], of)
    gain = float(_means(values) @ [0, 1, -1]) if len(values) else math.nan

    def kept(rows: Values) -> float:
        without, by_labels, start = _means(rows)
        return float((without - start) / (by_labels - start)) if gain >= LEAST_GAIN else math.nan

    return whole(values, replicates, _UNITS[of], kept)


@measure("{:.2f}")
def best_level(strengths: pd.DataFrame) -> Sample:
    """The level of ε that would have chosen best, by held-out labels: for use on other networks.

    The mean over pairs and the merge of all count alike. Of equally good levels it is the lowest.

    Args:
        strengths: a plain sum's ε and share on held-out examples, by merge and strength.
    """
    keys = ["seed", "models"]
    values = np.array(
        [
            [is_all, *(_share_at(one, level) for level in _LEVELS)]
            for _, one in strengths.groupby(keys, sort=False)
            for is_all in [one["k"].iloc[0] == strengths["k"].max()]
        ]
    )
    replicates = rows_of(strengths.drop_duplicates(keys), ["models"])

    def best(rows: Values) -> float:
        groups = [rows[rows[:, 0] == is_all, 1:] for is_all in (0, 1)]
        means = [group.mean(axis=0) for group in groups if len(group)]
        return float(_LEVELS[int(np.argmax(np.round(np.mean(means, axis=0), 9)))])

    return Sample(values, replicates, "networks", best)


_LEVELS = np.round(np.arange(0.05, 1.01, 0.05), 2)


def _share_at(one: pd.DataFrame, level: float) -> float:
    """The held-out share of one merge at the strength that a level chooses."""
    by_strength = one.set_index("strength").sort_index()
    chosen = max(largest(by_strength["epsilon"], level), by_strength.index[0])
    return float(by_strength.loc[chosen, "held_out"])


_UNITS = {ALL: "tasks", PAIRS: "networks"}


def _mean(merges: pd.DataFrame, method: str, of: str, value: str) -> Sample:
    values, replicates = _shares(merges, [method], of, value)
    return whole(values, replicates, _UNITS[of], lambda rows: float(_means(rows)[0]))


def _shares(
    merges: pd.DataFrame, methods: Sequence[str], of: str, value: str = "share"
) -> tuple[Values, Replicates]:
    """Values by task, or by pair, shape (rows, methods)."""
    is_all = merges["k"] == merges["k"].max()
    rows, unit = (merges[is_all], "task") if of == ALL else (merges[~is_all], "models")
    return cube(rows, [unit], value, method=[str(MergeMethod(one)) for one in methods])


def _means(rows: Values) -> Values:
    return np.asarray(rows.mean(axis=0))
