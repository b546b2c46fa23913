"""Failure signatures: what is said to break linearity, and how ε changes where it is so.

Each condition compares ε where it holds with ε where it does not, row by row: the same seed, and
within it the same pair of networks or the same cell. ε is a mean over layers, but for objectives
and parts of networks, where it is that of the worst layer; means over a seed's rows are geometric,
so that their ratio is the mean ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from ctl_helpers.findings import architecture, boundary
from ctl_helpers.findings.architecture import as_ratio
from ctl_helpers.findings.factors import factor_of
from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Replicates, Sample, Values, cube, whole
from ctl_helpers.results.labels import Control, Level, Metric, Variant, Where
from ctl_helpers.training.pretrained_for import Objective

Rows = tuple[Values, Replicates, str]
"""ε without and with the condition, shape (rows, 2); whose the rows are; what these are called."""


@dataclass(frozen=True)
class Signature:
    """One of the notes' failure signatures.

    Attributes:
        quoted: the notes' words for when linearity may fail.
        claims: the claims that judge it.
    """

    quoted: str
    claims: tuple[str, ...]


SIGNATURES = {
    "pretraining": Signature(
        "Models are trained from scratch without pretraining.",
        ("failure-scratch", "failure-apart"),
    ),
    "knowledge": Signature(
        "Pretraining does not provide common knowledge.", ("failure-knowledge",)
    ),
    "tasks": Signature("Tasks are too dissimilar.", ("failure-dissimilar",)),
    "steps": Signature("Models are not fine-tuned sufficiently.", ("failure-short",)),
    "parts": Signature(
        "The architecture does not support the required feature linearity.", ("failure-parts",)
    ),
}
"""In the notes' order."""

CLAIMS = tuple(claim for signature in SIGNATURES.values() for claim in signature.claims)
"""Those that the page of signatures tells, and no section's own page."""


@measure(as_ratio)
def signature_doublings(table: pd.DataFrame, *, condition: str) -> Sample:
    """Doublings of ε from where a condition does not hold to where it does.

    Args:
        table: a control table, one against epochs, the boundary's plane, or the matched ε of
            objectives or parts.
        condition: one of :data:`CONDITIONS`.
    """
    return _sample(table, condition, lambda rows: np.log2(rows[:, 1] / rows[:, 0]).mean())


@measure("{:.2f}")
def signature_before(table: pd.DataFrame, *, condition: str) -> Sample:
    """ε where a condition does not hold; arguments as for :func:`signature_doublings`."""
    return _sample(table, condition, lambda rows: np.exp(np.log(rows[:, 0]).mean()))


@measure("{:.2f}")
def signature_after(table: pd.DataFrame, *, condition: str) -> Sample:
    """ε where a condition holds; arguments as for :func:`signature_doublings`."""
    return _sample(table, condition, lambda rows: np.exp(np.log(rows[:, 1]).mean()))


def _sample(table: pd.DataFrame, condition: str, statistic: Callable[[Values], float]) -> Sample:
    values, replicates, unit = CONDITIONS[condition](table)
    return whole(values, replicates, unit, lambda rows: float(statistic(rows)))


def _control(table: pd.DataFrame, control: Control) -> Rows:
    """Pair by pair; a control that the setting does not have leaves no row."""
    rows = table[table["metric"] == Metric.EPSILON]
    return *cube(rows, ["i", "j"], control=[Control.TASK_VECTORS, control]), "networks"


def _from_scratch(table: pd.DataFrame) -> Rows:
    """Of epochs of pretraining, none beside most."""
    if "control" in table:
        return _control(table, Control.SCRATCH)
    return _epochs(table)


def _epochs(table: pd.DataFrame) -> Rows:
    """Fewest epochs beside most; without fine-tuning there is no ε."""
    factor = factor_of(table)
    rows = table[table["metric"] == Metric.EPSILON]
    rows = rows[(rows[factor] > 0) | (factor != "finetune_epochs")]
    ends = [rows[factor].max(), rows[factor].min()]
    return *cube(rows, [], "mean", **{factor: ends}), "seeds"


def _few_steps(table: pd.DataFrame) -> Rows:
    if "steps" not in table:
        return _epochs(table)
    cells = boundary.cells(table)
    ends = [cells["steps"].max(), cells["steps"].min()]
    # The grid's cells are no draws: seeds are what varies.
    return *cube(cells, ["rate", "tasks"], "epsilon", steps=ends), "seeds"


def _dissimilar(table: pd.DataFrame, *, labels: bool) -> Rows:
    """The largest angle between two tasks, or share of other labels, beside the least angle."""
    cells = boundary.cells(table)
    number = cells["tasks"].str.extract(r"^([\d.]+)(°|%)")
    angles, shares = (
        number.loc[number[1] == unit, 0].astype(float).sort_values() for unit in ("°", "%")
    )
    far = (shares if labels else angles).index[-1:]
    pair = cells.loc[[*angles.index[:1], *far], "tasks"].tolist()
    if len(set(pair)) < 2:
        return np.full((1, 2), np.nan), Replicates([0], [()]), "seeds"
    return *cube(cells, ["rate", "steps"], "epsilon", tasks=pair), "seeds"


def _random_labels(table: pd.DataFrame) -> Rows:
    """Pretraining on random labels beside the same on the right ones, at equal displacement."""
    rows = table[(table["where"] == Where.WORST) & (table["control"] == Control.TASK_VECTORS)]
    both = [Objective.SUPERVISION, Objective.RANDOM_LABELS]
    return *cube(rows, [], "epsilon", objective=both), "seeds"


def _part(table: pd.DataFrame, variant: Variant) -> Rows:
    """At equal displacement."""
    variants = [Variant.CENTRE, variant]
    return *architecture.epsilons(table, variants, Level.DISPLACEMENT, Where.WORST), "seeds"


CONDITIONS: dict[str, Callable[[pd.DataFrame], Rows]] = {
    "from random weights": _from_scratch,
    "pretrained apart": partial(_control, control=Control.APART),
    "random labels": _random_labels,
    "farthest rotations": partial(_dissimilar, labels=False),
    "contradicting labels": partial(_dissimilar, labels=True),
    "least fine-tuning": _few_steps,
    "no residual connections": partial(_part, variant=Variant.NO_RESIDUAL),
    "no normalization": partial(_part, variant=Variant.NO_NORM),
}
"""What is said to break linearity → ε without and with it."""
