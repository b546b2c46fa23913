"""What the page on where linearity ends says in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.boundary import (
    PREDICTORS,
    apart_at_half,
    beyond,
    left_to_others,
    loss_rank,
    lost,
    predicted,
)
from ctl_helpers.findings.words import by_panel, cells, number_table, said, short

Panels = Mapping[str, str]


def answer(plane: pd.DataFrame, panels: Panels) -> str:
    """Where it ends, whether one variable says so, and what a merge loses there.

    Args:
        plane: a row for each cell and layer.
        panels: setting → panel title; the first one is told, which is the nearest to the paper's.
    """
    first = dict(list(panels.items())[:1])
    at, rate, tasks = (
        said(first, apart_at_half, plane),
        *(said(first, predicted, plane, out=out) for out in ("rate", "tasks")),
    )
    inside, outside = (said(first, lost, plane, side=side) for side in ("inside", "beyond"))
    of = f" on {short(panels[next(iter(panels))])}" if len(panels) > 1 else ""
    return (
        f"- **Where does it end?** On the fitted line{of}, ε reaches ½ where 1 − cosine between "
        f"the two networks' features is {at}.\n"
        f"- **Can one variable tell?** The line predicts ε with R² = {rate} on learning rates that "
        f"it has not seen, and with {tasks} on tasks that it has not seen; 1 is perfect. Of all "
        f"variables below, the best on rates is {by_panel(first, _best(plane))}.\n"
        f"- **What does it cost?** Where ε is up to ½, a merged network loses {inside} of accuracy "
        f"against the two that it is made of, and {outside} beyond."
    )


def _best(plane: pd.DataFrame) -> dict[str, str]:
    """Setting → the variable that predicts unseen rates best."""
    of = {name: predicted.by_setting(plane, out="rate", by=name) for name in PREDICTORS}
    best = {
        setting: max(
            (name for name in of if setting in of[name]), key=lambda name: float(of[name][setting])
        )
        for setting in of["apart"]
    }
    return {setting: f"*{PREDICTORS[name]}*" for setting, name in best.items()}


def by_tasks(plane: pd.DataFrame, panels: Panels) -> str:
    """For each pair of tasks the share of cells beyond ε = ½, and what merging loses."""
    pairs = list(dict.fromkeys(plane["tasks"]))
    rows: dict[str, list[str]] = {}
    for name in pairs:
        own = plane[plane["tasks"] == name]  # settings without the pair have a dash
        rows[f"{name}: cells beyond ε = ½"] = cells(panels, beyond, own, tasks=name)
    for side in ("inside", "beyond"):
        rows[f"accuracy that merging loses {side} the contour"] = cells(
            panels, lost, plane, side=side
        )
    rows["rank correlation of ε and the loss by merging"] = cells(panels, loss_rank, plane)
    return (
        "How many of the cells, which are learning rates and numbers of steps, are beyond the "
        f"contour, for each pair of tasks:{number_table(panels, rows)}"
    )


def predictors(plane: pd.DataFrame, panels: Panels) -> str:
    """R² of each predictor on rates and on tasks that were left out."""
    rows = {
        f"{called}, {out} left out": cells(panels, predicted, plane, out=key, by=name)
        for name, called in PREDICTORS.items()
        for key, out in (("rate", "rates"), ("tasks", "tasks"))
    }
    rows["features apart where their line reaches ε = ½"] = cells(panels, apart_at_half, plane)
    rows[
        "of that line's squared error, the share that all variables together take away, rates "
        "left out"
    ] = cells(panels, left_to_others, plane)
    return (
        "R² of log ε on what a line has not seen. It is 1 for a perfect prediction, and under 0 "
        "for one that is worse than the mean of what was seen."
        f"{number_table(panels, rows)}"
    )
