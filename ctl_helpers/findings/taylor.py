"""Numbers on networks linearized after training (Appendix A of the CTL paper)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Replicates, Sample, Values, column, cube, median, whole
from ctl_helpers.findings.words import FLOOR, plain, times
from ctl_helpers.results.labels import Expansion, Split

_PLACES = {"pretrained": (0, 0), Expansion.NETWORK: (1, 0), Expansion.TAYLOR: (1, 1)}


@measure("{:.0%}")
def taylor_accuracy(single: pd.DataFrame, *, model: str) -> Sample:
    """Mean accuracy over tasks: ``pretrained``, each task's own ``network``, or its ``taylor``."""
    return _accuracies(single, lambda means: means[_PLACES[model]])


@measure(lambda share: f"{100 * share:.1f}")
def taylor_gained(single: pd.DataFrame, *, model: str) -> Sample:
    """Accuracy over that of the pretrained network, mean over tasks."""
    return _accuracies(single, lambda means: means[_PLACES[model]] - means[_PLACES["pretrained"]])


@measure("{:.0%}")
def taylor_lost(single: pd.DataFrame) -> Sample:
    """Of the accuracy that fine-tuning gained, mean over tasks, what the Taylor model has not."""

    def lost(means: Values) -> float:
        (start, _), (tuned, taylor) = means
        return float((tuned - taylor) / (tuned - start))

    return _accuracies(single, lost)


@measure("{:.0%}")
def taylor_added(addition: pd.DataFrame, *, model: str) -> Sample:
    """Test accuracy of all task vectors added at the λ that held-out data chose."""
    return _at_chosen(addition, model, "accuracy")


@measure("{:.2g}")
def taylor_lambda(addition: pd.DataFrame, *, model: str) -> Sample:
    """That λ, mean over seeds."""
    return _at_chosen(addition, model, "lam")


@measure(times)
def taylor_times_farther(taylor: pd.DataFrame, ctl: pd.DataFrame) -> Sample:
    """Distance over baseline of Taylor models over that of CTL, at the block where it is least.

    Replicates are tasks; CTL's share is the median over a seed's pairs that have the task.
    """
    both = _by_task(ctl).groupby(["seed", "i", "layer", "metric"])["mean"].median().reset_index()
    (off, seeds), (mixed, _) = _blocks(taylor), _blocks(both)
    shares = np.stack([_share(off), _share(mixed)], axis=1)

    def least(rows: Values) -> float:
        return float(np.nanmin(median(rows[:, 0], axis=0) / median(rows[:, 1], axis=0)))

    return Sample(shares, seeds, "tasks", least)


@measure(plain)
def taylor_ratio(taylor: pd.DataFrame, ctl: pd.DataFrame, *, at: str) -> Sample:
    """Mean distance of CTL over that of Taylor models, at the ``least`` or the ``most`` block."""
    (off, seeds), (mixed, _) = _blocks(taylor), _blocks(_by_task(ctl))
    extreme = {"least": np.min, "most": np.max}[at]

    def ratio(rows: Values) -> float:
        linearized, mean = np.mean(rows, axis=0)
        return float(extreme(mean / linearized))

    return Sample(np.stack([off[:, 0], mixed[:, 0]], axis=1), seeds, "tasks", ratio)


def _accuracies(single: pd.DataFrame, statistic: Callable[[Values], float]) -> Sample:
    """A statistic of means over tasks: of θ_PT and own networks, of networks and Taylor models."""
    rows = single.assign(network=np.where(single["network"] == "PT", "PT", "own"))
    values, seeds = cube(rows, ["task"], "accuracy", network=["PT", "own"], model=list(Expansion))
    values = values.copy()
    values[:, 0, 1] = values[:, 0, 0]  # a Taylor model at θ_PT is the network
    return whole(values, seeds, "tasks", lambda rows: float(statistic(np.mean(rows, axis=0))))


def _at_chosen(addition: pd.DataFrame, model: str, value: str) -> Sample:
    rows = addition[addition["chosen"] & (addition["split"] == Split.TEST)]
    return column(rows[rows["model"] == model], value, "tasks", np.mean)


def _by_task(ctl: pd.DataFrame) -> pd.DataFrame:
    """Every pair twice, under each of its tasks."""
    return pd.concat([ctl, ctl.assign(i=ctl["j"])])


def _blocks(table: pd.DataFrame) -> tuple[Values, Replicates]:
    """Shape (tasks, (distance, baseline), layers)."""
    return cube(table, ["i"], metric=["distance", "baseline"], layer=None)


def _share(blocks: Values) -> Values:
    """Distance over baseline; NaN where the baseline cannot be told from 0."""
    return blocks[:, 0] / np.where(blocks[:, 1] >= FLOOR, blocks[:, 1], np.nan)
