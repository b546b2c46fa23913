"""Sections 3 and 4.1: whether features are linear where the loss has no barrier.

A pair's ``barrier`` is how far its loss gets over the chord of its ends, at the α between them
where it does so most; it is negative where the loss stays under its chord. ``rise`` is how far the
loss gets over its better end. Of two tasks the larger one counts. ``epsilon`` is ε at α = ½ and the
worst layer; of networks from other random weights the mean over layers is stored alone, which is
less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Sample, Values, rank, rows_of
from ctl_helpers.findings.spawning import FLAT, NO_BARRIER
from ctl_helpers.findings.words import LINEAR
from ctl_helpers.results.labels import Label, Metric, Role

ALL = "all settings"
"""What :func:`together` calls its one setting."""
RELATED = "all that share a start"
"""All but those from other random weights, which have a barrier and a large ε, too."""


class Kin(Label):
    """What two networks have in common."""

    COPIES = "copies of one network"
    TASKS = "fine-tuned on two tasks"
    APART = "other random weights"


def pairs(
    paths: pd.DataFrame,
    direction: pd.DataFrame,
    curves: pd.DataFrame,
    features: pd.DataFrame,
    control: pd.DataFrame,
) -> pd.DataFrame:
    """Loss and ε of each pair of networks that Sections 3 and 4.1 stored both of.

    Args:
        paths, direction: of Section 4.1; the pretraining task's loss does not count.
        curves, features, control: of Section 3.

    Returns:
        A row per pair: ``setting``, ``seed``, ``i``, ``j``, ``kin``, ``barrier``, ``rise``,
        ``epsilon``. Copies are called by the epochs that they share.
    """
    by_task, by_k = ["setting", "seed", "i", "j"], ["setting", "seed", "k"]
    lines = _lines(paths[paths["role"] != Role.PRETRAINING], [*by_task, "task"])
    tasks = lines.groupby(by_task)[["barrier", "rise"]].max()
    tasks = tasks.join(_worst(direction, by_task), how="inner").reset_index()
    copies = _lines(curves, by_k).join(_worst(features, by_k), how="inner").reset_index()
    called = "k = " + copies["k"].astype(str)
    kinds = [
        copies.assign(kin=str(Kin.COPIES), i=called, j=called),
        tasks.assign(kin=str(Kin.TASKS)),
        control.assign(kin=str(Kin.APART), i="A", j="B"),
    ]
    columns = ["setting", "seed", "i", "j", "kin", "barrier", "rise", "epsilon"]
    return pd.concat([kind[columns] for kind in kinds], ignore_index=True)


def without_barrier(pairs: pd.DataFrame) -> pd.DataFrame:
    """Those whose loss gets over its chord by at most :data:`~.spawning.NO_BARRIER`."""
    return pairs[pairs["barrier"] <= NO_BARRIER]


def connected(pairs: pd.DataFrame) -> pd.DataFrame:
    """Those without a barrier whose loss also stays within :data:`~.spawning.FLAT` of its end."""
    flat = without_barrier(pairs)
    return flat[flat["rise"] <= FLAT]


def not_linear(pairs: pd.DataFrame) -> pd.DataFrame:
    """Those with a layer whose ε is over ½."""
    return pairs[pairs["epsilon"] > LINEAR]


def of_kin(pairs: pd.DataFrame, kin: str) -> pd.DataFrame:
    """Those of one :class:`Kin`, or of :data:`RELATED`; all if it is empty."""
    if kin == RELATED:
        return pairs[pairs["kin"] != Kin.APART]
    return pairs[pairs["kin"] == kin] if kin else pairs


def together(pairs: pd.DataFrame) -> pd.DataFrame:
    """All settings' pairs as those of one, whose seeds are the runs."""
    runs = pairs["setting"] + " " + pairs["seed"].astype(str)
    return pairs.assign(seed=runs, setting=ALL)


@measure("{:+.2f}")
def barrier_rank(pairs: pd.DataFrame, *, kin: str = "") -> Sample:
    """Rank correlation over pairs of how far the loss gets over its chord, and of ε.

    Over all seeds' pairs, since a seed has few; runs are what is drawn, each with a seed of its
    own, or networks if there is one run.

    Args:
        pairs: of :func:`pairs`.
        kin: as for :func:`of_kin`.
    """
    pairs = of_kin(pairs, kin)
    values = pairs[["barrier", "epsilon"]].to_numpy(float)
    sample = Sample(values, rows_of(pairs, ["i", "j"]), "networks", _rank)
    return replace(sample.pooled(), unit="runs") if len(sample.seeds) > 1 else sample


def _rank(rows: Values) -> float:
    return rank(rows[:, 0], rows[:, 1])


def _lines(curves: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """``barrier`` and ``rise`` of each line, by its keys."""
    loss = curves.pivot_table("loss", list(keys), "alpha")
    alphas = loss.columns.to_numpy(float)
    ends = loss[[0.0, 1.0]].to_numpy()
    over = loss.to_numpy() - ends @ np.stack([1 - alphas, alphas])
    inner = over[:, (alphas > 0) & (alphas < 1)]
    rise = loss.to_numpy().max(axis=1) - ends.min(axis=1)
    return pd.DataFrame({"barrier": inner.max(axis=1), "rise": rise}, loss.index)


def _worst(compared: pd.DataFrame, keys: Sequence[str]) -> pd.Series:
    """ε at α = ½ and the worst layer."""
    rows = compared[compared["metric"] == Metric.EPSILON]
    rows = rows[np.isclose(rows["alpha"], 0.5)]
    return rows.groupby(list(keys))["mean"].max().rename("epsilon")
