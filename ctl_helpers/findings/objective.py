"""What pretraining does to linearity: ε after an objective, over ε from a random start.

Of task vectors, and of random vectors that move the features as far. Where ε of both changes alike,
pretraining has shaped the surroundings of the network; where that of task vectors changes more, the
directions of fine-tuning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ctl_helpers.findings.architecture import as_ratio
from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Replicates, Sample, Values, cube
from ctl_helpers.results.labels import Control, Where
from ctl_helpers.training.pretrained_for import Objective

KINDS = (Control.TASK_VECTORS, Control.RANDOM)
"""The vectors whose ε is compared."""

BETTER = 0.05
"""By how much a head on pretrained features has to be better than one on random ones."""


@measure(as_ratio)
def objective_doublings(
    matched: pd.DataFrame,
    *,
    objective: str,
    control: str = Control.TASK_VECTORS,
    where: str = Where.WORST,
) -> Sample:
    """Doublings from ε of a random start to ε after an objective, at equal displacement.

    Args:
        matched: columns ``objective``, ``control``, ``where`` and ``epsilon``.
    """
    values, replicates = _epsilons(matched, objective, [Control(control)], where)
    return Sample(values, replicates, "seeds", lambda rows: float(_doublings(rows)[0]))


@measure(lambda halvings: as_ratio(-halvings))
def objective_halvings(matched: pd.DataFrame, *, objective: str) -> Sample:
    """The same with the other sign: above 0, pretraining makes networks more linear."""
    sample = objective_doublings(matched, objective=objective)
    return replace(sample, statistic=lambda rows: -sample.statistic(rows))


@measure(as_ratio)
def directions(matched: pd.DataFrame, *, objective: str, where: str = Where.WORST) -> Sample:
    """Doublings of random vectors' ε by an objective, less those of task vectors' ε.

    Above 0 pretraining has made task vectors more linear than it has made any vectors; at 0 it has
    done the same to both.
    """
    values, replicates = _epsilons(matched, objective, KINDS, where)

    def difference(rows: Values) -> float:
        own, random = _doublings(rows)
        return float(random - own)

    return Sample(values, replicates, "seeds", difference)


@measure("{:.2f}")
def objective_epsilon(
    matched: pd.DataFrame,
    *,
    objective: str = Objective.NONE,
    control: str = Control.TASK_VECTORS,
    where: str = Where.WORST,
) -> Sample:
    """ε after an objective; arguments as for :func:`objective_doublings`."""
    rows = matched[matched["where"] == where]
    values, replicates = cube(
        rows, [], "epsilon", objective=[Objective(objective)], control=[Control(control)]
    )
    return Sample(values, replicates, "seeds", lambda rows: float(rows.mean()))


@measure("{:.0%}")
def reached(matched: pd.DataFrame, *, objective: str) -> Sample:
    """Share of seeds in which features move as far as where ε is read off."""
    rows = matched[(matched["where"] == Where.WORST) & (matched["control"] == KINDS[0])]
    known = rows.assign(known=rows["epsilon"].notna())
    values, replicates = cube(known, [], "known", objective=[Objective(objective)])
    return Sample(values, replicates, "seeds", lambda rows: float(rows.mean()))


@measure("{:.0%}")
def probe_accuracy(matched: pd.DataFrame, *, objective: str = Objective.NONE) -> Sample:
    """Accuracy of the frozen heads on what the pretrained network makes of the tasks' images."""
    values, replicates = cube(matched, [], "probe", objective=[Objective(objective)])
    return Sample(values, replicates, "seeds", lambda rows: float(rows.mean()))


@measure("{:+.0%}")
def probe_over_none(matched: pd.DataFrame, *, objective: str) -> Sample:
    """That accuracy less the one on features of a random start."""
    both = [Objective(objective), Objective.NONE]
    values, replicates = cube(matched, [], "probe", objective=both)
    return Sample(values[:, 0] - values[:, 1], replicates, "seeds", lambda rows: float(rows.mean()))


def objectives_of(matched: pd.DataFrame) -> list[Objective]:
    """The objectives of a table, without the random start, in their order."""
    there = set(matched["objective"]) - {str(Objective.NONE)}
    return [objective for objective in Objective if objective in there]


def that_teach(matched: pd.DataFrame, setting: str) -> list[Objective]:
    """The objectives whose heads are better than those on a random start's features."""
    named = [one for one in objectives_of(matched) if one is not Objective.RANDOM_LABELS]
    gains = {one: probe_over_none.by_setting(matched, objective=one).get(setting) for one in named}
    return [one for one, gain in gains.items() if gain is not None and gain.value >= BETTER]


def _epsilons(
    matched: pd.DataFrame, objective: str, controls: Sequence[Control], where: str
) -> tuple[Values, Replicates]:
    """ε, shape (seeds, random start and objective, controls)."""
    rows = matched[matched["where"] == where]
    both = [Objective.NONE, Objective(objective)]
    return cube(rows, [], "epsilon", objective=both, control=controls)


def _doublings(rows: Values) -> Values:
    """Of mean ε, for each kind of vectors."""
    start, pretrained = rows.mean(axis=0)
    return np.asarray(np.log2(pretrained / start))
