"""What goes with the accuracy that merging loses, over cells of :mod:`.boundary`."""

from __future__ import annotations

import pandas as pd

from ctl_helpers.findings.boundary import cells
from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Sample, rank, rows_of


@measure("{:+.2f}")
def merge_rank(plane: pd.DataFrame, *, by: str) -> Sample:
    """Rank correlation over cells of a predictor and of what merging loses.

    Args:
        plane: a row for each cell and layer, as the section on the boundary stores it.
        by: one of :data:`.boundary.PREDICTORS`; for ε it is :func:`.boundary.loss_rank`.
    """
    table = cells(plane)
    values = table.assign(lost=table["own"] - table["merged"])[[by, "lost"]].to_numpy(float)
    return Sample(values, rows_of(table, ["tasks"]), "pairs of tasks", lambda rows: rank(*rows.T))
