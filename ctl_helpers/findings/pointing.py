"""What task vectors point at: samples and classes, and what a probe reads from merged features."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Replicates, Sample, Values, column, cube
from ctl_helpers.results.labels import PAPER_LAMBDA, Direction, Reads


@measure("{:.0%}")
def pointed_share(pointed: pd.DataFrame, *, at: str, direction: str = Direction.TASK) -> Sample:
    """How often a direction points at the right class, mean over tasks.

    Args:
        pointed: by task, by what is pointed at and by direction.
        at: ``"samples"``, of which the nearest ones are looked at, or ``"classes"``.
        direction: one of :class:`~ctl_helpers.results.labels.Direction`.
    """
    return column(_rows(pointed, at, direction), "share", "tasks")


@measure("{:.0%}")
def pointed_chance(pointed: pd.DataFrame, *, at: str) -> Sample:
    """The same by chance."""
    return column(_rows(pointed, at, Direction.TASK), "chance", "tasks")


@measure("{:.0%}")
def task_probe_accuracy(
    probes: pd.DataFrame, *, reads: str = Reads.MERGED, lam: float = PAPER_LAMBDA
) -> Sample:
    """Accuracy at the last layer of a task's probe on features of a network, mean over tasks.

    Args:
        probes: by task, by whose features are read, by λ and by layer.
        reads: one of :class:`~ctl_helpers.results.labels.Reads`.
        lam: λ of the merged network.
    """
    values, replicates = _accuracies(probes, reads, lam)
    return Sample(values[:, 0], replicates, "tasks", lambda rows: float(np.nanmean(rows)))


@measure("{:.0%}")
def probe_chance(probes: pd.DataFrame) -> Sample:
    """What always giving the commonest answer is right on, mean over tasks."""
    values, replicates = _accuracies(probes, Reads.OWN, PAPER_LAMBDA)
    return Sample(values[:, 2], replicates, "tasks", lambda rows: float(np.nanmean(rows)))


@measure("{:.0%}")
def probe_kept(
    probes: pd.DataFrame, *, reads: str = Reads.MERGED, lam: float = PAPER_LAMBDA
) -> Sample:
    """Of what the probe reads over chance on its own network, the share that it reads elsewhere.

    Means over tasks before the ratio; arguments as for :func:`task_probe_accuracy`.
    """
    values, replicates = _accuracies(probes, reads, lam)

    def kept(rows: Values) -> float:
        read, own, chance = np.nanmean(rows, axis=0)
        return float((read - chance) / (own - chance))

    return Sample(values, replicates, "tasks", kept)


def _rows(pointed: pd.DataFrame, at: str, direction: str) -> pd.DataFrame:
    rows = pointed[(pointed["at"] == at) & (pointed["direction"] == direction)]
    return rows.rename(columns={"i": "task"})


def _accuracies(probes: pd.DataFrame, reads: str, lam: float) -> tuple[Values, Replicates]:
    """Accuracy elsewhere, on the own network, and by chance: shape (tasks, 3)."""
    rows = probes[probes["layer"] == probes["layer"].iloc[-1]]
    rows = rows[(rows["reads"] != Reads.MERGED) | np.isclose(rows["lam"], lam)]
    wanted = [Reads(reads), Reads.OWN]
    values, replicates = cube(rows, ["task"], "accuracy", reads=wanted)
    chance, _ = cube(rows, ["task"], "chance", reads=[Reads.OWN])
    return np.hstack([values, chance]), replicates
