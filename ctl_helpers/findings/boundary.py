"""Where linearity ends: ε over rates, steps and pairs of tasks, and what predicts it.

A cell is a pair of tasks at one learning rate and number of steps. ε and the measures of features
are means over layers; cells whose networks' features do not differ have none and are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from ctl_helpers.analysis.left_out import left_out_r_squared
from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Sample, Values, rank, rows_of
from ctl_helpers.findings.words import LINEAR, plain, times

CELL = ["seed", "tasks", "rate", "steps"]

PREDICTORS = {
    "apart": "features apart",
    "moved": "features moved",
    "weights_apart": "weights apart",
    "angle": "angle of task vectors",
    "product": "curvature × squared distance",
    "stability": "curvature × learning rate",
}
"""What may predict ε → what it is called; the first is how far features moved from each other."""

_NOTHING = 1e-9  # of squared error
_GROUPS = ("rate", "tasks")
_SCORES = ("merged", "own", "start")
_COLUMNS = ("epsilon", *PREDICTORS, *_SCORES, *_GROUPS)


def cells(plane: pd.DataFrame) -> pd.DataFrame:
    """A row for each cell: means over layers, with all of :data:`PREDICTORS`.

    Args:
        plane: a row for each cell and layer, as the section stores it.
    """
    keys = [name for name in ("setting", *CELL) if name in plane]
    means = plane.groupby(keys, sort=False).mean(numeric_only=True).reset_index()
    means = means.assign(
        angle=1 - means["cosine"],
        product=means["curvature"].abs() * means["weights_apart"] ** 2,
        stability=means["curvature"].abs() * means["rate"],
    )
    known = (means[["epsilon", *PREDICTORS]] > 0).all(axis=1)
    return means[known].reset_index(drop=True)


@measure("{:.2f}")
def predicted(plane: pd.DataFrame, *, out: str, by: str = "apart") -> Sample:
    """R² of log ε on what the line through log ε and log of a predictor has not seen.

    Args:
        plane: a row for each cell and layer.
        out: what is left out in turn: each ``"rate"``, or each pair of ``"tasks"``.
        by: one of :data:`PREDICTORS`.
    """
    return _sample(plane, lambda rows: _predicted(rows, [by], out))


@measure("{:.0%}")
def left_to_others(plane: pd.DataFrame) -> Sample:
    """Of the squared error on rates left out, the share that goes where the others predict, too.

    Negative where they make it worse; NaN where no error is left to go.
    """

    def share(rows: Values) -> float:
        alone = _predicted(rows, ["apart"], "rate")
        together = _predicted(rows, list(PREDICTORS), "rate")
        return (together - alone) / (1 - alone) if alone < 1 - _NOTHING else float("nan")

    return _sample(plane, share)


@measure(plain)
def apart_at_half(plane: pd.DataFrame) -> Sample:
    """How far features are apart where the line through log ε and its log reaches ε = ½.

    NaN where the line does not rise, or does not reach ½ among the cells.
    """

    def place(rows: Values) -> float:
        x, y = _log(rows, ["apart"])[:, 0], _log(rows, ["epsilon"])[:, 0]
        slope, offset = np.polyfit(x, y, 1) if np.ptp(x) > 0 else (0.0, 0.0)
        at = (np.log(LINEAR) - offset) / slope if slope > 0 else math.nan
        return float(np.exp(at)) if x.min() <= at <= x.max() else math.nan

    return _sample(plane, place)


@measure("{:.0%}")
def beyond(plane: pd.DataFrame, *, tasks: str = "") -> Sample:
    """The share of cells whose ε is over ½, of all pairs of tasks or of one."""
    plane = plane[plane["tasks"] == tasks] if tasks else plane
    return _sample(plane, lambda rows: float((_column(rows, "epsilon") > LINEAR).mean()))


@measure(lambda share: f"{100 * share:.0f} points")
def lost(plane: pd.DataFrame, *, side: str) -> Sample:
    """Accuracy of each task's own network less the merged one's, mean over cells.

    Args:
        plane: a row for each cell and layer.
        side: of the contour ε = ½: ``"inside"`` or ``"beyond"``.
    """

    def mean(rows: Values) -> float:
        here = (_column(rows, "epsilon") > LINEAR) == (side == "beyond")
        return float(_loss(rows)[here].mean()) if here.any() else float("nan")

    return _sample(plane, mean)


@measure("{:+.2f}")
def loss_rank(plane: pd.DataFrame) -> Sample:
    """Rank correlation over cells of ε and of what merging loses."""
    return _sample(plane, lambda rows: rank(_column(rows, "epsilon"), _loss(rows)))


@measure(times)
def predictor_range(plane: pd.DataFrame) -> Sample:
    """The largest distance between both networks' features over the smallest."""

    def span(rows: Values) -> float:
        column = _column(rows, "apart")
        return float(column.max() / column.min())

    return _sample(plane, span)


@measure("{:.0%}")
def most_learned(plane: pd.DataFrame) -> Sample:
    """Accuracy of own networks over the pretrained one, in the cell where it is largest."""
    return _sample(plane, lambda rows: float((_column(rows, "own") - _column(rows, "start")).max()))


def _sample(plane: pd.DataFrame, statistic: Callable[[Values], float]) -> Sample:
    """Cells as rows of numbers; groups are numbered."""
    table = cells(plane)
    numbered = table.assign(tasks=pd.factorize(table["tasks"])[0])
    values = numbered[list(_COLUMNS)].to_numpy(float)

    def of_any(rows: Values) -> float:
        return statistic(rows) if len(rows) else float("nan")

    return Sample(values, rows_of(table, ["tasks"]), "pairs of tasks", of_any)


def _column(rows: Values, name: str) -> Values:
    return np.asarray(rows[:, _COLUMNS.index(name)])


def _log(rows: Values, names: list[str]) -> Values:
    return np.log(np.column_stack([_column(rows, name) for name in names]))


def _loss(rows: Values) -> Values:
    return _column(rows, "own") - _column(rows, "merged")


def _predicted(rows: Values, names: list[str], out: str) -> float:
    target = _log(rows, ["epsilon"])[:, 0]
    return left_out_r_squared(_log(rows, names), target, _column(rows, out).tolist())
